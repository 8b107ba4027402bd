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

pub use factum_test_scripts::unique;
pub use own::OwnBrokers;
pub use secure::SecureBroker;
pub use shared::bootstrap;
pub use tool::{ToolOutput, kafka_tool};
