//! Where a page ended.

use super::Query;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use factum_core::{
    Error, Result,
    view::{ColumnType, Value},
};

/// The longest cursor that is read or written, as text.
pub(super) const MAX_CURSOR_BYTES: usize = 8_192;
/// The layout of what follows it.
const LAYOUT: u8 = 1;

/// The last row of a page by its values in the query's order.
///
/// As text, base64 (URL alphabet, no padding) of: the layout (1 byte), a
/// fingerprint of view, filter and order (8 bytes, big endian), and for each
/// column of the order a tag (0 null, else 1), and its value: integers, reals
/// and booleans as 8 bytes, text and bytes as their length in 4 bytes and themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cursor {
    values: Vec<Value>,
}

impl Cursor {
    /// Reads the cursor of an earlier page of this query.
    pub(super) fn read(text: &str, query: &Query) -> Result<Self> {
        let broken = || Error::invalid("cursor: this is no cursor: take `next` of a page as it is, or ask without one");
        if text.len() > MAX_CURSOR_BYTES {
            return Err(Error::invalid(format!("cursor: {} bytes are more than {MAX_CURSOR_BYTES}", text.len())));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| broken())?;
        let mut rest = bytes.as_slice();
        if take(&mut rest, 1) != Some(&[LAYOUT]) {
            return Err(broken());
        }
        if take(&mut rest, 8).ok_or_else(broken)? != fingerprint(query).to_be_bytes() {
            return Err(Error::invalid(
                "cursor: it is of a query with another view, filter or order: ask with those again, or without it",
            ));
        }
        let fields = query.order.columns().iter();
        let values = fields.map(|(field, _)| value(&mut rest, field.kind())).collect::<Option<_>>();
        let values = values.filter(|_| rest.is_empty()).ok_or_else(broken)?;
        Ok(Cursor { values })
    }

    /// The cursor after a row that has these values in the query's order.
    ///
    /// # Errors
    /// `Invalid`: the values are too long to be told.
    pub(super) fn write(query: &Query, values: &[Value]) -> Result<String> {
        let mut bytes = vec![LAYOUT];
        bytes.extend(fingerprint(query).to_be_bytes());
        for value in values {
            bytes.push(u8::from(*value != Value::Null));
            match value {
                Value::Null => {}
                Value::Integer(value) => bytes.extend(value.to_be_bytes()),
                // Both zeros are equal, and not every database keeps them apart.
                Value::Real(value) => bytes.extend((value + 0.0).to_be_bytes()),
                Value::Boolean(value) => bytes.extend(i64::from(*value).to_be_bytes()),
                Value::Text(value) => long(&mut bytes, value.as_bytes()),
                Value::Bytes(value) => long(&mut bytes, value),
            }
        }
        let text = URL_SAFE_NO_PAD.encode(bytes);
        if text.len() > MAX_CURSOR_BYTES {
            return Err(Error::invalid(format!(
                "a cursor of {} bytes would be longer than {MAX_CURSOR_BYTES}: order by shorter columns than {}",
                text.len(),
                query.order
            )));
        }
        Ok(text)
    }

    /// The last row's values in the query's order.
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

fn long(bytes: &mut Vec<u8>, value: &[u8]) {
    // What is longer makes a cursor beyond its limit, whatever its length says.
    bytes.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(value);
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn value(rest: &mut &[u8], kind: ColumnType) -> Option<Value> {
    match take(rest, 1)? {
        [0] => return Some(Value::Null),
        [1] => {}
        _ => return None,
    }
    let eight = |rest: &mut &[u8]| take(rest, 8).and_then(|bytes| bytes.try_into().ok());
    let long = |rest: &mut &[u8]| {
        let length = take(rest, 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)?;
        take(rest, usize::try_from(length).ok()?).map(<[u8]>::to_vec)
    };
    Some(match kind {
        ColumnType::Integer => Value::Integer(i64::from_be_bytes(eight(rest)?)),
        ColumnType::Real => Some(f64::from_be_bytes(eight(rest)?)).filter(|value| !value.is_nan()).map(Value::Real)?,
        ColumnType::Boolean => Value::Boolean(i64::from_be_bytes(eight(rest)?) != 0),
        ColumnType::Text => Value::Text(String::from_utf8(long(rest)?).ok()?),
        ColumnType::Bytes => Value::Bytes(long(rest)?),
    })
}

/// Which query a cursor belongs to; stable, because pages may be asked of different instances.
fn fingerprint(query: &Query) -> u64 {
    let text = format!("{}\0{}\0{}", query.table.name(), query.filter, query.order);
    // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/).
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
