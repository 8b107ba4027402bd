//! What bytes may make the decoder do, at most.

use apache_avro::{
    Schema,
    schema::{DecimalSchema, InnerDecimalSchema, Name, UuidSchema},
};
use std::sync::Once;

/// The largest string, byte array or collection that a value may hold, in
/// bytes of memory. Above Kafka's usual record limits, far below what hurts.
pub(crate) const MAX_PART_BYTES: usize = 16 << 20;

/// Bounds apache-avro's allocations, for the whole process. Its own default is
/// 512 MiB, which four hostile bytes could claim.
pub(crate) fn limit_allocations() {
    static LIMIT: Once = Once::new();
    LIMIT.call_once(|| {
        apache_avro::util::max_allocation_bytes(MAX_PART_BYTES);
    });
}

/// Refuses schemas whose decoding is not bounded by the length of the value:
/// recursive ones (the stack), arrays of items without bytes (a count of 2^60
/// costs nothing to write), and fixed types beyond [`MAX_PART_BYTES`].
pub(crate) fn check(schema: &Schema) -> Result<(), String> {
    let mut walk = Walk { open: Vec::new(), min_bytes: Vec::new() };
    walk.min_bytes(schema).map(|_| ())
}

/// Walks a schema; computes the fewest bytes that a value of it can take.
struct Walk {
    open: Vec<Name>,
    min_bytes: Vec<(Name, usize)>,
}

impl Walk {
    fn min_bytes(&mut self, schema: &Schema) -> Result<usize, String> {
        Ok(match schema {
            Schema::Null => 0,
            Schema::Float => 4,
            Schema::Double => 8,
            Schema::Array(array) => self.items("array", &array.items)?,
            Schema::Map(map) => {
                self.min_bytes(&map.types)?;
                1
            }
            Schema::Union(union) => {
                for variant in union.variants() {
                    self.min_bytes(variant)?;
                }
                1
            }
            Schema::Record(record) => {
                self.open.push(record.name.clone());
                let mut sum = 0usize;
                for field in &record.fields {
                    sum = sum.saturating_add(self.min_bytes(&field.schema)?);
                }
                self.open.pop();
                self.min_bytes.push((record.name.clone(), sum));
                sum
            }
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                if fixed.size > MAX_PART_BYTES {
                    return Err(format!("{} has {} bytes, the limit is {MAX_PART_BYTES}", fixed.name, fixed.size));
                }
                self.min_bytes.push((fixed.name.clone(), fixed.size));
                fixed.size
            }
            Schema::Enum(named) => {
                self.min_bytes.push((named.name.clone(), 1));
                1
            }
            Schema::Ref { name } => {
                if self.open.contains(name) {
                    return Err(format!("{name} contains itself: a value could exhaust the stack"));
                }
                // A name that is not known makes the schema useless, which its resolution reports.
                self.min_bytes.iter().find(|(known, _)| known == name).map_or(1, |(_, bytes)| *bytes)
            }
            // Numbers, booleans and lengths take at least one byte.
            _ => 1,
        })
    }

    fn items(&mut self, what: &str, items: &Schema) -> Result<usize, String> {
        if self.min_bytes(items)? == 0 {
            return Err(format!("it has an {what} of items without bytes: a value could claim any number of them"));
        }
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<(), String> {
        check(&Schema::parse_str(json).unwrap())
    }

    #[test]
    fn a_recursive_record_is_refused() {
        let list = r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}"#;
        assert!(checked(list).unwrap_err().contains("contains itself"));
    }

    #[test]
    fn an_array_of_nothing_is_refused_also_by_reference() {
        assert!(checked(r#"{"type":"array","items":"null"}"#).unwrap_err().contains("without bytes"));
        let by_name = r#"{"type":"record","name":"R","fields":[
            {"name":"one","type":{"type":"record","name":"Empty","fields":[]}},
            {"name":"many","type":{"type":"array","items":"Empty"}}]}"#;
        assert!(checked(by_name).unwrap_err().contains("without bytes"));
    }

    #[test]
    fn a_huge_fixed_type_is_refused() {
        assert!(checked(r#"{"type":"fixed","name":"F","size":1000000000}"#).unwrap_err().contains("the limit is"));
    }

    #[test]
    fn a_type_that_is_used_twice_is_fine() {
        let twice = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":{"type":"record","name":"Money","fields":[{"name":"cents","type":"long"}]}},
            {"name":"b","type":{"type":"array","items":"Money"}}]}"#;
        assert_eq!(checked(twice), Ok(()));
    }
}
