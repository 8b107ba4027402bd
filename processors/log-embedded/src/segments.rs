//! The files that frames go to, one after the other.

use crate::disk::{Disk, DiskFile, failed};
use crate::frame::{FILE_HEAD_BYTES, file_head};
use factum_core::{Error, Result};
use std::sync::Arc;

/// The name of the segment whose first frame has this number.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.segment")
}

/// The name of the checkpoint that holds what the frames before this one made.
pub(crate) fn checkpoint_name(next: u64) -> String {
    format!("{next:020}.checkpoint")
}

/// The number in a file's name.
pub(crate) fn number_in(name: &str, ending: &str) -> Option<u64> {
    name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok()
}

/// Writes frames, each durable before the next.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    limit_bytes: u64,
    /// None before the first frame and after a failure to begin a file.
    current: Option<Segment>,
}

/// The file that is being written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) name: String,
    /// Where the next frame goes: everything before is durable.
    pub(crate) end: u64,
}

/// A sealed frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    /// Begins a file of its own.
    pub(crate) first_of_file: bool,
}

/// Why a frame is not durable.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The files are as they were before: it may be tried again.
    Unchanged(Error),
    /// Nobody knows what is on the disk (a failed fsync drops what it could not
    /// write, and the next one succeeds): nothing may be written any more.
    Unknown(Error),
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, limit_bytes: u64, current: Option<Segment>) -> Self {
        Segments { disk, limit_bytes, current }
    }

    /// Writes a frame and makes it durable. Returns the bytes that the files grew by.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<u64, Failure> {
        let size = frame.bytes.len() as u64;
        let fits = |segment: &Segment| {
            !frame.first_of_file && (segment.end == FILE_HEAD_BYTES || segment.end + size <= self.limit_bytes)
        };
        let (mut segment, head) = match self.current.take().filter(fits) {
            Some(segment) => (segment, 0),
            None => (self.begin(frame.number)?, FILE_HEAD_BYTES),
        };
        let path = self.disk.path(&segment.name);
        let written = match segment.file.write_at(segment.end, &frame.bytes) {
            Ok(()) => segment.file.sync().map_err(|error| Failure::Unknown(failed("sync", &path, error))),
            Err(error) => {
                let error = failed("write to", &path, error);
                Err(match segment.file.truncate(segment.end) {
                    Ok(()) => Failure::Unchanged(error),
                    Err(truncate) => Failure::Unknown(error.context(failed("cut off", &path, truncate))),
                })
            }
        };
        if written.is_ok() {
            segment.end += size;
        }
        self.current = Some(segment);
        written.map(|()| head + size)
    }

    /// Makes a file, whose head is durable before anything follows it: so a
    /// bad head with frames behind it is damage. Where that fails the file
    /// stays as a torn one at the end of the log until the next attempt.
    fn begin(&self, first: u64) -> Result<Segment, Failure> {
        let name = segment_name(first);
        let path = self.disk.path(&name);
        let mut file = self.disk.create(&name).map_err(|error| Failure::Unchanged(failed("create", &path, error)))?;
        let written = file.write_at(0, &file_head());
        written.map_err(|error| Failure::Unchanged(failed("write to", &path, error)))?;
        let synced = file.sync().and_then(|()| self.disk.sync_names());
        synced.map_err(|error| Failure::Unknown(failed("sync", &path, error)))?;
        Ok(Segment { file, name, end: FILE_HEAD_BYTES })
    }
}
