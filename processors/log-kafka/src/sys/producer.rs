//! A producer whose delivery reports are read as they come.

use super::{Queue, c_string, take_error, text_of};
use crate::{
    context::{ClientState, Events},
    errors::Failure,
};
use factum_core::{Membership, RecordRef};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    client::Client,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer},
};
use rdkafka_sys as rd;
use std::{
    ffi::{c_char, c_void},
    ptr,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

/// How much longer than its time-out a call may take.
const CALL_GRACE: Duration = Duration::from_secs(2);

/// A producer.
pub(crate) struct RawProducer {
    // Topics and queue are dropped before the client that they belong to.
    topics: Vec<*mut rd::rd_kafka_topic_t>,
    queue: Queue,
    producer: Arc<BaseProducer<Events>>,
    state: Arc<ClientState>,
}

// SAFETY: librdkafka's clients, topics and queues are thread safe; the pointers are owned.
unsafe impl Send for RawProducer {}

/// A topic of the [`RawProducer`] that gave it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawTopic(usize);

impl RawProducer {
    pub(crate) fn new(config: &ClientConfig, state: Arc<ClientState>) -> Result<Self, KafkaError> {
        let producer: BaseProducer<Events> = config.create_with_context(Events(state.clone()))?;
        // SAFETY: the client is alive; its main queue always exists.
        let queue = Queue(unsafe { rd::rd_kafka_queue_get_main(producer.client().native_ptr()) });
        Ok(RawProducer { topics: Vec::new(), queue, producer: Arc::new(producer), state })
    }

    /// The client, for the calls of transactions.
    pub(crate) fn inner(&self) -> &BaseProducer<Events> {
        &self.producer
    }

    pub(crate) fn client(&self) -> &Client<Events> {
        self.producer.client()
    }

    /// A handle of a topic, so that it is looked up once and not per record.
    pub(crate) fn topic(&mut self, name: &str) -> Result<RawTopic, Failure> {
        let name = c_string(name)?;
        // SAFETY: the client is alive, the name is copied, a null configuration means the client's.
        let topic = unsafe { rd::rd_kafka_topic_new(self.client().native_ptr(), name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(super::failure(RDKafkaErrorCode::InvalidTopic, "the topic's name is refused"));
        }
        self.topics.push(topic);
        Ok(RawTopic(self.topics.len() - 1))
    }

    /// Queues a copy of a record; its report will carry `tag`.
    pub(crate) fn send(&mut self, topic: RawTopic, record: RecordRef<'_>, tag: usize) -> Result<(), RDKafkaErrorCode> {
        let topic = self.topics[topic.0];
        let partition = i32::try_from(record.partition().0).map_err(|_| RDKafkaErrorCode::UnknownPartition)?;
        let headers = headers_of(record)?;
        let (key, key_len) = parts(record.key());
        let (value, value_len) = parts(record.value());
        // SAFETY: the client and the topic are alive; the arguments follow the types that their tags
        // announce (rdkafka.h, rd_kafka_vtype_t); key and value are copied during the call (F_COPY);
        // the tag is never dereferenced, and null headers mean none.
        let code = unsafe {
            rd::rd_kafka_producev(
                self.producer.client().native_ptr(),
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                partition,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                rd::RD_KAFKA_MSG_F_COPY,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_len,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                value,
                value_len,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp().map_or(0, |t| t.0),
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                tag as *mut c_void,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                headers,
                rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        if !headers.is_null() {
            // SAFETY: a refused record leaves its headers to the caller, who frees them once.
            unsafe { rd::rd_kafka_headers_destroy(headers) }
        }
        Err(code.into())
    }

    /// Serves one event, waiting up to `timeout_ms` for it; `report` gets the
    /// tag and the fate of each record that it tells of. False when there was none.
    pub(crate) fn poll(
        &mut self,
        timeout_ms: i32,
        mut report: impl FnMut(usize, Result<i64, RDKafkaErrorCode>),
    ) -> bool {
        let Some(event) = self.queue.poll(timeout_ms) else { return false };
        match event.kind() {
            rd::RD_KAFKA_EVENT_DR => loop {
                // SAFETY: the event is alive and owns its messages; null follows the last one.
                let message = unsafe { rd::rd_kafka_event_message_next(event.0) };
                if message.is_null() {
                    break;
                }
                // SAFETY: not null, and alive as long as the event.
                let message = unsafe { &*message };
                let fate = match message.err {
                    rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(message.offset),
                    code => Err(code.into()),
                };
                report(message._private as usize, fate);
            },
            rd::RD_KAFKA_EVENT_ERROR => self.state.error(event.code(), &event.error_text()),
            rd::RD_KAFKA_EVENT_LOG => event.log_to(&self.state),
            _ => {}
        }
        true
    }

    /// The client for requests, and apart from it what serves its events while they wait.
    pub(crate) fn split(&mut self) -> (&Client<Events>, EventServer<'_>) {
        (self.producer.client(), EventServer { queue: &mut self.queue, state: &self.state })
    }

    /// Raises a fatal error, as the loss of a broker may.
    #[cfg(test)]
    pub(crate) fn break_down(&self) {
        // SAFETY: the client is alive, and the text is copied.
        unsafe {
            rd::rd_kafka_test_fatal_error(
                self.client().native_ptr(),
                rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                c"broken by a test".as_ptr(),
            );
        }
    }

    /// The error that made the client unusable, if there is one.
    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the client is alive and the buffer as long as told; the text ends within it.
        unsafe {
            let code = rd::rd_kafka_fatal_error(self.client().native_ptr(), text.as_mut_ptr(), text.len());
            (code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| (code.into(), text_of(text.as_ptr())))
        }
    }

    /// Adds offsets to the transaction, fenced by a member of a group (KIP-447);
    /// none when librdkafka does not return within `timeout`, after which the
    /// client is of no more use.
    ///
    /// The call is made on a thread of its own: librdkafka 2.12 looks at its
    /// time-out only when a broker's state changes (`rd_kafka_coord_req_fsm`),
    /// and so may wait for ever when a broker dies while the group's coordinator
    /// is asked for. The thread then keeps the client until the call returns.
    pub(crate) fn send_offsets(
        &self,
        member: &Membership,
        offsets: TopicPartitionList,
        timeout: Duration,
    ) -> Option<Result<(), Failure>> {
        let (told, result) = sync_channel(1);
        let (producer, member) = (self.producer.clone(), member.clone());
        let call = move || {
            // Nobody listens any more when it took too long.
            told.send(send_offsets(&producer, &member, &offsets, timeout)).unwrap_or_default();
        };
        match std::thread::Builder::new().name("offsets".to_owned()).spawn(call) {
            Ok(_) => result.recv_timeout(timeout + CALL_GRACE).ok(),
            Err(error) => Some(Err(super::failure(RDKafkaErrorCode::Resolve, error.to_string()))),
        }
    }
}

fn send_offsets(
    producer: &BaseProducer<Events>,
    member: &Membership,
    offsets: &TopicPartitionList,
    timeout: Duration,
) -> Result<(), Failure> {
    let group = c_string(&member.group)?;
    let id = c_string(&member.member_id)?;
    let instance = member.instance_id.as_deref().map(c_string).transpose()?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the strings live during the call, which copies them; the group metadata is owned
    // here and destroyed once, after the call that reads it; client and list are alive.
    unsafe {
        let metadata = rd::rd_kafka_consumer_group_metadata_new_with_genid(
            group.as_ptr(),
            member.generation,
            id.as_ptr(),
            instance.as_ref().map_or(ptr::null(), |i| i.as_ptr()),
        );
        let error = rd::rd_kafka_send_offsets_to_transaction(
            producer.client().native_ptr(),
            offsets.ptr(),
            metadata,
            timeout_ms,
        );
        rd::rd_kafka_consumer_group_metadata_destroy(metadata);
        take_error(error)
    }
}

/// Serves errors and log lines of a client that produces nothing.
pub(crate) struct EventServer<'a> {
    queue: &'a mut Queue,
    state: &'a ClientState,
}

impl EventServer<'_> {
    pub(crate) fn serve(&mut self) {
        while let Some(event) = self.queue.poll(0) {
            match event.kind() {
                rd::RD_KAFKA_EVENT_ERROR => self.state.error(event.code(), &event.error_text()),
                rd::RD_KAFKA_EVENT_LOG => event.log_to(self.state),
                _ => {}
            }
        }
    }
}

impl Drop for RawProducer {
    fn drop(&mut self) {
        for topic in self.topics.drain(..) {
            // SAFETY: each handle is owned and given back once, before its client goes.
            unsafe { rd::rd_kafka_topic_destroy(topic) }
        }
    }
}

/// The headers of a record for librdkafka; null without any.
fn headers_of(record: RecordRef<'_>) -> Result<*mut rd::rd_kafka_headers_t, RDKafkaErrorCode> {
    let count = record.headers().count();
    if count == 0 {
        return Ok(ptr::null_mut());
    }
    // SAFETY: allocates; the caller owns the result.
    let headers = unsafe { rd::rd_kafka_headers_new(count) };
    for (name, value) in record.headers() {
        let (value, value_len) = parts(value);
        // SAFETY: the headers are alive; name and value are as long as told and are copied.
        let code = unsafe {
            rd::rd_kafka_header_add(
                headers,
                name.as_ptr().cast(),
                name.len().cast_signed(),
                value,
                value_len.cast_signed(),
            )
        };
        if code != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            // SAFETY: owned, and not given away yet.
            unsafe { rd::rd_kafka_headers_destroy(headers) }
            return Err(code.into());
        }
    }
    Ok(headers)
}

/// Start and length; null for none. The library only reads what it points to.
fn parts(bytes: Option<&[u8]>) -> (*mut c_void, usize) {
    bytes.map_or((ptr::null_mut(), 0), |b| (b.as_ptr() as *mut c_void, b.len()))
}
