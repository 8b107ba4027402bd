//! `deploy/kafka/kafka.sh`.

use factum_test_scripts::Script;
use std::path::PathBuf;

/// The script.
pub(crate) const KAFKA: Script = Script {
    path: "deploy/kafka/kafka.sh",
    what: "Kafka",
    instead: "set KAFKA_BOOTSTRAP to use a broker that runs already",
    state,
    ports: 20_000..30_000,
};

/// It lies beside this source and not in `CARGO_TARGET_DIR`, so that all builds of a checkout share one broker.
fn state() -> PathBuf {
    Script::root().join("target/factum-test-broker")
}
