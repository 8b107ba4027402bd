//! From valid bytes to ones that are nearly so.

use crate::{Draw, Target};

/// The longest input, in bytes: beyond the limits of everything that has one of text.
pub const MAX_INPUT_BYTES: usize = 1 << 16;

/// The input of a seed: mostly a valid encoding with some changes, now and
/// then one without any (so that round trips are checked), or mere noise.
pub fn input(target: &dyn Target, seed: u64) -> Vec<u8> {
    let mut draw = Draw::new(seed);
    if draw.once_in(10) {
        let most = if draw.once_in(8) { 4_096 } else { 96 };
        let count = draw.below(most);
        return draw.bytes(count);
    }
    let mut bytes = target.example(&mut draw);
    if draw.once_in(8) {
        return bytes;
    }
    // A geometric number of changes: few are what gets deepest.
    loop {
        change(&mut bytes, target, &mut draw);
        bytes.truncate(MAX_INPUT_BYTES);
        if draw.once_in(2) {
            return bytes;
        }
    }
}

/// What a length or a count may be that its author did not think of.
const EXTREMES: [u64; 14] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 60,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

const NUMBERS: [&str; 12] = [
    "-1",
    "0",
    "00",
    "+1",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "1e999",
    "NaN",
    "99999999999999999999999999",
];

fn change(bytes: &mut Vec<u8>, target: &dyn Target, draw: &mut Draw) {
    let at = draw.below(bytes.len() + 1);
    match draw.below(13) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << draw.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = draw.number().to_le_bytes()[0];
            }
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(..at)),
        5 => {
            let end = at + draw.below(bytes.len() - at + 1);
            bytes.drain(at..end);
        }
        6 => {
            let other = target.example(draw);
            let from = draw.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 => {
            let part = bytes[at..(at + 1 + draw.below(24)).min(bytes.len())].to_vec();
            let times = if draw.once_in(16) { 1 + draw.below(4_000) } else { 1 + draw.below(20) };
            let room = MAX_INPUT_BYTES.saturating_sub(bytes.len()) / part.len().max(1);
            insert(bytes, at, &part.repeat(times.min(room)));
        }
        8 => {
            let extreme = EXTREMES[draw.below(EXTREMES.len())];
            let width = [1, 2, 4, 8][draw.below(4)];
            let (big, little) = (extreme.to_be_bytes(), extreme.to_le_bytes());
            let new = if draw.once_in(2) { &big[8 - width..] } else { &little[..width] };
            let end = (at + width).min(bytes.len());
            bytes.splice(at..end, new.iter().copied());
        }
        9 => {
            let mut extreme = EXTREMES[draw.below(EXTREMES.len())];
            let mut varint = Vec::new();
            while extreme >= 0x80 {
                varint.push(extreme.to_le_bytes()[0] | 0x80);
                extreme >>= 7;
            }
            varint.push(extreme.to_le_bytes()[0]);
            let end = (at + draw.below(3)).min(bytes.len());
            bytes.splice(at..end, varint);
        }
        10 => {
            let words = target.words();
            let word = if words.is_empty() || draw.once_in(4) { draw.one(&NUMBERS) } else { draw.one(words) };
            // Once in a while so many that what nests is nested too deep.
            let times = if draw.once_in(12) { 1 + draw.below(3_000) } else { 1 };
            insert(bytes, at, word.repeat(times.min(MAX_INPUT_BYTES / word.len().max(1))).as_bytes());
        }
        11 => {
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes.splice(at..at + digits, draw.one(&NUMBERS).bytes());
        }
        _ => {
            let count = 1 + draw.below(16);
            let noise = draw.bytes(count);
            insert(bytes, at, &noise);
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}
