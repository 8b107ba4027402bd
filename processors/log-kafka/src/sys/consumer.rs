//! A consumer whose queue is read event by event.

use super::{Event, Queue, closing::close_in_time, text_of};
use crate::context::{ClientState, Events};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use rdkafka_sys as rd;
use std::{
    ffi::{CStr, c_char, c_void},
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr, slice,
    sync::Arc,
};

/// A consumer. Its rebalances are events that the owner answers with
/// `incremental_assign` and `incremental_unassign`, outside of any callback.
pub(crate) struct RawConsumer {
    client: ManuallyDrop<Client>,
    state: Arc<ClientState>,
}

struct Client {
    // Declared first: it is dropped before the client that it belongs to.
    queue: Queue,
    consumer: BaseConsumer<Events>,
}

/// What a poll found.
pub(crate) enum ConsumerEvent<'a> {
    /// A record.
    Message(RawMessage<'a>),
    /// The end of a partition: its position, beyond control records.
    End { topic: String, partition: i32, offset: i64 },
    /// Partitions were given to this member.
    Assign(Vec<(String, i32)>),
    /// Partitions are taken from this member.
    Revoke(Vec<(String, i32)>),
    /// An error, perhaps of one partition.
    Error { code: RDKafkaErrorCode, place: Option<(String, i32, i64)>, text: String, fatal: bool },
    /// Something that was handled here (a log line, a statistic).
    Other,
}

impl RawConsumer {
    /// A consumer with a `group.id`.
    pub(crate) fn new(config: &ClientConfig, state: Arc<ClientState>) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer<Events> = config.create_with_context(Events(state.clone()))?;
        // SAFETY: the client is alive. Every consumer with a group has this queue, and one without
        // gives null, which is caught below.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        if queue.is_null() {
            return Err(KafkaError::ClientCreation("the consumer has no group.id".to_owned()));
        }
        Ok(RawConsumer { client: ManuallyDrop::new(Client { queue: Queue(queue), consumer }), state })
    }

    /// The consumer, for everything but polling.
    pub(crate) fn inner(&self) -> &BaseConsumer<Events> {
        &self.client.consumer
    }

    /// The next event, waiting up to `timeout_ms`.
    pub(crate) fn poll(&mut self, timeout_ms: i32) -> Option<ConsumerEvent<'_>> {
        let event = self.client.queue.poll(timeout_ms)?;
        Some(match event.kind() {
            rd::RD_KAFKA_EVENT_FETCH => {
                // SAFETY: the event lives as long as the message made of it below.
                let message = unsafe { rd::rd_kafka_event_message_next(event.0) };
                if message.is_null() {
                    ConsumerEvent::Other
                } else {
                    ConsumerEvent::Message(RawMessage { message, _event: event, consumer: PhantomData })
                }
            }
            rd::RD_KAFKA_EVENT_ERROR => self.error(&event),
            rd::RD_KAFKA_EVENT_REBALANCE => {
                let partitions = partitions_of(&event);
                match event.code() {
                    RDKafkaErrorCode::AssignPartitions => ConsumerEvent::Assign(partitions),
                    _ => ConsumerEvent::Revoke(partitions),
                }
            }
            rd::RD_KAFKA_EVENT_LOG => {
                event.log_to(&self.state);
                ConsumerEvent::Other
            }
            _ => ConsumerEvent::Other,
        })
    }

    fn error(&self, event: &Event) -> ConsumerEvent<'static> {
        let code = event.code();
        // SAFETY: the event lives during the call; the partition returned is owned by the caller
        // (null without one) and destroyed once, after its last use.
        let place = unsafe {
            let partition = rd::rd_kafka_event_topic_partition(event.0);
            (!partition.is_null()).then(|| {
                let place = (text_of((*partition).topic), (*partition).partition, (*partition).offset);
                rd::rd_kafka_topic_partition_destroy(partition);
                place
            })
        };
        if code == RDKafkaErrorCode::PartitionEOF {
            return match place {
                Some((topic, partition, offset)) => ConsumerEvent::End { topic, partition, offset },
                None => ConsumerEvent::Other,
            };
        }
        let text = event.error_text();
        self.state.error(code, &text);
        ConsumerEvent::Error { code, place, text, fatal: event.is_fatal() }
    }

    /// The member id and the generation (or member epoch) as the client knows
    /// them: empty and -1 before it has joined.
    pub(crate) fn membership(&self) -> (String, i32) {
        // SAFETY: the client is alive; the object is owned here and destroyed once, after the
        // member id, which it owns, was copied.
        unsafe {
            let metadata = rd::rd_kafka_consumer_group_metadata(self.client.consumer.client().native_ptr());
            if metadata.is_null() {
                return (String::new(), -1);
            }
            let member = text_of(rd::rd_kafka_consumer_group_metadata_member_id(metadata));
            let generation = rd::rd_kafka_consumer_group_metadata_generation_id(metadata);
            rd::rd_kafka_consumer_group_metadata_destroy(metadata);
            (member, generation)
        }
    }
}

