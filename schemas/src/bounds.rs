//! What bytes may make the decoder do, at most.

use apache_avro::{
    Schema,
    schema::{DecimalSchema, InnerDecimalSchema, Name, UuidSchema},
    types::Value,
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

/// How deep types may lie in each other.
const MAX_DEPTH: usize = 64;

/// How many types a schema may have, those that a name stands for counted anew in each place.
pub(crate) const MAX_TYPES: usize = 100_000;

/// The most items of an array or a map, as apache-avro counts them.
pub(crate) fn max_items() -> usize {
    MAX_PART_BYTES / size_of::<Value>()
}

/// Refuses schemas whose decoding is not bounded by the length of the value:
/// recursive and deep ones (the stack), arrays of items without bytes (a count of
/// 2^60 costs nothing to write), names that stand for names until there are
/// too many types, and fixed types beyond [`MAX_PART_BYTES`].
pub(crate) fn check(schema: &Schema) -> Result<(), String> {
    let mut walk = Walk { open: Vec::new(), known: Vec::new() };
    let size = walk.size(schema)?;
    if size.depth > MAX_DEPTH {
        return Err(format!("its types lie {} deep in each other, the limit is {MAX_DEPTH}", size.depth));
    }
    if size.types > MAX_TYPES {
        return Err(format!("it has {} types where names are written out, the limit is {MAX_TYPES}", size.types));
    }
    Ok(())
}

/// What a type may take.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// The fewest bytes of a value.
    bytes: usize,
    /// How deep types lie in it.
    depth: usize,
    /// How many there are.
    types: usize,
}

impl Size {
    fn of(bytes: usize) -> Self {
        Size { bytes, depth: 1, types: 1 }
    }

    /// With a type in it, whose bytes do not count by themselves.
    fn around(self, inner: Size) -> Self {
        Size {
            bytes: self.bytes,
            depth: self.depth.max(inner.depth.saturating_add(1)),
            types: self.types.saturating_add(inner.types),
        }
    }
}

/// Walks a schema and sums up what its types take.
struct Walk {
    open: Vec<Name>,
    known: Vec<(Name, Size)>,
}

impl Walk {
    fn size(&mut self, schema: &Schema) -> Result<Size, String> {
        Ok(match schema {
            Schema::Null => Size::of(0),
            Schema::Float => Size::of(4),
            Schema::Double => Size::of(8),
            Schema::Array(array) => {
                let items = self.size(&array.items)?;
                if items.bytes == 0 {
                    return Err("it has an array of items without bytes: a value could claim any number of them".into());
                }
                Size::of(1).around(items)
            }
            Schema::Map(map) => Size::of(1).around(self.size(&map.types)?),
            Schema::Union(union) => {
                let mut size = Size::of(1);
                for variant in union.variants() {
                    size = size.around(self.size(variant)?);
                }
                size
            }
            Schema::Record(record) => {
                self.open.push(record.name.clone());
                let mut size = Size::of(0);
                for field in &record.fields {
                    let field = self.size(&field.schema)?;
                    size = size.around(field);
                    size.bytes = size.bytes.saturating_add(field.bytes);
                }
                self.open.pop();
                self.known.push((record.name.clone(), size));
                size
            }
            Schema::Fixed(fixed)
            | Schema::Duration(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Decimal(DecimalSchema { inner: InnerDecimalSchema::Fixed(fixed), .. }) => {
                if fixed.size > MAX_PART_BYTES {
                    return Err(format!("{} has {} bytes, the limit is {MAX_PART_BYTES}", fixed.name, fixed.size));
                }
                self.known.push((fixed.name.clone(), Size::of(fixed.size)));
                Size::of(fixed.size)
            }
            Schema::Enum(named) => {
                self.known.push((named.name.clone(), Size::of(1)));
                Size::of(1)
            }
            Schema::Ref { name } => {
                if self.open.contains(name) {
                    return Err(format!("{name} contains itself: a value could exhaust the stack"));
                }
                // A name that is not known makes the schema useless, which its resolution reports.
                self.known.iter().find(|(known, _)| known == name).map_or(Size::of(1), |(_, size)| *size)
            }
            // Numbers, booleans and lengths take at least one byte.
            _ => Size::of(1),
        })
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
    fn names_that_stand_for_names_have_limits() {
        // Each record holds the one before, once or twice: deep, or of 2^n parts.
        let chain = |length: usize, fields: usize| {
            let record = |at: usize| {
                let inner = |field: usize| match at {
                    0 => format!(r#"{{"name":"f{field}","type":"long"}}"#),
                    _ => format!(r#"{{"name":"f{field}","type":"R{}"}}"#, at - 1),
                };
                let fields = (0..fields).map(inner).collect::<Vec<_>>().join(",");
                format!(r#"{{"name":"g{at}","type":{{"type":"record","name":"R{at}","fields":[{fields}]}}}}"#)
            };
            let all = (0..length).map(record).collect::<Vec<_>>().join(",");
            checked(&format!(r#"{{"type":"record","name":"R","fields":[{all}]}}"#))
        };
        assert_eq!(chain(60, 1), Ok(()));
        assert!(chain(100, 1).unwrap_err().contains("deep in each other, the limit is 64"));
        assert_eq!(chain(10, 2), Ok(()));
        assert!(chain(40, 2).unwrap_err().contains("types where names are written out, the limit is 100000"));
    }

    #[test]
    fn a_type_that_is_used_twice_is_fine() {
        let twice = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":{"type":"record","name":"Money","fields":[{"name":"cents","type":"long"}]}},
            {"name":"b","type":{"type":"array","items":"Money"}}]}"#;
        assert_eq!(checked(twice), Ok(()));
    }
}
