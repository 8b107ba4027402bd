//! Admin requests, each sent and waited for; those about topics.

use super::{Event, Queue, c_string, failure, failure_of, take_error, text_of};
use crate::errors::Failure;
use factum_core::log::Isolation;
use rdkafka::{
    client::{Client, ClientContext},
    error::RDKafkaErrorCode,
};
use rdkafka_sys as rd;
use rdkafka_sys::rd_kafka_admin_op_t as Op;
use std::{
    collections::BTreeMap,
    ffi::{CString, c_char},
    marker::PhantomData,
    slice,
    time::{Duration, Instant},
};

/// What an operation of the broker's controllers may take is less than the request's time-out by this.
const OPERATION_GRACE: Duration = Duration::from_secs(1);
/// The library answers every request by its time-out; this guards against its not doing so.
const ANSWER_GRACE: Duration = Duration::from_millis(1_500);

/// Admin requests by any client.
pub(crate) struct Requests<'a> {
    client: *mut rd::rd_kafka_t,
    serve: &'a mut dyn FnMut() -> bool,
    timeout: Duration,
    alive: PhantomData<&'a ()>,
}

/// What `DescribeTopics` tells of one topic.
#[derive(Debug)]
pub(crate) struct TopicFacts {
    pub(crate) id: [u8; 16],
    pub(crate) partitions: u32,
    pub(crate) replication: u16,
    pub(crate) leaders: u32,
}

impl<'a> Requests<'a> {
    /// `serve` is called every few milliseconds while a request waits, to
    /// serve the client's own events; when it returns false the wait ends.
    /// `timeout` is how long the broker may take, and with it a broker that is not there.
    pub(crate) fn new<C: ClientContext>(
        client: &'a Client<C>,
        serve: &'a mut dyn FnMut() -> bool,
        timeout: Duration,
    ) -> Self {
        Requests { client: client.native_ptr(), serve, timeout, alive: PhantomData }
    }

