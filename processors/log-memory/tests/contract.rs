//! The log in memory keeps the contract of every log.

use factum_core::log::Log;
use factum_log_contract::Fixture;
use factum_log_memory::MemoryLog;
use std::{sync::Arc, time::Duration};

struct InMemory(MemoryLog);

impl Fixture for InMemory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn run_cleaner(&self) {
        self.0.run_cleaner();
    }
}

fn in_memory() -> InMemory {
    InMemory(MemoryLog::with_system_clock())
}

factum_log_contract::contract_tests!(in_memory);
