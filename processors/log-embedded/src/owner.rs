//! Who has a data folder open: one process, known by a locked file.

use crate::disk::failed;
use factum_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often, 10 ms apart, a lock is tried for or its text read: somebody who
/// only asks for the owner holds it for a moment, and texts are not written at once.
const ATTEMPTS: u32 = 30;

/// The process that has a data folder open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its process id.
    pub pid: u32,
    /// Where it serves HTTP, once it does.
    pub http: Option<SocketAddr>,
}

/// The process that has the log in a data folder open; none when nobody has.
///
/// # Errors
/// `Unavailable` or `Invalid` when the file that names it cannot be read.
pub fn owner(folder: &Path) -> Result<Option<Owner>> {
    let path = path(folder);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", &path.display().to_string(), error)),
    };
    for _ in 0..ATTEMPTS {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path.display().to_string(), error)),
        }
        if let Some(owner) = read(&path) {
            return Ok(Some(owner));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(Error::unavailable(format!("{} does not name the process that holds it", path.display())))
}

/// The lock of this process on a data folder. The operating system releases
/// it when the process ends, however it does.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Mutex<File>,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// `Fenced` with the owner's name while another process, or another log of
    /// this one, has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = path(folder);
        let text = path.display().to_string();
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| failed("write to", &text, error))?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => return Err(taken(folder, read(&path))),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &text, error)),
            }
        }
        let lock = Lock { file: Mutex::new(file), path };
        lock.write(None)?;
        Ok(lock)
    }

    /// Names this process and where it serves.
    pub(crate) fn write(&self, http: Option<SocketAddr>) -> Result<()> {
        let owner = Owner { pid: std::process::id(), http };
        let text = serde_json::to_vec(&owner)
            .map_err(|error| Error::with_source(factum_core::ErrorKind::Invalid, "cannot name the owner", error))?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text));
        written.map_err(|error| failed("write to", &self.path.display().to_string(), error))
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("log").join("owner")
}

fn read(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn taken(folder: &Path, owner: Option<Owner>) -> Error {
    let who = match owner {
        Some(Owner { pid, http: Some(http) }) => format!("process {pid}, which serves http://{http}"),
        Some(Owner { pid, http: None }) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    Error::fenced(format!(
        "the data folder {} belongs to {who}: stop that one, or name another folder",
        folder.display()
    ))
}
