//! The log on disk keeps the contract of every log.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

use factum_core::log::Log;
use factum_log_contract::Fixture;
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog};
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;

struct OnDisk {
    log: EmbeddedLog,
    _folder: TempDir,
}

impl Fixture for OnDisk {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.log.clone())
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn run_cleaner(&self) {
        self.log.run_cleaner();
    }
}

fn on_disk() -> OnDisk {
    let folder = tempfile::tempdir().unwrap();
    OnDisk { log: EmbeddedLog::open(folder.path(), EmbeddedConfig::default()).unwrap(), _folder: folder }
}

factum_log_contract::contract_tests!(on_disk);
