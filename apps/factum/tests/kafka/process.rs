//! A process that a test started, and what it said.

use serde_json::Value;
use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Long enough for a busy machine; a test that needs it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Tries until there is a value, at most until the deadline.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Sends a signal (`STOP`, `CONT`, `TERM`, `KILL`) to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// What a verb that has ended said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Its only line of JSON.
    pub(crate) fn json(&self) -> Value {
        assert!(self.ok, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Its error, which says all of this.
    pub(crate) fn refused_with(&self, texts: &[&str]) {
        assert!(!self.ok, "{self:?}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in {self:?}");
        }
    }
}

/// A process; it is killed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts it; what it says goes to `<file>.out` and `<file>.err`.
    pub(crate) fn start(command: &mut Command, file: &std::path::Path) -> Self {
        let (stdout, stderr) = (file.with_extension("out"), file.with_extension("err"));
        command.stdin(Stdio::null()).stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap();
        Process { child, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. After `STOP` the process stands still when this returns: `kill` does not wait for that,
    /// and on a busy machine a process works on until one of its threads gets to see the signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
        if name == "STOP" {
            until("the process stands still", || {
                let state = Command::new("ps").args(["-o", "stat=", "-p", &self.id().to_string()]).output().unwrap();
                state.stdout.trim_ascii().starts_with(b"T").then_some(())
            });
        }
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    /// Log lines and notes.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    /// Waits until it has said this (`times` times) beside its result.
    pub(crate) fn says(&mut self, text: &str, times: usize) {
        let deadline = Instant::now() + DEADLINE;
        while self.stderr().matches(text).count() < times {
            let ended = self.child.try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(!late && ended.is_none(), "{text:?} was not said ({ended:?}):\n{}", self.stderr());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn finish(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.stderr());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for its end; what it said.
    pub(crate) fn end(&mut self) -> Ran {
        let ok = self.finish().success();
        Ran { ok, stdout: self.stdout(), stderr: self.stderr() }
    }

    /// Asks it to end in good order, and waits.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        let status = self.finish();
        assert!(status.success(), "{status}:\n{}", self.stderr());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.stderr.display(), fs::read_to_string(&self.stderr).unwrap_or_default());
        }
    }
}
