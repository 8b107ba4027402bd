//! A process of the deployment: started, struck, and started again.

use crate::{report::say, script::signal};
use factum::{Error, Result};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// One that was asked to end gets so long.
const END: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// One that ended by itself is started again after so long, as an orchestrator does.
const START_AGAIN: Duration = Duration::from_secs(1);

/// A process that is kept running.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    command: Vec<String>,
    variables: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Option<Child>,
    /// When it ended by itself.
    ended: Option<Instant>,
    /// How often, and how.
    pub(crate) ends: Vec<String>,
}

impl Process {
    /// One that is not started yet. What it says is appended to `<logs>/<name>.log`.
    pub(crate) fn new(name: &str, command: Vec<String>, variables: Vec<(&'static str, String)>, logs: &Path) -> Self {
        let log = logs.join(format!("{name}.log"));
        Process { name: name.to_owned(), command, variables, log, child: None, ended: None, ends: Vec::new() }
    }

    /// Starts it.
    ///
    /// # Errors
    /// `Unavailable` when the program cannot be run.
    pub(crate) fn start(&mut self) -> Result<()> {
        let failed = |error: std::io::Error| Error::unavailable(format!("{} cannot be started: {error}", self.name));
        let log = File::options().create(true).append(true).open(&self.log).map_err(failed)?;
        let (program, arguments) = self.command.split_first().ok_or_else(|| Error::invalid("no program"))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        // A Ctrl-C is the run's, which ends its processes in its own order.
        command.process_group(0);
        self.child = Some(command.spawn().map_err(failed)?);
        self.ended = None;
        Ok(())
    }

    /// Starts it again after it ended by itself, and a pause.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub(crate) fn tend(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            let told = format!("{} ended by itself ({status}): {}", self.name, self.last_words());
            say(&told);
            self.ends.push(told);
            self.child = None;
            self.ended = Some(Instant::now());
        }
        match self.ended {
            Some(ended) if ended.elapsed() >= START_AGAIN => self.start(),
            _ => Ok(()),
        }
    }

    /// `kill -9`, and it stays away.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            child.kill().ok();
            child.wait().ok();
        }
        self.ended = None;
    }

    /// Sends a signal; nothing to one that does not run.
    ///
    /// # Errors
    /// `Unavailable` when it is gone.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal(child.id(), name))
    }

    /// Whether it has ended, after it was told to: none while it runs.
    ///
    /// # Errors
    /// `Unavailable` when it ended with an error.
    pub(crate) fn ended(&mut self) -> Result<bool> {
        let Some(status) = self.child.as_mut().map(Child::try_wait) else { return Ok(true) };
        match status {
            Ok(None) => Ok(false),
            Ok(Some(status)) if status.success() => {
                self.child = None;
                Ok(true)
            }
            other => Err(Error::unavailable(format!("{} ended with {other:?}: {}", self.name, self.last_words()))),
        }
    }

    /// Asks it to end in good order, and waits.
    ///
    /// # Errors
    /// `Unavailable` when it does not within a minute, or ends with an error.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal("TERM").ok();
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let Some(status) = wait(&mut child, END) else {
            child.kill().ok();
            child.wait().ok();
            return Err(Error::unavailable(format!("{} does not end {} s after SIGTERM", self.name, END.as_secs())));
        };
        match status.success() {
            true => Ok(()),
            false => Err(Error::unavailable(format!("{} ended with {status}: {}", self.name, self.last_words()))),
        }
    }

    /// The last line of its log.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    None
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
