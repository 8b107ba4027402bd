//! The broker that all tests share.

use crate::script::KAFKA;
use std::sync::OnceLock;

/// The environment variable that names a broker which runs already.
const BOOTSTRAP_VARIABLE: &str = "KAFKA_BOOTSTRAP";
/// A broker has a port for clients and one for the controllers.
pub(crate) const PORTS: u16 = 2;

/// The bootstrap address (`host:port`) of the broker that tests share: the one
/// in `KAFKA_BOOTSTRAP`, else, with the Cargo feature `docker` and an engine that
/// answers, a container for this process (of an image that is built here where
/// none can be pulled), else one that an earlier test process
/// of this checkout started, else a new one. The last two go on running for the
/// next test process and stop ten minutes after the last.
///
/// # Panics
/// When none can be started; the message says what to install.
pub fn bootstrap() -> &'static str {
    static BOOTSTRAP: OnceLock<String> = OnceLock::new();
    BOOTSTRAP.get_or_init(|| match std::env::var(BOOTSTRAP_VARIABLE) {
        Ok(given) if !given.is_empty() => given,
        _ => container().unwrap_or_else(|| KAFKA.start_or_join("status", "stop", PORTS)),
    })
}

#[cfg(feature = "docker")]
use crate::container::bootstrap as container;

#[cfg(not(feature = "docker"))]
fn container() -> Option<String> {
    None
}
