//! Plans against apache-avro's own resolution, over random schemas, their
//! successors, and values.

mod draw;
#[path = "../../tests/random/mod.rs"]
mod random;

use super::Plan;
use crate::{bounds, message::read_exactly};
use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value};
use draw::{Draw, Type};

/// What apache-avro makes of the bytes.
fn by_values(writer: &Schema, reader: &Schema, bytes: &[u8]) -> Result<Value, String> {
    let resolving = GenericDatumReader::builder(writer).reader_schema(reader).build().unwrap();
    read_exactly(bytes, |source| resolving.read_value(source)).map_err(|wrong| wrong.to_string())
}

fn by_plan(plan: &Plan, reader: &Schema, bytes: &[u8]) -> Result<Value, String> {
    let mut resolved = Vec::new();
    plan.transcode(bytes, &mut resolved).map_err(|wrong| wrong.to_string())?;
    let direct = GenericDatumReader::builder(reader).build().unwrap();
    read_exactly(&resolved, |source| direct.read_value(source)).map_err(|wrong| wrong.to_string())
}

/// Equal, where a number that is none is equal to itself.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float(one), Value::Float(other)) => one.to_bits() == other.to_bits(),
        (Value::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
        (Value::Union(one, a), Value::Union(other, b)) => one == other && same(a, b),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        (Value::Record(one), Value::Record(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && same(&one.1, &other.1))
        }
        _ => one == other,
    }
}

struct Pair {
    kind: Type,
    writer: Schema,
    reader: Schema,
    plan: Option<Plan>,
}

fn pair(draw: &mut Draw) -> Pair {
    let kind = draw.record(0);
    let next = draw.successor(&kind);
    let parse = |kind: &Type| {
        let schema = Schema::parse_str(&kind.json()).unwrap();
        bounds::check(&schema).unwrap();
        schema
    };
    let (writer, reader) = (parse(&kind), parse(&next));
    Pair { plan: Plan::new(&writer, &reader), kind, writer, reader }
}

#[test]
fn a_plan_and_resolution_value_by_value_agree() {
    bounds::limit_allocations();
    let (mut planned, mut resolved, mut refused) = (0, 0, 0);
    for seed in 0..3_000 {
        let mut draw = Draw::new(seed);
        let pair = pair(&mut draw);
        let Some(plan) = &pair.plan else { continue };
        planned += 1;
        for _ in 0..4 {
            let mut bytes = Vec::new();
            draw.value(&pair.kind, &mut bytes);
            match (by_plan(plan, &pair.reader, &bytes), by_values(&pair.writer, &pair.reader, &bytes)) {
                (Ok(one), Ok(other)) if same(&one, &other) => resolved += 1,
                (Err(_), Err(_)) => refused += 1,
                (one, other) => panic!(
                    "seed {seed}: {one:?} instead of {other:?}\n{bytes:?}\n{:?}\n{:?}\n{plan:?}",
                    pair.writer, pair.reader
                ),
            }
        }
    }
    // Else little was tried: most have a plan, most values resolve, and some symbols are gone.
    assert!(planned > 2_500 && resolved > 8_000 && refused > 50, "{planned} {resolved} {refused}");
}

#[test]
fn bytes_that_were_cut_or_changed_are_read_by_both_or_by_none() {
    bounds::limit_allocations();
    let (mut read, mut refused) = (0, 0);
    for seed in 0..1_500 {
        let mut draw = Draw::new(seed);
        let pair = pair(&mut draw);
        let Some(plan) = &pair.plan else { continue };
        let mut whole = Vec::new();
        draw.value(&pair.kind, &mut whole);
        for _ in 0..20 {
            let mut bytes = whole.clone();
            draw.spoil(&mut bytes);
            match (by_plan(plan, &pair.reader, &bytes), by_values(&pair.writer, &pair.reader, &bytes)) {
                (Ok(one), Ok(other)) if same(&one, &other) => read += 1,
                (Err(_), Err(_)) => refused += 1,
                (one, other) => panic!(
                    "seed {seed}: {one:?} instead of {other:?}\n{bytes:?}\n{:?}\n{:?}\n{plan:?}",
                    pair.writer, pair.reader
                ),
            }
        }
    }
    assert!(read > 2_000 && refused > 2_000, "{read} {refused}");
}

fn plan(writer: &str, reader: &str) -> Option<Plan> {
    Plan::new(&Schema::parse_str(writer).unwrap(), &Schema::parse_str(reader).unwrap())
}

fn transcoded(writer: &str, reader: &str, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut into = Vec::new();
    plan(writer, reader).unwrap().transcode(bytes, &mut into).map(|()| into).map_err(|wrong| wrong.to_string())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"a.R","fields":[{fields}]}}"#)
}

#[test]
fn what_only_some_values_survive_has_no_plan() {
    for (writer, reader) in [
        (r#""long""#, r#""int""#),
        (r#""double""#, r#""float""#),
        (r#"["null","string"]"#, r#""string""#),
        (r#"{"type":"long","logicalType":"timestamp-millis"}"#, r#"{"type":"long","logicalType":"timestamp-micros"}"#),
        (r#"{"type":"fixed","name":"F","size":4}"#, r#"{"type":"fixed","name":"F","size":5}"#),
    ] {
        assert!(plan(writer, reader).is_none(), "{writer} {reader}");
    }
    assert!(plan(&record(""), &record(r#"{"name":"new","type":"long"}"#)).is_none());
}

#[test]
fn records_in_a_union_are_told_apart_by_name() {
    // apache-avro takes the first that has the fields.
    let writer = r#"{"type":"record","name":"B","fields":[{"name":"x","type":"long"}]}"#;
    let reader = format!(r#"[{},{writer}]"#, writer.replace("\"B\"", "\"A\""));
    assert_eq!(transcoded(writer, &reader, &[14]), Ok(vec![2, 14]));
}

#[test]
fn defaults_of_items_do_not_make_much_of_little() {
    let text = "x".repeat(100_000);
    let items = |fields: &str| {
        record(&format!(
            r#"{{"name":"all","type":{{"type":"array","items":{{"type":"record","name":"I","fields":[{fields}]}}}}}}"#
        ))
    };
    let field = r#"{"name":"n","type":"int"}"#;
    let writer = items(field);
    let reader = items(&format!(r#"{field},{{"name":"t","type":"string","default":"{text}"}}"#));
    // 1000 items, of a byte each.
    let bytes = [&[0xd0, 0x0f][..], &[2; 1000], &[0]].concat();
    let error = transcoded(&writer, &reader, &bytes).unwrap_err();
    assert!(error.contains("larger than may be allocated"), "{error}");
}

#[test]
fn a_number_has_ten_bytes_at_most() {
    let long = |bytes: &[u8]| transcoded(r#""long""#, r#""double""#, bytes);
    assert_eq!(long(&[1]), Ok((-1f64).to_le_bytes().to_vec()));
    assert_eq!(long(&[0x80; 9]).unwrap_err(), "the value is truncated");
    assert_eq!(long(&[0x80; 11]).unwrap_err(), "a number has more than 10 bytes");
}
