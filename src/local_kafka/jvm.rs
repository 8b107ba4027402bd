//! Brokers as JVMs, by the script of this project, which is part of the binary.

use super::{Cluster, SETTINGS, user_folder};
use factum_core::{Error, Result};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use uuid::Uuid;

/// The script and what it reads.
const FILES: &[(&str, &str)] = &[
    ("broker.properties", SETTINGS),
    ("kafka.sh", include_str!("../../deploy/kafka/kafka.sh")),
    ("log4j2.yaml", include_str!("../../deploy/kafka/log4j2.yaml")),
    ("log4j2-tools.yaml", include_str!("../../deploy/kafka/log4j2-tools.yaml")),
    ("pom.xml", include_str!("../../deploy/kafka/pom.xml")),
    ("secure.sh", include_str!("../../deploy/kafka/secure.sh")),
];

/// Lines of a failed script that are shown.
const SHOWN_LINES: usize = 20;

pub(super) fn start(data: &Path, cluster: &Cluster) -> Result<()> {
    let (port, brokers) = (cluster.port.to_string(), cluster.brokers.to_string());
    run(["start", "--port", &port, "--brokers", &brokers].map(OsStr::new), data).and_then(succeeded)
}

pub(super) fn stop(data: &Path) -> Result<()> {
    run([OsStr::new("stop")], data).and_then(succeeded)
}

/// A line about each broker; or what is down.
pub(super) fn status(data: &Path) -> Result<Vec<String>, String> {
    let output = run([OsStr::new("status")], data).map_err(|error| error.to_string())?;
    let lines = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<String> = lines.lines().filter(|line| line.starts_with("broker ")).map(str::to_owned).collect();
    if output.status.success() { Ok(lines) } else { Err(lines.join(", ")) }
}

fn run<'a>(arguments: impl IntoIterator<Item = &'a OsStr>, data: &Path) -> Result<Output> {
    let script = script()?;
    let mut command = Command::new("bash");
    command.arg(script).args(arguments).arg("--data").arg(data);
    // Ctrl-C is for the program in the foreground, not for the brokers.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::unavailable("bash, which starts Kafka's JVMs, is missing: install it"),
        _ => Error::unavailable(format!("bash cannot be run: {error}")),
    })
}

fn succeeded(output: Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = told.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n");
    Err(Error::unavailable(shown.trim().replace("kafka.sh: ", "")))
}

/// The script's path in the user's cache folder, by its content: another version has another.
fn script() -> Result<PathBuf> {
    let cache = user_folder("XDG_CACHE_HOME", ".cache")?;
    let failed = |error: io::Error| Error::unavailable(format!("{} cannot be written to: {error}", cache.display()));
    let hash =
        FILES.iter().fold(Uuid::nil(), |hash, (name, text)| Uuid::new_v5(&hash, format!("{name}\n{text}").as_bytes()));
    let folder = cache.join(format!("kafka-script-{}", hash.simple()));
    if !folder.exists() {
        fs::create_dir_all(&cache).map_err(failed)?;
        let new = tempfile::tempdir_in(&cache).map_err(failed)?;
        for (name, text) in FILES {
            fs::write(new.path().join(name), text).map_err(failed)?;
        }
        // Whoever of two comes second keeps the first one's.
        match fs::rename(new.path(), &folder) {
            Err(error) if !folder.exists() => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(folder.join("kafka.sh"))
}
