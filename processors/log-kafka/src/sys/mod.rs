//! The calls of `rdkafka-sys` that `rdkafka` does not offer, made safe. This
//! module is the only one that may be unsafe; each call says why it is sound.
//!
//! What is missing in rdkafka 0.39, and therefore here: the place and offset
//! of a consumer's error (so the end of a partition), rebalances outside of a
//! callback, reading a batch without an allocation per record, waiting for
//! delivery reports no longer than needed, a group's generation, offsets sent
//! for another client's generation, topic ids, incremental alterations and
//! offset requests with an isolation level.
#![allow(unsafe_code)] // the purpose of this module

mod closing;
mod consumer;
mod offsets;
mod producer;
mod requests;

pub(crate) use consumer::{ConsumerEvent, RawConsumer, RawMessage};
pub(crate) use offsets::{OffsetQuery, entries};
pub(crate) use producer::{RawProducer, RawTopic};
pub(crate) use requests::{Requests, TopicFacts};

use crate::{context::ClientState, errors::Failure};
use rdkafka::{config::RDKafkaLogLevel, error::RDKafkaErrorCode};
use rdkafka_sys as rd;
use std::{
    ffi::{CStr, CString, c_char},
    ptr,
};

/// Text that goes to the C library, which ends at a NUL.
fn c_string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| failure(RDKafkaErrorCode::InvalidArgument, "a name contains a NUL character"))
}

fn failure(code: RDKafkaErrorCode, text: impl Into<String>) -> Failure {
    Failure { code, text: text.into(), fatal: false, retriable: false, requires_abort: false }
}

/// Copies a C string; empty for null.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives during the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller vouches for the rest.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Takes an error object of librdkafka: nothing for null.
///
/// # Safety
/// `error` is null or an error object that the caller owns and gives away.
unsafe fn take_error(error: *mut rd::rd_kafka_error_t) -> Result<(), Failure> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the object is valid until it is destroyed, which happens once, at the end.
    unsafe {
        let failure = failure_of(error);
        rd::rd_kafka_error_destroy(error);
        Err(failure)
    }
}

/// Reads an error object of librdkafka.
///
/// # Safety
/// `error` is a valid error object.
unsafe fn failure_of(error: *const rd::rd_kafka_error_t) -> Failure {
    // SAFETY: the caller vouches for the object; the accessors only read it.
    unsafe {
        Failure {
            code: rd::rd_kafka_error_code(error).into(),
            text: text_of(rd::rd_kafka_error_string(error)),
            fatal: rd::rd_kafka_error_is_fatal(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: rd::rd_kafka_error_txn_requires_abort(error) != 0,
        }
    }
}

/// A queue of a client.
struct Queue(*mut rd::rd_kafka_queue_t);

// SAFETY: librdkafka's queues are thread safe.
unsafe impl Send for Queue {}

impl Queue {
    /// The next event, waiting up to `timeout_ms`.
    fn poll(&mut self, timeout_ms: i32) -> Option<Event> {
        // SAFETY: the queue lives as long as `self`; the event returned is owned by the caller.
        let event = unsafe { rd::rd_kafka_queue_poll(self.0, timeout_ms) };
        (!event.is_null()).then_some(Event(event))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the reference that was given with the queue is given back once.
        unsafe { rd::rd_kafka_queue_destroy(self.0) }
    }
}

/// An event that was taken from a queue.
struct Event(*mut rd::rd_kafka_event_t);

// SAFETY: an event has one owner and librdkafka does not bind it to a thread.
unsafe impl Send for Event {}

impl Event {
    fn kind(&self) -> i32 {
        // SAFETY: the event lives as long as `self`.
        unsafe { rd::rd_kafka_event_type(self.0) }
    }

    fn code(&self) -> RDKafkaErrorCode {
        // SAFETY: the event lives as long as `self`.
        unsafe { rd::rd_kafka_event_error(self.0) }.into()
    }

    fn error_text(&self) -> String {
        // SAFETY: the event lives as long as `self`, and so does its text.
        unsafe { text_of(rd::rd_kafka_event_error_string(self.0)) }
    }

    fn is_fatal(&self) -> bool {
        // SAFETY: the event lives as long as `self`.
        unsafe { rd::rd_kafka_event_error_is_fatal(self.0) != 0 }
    }

    /// Hands a log line on.
    fn log_to(&self, state: &ClientState) {
        let mut facility: *const c_char = ptr::null();
        let mut text: *const c_char = ptr::null();
        let mut level: i32 = 0;
        // SAFETY: the event lives as long as `self`; the three targets are valid, and the strings
        // that they point to afterwards belong to the event.
        let (facility, text) = unsafe {
            if rd::rd_kafka_event_log(self.0, &mut facility, &mut text, &mut level) != 0 {
                return;
            }
            (text_of(facility), text_of(text))
        };
        let level = match level {
            0 => RDKafkaLogLevel::Emerg,
            1 => RDKafkaLogLevel::Alert,
            2 => RDKafkaLogLevel::Critical,
            3 => RDKafkaLogLevel::Error,
            4 => RDKafkaLogLevel::Warning,
            5 => RDKafkaLogLevel::Notice,
            6 => RDKafkaLogLevel::Info,
            _ => RDKafkaLogLevel::Debug,
        };
        state.log(level, &facility, &text);
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is owned and destroyed once.
        unsafe { rd::rd_kafka_event_destroy(self.0) }
    }
}

/// Every code that this librdkafka describes.
#[cfg(test)]
pub(crate) fn known_codes() -> Vec<RDKafkaErrorCode> {
    let (mut descriptions, mut count) = (ptr::null(), 0);
    // SAFETY: it sets both; what it points to is static and has that many entries, of which those without
    // a name are gaps.
    let all = unsafe {
        rd::rd_kafka_get_err_descs(&raw mut descriptions, &raw mut count);
        std::slice::from_raw_parts(descriptions, count)
    };
    all.iter().filter(|described| !described.name.is_null()).map(|described| described.code.into()).collect()
}
