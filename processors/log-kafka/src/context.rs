//! What a client says beside its answers: log lines and errors of connections.

use factum_core::{Error, Result};
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The errors that a client reported outside of any call.
#[derive(Debug)]
pub(crate) struct ClientState {
    servers: String,
    reported: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    authentication: Option<String>,
    last: Option<String>,
}

impl ClientState {
    pub(crate) fn new(servers: &str) -> Arc<Self> {
        Arc::new(ClientState { servers: servers.to_owned(), reported: Mutex::default() })
    }

    /// Takes an error event. Connections that break are normal and logged at
    /// debug level: librdkafka connects again, and calls that fail say so.
    pub(crate) fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        tracing::debug!(target: "librdkafka", ?code, reason, "client error");
        let mut reported = self.lock();
        if code == RDKafkaErrorCode::Authentication {
            reported.authentication = Some(reason.to_owned());
        }
        // That all brokers are down says nothing where a connection's own error was told before.
        if code != RDKafkaErrorCode::AllBrokersDown || reported.last.is_none() {
            reported.last = Some(reason.to_owned());
        }
    }

    /// Fails once for each refused authentication, which otherwise only shows as time-outs.
    pub(crate) fn check(&self) -> Result<()> {
        match self.lock().authentication.take() {
            Some(reason) => Err(Error::invalid(format!("authentication failed at {}: {reason}", self.servers))),
            None => Ok(()),
        }
    }

    /// The error of a call that got no answer in time: the refused authentication, if that is why.
    pub(crate) fn no_answer(&self, what: &str) -> Error {
        if let Err(refused) = self.check() {
            return refused.context(what);
        }
        match self.lock().last.take() {
            Some(last) => Error::unavailable(format!("{what}: no answer from {}: {last}", self.servers)),
            None => Error::unavailable(format!("{what}: no answer from {}", self.servers)),
        }
    }

    /// Routes a log line of librdkafka to `tracing`.
    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // FAIL: a connection broke (reported by the calls that need it).
        // CONFWARN: a consumer's property given to a producer or the reverse, on purpose here.
        let routine = matches!(facility, "FAIL" | "CONFWARN" | "ERROR");
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning if !routine => {
                tracing::warn!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context that librdkafka's clients call.
#[derive(Debug, Clone)]
pub(crate) struct Events(pub(crate) Arc<ClientState>);

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown), reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::debug!(target: "librdkafka", statistics = %String::from_utf8_lossy(statistics), "statistics");
    }
}

impl ConsumerContext for Events {}

impl ProducerContext for Events {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, sequence: usize) {
        // Reports are read from the queue directly; only a producer that is
        // being dropped with records in flight ends here.
        if let Err((error, record)) = report {
            tracing::debug!(target: "librdkafka", %error, topic = record.topic(), sequence, "record dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::ErrorKind;

    #[test]
    fn a_refused_authentication_is_an_invalid_call_and_not_a_time_out() {
        let state = ClientState::new("host:1");
        assert_eq!(state.no_answer("ask").kind(), ErrorKind::Unavailable);
        state.error(RDKafkaErrorCode::Authentication, "wrong password");
        let error = state.no_answer("ask");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), "ask: authentication failed at host:1: wrong password");
        state.check().expect("reported once");
    }
}