impl Drop for RawConsumer {
    fn drop(&mut self) {
        // SAFETY: taken once, here, and not used afterwards.
        let client = unsafe { ManuallyDrop::take(&mut self.client) };
        close_in_time(client);
    }
}

/// The partitions of a rebalance.
fn partitions_of(event: &Event) -> Vec<(String, i32)> {
    // SAFETY: the list belongs to the event, which lives during the call; `elems` has `cnt` elements.
    unsafe {
        let list = rd::rd_kafka_event_topic_partition_list(event.0);
        if list.is_null() || (*list).elems.is_null() {
            return Vec::new();
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        slice::from_raw_parts((*list).elems, count).iter().map(|e| (text_of(e.topic), e.partition)).collect()
    }
}

/// A record as librdkafka holds it.
pub(crate) struct RawMessage<'a> {
    message: *const rd::rd_kafka_message_t,
    // Owns the message.
    _event: Event,
    consumer: PhantomData<&'a mut RawConsumer>,
}

impl RawMessage<'_> {
    fn raw(&self) -> &rd::rd_kafka_message_t {
        // SAFETY: not null, and owned by the event, which lives as long as `self`.
        unsafe { &*self.message }
    }

    /// The topic's name, as bytes.
    pub(crate) fn topic(&self) -> &[u8] {
        // SAFETY: a consumed message has a topic, whose name lives as long as the message.
        unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(self.raw().rkt)) }.to_bytes()
    }

    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// Milliseconds since the epoch.
    pub(crate) fn timestamp(&self) -> Option<i64> {
        // SAFETY: the message is alive; a null kind is allowed.
        let timestamp = unsafe { rd::rd_kafka_message_timestamp(self.message, ptr::null_mut()) };
        (timestamp >= 0).then_some(timestamp)
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        // SAFETY: the key has `key_len` bytes and lives as long as the message.
        unsafe { bytes_of(self.raw().key, self.raw().key_len) }
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        // SAFETY: the value has `len` bytes and lives as long as the message.
        unsafe { bytes_of(self.raw().payload, self.raw().len) }
    }

    /// Calls `each` with every header, in order.
    pub(crate) fn headers(&self, mut each: impl FnMut(&str, Option<&[u8]>)) {
        let mut headers: *mut rd::rd_kafka_headers_t = ptr::null_mut();
        // SAFETY: the message is alive and goes on owning its headers; without any there is an error code.
        let code = unsafe { rd::rd_kafka_message_headers(self.message, &mut headers) };
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        for index in 0.. {
            let mut name: *const c_char = ptr::null();
            let mut value: *const c_void = ptr::null();
            let mut size = 0;
            // SAFETY: the headers are alive and the targets valid; past the last one there is an error code.
            let code = unsafe { rd::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) };
            if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return;
            }
            // SAFETY: name (NUL-terminated) and value (`size` bytes) belong to the headers.
            let (name, value) = unsafe { (CStr::from_ptr(name).to_string_lossy(), bytes_of(value, size)) };
            each(&name, value);
        }
    }
}

/// Bytes that the C library holds; none for null.
///
/// # Safety
/// `start` is null or has `len` bytes that live for `'a`.
unsafe fn bytes_of<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: not null, and the caller vouches for the rest.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}
