//! Avro's binary encoding, read with limits.

use crate::bounds::{MAX_PART_BYTES, max_items};
use std::fmt;

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
    pub(crate) fn ended(&self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow the value", self.rest.len())) }
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
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(self.not_a_number())
    }

    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Wrong> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| Wrong::Other(format!("{value} is not an int of 32 bits")))
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool, Wrong> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Wrong::Other(format!("{other} is not a boolean"))),
        }
    }

    #[cold]
    fn not_a_number(&self) -> Wrong {
        if self.rest.len() < 10 { Wrong::Truncated } else { Wrong::Other("a number has more than 10 bytes".into()) }
    }

    /// An index below `end`.
    #[inline]
    pub(crate) fn index(&mut self, end: usize, what: &str) -> Result<usize, Wrong> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < end)
            .ok_or_else(|| Wrong::Other(format!("{what} {index} of {end}")))
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Wrong> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_PART_BYTES => self.take(length),
            _ => Err(Wrong::Other(format!("a length of {length} bytes: at most {MAX_PART_BYTES} may be allocated"))),
        }
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.bytes()?).map_err(|e| Wrong::Other(format!("a string is not UTF-8: {e}")))
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
            return Err(Wrong::Other(format!("{total} items: at most {} may be allocated", max_items())));
        }
        Ok(items)
    }
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
