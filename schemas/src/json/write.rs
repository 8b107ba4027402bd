//! From JSON to Avro.

use super::{
    named, tags,
    text::{self, MICROS, MILLIS, NANOS, Unit},
};
use apache_avro::{
    Days, Decimal, Duration, Millis, Months, Schema, Uuid,
    schema::{NamesRef, RecordSchema, UnionSchema},
    types::Value,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bigdecimal::BigDecimal;
use serde_json::{Map, Value as Json};
use std::fmt;

/// So much of a wrong value is shown.
const MAX_SHOWN: usize = 60;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The innermost step first.
    path: Vec<String>,
    what: String,
}

impl Wrong {
    pub(super) fn new(what: String) -> Self {
        Wrong { path: Vec::new(), what }
    }

    /// The whole message; what is wrong with the record itself names it already.
    pub(super) fn of_record(&self, name: &str) -> String {
        if self.path.is_empty() { self.what.clone() } else { format!("the JSON does not fit {name} {self}") }
    }

    fn below(mut self, step: impl fmt::Display) -> Self {
        self.path.push(step.to_string());
        self
    }
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Wrong::new(what)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        write!(f, "at ${path}: {}", self.what)
    }
}

/// Makes values of schemas.
pub(super) struct Writer<'s> {
    pub(super) names: &'s NamesRef<'s>,
}

