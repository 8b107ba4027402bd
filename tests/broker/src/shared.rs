//! The broker that all tests share.

use crate::script;
use std::{
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

/// The environment variable that names a broker which runs already.
const BOOTSTRAP_VARIABLE: &str = "KAFKA_BOOTSTRAP";
/// A shared broker that no test process has used for so long stops.
const IDLE_MINUTES: &str = "10";
/// How often a test process says that it uses the broker; well below a minute.
const TOUCH_EVERY: Duration = Duration::from_secs(15);

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
        _ => container().unwrap_or_else(start_or_join),
    })
}

#[cfg(feature = "docker")]
use crate::container::bootstrap as container;

#[cfg(not(feature = "docker"))]
fn container() -> Option<String> {
    None
}

fn start_or_join() -> String {
    let data = script::state_dir().join("shared");
    let data_argument = data.to_str().expect("the checkout's path is UTF-8");
    let _starting = script::lock("shared.lock");
    // Before the look, so that it cannot stop for idleness in between.
    touch(&data.join("in-use"));
    let running = script::run(["status", "--data", data_argument]);
    let bootstrap = if running.status.success() {
        script::bootstrap_of(&running)
    } else {
        let _ports = script::lock("ports.lock");
        // What a killed broker left behind may be half written, and nobody needs it.
        script::run(["stop", "--data", data_argument]);
        if data.exists() {
            fs::remove_dir_all(&data).unwrap_or_else(|e| panic!("{} cannot be removed: {e}", data.display()));
        }
        let port = script::free_ports(2).to_string();
        let arguments = ["start", "--data", data_argument, "--port", &port, "--idle-minutes", IDLE_MINUTES];
        script::bootstrap_of(&script::run(arguments))
    };
    keep_in_use(data.join("in-use"));
    bootstrap
}

/// Tells the script's watch, for as long as this process lives, that the broker is in use.
fn keep_in_use(path: PathBuf) {
    std::thread::spawn(move || {
        loop {
            touch(&path);
            std::thread::sleep(TOUCH_EVERY);
        }
    });
}

/// Failures do not matter: at worst the broker stops while a test process runs, and its tests say so.
fn touch(path: &std::path::Path) {
    if let Ok(file) = fs::File::options().write(true).open(path) {
        file.set_modified(SystemTime::now()).ok();
    }
}
