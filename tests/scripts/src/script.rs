//! A script, as functions.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// A script that starts servers, and where they are.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its path from the checkout's root.
    pub path: &'static str,
    /// What a test lacks when it fails.
    pub what: &'static str,
    /// What may be done besides, in a sentence.
    pub instead: &'static str,
    /// The folder for what outlives a test process.
    pub state: fn() -> PathBuf,
    /// The ports of its servers. They lie below the range from which systems give ports to clients.
    pub ports: Range<u16>,
}

impl Script {
    /// Runs it and returns its whole output, whatever its exit code.
    ///
    /// # Panics
    /// When bash cannot be run.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        bash(self.path, arguments)
    }

    /// Has it start a server on that many free ports; returns the address.
    ///
    /// # Panics
    /// When it fails, with what it said.
    pub fn start(&self, data: &str, ports: u16, options: &[&str]) -> String {
        // Until the server listens, another process could find the same ports free.
        let _ports = self.lock("ports.lock");
        let port = self.free_ports(ports).to_string();
        let arguments = ["start", "--data", data, "--port", &port];
        self.address(&self.run(arguments.iter().chain(options)))
    }

    /// The address that it printed as its last line.
    ///
    /// # Panics
    /// When it failed, with what it said.
    pub fn address(&self, output: &Output) -> String {
        let Script { what, instead, .. } = self;
        assert!(
            output.status.success(),
            "no {what} for the tests: {}\n({instead})",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let stdout = String::from_utf8_lossy(&output.stdout);
        stdout.lines().last().expect("the script's last line is an address").to_owned()
    }

    /// A path below the folder for what outlives a test process, which is made.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn state(&self, name: &str) -> PathBuf {
        let dir = (self.state)();
        fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{} cannot be made: {e}", dir.display()));
        dir.join(name)
    }

    /// Takes a lock that other test processes respect; it ends when the file is dropped.
    ///
    /// # Panics
    /// When somebody holds it for ten minutes, longer than any start or build of an image takes.
    pub fn lock(&self, name: &str) -> File {
        let path = self.state(name);
        let file = File::create(&path).unwrap_or_else(|e| panic!("{} cannot be made: {e}", path.display()));
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            match file.try_lock() {
                Ok(()) => return file,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(e) => panic!("{} cannot be locked: {e}", path.display()),
            }
        }
    }

    /// The first of `count` ports in a row that are free. The lock `ports.lock` is held until they are taken.
    fn free_ports(&self, count: u16) -> u16 {
        let Range { start, end } = self.ports;
        let rows = (end - start) / count;
        // Another process begins elsewhere, so that it seldom meets a port that this one has just let go.
        let own = u16::try_from(std::process::id() % u32::from(rows)).expect("fewer rows than ports");
        (0..rows)
            .map(|step| start + (own + step) % rows * count)
            .find(|&first| (first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()))
            .unwrap_or_else(|| panic!("there are no {count} free ports in a row between {start} and {end}"))
    }

    /// The checkout's root.
    pub fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }
}

/// Runs a file of the checkout.
///
/// # Panics
/// When bash cannot be run.
pub fn bash<S: AsRef<OsStr>>(path: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new("bash")
        .arg(Script::root().join(path))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("bash, which {path} needs, cannot be run: {e}"))
}
