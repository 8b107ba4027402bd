//! A broker with TLS, passwords and permissions.

use crate::OwnBrokers;
use std::path::PathBuf;

/// One broker of a test's own that takes clients by TLS and SCRAM-SHA-512 only.
/// The user `factum` may do everything with topics, groups and transactional
/// ids whose names begin with [`SecureBroker::PREFIX`], and nothing with others.
#[derive(Debug)]
pub struct SecureBroker(OwnBrokers);

impl SecureBroker {
    /// What the names begin with that the user `factum` may use.
    pub const PREFIX: &str = "factum.";

    /// Starts it with new certificates and passwords, which takes 6 to 25 seconds.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    pub fn start() -> Self {
        SecureBroker(OwnBrokers::start_as(1, &["--secure"]))
    }

    /// The bootstrap address, `host:port`.
    pub fn bootstrap(&self) -> &str {
        self.0.bootstrap()
    }

    /// The user `factum`'s file of librdkafka properties, with the bootstrap address,
    /// the authority's certificate, the user's name and its password.
    pub fn properties(&self) -> PathBuf {
        self.0.folder().join("secure/client.properties")
    }
}