    pub(crate) fn create_topic(
        &mut self,
        topic: &str,
        partitions: i32,
        replication: i32,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let name = c_string(topic)?;
        let settings = c_pairs(settings)?;
        let mut text = [0 as c_char; 256];
        // SAFETY: the name is copied; the buffer is as long as told.
        let mut new =
            unsafe { rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, text.as_mut_ptr(), text.len()) };
        if new.is_null() {
            // SAFETY: the library ended the text within the buffer.
            return Err(failure(RDKafkaErrorCode::InvalidArgument, unsafe { text_of(text.as_ptr()) }));
        }
        for (name, value) in &settings {
            // SAFETY: the object is alive and copies both strings. The only failure is an empty name,
            // which the broker refuses as well.
            let _code = unsafe { rd::rd_kafka_NewTopic_set_config(new, name.as_ptr(), value.as_ptr()) };
        }
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, true, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the object is
            // destroyed once, after it.
            unsafe {
                rd::rd_kafka_CreateTopics(client, &mut new, 1, options, queue);
                rd::rd_kafka_NewTopic_destroy(new);
            }
        })?;
        // SAFETY: the event is a result of this request: nothing else is sent to its queue.
        unsafe { topic_results(&event, rd::rd_kafka_CreateTopics_result_topics) }
    }

    pub(crate) fn delete_topic(&mut self, topic: &str) -> Result<(), Failure> {
        let name = c_string(topic)?;
        // SAFETY: allocates and copies the name.
        let mut delete = unsafe { rd::rd_kafka_DeleteTopic_new(name.as_ptr()) };
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, true, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the object is
            // destroyed once, after it.
            unsafe {
                rd::rd_kafka_DeleteTopics(client, &mut delete, 1, options, queue);
                rd::rd_kafka_DeleteTopic_destroy(delete);
            }
        })?;
        // SAFETY: the event is a result of this request.
        unsafe { topic_results(&event, rd::rd_kafka_DeleteTopics_result_topics) }
    }

    pub(crate) fn create_partitions(&mut self, topic: &str, total: usize) -> Result<(), Failure> {
        let name = c_string(topic)?;
        let mut text = [0 as c_char; 256];
        // SAFETY: the name is copied; the buffer is as long as told.
        let mut new = unsafe { rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, text.as_mut_ptr(), text.len()) };
        if new.is_null() {
            // SAFETY: the library ended the text within the buffer.
            return Err(failure(RDKafkaErrorCode::InvalidArgument, unsafe { text_of(text.as_ptr()) }));
        }
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, true, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the object is
            // destroyed once, after it.
            unsafe {
                rd::rd_kafka_CreatePartitions(client, &mut new, 1, options, queue);
                rd::rd_kafka_NewPartitions_destroy(new);
            }
        })?;
        // SAFETY: the event is a result of this request.
        unsafe { topic_results(&event, rd::rd_kafka_CreatePartitions_result_topics) }
    }

    /// A topic; none if it does not exist.
    pub(crate) fn describe_topic(&mut self, topic: &str) -> Result<Option<TopicFacts>, Failure> {
        let name = c_string(topic)?;
        let mut names = [name.as_ptr()];
        // SAFETY: the names are copied.
        let topics = unsafe { rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1) };
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, false, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the collection is
            // destroyed once, after it.
            unsafe {
                rd::rd_kafka_DescribeTopics(client, topics, options, queue);
                rd::rd_kafka_TopicCollection_destroy(topics);
            }
        })?;
        let mut count = 0;
        // SAFETY: the event is a result of this request and owns everything that is read here; the
        // arrays have as many elements as told, none of them null.
        unsafe {
            let results = rd::rd_kafka_DescribeTopics_result_topics(event.0, &mut count);
            let Some(&description) = elements(results, count).first() else { return Ok(None) };
            let error = rd::rd_kafka_TopicDescription_error(description);
            if !error.is_null() {
                let failure = failure_of(error);
                match failure.code {
                    RDKafkaErrorCode::NoError => {}
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => return Ok(None),
                    _ => return Err(failure),
                }
            }
            let id = rd::rd_kafka_TopicDescription_topic_id(description);
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&rd::rd_kafka_Uuid_most_significant_bits(id).to_be_bytes());
            bytes[8..].copy_from_slice(&rd::rd_kafka_Uuid_least_significant_bits(id).to_be_bytes());
            let partitions = elements(rd::rd_kafka_TopicDescription_partitions(description, &mut count), count);
            let mut replication = usize::MAX;
            let mut leaders = 0;
            for partition in partitions {
                let mut replicas = 0;
                rd::rd_kafka_TopicPartitionInfo_replicas(*partition, &mut replicas);
                replication = replication.min(replicas);
                leaders += u32::from(!rd::rd_kafka_TopicPartitionInfo_leader(*partition).is_null());
            }
            Ok(Some(TopicFacts {
                id: bytes,
                partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
                replication: if partitions.is_empty() { 0 } else { u16::try_from(replication).unwrap_or(u16::MAX) },
                leaders,
            }))
        }
    }

    /// The effective settings of a topic.
    pub(crate) fn describe_settings(&mut self, topic: &str) -> Result<BTreeMap<String, String>, Failure> {
        let mut resource = topic_resource(topic)?;
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, false, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the object is
            // destroyed once, after it.
            unsafe {
                rd::rd_kafka_DescribeConfigs(client, &mut resource, 1, options, queue);
                rd::rd_kafka_ConfigResource_destroy(resource);
            }
        })?;
        let mut settings = BTreeMap::new();
        let mut count = 0;
        // SAFETY: the event is a result of this request and owns everything that is read here; the
        // arrays have as many elements as told, none of them null.
        unsafe {
            let resources = rd::rd_kafka_DescribeConfigs_result_resources(event.0, &mut count);
            for resource in elements(resources, count) {
                resource_result(*resource)?;
                let entries = rd::rd_kafka_ConfigResource_configs(*resource, &mut count);
                for entry in elements(entries, count) {
                    let value = rd::rd_kafka_ConfigEntry_value(*entry);
                    if !value.is_null() {
                        settings.insert(text_of(rd::rd_kafka_ConfigEntry_name(*entry)), text_of(value));
                    }
                }
            }
        }
        Ok(settings)
    }

    /// Sets some settings of a topic (KIP-339).
    pub(crate) fn alter_settings(&mut self, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), Failure> {
        let settings = c_pairs(settings)?;
        let mut resource = topic_resource(topic)?;
        for (name, value) in &settings {
            // SAFETY: the object is alive and copies both strings; the error is taken over. The
            // object is destroyed once: here, or after the request.
            unsafe {
                let error = rd::rd_kafka_ConfigResource_add_incremental_config(
                    resource,
                    name.as_ptr(),
                    rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET,
                    value.as_ptr(),
                );
                if let Err(failure) = take_error(error) {
                    rd::rd_kafka_ConfigResource_destroy(resource);
                    return Err(failure);
                }
            }
        }
        let event =
            self.ask(Op::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, false, None, |client, options, queue| {
                // SAFETY: all are alive during the call, which copies what it needs; the object is
                // destroyed once, after it.
                unsafe {
                    rd::rd_kafka_IncrementalAlterConfigs(client, &mut resource, 1, options, queue);
                    rd::rd_kafka_ConfigResource_destroy(resource);
                }
            })?;
        let mut count = 0;
        // SAFETY: the event is a result of this request and owns the array, whose elements are not null.
        unsafe {
            let resources = rd::rd_kafka_IncrementalAlterConfigs_result_resources(event.0, &mut count);
            elements(resources, count).iter().try_for_each(|r| resource_result(*r))
        }
    }

    /// Sends a request and waits for its answer.
    pub(super) fn ask(
        &mut self,
        op: Op,
        operates: bool,
        isolation: Option<Isolation>,
        send: impl FnOnce(*mut rd::rd_kafka_t, *mut rd::rd_kafka_AdminOptions_t, *mut rd::rd_kafka_queue_t),
    ) -> Result<Event, Failure> {
        let mut text = [0 as c_char; 256];
        let milliseconds = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let (request_ms, operation_ms) =
            (milliseconds(self.timeout), milliseconds(self.timeout.saturating_sub(OPERATION_GRACE)));
        // SAFETY: the client is alive (`'a`); the options are destroyed once, after the request that
        // copies them; buffer and length agree; errors of the setters are taken over.
        let mut queue = unsafe {
            let options = rd::rd_kafka_AdminOptions_new(self.client, op);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, request_ms, text.as_mut_ptr(), text.len());
            if operates {
                rd::rd_kafka_AdminOptions_set_operation_timeout(options, operation_ms, text.as_mut_ptr(), text.len());
            }
            let mut set = Ok(());
            if let Some(isolation) = isolation {
                let level = match isolation {
                    Isolation::ReadCommitted => rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
                    Isolation::ReadUncommitted => {
                        rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
                    }
                };
                set = take_error(rd::rd_kafka_AdminOptions_set_isolation_level(options, level));
            }
            if op == Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS {
                set = take_error(rd::rd_kafka_AdminOptions_set_require_stable_offsets(options, 1));
            }
            let queue = Queue(rd::rd_kafka_queue_new(self.client));
            // Sent in any case: it frees what the caller made for it.
            send(self.client, options, queue.0);
            rd::rd_kafka_AdminOptions_destroy(options);
            set?;
            queue
        };
        let deadline = Instant::now() + self.timeout + ANSWER_GRACE;
        loop {
            if let Some(event) = queue.poll(20) {
                return match event.code() {
                    RDKafkaErrorCode::NoError => Ok(event),
                    code => Err(failure(code, event.error_text())),
                };
            }
            if !(self.serve)() || Instant::now() > deadline {
                return Err(failure(RDKafkaErrorCode::OperationTimedOut, ""));
            }
        }
    }
}

