//! The server that all tests share.

use crate::Script;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// A shared server that no test process has used for so long stops.
const IDLE_MINUTES: &str = "10";
/// How often a test process says that it uses the server; well below a minute.
const TOUCH_EVERY: Duration = Duration::from_secs(15);

impl Script {
    /// The address of the server that all tests share: one that an earlier test process of this
    /// checkout started, else a new one that takes `ports` ports. It goes on running for the next
    /// test process and stops ten minutes after the last. The verb `ask` prints the address of one
    /// that runs and fails otherwise; `end` ends what an earlier one left behind.
    ///
    /// # Panics
    /// When none can be started; the message says what to install.
    pub fn start_or_join(&self, ask: &str, end: &str, ports: u16) -> String {
        let data = self.state("shared");
        let data_argument = data.to_str().expect("the folder's path is UTF-8");
        let _starting = self.lock("shared.lock");
        // Before the look, so that it cannot stop for idleness in between.
        touch(&data.join("in-use"));
        let running = self.run([ask, "--data", data_argument]);
        let address = if running.status.success() {
            self.address(&running)
        } else {
            // What a killed one left behind may be half written, and nobody needs it.
            self.run([end, "--data", data_argument]);
            if data.exists() {
                fs::remove_dir_all(&data).unwrap_or_else(|e| panic!("{} cannot be removed: {e}", data.display()));
            }
            self.start(data_argument, ports, &["--idle-minutes", IDLE_MINUTES])
        };
        keep_in_use(data.join("in-use"));
        address
    }
}

/// Tells the script's watch, for as long as this process lives, that the server is in use.
fn keep_in_use(path: PathBuf) {
    std::thread::spawn(move || {
        loop {
            touch(&path);
            std::thread::sleep(TOUCH_EVERY);
        }
    });
}

/// Failures do not matter: at worst the server stops while a test process runs, and its tests say so.
fn touch(path: &Path) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        file.set_modified(SystemTime::now()).ok();
    }
}