impl Writer<'_> {
    pub(super) fn value(&self, schema: &Schema, json: &Json) -> Result<Value, Wrong> {
        let text = |expected: &str| json.as_str().ok_or_else(|| not_a(json, expected));
        Ok(match schema {
            Schema::Null if json.is_null() => Value::Null,
            Schema::Null => return Err(not_a(json, "null").into()),
            Schema::Boolean => Value::Boolean(json.as_bool().ok_or_else(|| not_a(json, "true or false"))?),
            Schema::Int => Value::Int(int(json)?),
            Schema::Long => Value::Long(long(json)?),
            Schema::Float => Value::Float(float(json)?),
            Schema::Double => Value::Double(double(json)?),
            Schema::Bytes => Value::Bytes(bytes(json)?),
            Schema::String => Value::String(text("text")?.to_owned()),
            Schema::Array(array) => {
                let Json::Array(items) = json else { return Err(not_a(json, "a list").into()) };
                let item = |(index, item)| {
                    self.value(&array.items, item).map_err(|wrong| wrong.below(format_args!("[{index}]")))
                };
                Value::Array(items.iter().enumerate().map(item).collect::<Result<_, _>>()?)
            }
            Schema::Map(map) => {
                let Json::Object(members) = json else { return Err(not_a(json, "an object").into()) };
                let member = |(key, member): (&String, &Json)| {
                    let value = self.value(&map.types, member).map_err(|wrong| wrong.below(step(key)))?;
                    Ok::<_, Wrong>((key.clone(), value))
                };
                Value::Map(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            Schema::Union(union) => self.union(union, json)?,
            Schema::Record(record) => self.record(record, json)?,
            Schema::Enum(symbols) => {
                let expected = || format!("one of {}", quoted(&symbols.symbols));
                let symbol = json.as_str().ok_or_else(|| not_a(json, &expected()))?;
                let index = symbols.symbols.iter().position(|known| known == symbol);
                let index =
                    index.and_then(|index| u32::try_from(index).ok()).ok_or_else(|| not_a(json, &expected()))?;
                Value::Enum(index, symbol.to_owned())
            }
            Schema::Fixed(fixed) => {
                let bytes = bytes(json)?;
                if bytes.len() != fixed.size {
                    return Err(format!("it has {} bytes, {} are expected", bytes.len(), fixed.size).into());
                }
                Value::Fixed(fixed.size, bytes)
            }
            Schema::Decimal(decimal) => {
                let unscaled =
                    text::parse_decimal(text("a decimal number as text")?, decimal.precision, decimal.scale)?;
                Value::Decimal(Decimal::from(unscaled.to_signed_bytes_be()))
            }
            Schema::BigDecimal => Value::BigDecimal(big_decimal(text("a decimal number as text")?)?),
            Schema::Uuid(_) => {
                let text = text("a UUID")?;
                let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
                Value::Uuid(uuid.ok_or_else(|| not_a(json, "a UUID such as \"6f8f…-…\" with 36 characters"))?)
            }
            Schema::Date => Value::Date(text::parse_date(text("a date")?)?),
            Schema::TimeMillis => {
                let millis = text::parse_time(text("a time of day")?, MILLIS)?;
                Value::TimeMillis(i32::try_from(millis).map_err(|_| not_a(json, "a time of day"))?)
            }
            Schema::TimeMicros => Value::TimeMicros(text::parse_time(text("a time of day")?, MICROS)?),
            Schema::TimestampMillis => Value::TimestampMillis(timestamp(json, MILLIS)?),
            Schema::TimestampMicros => Value::TimestampMicros(timestamp(json, MICROS)?),
            Schema::TimestampNanos => Value::TimestampNanos(timestamp(json, NANOS)?),
            Schema::LocalTimestampMillis => Value::LocalTimestampMillis(local_timestamp(json, MILLIS)?),
            Schema::LocalTimestampMicros => Value::LocalTimestampMicros(local_timestamp(json, MICROS)?),
            Schema::LocalTimestampNanos => Value::LocalTimestampNanos(local_timestamp(json, NANOS)?),
            Schema::Duration(_) => {
                let [months, days, millis] = text::parse_duration(text("a duration")?)?;
                Value::Duration(Duration::new(Months::new(months), Days::new(days), Millis::new(millis)))
            }
            Schema::Ref { .. } => self.value(named(self.names, schema)?, json)?,
        })
    }

    fn record(&self, record: &RecordSchema, json: &Json) -> Result<Value, Wrong> {
        let name = record.name.fullname(None);
        let known = || record.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
        let Json::Object(given) = json else {
            return Err(format!("{name} is a JSON object with the fields {}", known()).into());
        };
        if let Some(unknown) = given.keys().find(|key| !record.fields.iter().any(|field| field.name == **key)) {
            return Err(format!("{name} has no field {unknown:?}; it has {}", known()).into());
        }
        let field = |field: &apache_avro::schema::RecordField| {
            let value = match (given.get(&field.name), &field.default) {
                (Some(json), _) => self.value(&field.schema, json),
                (None, Some(default)) => self.default(&field.schema, default),
                (None, None) => {
                    return Err(format!("{name} needs the field {:?}; it has {}", field.name, known()).into());
                }
            };
            Ok((field.name.clone(), value.map_err(|wrong| wrong.below(step(&field.name)))?))
        };
        Ok(Value::Record(record.fields.iter().map(field).collect::<Result<_, Wrong>>()?))
    }

    fn union(&self, union: &UnionSchema, json: &Json) -> Result<Value, Wrong> {
        let variants = union.variants();
        let null = variants.iter().position(|variant| matches!(variant, Schema::Null));
        if let (Json::Null, Some(null)) = (json, null) {
            return branch(null, Value::Null);
        }
        let others: Vec<usize> = (0..variants.len()).filter(|index| Some(*index) != null).collect();
        if let [only] = others[..] {
            return branch(only, self.value(&variants[only], json)?);
        }
        let tags = tags(variants);
        let expected = || {
            let names: Vec<&str> = others.iter().map(|index| tags[*index].0.as_str()).collect();
            not_a(json, &format!("an object with one member that names its type, one of {}", quoted(&names)))
        };
        let one = json.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
        let (tag, inner) = one.ok_or_else(expected)?;
        let index = others.iter().find(|index| tags[**index].0 == *tag || tags[**index].1 == *tag);
        let index = *index.ok_or_else(expected)?;
        branch(index, self.value(&variants[index], inner).map_err(|wrong| wrong.below(step(tag)))?)
    }

    /// A field's default, which a schema writes in Avro's own JSON: bytes as characters,
    /// logical types as their numbers, a union as its first type that fits.
    pub(super) fn default(&self, schema: &Schema, json: &Json) -> Result<Value, Wrong> {
        let latin = || -> Result<Vec<u8>, String> {
            let text = json.as_str().ok_or_else(|| not_a(json, "text"))?;
            text.chars().map(|char| u8::try_from(u32::from(char)).map_err(|_| not_a(json, "bytes"))).collect()
        };
        Ok(match named(self.names, schema)? {
            Schema::Bytes => Value::Bytes(latin()?),
            Schema::Fixed(fixed) => Value::Fixed(fixed.size, latin()?),
            Schema::Decimal(_) => Value::Decimal(Decimal::from(latin()?)),
            Schema::Duration(_) => {
                let bytes = <[u8; 12]>::try_from(latin()?).map_err(|_| not_a(json, "12 bytes"))?;
                Value::Duration(Duration::from(bytes))
            }
            Schema::Date => Value::Date(int(json)?),
            Schema::TimeMillis => Value::TimeMillis(int(json)?),
            Schema::TimeMicros => Value::TimeMicros(long(json)?),
            Schema::TimestampMillis => Value::TimestampMillis(long(json)?),
            Schema::TimestampMicros => Value::TimestampMicros(long(json)?),
            Schema::TimestampNanos => Value::TimestampNanos(long(json)?),
            Schema::LocalTimestampMillis => Value::LocalTimestampMillis(long(json)?),
            Schema::LocalTimestampMicros => Value::LocalTimestampMicros(long(json)?),
            Schema::LocalTimestampNanos => Value::LocalTimestampNanos(long(json)?),
            Schema::Array(array) => {
                let items = json.as_array().ok_or_else(|| not_a(json, "a list"))?;
                Value::Array(items.iter().map(|item| self.default(&array.items, item)).collect::<Result<_, _>>()?)
            }
            Schema::Map(map) => {
                let members = json.as_object().ok_or_else(|| not_a(json, "an object"))?;
                let member = |(key, member): (&String, &Json)| Ok((key.clone(), self.default(&map.types, member)?));
                Value::Map(members.iter().map(member).collect::<Result<_, Wrong>>()?)
            }
            Schema::Record(record) => {
                let members = json.as_object().ok_or_else(|| not_a(json, "an object"))?;
                Value::Record(self.default_fields(record, members)?)
            }
            Schema::Union(union) => {
                let fits = |(index, variant)| Some((index, self.default(variant, json).ok()?));
                let found = union.variants().iter().enumerate().find_map(fits);
                let (index, value) = found.ok_or_else(|| not_a(json, "a value of the union"))?;
                branch(index, value)?
            }
            other => self.value(other, json)?,
        })
    }

    fn default_fields(
        &self,
        record: &RecordSchema,
        members: &Map<String, Json>,
    ) -> Result<Vec<(String, Value)>, Wrong> {
        let field = |field: &apache_avro::schema::RecordField| {
            let json = members.get(&field.name).or(field.default.as_ref());
            let json = json.ok_or_else(|| format!("the default has no field {:?}", field.name))?;
            Ok((field.name.clone(), self.default(&field.schema, json)?))
        };
        record.fields.iter().map(field).collect()
    }
}

fn branch(index: usize, value: Value) -> Result<Value, Wrong> {
    let index = u32::try_from(index).map_err(|_| Wrong::new("the union has too many types".to_owned()))?;
    Ok(Value::Union(index, Box::new(value)))
}

/// A member's place in a path (RFC 9535).
fn step(key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && !key.is_empty() { format!(".{key}") } else { format!("[{key:?}]") }
}

fn not_a(json: &Json, expected: &str) -> String {
    let mut shown = json.to_string();
    if shown.len() > MAX_SHOWN {
        let end = (0..=MAX_SHOWN).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or_default();
        shown.truncate(end);
        shown.push('…');
    }
    format!("{shown} is not {expected}")
}

fn quoted<T: fmt::Debug>(names: &[T]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

fn long(json: &Json) -> Result<i64, String> {
    json.as_i64().ok_or_else(|| not_a(json, &format!("a long: a whole number from {} to {}", i64::MIN, i64::MAX)))
}

fn int(json: &Json) -> Result<i32, String> {
    let number = json.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| not_a(json, &format!("an int: a whole number from {} to {}", i32::MIN, i32::MAX)))
}

fn double(json: &Json) -> Result<f64, String> {
    let wrong = || not_a(json, "a number");
    let number = match json {
        Json::String(text) => match text.as_str() {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            "-Infinity" => f64::NEG_INFINITY,
            _ => return Err(wrong()),
        },
        _ => json.as_f64().ok_or_else(wrong)?,
    };
    // A whole number that would become another one was meant to be that number.
    let whole = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from));
    if whole.is_some_and(|whole| format!("{number:.0}") != whole.to_string()) {
        return Err(not_a(json, "a number that a double can hold"));
    }
    Ok(number)
}