fn c_pairs(settings: &BTreeMap<String, String>) -> Result<Vec<(CString, CString)>, Failure> {
    settings.iter().map(|(name, value)| Ok((c_string(name)?, c_string(value)?))).collect()
}

fn topic_resource(topic: &str) -> Result<*mut rd::rd_kafka_ConfigResource_t, Failure> {
    let name = c_string(topic)?;
    // SAFETY: allocates and copies the name; null for an empty one, which is caught.
    let resource =
        unsafe { rd::rd_kafka_ConfigResource_new(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, name.as_ptr()) };
    if resource.is_null() {
        return Err(failure(RDKafkaErrorCode::InvalidTopic, "the topic's name is empty"));
    }
    Ok(resource)
}

/// An array of the library as a slice.
///
/// # Safety
/// `start` is null or has `count` elements that live for `'a`.
pub(super) unsafe fn elements<'a, T>(start: *mut *const T, count: usize) -> &'a [*const T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { slice::from_raw_parts(start, count) }
}

/// The first failure of a request about topics.
///
/// # Safety
/// `get` fits the kind of `event`.
unsafe fn topic_results(
    event: &Event,
    get: unsafe extern "C" fn(*const rd::rd_kafka_event_t, *mut usize) -> *mut *const rd::rd_kafka_topic_result_t,
) -> Result<(), Failure> {
    let mut count = 0;
    // SAFETY: the event is alive and owns the results; the caller vouches for `get`.
    unsafe {
        for result in elements(get(event.0, &mut count), count) {
            let code: RDKafkaErrorCode = rd::rd_kafka_topic_result_error(*result).into();
            if code != RDKafkaErrorCode::NoError {
                return Err(failure(code, text_of(rd::rd_kafka_topic_result_error_string(*result))));
            }
        }
    }
    Ok(())
}

/// The failure of a request about settings.
///
/// # Safety
/// `resource` is alive.
unsafe fn resource_result(resource: *const rd::rd_kafka_ConfigResource_t) -> Result<(), Failure> {
    // SAFETY: the caller vouches for the resource, which owns the text.
    unsafe {
        match rd::rd_kafka_ConfigResource_error(resource).into() {
            RDKafkaErrorCode::NoError => Ok(()),
            code => Err(failure(code, text_of(rd::rd_kafka_ConfigResource_error_string(resource)))),
        }
    }
}
