//! `deploy/postgres/postgres.sh`, as functions.

use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// Runs the script and returns its whole output, whatever its exit code.
///
/// # Panics
/// When bash cannot be run.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new("bash")
        .arg(root().join("deploy/postgres/postgres.sh"))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("bash, which deploy/postgres/postgres.sh needs, cannot be run: {e}"))
}

/// The URL that the script printed.
///
/// # Panics
/// When the script failed, with what it said.
pub(crate) fn url_of(output: &Output) -> String {
    assert!(
        output.status.success(),
        "no PostgreSQL for the tests: {}\n(set FACTUM_TEST_POSTGRES to use the URL of one that runs already)",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout.lines().last().expect("the script's last line is the URL").to_owned()
}

/// A folder for data that the server's user may enter, also where the checkout
/// belongs to root alone. Each checkout has its own.
pub(crate) fn state_dir() -> PathBuf {
    let checkout = root().canonicalize().unwrap_or_else(|_| root().to_owned());
    let name: String =
        checkout.display().to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let dir = std::env::temp_dir().join(format!("factum-test-database{name}"));
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{} cannot be made: {e}", dir.display()));
    dir
}

/// Takes a lock that other test processes respect; it ends when the file is dropped.
///
/// # Panics
/// When somebody holds it for two minutes, longer than any start takes.
pub(crate) fn lock(name: &str) -> File {
    let path = state_dir().join(name);
    let file = File::create(&path).unwrap_or_else(|e| panic!("{} cannot be made: {e}", path.display()));
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match file.try_lock() {
            Ok(()) => return file,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Err(e) => panic!("{} cannot be locked: {e}", path.display()),
        }
    }
}

/// A port that is free, below the range from which systems give ports to
/// clients. Hold the lock `ports` until it is taken.
///
/// # Panics
/// When there is none.
pub(crate) fn free_port() -> u16 {
    let own = u16::try_from(std::process::id() % 2_000).expect("below 2000");
    (0..2_000)
        .map(|step| 30_000 + (own + step) % 2_000)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("a machine has a free port between 30000 and 32000")
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
