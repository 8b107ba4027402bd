//! Opening: the last checkpoint, the segments after it, and the one tail that
//! may be torn.

use crate::checkpoint::{UNFINISHED, remove_before};
use crate::codec::decode;
use crate::disk::{Disk, failed};
use crate::frame::{Frames, Next};
use crate::segments::{Segment, checkpoint_name, number_in, segment_name};
use factum_core::{Error, Result};
use factum_log_memory::Restore;
use factum_log_memory::journal::Effect;

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Opened {
    /// There was no log before.
    pub fresh: bool,
    /// Topics.
    pub topics: usize,
    /// Records in all topics.
    pub records: usize,
    /// Bytes of all files.
    pub bytes: u64,
    /// Segment files.
    pub segments: usize,
    /// Bytes at the end of the last segment that were being written when the
    /// power went, and were acknowledged to nobody.
    pub dropped_tail_bytes: u64,
    /// Transactions that were open and are aborted now.
    pub aborted_transactions: usize,
}

/// A log's files, read.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) restore: Restore,
    /// The file to go on with.
    pub(crate) current: Option<Segment>,
    /// The number of the next frame.
    pub(crate) next: u64,
    pub(crate) opened: Opened,
}

/// Reads a folder.
///
/// # Errors
/// `Data` for a damaged or missing file, `Invalid` for another format.
pub(crate) fn recover(disk: &dyn Disk, salt: (u64, u64)) -> Result<Recovered> {
    let names = disk.list().map_err(|error| failed("list", &disk.path(""), error))?;
    let numbers = |ending| {
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_in(name, ending)).collect();
        numbers.sort_unstable();
        numbers
    };
    let checkpoint = numbers("checkpoint").last().copied();
    let first = checkpoint.unwrap_or(1);
    let segments: Vec<u64> = numbers("segment").into_iter().filter(|number| *number >= first).collect();

    let opened = Opened { fresh: checkpoint.is_none() && segments.is_empty(), ..Opened::default() };
    let mut recovered = Recovered { restore: Restore::new(salt), current: None, next: first, opened };
    if let Some(number) = checkpoint {
        recovered.read_checkpoint(disk, &checkpoint_name(number))?;
    }
    for (index, number) in segments.iter().enumerate() {
        let missing = recovered.next;
        if *number != missing {
            return Err(Error::data(format!(
                "{} is missing, and {} comes after it; restore the data folder from a copy",
                disk.path(&segment_name(missing)),
                segment_name(*number)
            )));
        }
        recovered.read_segment(disk, &segment_name(*number), index + 1 == segments.len())?;
    }
    if names.iter().any(|name| name == UNFINISHED) {
        disk.remove(UNFINISHED).map_err(|error| failed("remove", &disk.path(UNFINISHED), error))?;
    }
    remove_before(disk, first)?;
    Ok(recovered)
}

impl Recovered {
    fn read_checkpoint(&mut self, disk: &dyn Disk, name: &str) -> Result<()> {
        let path = disk.path(name);
        let file = disk.open(name).map_err(|error| failed("open", &path, error))?;
        let incomplete = || Error::data(format!("{path} is incomplete; restore the data folder from a copy"));
        let mut frames = Frames::open(file, path.clone())?.ok_or_else(incomplete)?;
        let mut ended = false;
        for number in 1.. {
            match frames.next(number)? {
                Next::Frame(body) => {
                    let restore = &mut self.restore;
                    let applied = decode(body, &mut |effect| {
                        ended = matches!(effect, Effect::Numbers { .. });
                        restore.apply(effect)
                    });
                    applied.map_err(|error| error.context(&path))?;
                }
                Next::End if ended => break,
                Next::End | Next::Torn => return Err(incomplete()),
            }
        }
        self.opened.bytes += frames.length();
        Ok(())
    }

    fn read_segment(&mut self, disk: &dyn Disk, name: &str, last: bool) -> Result<()> {
        let path = disk.path(name);
        let file = disk.open(name).map_err(|error| failed("open", &path, error))?;
        let Some(mut frames) = Frames::open(file, path.clone())? else {
            if !last {
                return Err(Error::data(format!(
                    "{path} is incomplete and others follow it; restore the data folder from a copy"
                )));
            }
            // The power went when the file was begun.
            return self.drop_tail(&path, 0, 0, || disk.remove(name).map_err(|error| failed("remove", &path, error)));
        };
        loop {
            let at = frames.position();
            match frames.next(self.next)? {
                Next::Frame(body) => {
                    let restore = &mut self.restore;
                    let applied = decode(body, &mut |effect| restore.apply(effect));
                    applied.map_err(|error| error.context(format!("{path}, frame {} at byte {at}", self.next)))?;
                    self.next += 1;
                }
                Next::End => break,
                Next::Torn if last => break,
                Next::Torn => return Err(frames.corrupt(at, "it ends within a frame, and other segments follow it")),
            }
        }
        let (end, length) = (frames.position(), frames.length());
        let mut file = frames.into_file();
        if end < length {
            self.drop_tail(&path, end, length - end, || {
                let cut = file.truncate(end).and_then(|()| file.sync());
                cut.map_err(|error| failed("cut off", &path, error))
            })?;
        }
        self.opened.bytes += end;
        self.opened.segments += 1;
        self.current = Some(Segment { file, name: name.to_owned(), end });
        Ok(())
    }

    fn drop_tail(&mut self, path: &str, at: u64, bytes: u64, cut: impl FnOnce() -> Result<()>) -> Result<()> {
        tracing::warn!(path, at, bytes, "the end of the log was not written completely and is dropped");
        self.opened.dropped_tail_bytes = bytes;
        cut()
    }
}
