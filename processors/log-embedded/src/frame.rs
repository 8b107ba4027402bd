//! The bytes of the log's files.
//!
//! A file begins with 16 bytes: a magic text, the format's version, the CRC-32
//! of both. Frames follow: 20 bytes with the body's length, its CRC-32, the
//! frame's number and the CRC-32 of these three, then the body. All numbers
//! are little-endian. A frame is what was made durable at once; its number is
//! one more than that of the frame before, also across files.

use crate::disk::{DiskFile, failed};
use factum_core::{Error, Result};

/// The version that this program writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"factumlg";
pub(crate) const FILE_HEAD_BYTES: u64 = 16;
pub(crate) const FRAME_HEAD_BYTES: usize = 20;

/// How much is read at once, unless a frame is larger.
const READ_BYTES: u64 = 1 << 20;

/// The first bytes of a file.
pub(crate) fn file_head() -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(MAGIC);
    head[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    let sum = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Writes the head into the first bytes of a frame whose body follows them.
pub(crate) fn seal(frame: &mut [u8], number: u64) -> Result<()> {
    let body = &frame[FRAME_HEAD_BYTES..];
    let length = u32::try_from(body.len())
        .map_err(|_| Error::invalid(format!("{} bytes at once are more than a frame holds", body.len())))?;
    let sum = crc32fast::hash(body);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    frame[8..16].copy_from_slice(&number.to_le_bytes());
    let sum = crc32fast::hash(&frame[..16]);
    frame[16..20].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// A frame's head.
struct Head {
    length: u32,
    sum: u32,
    number: u64,
}

impl Head {
    /// None when the bytes are no head.
    fn read(bytes: &[u8]) -> Option<Head> {
        if crc32fast::hash(&bytes[..16]) != u32_at(bytes, 16) {
            return None;
        }
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[8..16]);
        Some(Head { length: u32_at(bytes, 0), sum: u32_at(bytes, 4), number: u64::from_le_bytes(number) })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// Reads a file's frames one after the other.
#[derive(Debug)]
pub(crate) struct Frames {
    file: Box<dyn DiskFile>,
    path: String,
    length: u64,
    /// Where the next frame begins.
    position: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// What comes next in a file.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Frame(&'a [u8]),
    /// The file ends behind its last frame.
    End,
    /// What follows was being written when the power went: no whole frame and
    /// nothing that was written after one.
    Torn,
}

impl Frames {
    /// Opens a file; none when not even its head was written, which is durable
    /// before a frame follows.
    ///
    /// # Errors
    /// `Data` for a head that is not that of a log's file, `Invalid` for
    /// another version of the format.
    pub(crate) fn open(mut file: Box<dyn DiskFile>, path: String) -> Result<Option<Self>> {
        let length = file.length().map_err(|error| failed("read", &path, error))?;
        let mut frames = Frames { file, path, length, position: FILE_HEAD_BYTES, buffer: Vec::new(), buffer_at: 0 };
        if length < FILE_HEAD_BYTES {
            return Ok(None);
        }
        let head = frames.bytes(0, FILE_HEAD_BYTES)?;
        if &head[..8] == MAGIC && crc32fast::hash(&head[..12]) == u32_at(head, 12) {
            return match u32_at(head, 8) {
                FORMAT_VERSION => Ok(Some(frames)),
                version => Err(Error::invalid(format!(
                    "{} has format version {version} and this program reads {FORMAT_VERSION}: \
                     start it with a program of that version, or name another data folder",
                    frames.path
                ))),
            };
        }
        if length == FILE_HEAD_BYTES {
            return Ok(None);
        }
        Err(frames.corrupt(0, "it does not begin as a file of this log does"))
    }

    /// Where the frame that was read last ends.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The file, to go on writing.
    pub(crate) fn into_file(self) -> Box<dyn DiskFile> {
        self.file
    }

    /// An error at the frame that was read last or would be read next.
    pub(crate) fn corrupt(&self, offset: u64, what: &str) -> Error {
        Error::data(format!("{} is damaged at byte {offset}: {what}; restore the data folder from a copy", self.path))
    }

    /// The body of the next frame, which must have this number.
    ///
    /// # Errors
    /// `Data` for bytes that were durable once and are others now.
    pub(crate) fn next(&mut self, number: u64) -> Result<Next<'_>> {
        let (at, left) = (self.position, self.length - self.position);
        if left == 0 {
            return Ok(Next::End);
        }
        let head_bytes = FRAME_HEAD_BYTES as u64;
        if left < head_bytes {
            return Ok(Next::Torn);
        }
        let Some(head) = Head::read(self.bytes(at, head_bytes)?) else {
            // Only a later frame proves that this one was whole once.
            return match self.find_frame(at + 1, number)? {
                Some(later) => Err(self.corrupt(at, &format!("no frame begins there, but one does at byte {later}"))),
                None => Ok(Next::Torn),
            };
        };
        if head.number != number {
            return Err(self.corrupt(at, &format!("frame {} is where {number} belongs", head.number)));
        }
        let whole = head_bytes + u64::from(head.length);
        if left < whole {
            return Ok(Next::Torn);
        }
        let sum = crc32fast::hash(&self.bytes(at, whole)?[FRAME_HEAD_BYTES..]);
        if sum != head.sum {
            if left == whole {
                return Ok(Next::Torn);
            }
            return Err(self.corrupt(at, &format!("frame {number} has a wrong checksum and more follows it")));
        }
        self.position += whole;
        Ok(Next::Frame(&self.bytes(at, whole)?[FRAME_HEAD_BYTES..]))
    }

    /// Where a frame after `number` begins, if one does.
    fn find_frame(&mut self, from: u64, number: u64) -> Result<Option<u64>> {
        let rest = self.bytes(from, self.length - from)?;
        let found =
            rest.windows(FRAME_HEAD_BYTES).position(|bytes| Head::read(bytes).is_some_and(|head| head.number > number));
        Ok(found.map(|found| from + found as u64))
    }

    /// Bytes of the file, which the caller knows to be there.
    fn bytes(&mut self, at: u64, count: u64) -> Result<&[u8]> {
        let end = self.buffer_at + self.buffer.len() as u64;
        if at < self.buffer_at || at + count > end {
            let ahead = count.max(READ_BYTES).min(self.length - at);
            let ahead = usize::try_from(ahead).map_err(|_| Error::data(format!("{} is too large", self.path)))?;
            self.buffer.resize(ahead, 0);
            self.buffer_at = at;
            self.file.read_at(at, &mut self.buffer).map_err(|error| failed("read", &self.path, error))?;
        }
        let start = usize::try_from(at - self.buffer_at).unwrap_or(usize::MAX);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.buffer
            .get(start..start.saturating_add(count))
            .ok_or_else(|| Error::unavailable(format!("{} became shorter while it was read", self.path)))
    }
}
