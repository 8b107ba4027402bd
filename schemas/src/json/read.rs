//! From Avro to JSON.

use super::{
    named, tags,
    text::{self, MICROS, MILLIS, NANOS},
};
use apache_avro::{
    Schema,
    schema::{NamesRef, UnionSchema},
    types::Value,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use num_bigint::BigInt;
use serde_json::{Map, Number, Value as Json, json};

/// A big decimal with more digits than this beside its own is shown with an exponent.
const MAX_ZEROS: u64 = 1_000;

/// Shows values of schemas.
pub(super) struct Reader<'s> {
    pub(super) names: &'s NamesRef<'s>,
}

impl Reader<'_> {
    pub(super) fn json(&self, schema: &Schema, value: &Value) -> Result<Json, String> {
        let or_number = |text: Option<String>, number: i64| text.map_or_else(|| json!(number), Json::String);
        Ok(match (named(self.names, schema)?, value) {
            (_, Value::Null) => Json::Null,
            (_, Value::Boolean(truth)) => json!(truth),
            (_, Value::Int(number)) => json!(number),
            (_, Value::Long(number)) => json!(number),
            (_, Value::Float(number)) => real(f64::from(*number)),
            (_, Value::Double(number)) => real(*number),
            (_, Value::String(text) | Value::Enum(_, text)) => json!(text),
            (_, Value::Bytes(bytes) | Value::Fixed(_, bytes)) => json!(BASE64_STANDARD.encode(bytes)),
            (Schema::Array(array), Value::Array(items)) => {
                items.iter().map(|item| self.json(&array.items, item)).collect::<Result<_, _>>()?
            }
            (Schema::Map(map), Value::Map(members)) => {
                let member =
                    |(key, member): (&String, &Value)| Ok::<_, String>((key.clone(), self.json(&map.types, member)?));
                Json::Object(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            (Schema::Union(union), Value::Union(index, inner)) => self.union(union, *index, inner)?,
            (Schema::Record(record), Value::Record(fields)) => {
                let mut members = Map::new();
                for (field, (name, value)) in record.fields.iter().zip(fields) {
                    members.insert(name.clone(), self.json(&field.schema, value)?);
                }
                Json::Object(members)
            }
            (Schema::Decimal(kind), Value::Decimal(decimal)) => {
                json!(text::decimal(&BigInt::from(decimal.clone()), kind.scale))
            }
            (_, Value::BigDecimal(decimal)) => json!(match decimal.fractional_digit_count().unsigned_abs() {
                0..=MAX_ZEROS => decimal.to_plain_string(),
                _ => decimal.to_scientific_notation(),
            }),
            (_, Value::Uuid(uuid)) => json!(uuid.to_string()),
            (_, Value::Date(days)) => or_number(text::date(*days), i64::from(*days)),
            (_, Value::TimeMillis(millis)) => or_number(text::time(i64::from(*millis), MILLIS), i64::from(*millis)),
            (_, Value::TimeMicros(micros)) => or_number(text::time(*micros, MICROS), *micros),
            (_, Value::TimestampMillis(millis)) => or_number(text::timestamp(*millis, MILLIS), *millis),
            (_, Value::TimestampMicros(micros)) => or_number(text::timestamp(*micros, MICROS), *micros),
            (_, Value::TimestampNanos(nanos)) => or_number(text::timestamp(*nanos, NANOS), *nanos),
            (_, Value::LocalTimestampMillis(millis)) => or_number(text::local_timestamp(*millis, MILLIS), *millis),
            (_, Value::LocalTimestampMicros(micros)) => or_number(text::local_timestamp(*micros, MICROS), *micros),
            (_, Value::LocalTimestampNanos(nanos)) => or_number(text::local_timestamp(*nanos, NANOS), *nanos),
            (_, Value::Duration(duration)) => {
                json!(text::duration([duration.months().into(), duration.days().into(), duration.millis().into()]))
            }
            (schema, _) => return Err(format!("a value is not of its schema {schema:?}")),
        })
    }

    fn union(&self, union: &UnionSchema, index: u32, inner: &Value) -> Result<Json, String> {
        let variants = union.variants();
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let schema = variants.get(index).ok_or_else(|| format!("a union has no type {index}"))?;
        let json = self.json(schema, inner)?;
        let others = variants.iter().filter(|variant| !matches!(variant, Schema::Null)).count();
        Ok(match others {
            2.. if !matches!(schema, Schema::Null) => json!({ tags(variants)[index].0.clone(): json }),
            _ => json,
        })
    }
}

fn real(number: f64) -> Json {
    let named = || match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    Number::from_f64(number).map_or_else(|| json!(named()), Json::Number)
}
