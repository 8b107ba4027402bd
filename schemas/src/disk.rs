//! Schemas in files, so that a process can start while the registry is away.

use crate::shape::crc64;
use factum_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The longest schema that is taken from anywhere, in bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// A folder of entries, one file each. A file that is damaged is as good as absent.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    limit: usize,
    files: AtomicUsize,
}

/// What a file holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The schema's id.
    id: u32,
    /// The subject, in a file that remembers a registration.
    subject: Option<String>,
    /// The schema as JSON text.
    schema: String,
    /// CRC-64-AVRO of the rest, in hex.
    check: String,
}

impl Entry {
    fn new(id: u32, subject: Option<&str>, schema: &str) -> Self {
        let check = format!("{:016x}", crc64(format!("{id}\n{}\n{schema}", subject.unwrap_or("")).as_bytes()));
        Entry { id, subject: subject.map(str::to_owned), schema: schema.to_owned(), check }
    }
}

impl Disk {
    /// Opens the part of a folder that belongs to one registry: another one
    /// gives the same ids to other schemas.
    ///
    /// # Errors
    /// `Invalid` when the folder cannot be made or read.
    pub(crate) fn open(folder: &Path, registry: &str, limit: usize) -> Result<Self> {
        let folder = folder.join(format!("{:016x}", crc64(registry.as_bytes())));
        let unusable = |e| {
            let what = format!("the folder {} for cached schemas is not usable", folder.display());
            Error::with_source(ErrorKind::Invalid, what, e)
        };
        fs::create_dir_all(&folder).map_err(unusable)?;
        let files = fs::read_dir(&folder).map_err(unusable)?.count();
        Ok(Disk { folder, limit, files: AtomicUsize::new(files) })
    }

    /// The schema of an id.
    pub(crate) fn schema(&self, id: u32) -> Option<String> {
        let entry = self.read(&self.schema_file(id))?;
        (entry.id == id && entry.subject.is_none()).then_some(entry.schema)
    }

    /// The id under which a schema was registered.
    pub(crate) fn id(&self, subject: &str, schema: &str) -> Option<u32> {
        let entry = self.read(&self.subject_file(subject, schema))?;
        (entry.subject.as_deref() == Some(subject) && entry.schema == schema).then_some(entry.id)
    }

    /// Keeps the schema of an id.
    pub(crate) fn keep_schema(&self, id: u32, schema: &str) {
        self.write(&self.schema_file(id), &Entry::new(id, None, schema));
    }

    /// Keeps the id under which a schema was registered.
    pub(crate) fn keep_id(&self, subject: &str, schema: &str, id: u32) {
        self.write(&self.subject_file(subject, schema), &Entry::new(id, Some(subject), schema));
    }

    /// Where the files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn schema_file(&self, id: u32) -> PathBuf {
        self.folder.join(format!("schema-{id}.json"))
    }

    fn subject_file(&self, subject: &str, schema: &str) -> PathBuf {
        self.folder.join(format!("subject-{:016x}.json", crc64(format!("{subject}\n{schema}").as_bytes())))
    }

    fn read(&self, file: &Path) -> Option<Entry> {
        // JSON text may take a few times the schema's length; beyond that it is not ours.
        if fs::metadata(file).ok()?.len() > 8 * MAX_SCHEMA_BYTES as u64 {
            return None;
        }
        let entry: Entry = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let intact = Entry::new(entry.id, entry.subject.as_deref(), &entry.schema).check == entry.check;
        intact.then_some(entry)
    }

    fn write(&self, file: &Path, entry: &Entry) {
        if entry.schema.len() > MAX_SCHEMA_BYTES {
            return;
        }
        let new = usize::from(!file.exists());
        if self.files.load(Ordering::Relaxed) + new > self.limit {
            tracing::warn!(folder = %self.folder.display(), limit = self.limit, "the schema cache is full");
            return;
        }
        match self.replace(file, entry) {
            Ok(()) => {
                self.files.fetch_add(new, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(file = %file.display(), %error, "a schema could not be cached"),
        }
    }

    /// Another process or thread sees the old file or the new one, never a part.
    fn replace(&self, file: &Path, entry: &Entry) -> io::Result<()> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}.tmp", std::process::id()));
        let result = fs::write(&temporary, serde_json::to_vec(entry)?).and_then(|()| fs::rename(&temporary, file));
        if result.is_err() {
            // The write's own error is the one to tell.
            fs::remove_file(&temporary).ok();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(folder: &Path) -> Disk {
        Disk::open(folder, "here", 100).unwrap()
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        disk(folder.path()).keep_schema(7, "\"int\"");
        disk(folder.path()).keep_id("t-a.B", "\"int\"", 7);
        assert_eq!(disk(folder.path()).schema(7).as_deref(), Some("\"int\""));
        assert_eq!(disk(folder.path()).id("t-a.B", "\"int\""), Some(7));
        assert_eq!(disk(folder.path()).id("t-a.B", "\"long\""), None);
    }

    #[test]
    fn another_registry_does_not_see_it() {
        let folder = tempfile::tempdir().unwrap();
        disk(folder.path()).keep_schema(7, "\"int\"");
        assert_eq!(Disk::open(folder.path(), "there", 100).unwrap().schema(7), None);
    }

    #[test]
    fn a_damaged_file_is_absent_and_can_be_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path());
        disk.keep_schema(7, "\"int\"");
        let file = disk.schema_file(7);
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            assert_eq!(disk.schema(7), None, "byte {at}");
            fs::write(&file, &good[..at]).unwrap();
            assert_eq!(disk.schema(7), None, "cut at {at}");
        }
        disk.keep_schema(7, "\"int\"");
        assert_eq!(disk.schema(7).as_deref(), Some("\"int\""));
    }

    #[test]
    fn there_is_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), "here", 2).unwrap();
        (0..5).for_each(|id| disk.keep_schema(id, "\"int\""));
        assert_eq!((0..5).filter(|id| disk.schema(*id).is_some()).count(), 2);
    }
}
