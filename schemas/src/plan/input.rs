//! Avro's binary encoding, read with limits.

use crate::bounds::{MAX_PART_BYTES, max_items};
use std::{fmt, str::Utf8Error};

/// Seven bits in each make the 64 of a long.
const MAX_NUMBER_BYTES: usize = 10;

/// What is wrong with bytes.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// They end before the value does.
    Truncated,
    Other(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrong::Truncated => "the value is truncated",
            Wrong::Other(why) => why,
        })
    }
}

/// Bytes that are read from the front.
#[derive(Debug, Clone)]
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    /// What was not read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may follow the value.
    #[inline]
    pub(crate) fn ended(&self) -> Result<(), Wrong> {
        if self.rest.is_empty() { Ok(()) } else { Err(followed_by(self.rest.len())) }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Wrong::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Wrong> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Wrong::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A zigzag number of at most ten bytes.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Wrong> {
        let rest = self.rest;
        // Counts, lengths and indexes are nearly always one byte.
        if let [byte @ 0..0x80, after @ ..] = rest {
            self.rest = after;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        let (value, count) = number(rest);
        match rest.get(count..) {
            Some(after) if count > 0 => {
                self.rest = after;
                Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
            }
            _ => Err(not_a_number(rest.len())),
        }
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Wrong> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| not_an_int(value))
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool, Wrong> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(not_a_boolean(other)),
        }
    }

    /// An index below `end`.
    #[inline]
    pub(crate) fn index(&mut self, end: usize, what: &str) -> Result<usize, Wrong> {
        let index = self.long()?;
        usize::try_from(index).ok().filter(|index| *index < end).ok_or_else(|| beyond(what, index, end))
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_PART_BYTES => self.take(length),
            _ => Err(too_long(length)),
        }
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.bytes()?).map_err(not_utf8)
    }

    /// The number of items in the next block of an array or map, of which
    /// `total` came before. A negative one is followed by the block's length in bytes.
    #[inline]
    pub(crate) fn block(&mut self, total: &mut usize) -> Result<usize, Wrong> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        let items = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        *total = total.saturating_add(items);
        if *total > max_items() {
            return Err(too_many(*total));
        }
        Ok(items)
    }
}

/// The bits of a number and how many bytes it has; no bytes where it does not end.
///
/// A function of its own, which keeps the code of records short: they have many numbers.
#[inline(never)]
fn number(bytes: &[u8]) -> (u64, usize) {
    let (mut value, mut count) = (0, 0);
    for byte in bytes.iter().take(MAX_NUMBER_BYTES) {
        value |= u64::from(byte & 0x7f) << (7 * count);
        count += 1;
        if *byte < 0x80 {
            return (value, count);
        }
    }
    (0, 0)
}

// Each message is made apart from the code that all values run through.

#[cold]
fn followed_by(count: usize) -> Wrong {
    Wrong::Other(format!("{count} bytes follow the value"))
}

#[cold]
fn not_a_number(left: usize) -> Wrong {
    if left < MAX_NUMBER_BYTES {
        return Wrong::Truncated;
    }
    Wrong::Other(format!("a number has more than {MAX_NUMBER_BYTES} bytes"))
}

#[cold]
fn not_an_int(value: i64) -> Wrong {
    Wrong::Other(format!("{value} is not an int of 32 bits"))
}

#[cold]
fn not_a_boolean(byte: u8) -> Wrong {
    Wrong::Other(format!("{byte} is not a boolean"))
}

#[cold]
fn beyond(what: &str, index: i64, end: usize) -> Wrong {
    Wrong::Other(format!("{what} {index} of {end}"))
}

#[cold]
fn too_long(length: i64) -> Wrong {
    Wrong::Other(format!("a length of {length} bytes: at most {MAX_PART_BYTES} may be allocated"))
}

#[cold]
fn not_utf8(error: Utf8Error) -> Wrong {
    Wrong::Other(format!("a string is not UTF-8: {error}"))
}

#[cold]
fn too_many(total: usize) -> Wrong {
    Wrong::Other(format!("{total} items: at most {} may be allocated", max_items()))
}

/// Appends a zigzag number.
#[inline]
pub(crate) fn put_long(value: i64, into: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            return into.push(low);
        }
        into.push(low | 0x80);
    }
}
