//! Finds or starts the Apache Kafka that tests use.
//!
//! What it is: [`bootstrap`] names a broker that all tests share, [`OwnBrokers`]
//! starts brokers that one test may kill, [`SecureBroker`] one that wants TLS
//! and a password, [`kafka_tool`] runs Kafka's own Java
//! tools. All of it is a thin layer over `deploy/kafka/kafka.sh`.
//!
//! What it is not: a way to skip. A test that asks for a broker gets one or
//! fails with a sentence that says what to install.
//!
//! Invariant: tests that share the broker have their own topics and groups,
//! with names from [`unique`].
//!
//! ```no_run
//! let broker = factum_test_broker::bootstrap();
//! let topic = factum_test_broker::unique("orders");
//! # let _ = (broker, topic);
//! ```

#[cfg(feature = "docker")]
mod container;
mod own;
mod script;
mod secure;
mod shared;
mod tool;

pub use own::OwnBrokers;
pub use secure::SecureBroker;
pub use shared::bootstrap;
pub use tool::{ToolOutput, kafka_tool};

/// A name for a topic, a group or a transactional id that nothing else uses:
/// `name`, a dash, and 12 random hexadecimal digits.
pub fn unique(name: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &random[..12])
}
