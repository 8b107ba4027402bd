//! `deploy/kafka/kafka.sh` and `image.sh`, as functions.

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
    bash("deploy/kafka/kafka.sh", arguments)
}

/// Builds the image of that name.
///
/// # Panics
/// When bash cannot be run.
#[cfg(feature = "docker")]
pub(crate) fn image(name: &str) -> Output {
    bash("deploy/kafka/image.sh", [name])
}

fn bash<S: AsRef<std::ffi::OsStr>>(script: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new("bash")
        .arg(root().join(script))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("bash, which {script} needs, cannot be run: {e}"))
}

/// The bootstrap address that the script printed.
///
/// # Panics
/// When the script failed, with what it said.
pub(crate) fn bootstrap_of(output: &Output) -> String {
    assert!(
        output.status.success(),
        "no Kafka for the tests: {}\n(set KAFKA_BOOTSTRAP to use a broker that runs already)",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout.lines().last().expect("the script's last line is the bootstrap address").to_owned()
}

/// The folder for what outlives a test process. It lies beside this source and
/// not in `CARGO_TARGET_DIR`, so that all builds of a checkout share one broker.
pub(crate) fn state_dir() -> PathBuf {
    let dir = root().join("target/factum-test-broker");
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{} cannot be made: {e}", dir.display()));
    dir
}

/// Takes a lock that other test processes respect; it ends when the file is dropped.
///
/// # Panics
/// When somebody holds it for ten minutes, longer than any start or build of an image takes.
pub(crate) fn lock(name: &str) -> File {
    let path = state_dir().join(name);
    let file = File::create(&path).unwrap_or_else(|e| panic!("{} cannot be made: {e}", path.display()));
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        match file.try_lock() {
            Ok(()) => return file,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Err(e) => panic!("{} cannot be locked: {e}", path.display()),
        }
    }
}

/// The first of `count` ports in a row that are free. They lie below the range
/// from which systems give ports to clients. Hold the lock `ports` until they are taken.
///
/// # Panics
/// When there is no such row.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Another process begins elsewhere, so that it seldom meets a port that this one has just let go.
    let own = u16::try_from(std::process::id() % 1_000).expect("below 1000") * 10;
    (0..500)
        .map(|step| 20_000 + (own + step * count) % 10_000)
        .find(|&first| (first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()))
        .expect("a machine has a few free ports between 20000 and 30000")
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
