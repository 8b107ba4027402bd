//! The yardstick: what one writes who knows the bank's records, and nothing else.

use crate::{
    OTHER_ID, V1_ID,
    bank::{Deposited, Event, FeeCharged, InterestCredited, OverdraftInterestCharged, OverdraftLimitSet, Withdrawn},
};
use factum_core::{DecodeError, Error, Message};

/// The schema ids of the records, in the order of their variants.
pub(crate) struct ByHand {
    pub(crate) ids: Vec<u32>,
}

impl ByHand {
    pub(crate) fn encode(&self, event: &Event, into: &mut Vec<u8>) -> Result<(), Error> {
        into.push(0);
        into.extend_from_slice(&self.ids[event.record()].to_be_bytes());
        match event {
            Event::Deposited(record) => put_long(record.cents, into),
            Event::Withdrawn(record) => put_long(record.cents, into),
            Event::InterestCredited(record) => put_long(record.cents, into),
            Event::OverdraftInterestCharged(record) => put_long(record.cents, into),
            Event::FeeCharged(record) => {
                put_long(record.cents, into);
                match &record.reason {
                    None => into.push(0),
                    Some(reason) => {
                        into.push(2);
                        put_text(reason, into);
                    }
                }
            }
            Event::OverdraftLimitSet(record) => put_long(record.cents, into),
        }
        Ok(())
    }

    pub(crate) fn decode(&self, value: &[u8]) -> Result<Event, DecodeError> {
        let Some(([0, id @ ..], mut rest)) = value.split_first_chunk::<5>() else { return Err(wrong()) };
        let from = &mut rest;
        let id = u32::from_be_bytes(*id);
        let event = match id {
            V1_ID => FeeCharged { cents: long(from)?, reason: None }.into(),
            OTHER_ID => {
                text(from)?;
                boolean(from)?;
                Deposited { cents: i32::try_from(long(from)?).map_err(|_| wrong())?.into() }.into()
            }
            _ => match self.ids.iter().position(|known| *known == id) {
                Some(0) => Deposited { cents: long(from)? }.into(),
                Some(1) => Withdrawn { cents: long(from)? }.into(),
                Some(2) => InterestCredited { cents: long(from)? }.into(),
                Some(3) => OverdraftInterestCharged { cents: long(from)? }.into(),
                Some(4) => {
                    let cents = long(from)?;
                    let reason = match long(from)? {
                        0 => None,
                        1 => Some(text(from)?.to_owned()),
                        _ => return Err(wrong()),
                    };
                    FeeCharged { cents, reason }.into()
                }
                Some(_) => OverdraftLimitSet { cents: long(from)? }.into(),
                None => return Err(DecodeError::UnknownSchema(id)),
            },
        };
        if rest.is_empty() { Ok(event) } else { Err(wrong()) }
    }
}

/// A fee as version 1 wrote it.
pub(crate) fn fee_of_version_1(cents: i64) -> Vec<u8> {
    let mut bytes = head(V1_ID);
    put_long(cents, &mut bytes);
    bytes
}

/// A deposit as another program writes it.
pub(crate) fn deposit_of_another(cents: i64) -> Vec<u8> {
    let mut bytes = head(OTHER_ID);
    put_text("Berlin", &mut bytes);
    bytes.push(1);
    put_long(cents, &mut bytes);
    bytes
}

fn head(id: u32) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..]].concat()
}

fn wrong() -> DecodeError {
    DecodeError::Malformed("not a value of the bank".into())
}

/// A long of Avro: zigzag, then 7 bits to a byte, the lowest first.
fn put_long(value: i64, into: &mut Vec<u8>) {
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

fn put_text(text: &str, into: &mut Vec<u8>) {
    put_long(i64::try_from(text.len()).unwrap(), into);
    into.extend_from_slice(text.as_bytes());
}

fn long(from: &mut &[u8]) -> Result<i64, DecodeError> {
    let mut value = 0;
    for (at, byte) in from.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *from = &from[at + 1..];
            return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    Err(wrong())
}

fn boolean(from: &mut &[u8]) -> Result<bool, DecodeError> {
    let Some(([truth @ (0 | 1)], rest)) = from.split_first_chunk::<1>() else { return Err(wrong()) };
    *from = rest;
    Ok(*truth == 1)
}

fn text<'a>(from: &mut &'a [u8]) -> Result<&'a str, DecodeError> {
    let length = usize::try_from(long(from)?).map_err(|_| wrong())?;
    let (text, rest) = from.split_at_checked(length).ok_or_else(wrong)?;
    *from = rest;
    std::str::from_utf8(text).map_err(|_| wrong())
}
