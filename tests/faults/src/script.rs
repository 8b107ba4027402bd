//! Commands that run to their end.

use factum::{Error, Result};
use std::{ffi::OsStr, path::Path, process::Command};

/// No command takes so long; one that does is ended.
const SECONDS: &str = "150";

/// Runs a program and returns what it printed.
///
/// # Errors
/// `Unavailable` with what it complained about.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new("timeout");
    command.args([SECONDS, program]).args(arguments);
    let failed = |why: &str| Error::unavailable(format!("{command:?} failed: {}", why.trim()));
    match Command::new("timeout").args(command.get_args()).output() {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        Ok(output) => Err(failed(&format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)))),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Runs a script of the project's and returns the last line that it printed.
///
/// # Errors
/// As [`run`].
pub(crate) fn project(script: &str, arguments: &[&str]) -> Result<String> {
    let script = root().join(script);
    let printed = run("bash", std::iter::once(script.as_os_str()).chain(arguments.iter().map(OsStr::new)))?;
    Ok(printed.lines().last().unwrap_or_default().to_owned())
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Sends a signal (`STOP`, `CONT`, `TERM`, `KILL`).
///
/// # Errors
/// `Unavailable` when there is no such process.
pub(crate) fn signal(pid: u32, name: &str) -> Result<()> {
    run("kill", [&format!("-{name}"), &pid.to_string()]).map(drop)
}
