//! A handler in a process of its own that stops itself within a transaction.
//! The process is this test program, run with one test and a few variables.

use crate::{
    process::{Process, signal, until},
    site::{BANK, Site, environment},
};
use factum::{
    host::{AggregateHost, HandlerOptions, Stop, Typed},
    transaction::TxnStep,
};
use factum_bank::Account;
use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The folder through which parent and child talk.
const FOLDER: &str = "FACTUM_TEST_PAUSE_FOLDER";
/// The step before which the child stops itself.
const STEP: &str = "FACTUM_TEST_PAUSE_STEP";
/// Its transaction time-out, in milliseconds.
const TIMEOUT_MS: &str = "FACTUM_TEST_TRANSACTION_TIMEOUT_MS";

/// A handler that stops itself once, before the step, in the first transaction after [`PausingHandler::arm`].
#[derive(Debug)]
pub(crate) struct PausingHandler {
    pub(crate) process: Process,
    folder: PathBuf,
}

impl PausingHandler {
    pub(crate) fn start(site: &Site, step: TxnStep, transaction_timeout: Duration) -> Self {
        let folder = site.path("pausing");
        fs::create_dir(&folder).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "child::handler_that_pauses", "--nocapture"])
            .envs(site.variables())
            .env(FOLDER, &folder)
            .env(STEP, format!("{step:?}"))
            .env(TIMEOUT_MS, transaction_timeout.as_millis().to_string());
        PausingHandler { process: Process::start(&mut command, &site.file()), folder }
    }

    pub(crate) fn arm(&self) {
        File::create(self.folder.join("arm")).unwrap();
    }

    /// Waits until it has stopped itself.
    pub(crate) fn wait_for_pause(&self) {
        until("the handler stops itself", || self.folder.join("paused").exists().then_some(()));
    }

    /// Lets it go on; returns the steps from the one before which it stopped to
    /// the transaction's end. A step that is tried again counts once.
    pub(crate) fn go_on(&self) -> Vec<String> {
        go_on(&self.process, &self.folder);
        until("the end of the transaction", || {
            let steps = fs::read_to_string(self.folder.join("steps")).unwrap();
            let mut steps: Vec<String> = steps.lines().map(str::to_owned).collect();
            let end = steps.iter().position(|step| step.starts_with("Finished"))?;
            steps.truncate(end + 1);
            steps.dedup();
            Some(steps)
        })
    }

    /// Asks it to end in good order, and waits.
    pub(crate) fn stop(&mut self) {
        File::create(self.folder.join("stop")).unwrap();
        assert!(self.process.finish().success(), "{}", self.process.stderr());
    }
}

/// Without its variables this is no test, and says nothing.
#[test]
fn handler_that_pauses() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let [kafka, prefix, step, timeout_ms] =
        ["FACTUM_KAFKA", "FACTUM_PREFIX", STEP, TIMEOUT_MS].map(|name| env::var(name).unwrap());
    let filter = tracing_subscriber::EnvFilter::from_env("FACTUM_LOG");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let options = HandlerOptions {
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_millis(timeout_ms.parse().unwrap()),
        pause_point: Some(Box::new(pause_once(&folder, step))),
        ..HandlerOptions::default()
    };
    let stop = Stop::default();
    let host = Typed::<Account>::default();
    assert_eq!(host.aggregate_type(), BANK);
    let (running, _) = host.start_handler(&environment(&kafka, &prefix), options, &stop).unwrap();
    // Its parent kills it when a test fails.
    while !folder.join("stop").exists() {
        assert_eq!(running.failure(), None);
        std::thread::sleep(Duration::from_millis(50));
    }
    stop.stop();
    running.join().unwrap();
}

/// Lets a process go on that [`pause_once`] has stopped.
pub(crate) fn go_on(process: &Process, folder: &Path) {
    File::create(folder.join("go-on")).unwrap();
    process.signal("CONT");
}

/// Writes down the steps from the pause on.
pub(crate) fn pause_once(folder: &Path, step: String) -> impl FnMut(TxnStep) + Send + use<> {
    let [arm, paused, steps, go_on] = ["arm", "paused", "steps", "go-on"].map(|name| folder.join(name));
    let mut log: Option<File> = None;
    move |now| {
        let now = format!("{now:?}");
        if log.is_none() && now == step && arm.exists() {
            log = Some(File::create(&steps).unwrap());
            File::create(&paused).unwrap();
            signal(std::process::id(), "STOP");
            // The process stops once one of its threads gets to see the signal; on a busy machine this one would
            // be at the next step by then.
            while !go_on.exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if let Some(log) = &mut log {
            writeln!(log, "{now}").unwrap();
        }
    }
}