fn float(json: &Json) -> Result<f32, String> {
    let number = double(json)?;
    #[allow(clippy::cast_possible_truncation)] // Rounding is what a float is; only its range is checked.
    let float = number as f32;
    if float.is_infinite() && number.is_finite() {
        return Err(not_a(json, "in the range of a float"));
    }
    Ok(float)
}

fn bytes(json: &Json) -> Result<Vec<u8>, String> {
    let text = json.as_str().ok_or_else(|| not_a(json, "bytes as Base64 text"))?;
    BASE64_STANDARD.decode(text).map_err(|error| format!("{}: {error}", not_a(json, "Base64 with padding")))
}

fn big_decimal(text: &str) -> Result<BigDecimal, String> {
    let number = Some(text).filter(|text| text::is_plain_number(text)).and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("{text:?} is not a decimal number: text such as \"12.50\" is expected"))
}

fn timestamp(json: &Json, unit: Unit) -> Result<i64, String> {
    text::parse_timestamp(json.as_str().ok_or_else(|| not_a(json, "a time as text (RFC 3339)"))?, unit)
}

fn local_timestamp(json: &Json, unit: Unit) -> Result<i64, String> {
    text::parse_local_timestamp(json.as_str().ok_or_else(|| not_a(json, "a date and time as text"))?, unit)
}
