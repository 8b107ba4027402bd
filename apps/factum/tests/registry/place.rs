//! The registry, and an application that has its own topics, folder and names.

use crate::embedded::embedded;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The registry that the log itself holds.
pub(crate) const IN_THE_LOG: &str = "";

/// Where the registry is.
pub(crate) fn registry() -> String {
    env::var("FACTUM_TEST_REGISTRY").unwrap_or_else(|_| embedded())
}

/// The committed schemas of the bank.
pub(crate) fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc")
}

/// A folder with a log and views of its own, and a name in front of every topic.
pub(crate) struct Application {
    pub(crate) folder: TempDir,
    pub(crate) prefix: String,
}

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) good: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Application {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // Random, and without signs that a topic may not have.
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        let prefix = format!("try{}.", name.replace(|sign: char| !sign.is_ascii_alphanumeric(), ""));
        Application { folder, prefix }
    }

    /// The subject of a record of the bank's events.
    pub(crate) fn subject(&self, record: &str) -> String {
        format!("{}bank.account.events-bank.account.{record}", self.prefix)
    }

    pub(crate) fn run(&self, arguments: &[&str], registry: &str) -> Said {
        self.run_with(arguments, registry, &[])
    }

    /// With [`IN_THE_LOG`] no registry is named.
    pub(crate) fn run_with(&self, arguments: &[&str], registry: &str, environment: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments, registry, environment);
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { good: status.success(), out: text(&stdout), err: text(&stderr) }
    }

    /// The program, to be run.
    pub(crate) fn command(&self, arguments: &[&str], registry: &str, environment: &[(&str, &str)]) -> Command {
        let registry = (registry != IN_THE_LOG).then_some(("FACTUM_REGISTRY", registry));
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        command
            .args(arguments)
            .env_clear()
            .env("FACTUM_DATA", self.folder.path().join("data"))
            .env("FACTUM_PREFIX", &self.prefix)
            .envs(registry)
            .env("FACTUM_SCHEMAS", committed())
            .envs(environment.iter().copied())
            .current_dir(self.folder.path());
        command
    }

    #[track_caller]
    pub(crate) fn good(&self, arguments: &[&str], registry: &str) -> String {
        let said = self.run(arguments, registry);
        assert!(said.good, "{arguments:?}: {}{}", said.out, said.err);
        said.out
    }

    #[track_caller]
    pub(crate) fn bad(&self, arguments: &[&str], registry: &str) -> String {
        let said = self.run(arguments, registry);
        assert!(!said.good, "{arguments:?}: {}", said.out);
        said.err
    }
}
