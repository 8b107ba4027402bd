//! Space: the log as it is, written anew, takes the place of all files before.
//!
//! Every step leaves a folder that opens: the checkpoint counts once it has
//! its name, and what it replaces goes only when that name is durable.

use crate::codec::encode;
use crate::disk::{Disk, DiskFile, failed};
use crate::frame::{FILE_HEAD_BYTES, FRAME_HEAD_BYTES, file_head, seal};
use crate::journal::DiskJournal;
use crate::segments::{checkpoint_name, number_in};
use factum_core::Result;
use factum_log_memory::MemoryLog;
use factum_log_memory::journal::{Effect, Journal};

/// The name of a checkpoint that is being written.
pub(crate) const UNFINISHED: &str = "checkpoint.tmp";

const FRAME_BYTES: usize = 1 << 20;

/// Writes a checkpoint and removes what it replaces.
pub(crate) fn write(log: &MemoryLog, journal: &DiskJournal, disk: &dyn Disk) -> Result<()> {
    let mut next = 0;
    let mut file = CheckpointFile::create(disk)?;
    log.snapshot(|| next = journal.cut(), &mut |effect| file.put(effect))?;
    let bytes = file.finish()?;
    // Frames before the cut belong to the files that go: none may come after.
    journal.sync(next - 1)?;
    let name = checkpoint_name(next);
    disk.rename(UNFINISHED, &name).map_err(|error| failed("rename", &disk.path(UNFINISHED), error))?;
    disk.sync_names().map_err(|error| failed("sync", &disk.path(&name), error))?;
    let removed = remove_before(disk, next)?;
    journal.add_file_bytes(bytes, removed);
    tracing::info!(bytes, removed, "the log was written anew");
    Ok(())
}

/// Removes the files that the checkpoint in front of frame `next` replaces,
/// and returns how many bytes they had.
pub(crate) fn remove_before(disk: &dyn Disk, next: u64) -> Result<u64> {
    let names = disk.list().map_err(|error| failed("list", &disk.path(""), error))?;
    let replaced = names.iter().filter(|name| {
        let number = number_in(name, "segment").or_else(|| number_in(name, "checkpoint"));
        number.is_some_and(|number| number < next)
    });
    let mut bytes = 0;
    for name in replaced {
        let size = disk.open(name).and_then(|mut file| file.length());
        bytes += size.map_err(|error| failed("open", &disk.path(name), error))?;
        disk.remove(name).map_err(|error| failed("remove", &disk.path(name), error))?;
    }
    Ok(bytes)
}

struct CheckpointFile<'a> {
    disk: &'a dyn Disk,
    file: Box<dyn DiskFile>,
    frame: Vec<u8>,
    number: u64,
    end: u64,
}

impl<'a> CheckpointFile<'a> {
    fn create(disk: &'a dyn Disk) -> Result<Self> {
        let path = disk.path(UNFINISHED);
        let mut file = disk.create(UNFINISHED).map_err(|error| failed("create", &path, error))?;
        file.write_at(0, &file_head()).map_err(|error| failed("write to", &path, error))?;
        Ok(CheckpointFile { disk, file, frame: vec![0; FRAME_HEAD_BYTES], number: 1, end: FILE_HEAD_BYTES })
    }

    fn put(&mut self, effect: &Effect<'_>) -> Result<()> {
        encode(effect, &mut self.frame);
        if self.frame.len() >= FRAME_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        seal(&mut self.frame, self.number)?;
        let written = self.file.write_at(self.end, &self.frame);
        written.map_err(|error| failed("write to", &self.disk.path(UNFINISHED), error))?;
        self.end += self.frame.len() as u64;
        self.number += 1;
        self.frame.truncate(FRAME_HEAD_BYTES);
        Ok(())
    }

    /// Makes it durable and returns its size.
    fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync().map_err(|error| failed("sync", &self.disk.path(UNFINISHED), error))?;
        Ok(self.end)
    }
}
