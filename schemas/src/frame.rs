//! Confluent's wire format: `0x00`, schema id (4 bytes, big endian), Avro binary.
//!
//! Source: <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>

use factum_core::DecodeError;

const MAGIC: u8 = 0;
const HEADER_BYTES: usize = 5;

/// Appends the five bytes before the Avro binary.
#[inline]
pub(crate) fn write(id: u32, into: &mut Vec<u8>) {
    let [first, second, third, fourth] = id.to_be_bytes();
    into.extend_from_slice(&[MAGIC, first, second, third, fourth]);
}

/// Splits a value into its schema id and the Avro binary.
#[inline]
pub(crate) fn read(value: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    let Some((header, body)) = value.split_first_chunk::<HEADER_BYTES>() else { return Err(too_short(value)) };
    let [magic, id @ ..] = *header;
    if magic != MAGIC {
        return Err(DecodeError::Malformed(format!(
            "the value begins with 0x{magic:02x} instead of 0x00: not the wire format of a schema registry"
        )));
    }
    Ok((u32::from_be_bytes(id), body))
}

#[cold]
fn too_short(value: &[u8]) -> DecodeError {
    DecodeError::Malformed(format!(
        "the value has {} bytes: not the wire format of a schema registry (0x00, 4 bytes schema id, Avro)",
        value.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_big_endian_after_a_zero() {
        let mut bytes = Vec::new();
        write(0x0102_0304, &mut bytes);
        bytes.push(9);
        assert_eq!(bytes, [0, 1, 2, 3, 4, 9]);
        assert_eq!(read(&bytes), Ok((0x0102_0304, &[9][..])));
    }

    #[test]
    fn another_first_byte_and_a_short_value_are_malformed() {
        let text = |value: &[u8]| read(value).unwrap_err().to_string();
        assert!(text(&[1, 0, 0, 0, 1]).contains("begins with 0x01"));
        assert!(text(&[0, 0, 0, 1]).contains("has 4 bytes"));
        assert!(text(&[]).contains("has 0 bytes"));
    }
}
