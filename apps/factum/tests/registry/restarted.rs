//! A registry of a test's own, which ends as in a crash and starts again with what it knew: Apicurio where
//! FACTUM_TEST_REGISTRY has an address, else the one that Factum embeds.

use crate::{door::Door, embedded::embedded_on};
use factum::MemoryLog;
use factum_test_scripts::{Script, unique};
use std::{env, fs, path::PathBuf, sync::Arc};

const APICURIO: Script = Script {
    path: "deploy/registry/registry.sh",
    what: "Apicurio",
    instead: "without FACTUM_TEST_REGISTRY the embedded registry is tried",
    state,
    ports: 32_000..32_700,
};

fn state() -> PathBuf {
    Script::root().join("target/factum-test-registry")
}

/// It ends with this value.
pub(crate) struct Restarted {
    door: Door,
    server: Server,
}

enum Server {
    /// What it knows outlives it.
    Embedded(Arc<MemoryLog>),
    /// Its folder.
    Apicurio(PathBuf),
}

impl Restarted {
    pub(crate) fn new() -> Self {
        if env::var_os("FACTUM_TEST_REGISTRY").is_some() {
            let data = APICURIO.state(&unique("own"));
            let url = APICURIO.start(data.to_str().unwrap(), 1, &["--keep"]);
            Restarted { door: Door::to(&url), server: Server::Apicurio(data) }
        } else {
            let log = Arc::new(MemoryLog::with_system_clock());
            Restarted { door: Door::to(&embedded_on(log.clone())), server: Server::Embedded(log) }
        }
    }

    /// Its address, which stays.
    pub(crate) fn url(&self) -> &str {
        self.door.url()
    }

    pub(crate) fn kill(&self) {
        self.door.shut();
        if let Server::Apicurio(data) = &self.server {
            let ran = APICURIO.run(["kill".as_ref(), "--data".as_ref(), data.as_os_str()]);
            assert!(ran.status.success(), "{ran:?}");
        }
    }

    pub(crate) fn start(&self) {
        self.door.open_to(&match &self.server {
            Server::Embedded(log) => embedded_on(log.clone()),
            Server::Apicurio(data) => APICURIO.start(data.to_str().unwrap(), 1, &["--keep"]),
        });
    }
}

impl Drop for Restarted {
    fn drop(&mut self) {
        if let Server::Apicurio(data) = &self.server {
            APICURIO.run(["kill".as_ref(), "--data".as_ref(), data.as_os_str()]);
            // It is gone; a folder that stays lies under target/.
            fs::remove_dir_all(data).ok();
        }
    }
}
