//! The contract of a log, on a real broker.

use factum_core::log::Log;
use factum_log_contract::Fixture;
use factum_log_kafka::{KafkaConfig, KafkaLog};
use std::sync::Arc;

struct KafkaFixture(Arc<KafkaLog>);

impl Fixture for KafkaFixture {
    fn log(&self) -> Arc<dyn Log> {
        self.0.clone()
    }
}

fn fixture() -> KafkaFixture {
    let config = KafkaConfig::bootstrap(factum_test_broker::bootstrap());
    KafkaFixture(Arc::new(KafkaLog::new(config).expect("a valid configuration")))
}

factum_log_contract::contract_tests!(fixture);
