use super::*;
use crate::{parse::parse, shape};
use apache_avro::{Decimal, Uuid, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};

fn record(fields: &str) -> Schema {
    parse(&format!(r#"{{"type":"record","name":"a.B","fields":[{fields}]}}"#)).unwrap()
}

/// A record of one field `c`.
fn of(kind: &str) -> Schema {
    record(&format!(r#"{{"name":"c","type":{kind}}}"#))
}

fn c(value: Value) -> Value {
    Value::Record(vec![("c".to_owned(), value)])
}

/// What the decoder makes of a value that was written with `writer`.
fn decoded(writer: &Schema, reader: &Schema, value: &Value) -> Result<Value, String> {
    let mut bytes = Vec::new();
    GenericDatumWriter::builder(writer).build().unwrap().write_value_ref(&mut bytes, value).unwrap();
    let reader = GenericDatumReader::builder(writer).reader_schema(reader).build().unwrap();
    reader.read_value(&mut &bytes[..]).map_err(|error| error.to_string())
}

#[track_caller]
fn within_says(schema: &Schema, what: &str, fix: &str) {
    let trap = within(schema).unwrap();
    assert_eq!((trap.what.as_str(), trap.fix), (what, fix));
}

#[test]
fn a_field_alias_passes_the_check_of_compatibility_and_fails_in_the_decoder_so_it_is_refused() {
    let (old, new) = (of(r#""long""#), record(r#"{"name":"d","type":"long","aliases":["c"]}"#));
    assert_eq!(shape::readable(&old, &new), Ok(()));
    assert_eq!(decoded(&old, &new, &c(Value::Long(5))).unwrap_err(), "Missing field in record: \"d\"");
    within_says(&new, "field d has an alias, which the decoder does not follow", ALIAS);
    assert_eq!(within(&old), None);
}

#[test]
fn aliases_of_records_enums_and_fixed_types_are_refused_wherever_they_are() {
    for (kind, what) in [
        (r#"{"type":"array","items":{"type":"record","name":"M","aliases":["L"],"fields":[]}}"#, "record a.M"),
        (r#"["null",{"type":"enum","name":"E","aliases":["F"],"symbols":["X"]}]"#, "enum a.E"),
        (r#"{"type":"map","values":{"type":"fixed","name":"F","aliases":["G"],"size":2}}"#, "fixed a.F"),
        (
            r#"{"type":"array","items":{"type":"record","name":"M","fields":[{"name":"x","type":"int","aliases":["y"]}]}}"#,
            "field c[].x",
        ),
    ] {
        within_says(&of(kind), &format!("{what} has an alias, which the decoder does not follow"), ALIAS);
    }
    let top = parse(r#"{"type":"record","name":"a.B","aliases":["a.A"],"fields":[]}"#).unwrap();
    within_says(&top, "record a.B has an alias, which the decoder does not follow", ALIAS);
}

#[test]
fn a_default_of_another_type_of_the_union_is_refused_since_it_would_be_read_as_the_first() {
    let union = "put the default's type first in the union, or take a default of the first type";
    let wrong = record(r#"{"name":"c","type":["null","long"],"default":3}"#);
    let empty = record("");
    // The parser takes it, and the decoder makes null of it.
    let read = decoded(&empty, &wrong, &Value::Record(Vec::new())).unwrap();
    assert_eq!(read, c(Value::Union(0, Box::new(Value::Null))));
    within_says(&wrong, "field c: its default 3 is not of the union's first type null", union);
    let wrong = record(r#"{"name":"c","type":["long","null"],"default":null}"#);
    decoded(&empty, &wrong, &Value::Record(Vec::new())).unwrap_err();
    within_says(&wrong, "field c: its default null is not of the union's first type long", union);
    let good = record(r#"{"name":"c","type":["null","long"],"default":null}"#);
    assert_eq!(within(&good), None);
    let good = record(r#"{"name":"c","type":["long","null"],"default":3}"#);
    assert_eq!(within(&good), None);
}

#[test]
fn a_default_within_a_default_and_one_of_another_length_are_found() {
    let inner = r#"{"type":"record","name":"M","fields":[{"name":"x","type":["null","long"]}]}"#;
    let nested = record(&format!(r#"{{"name":"c","type":{inner},"default":{{"x":1}}}}"#));
    assert!(within(&nested).unwrap().what.starts_with("field c.x: its default 1 is not of the union's first type"));
    let fixed = record(r#"{"name":"c","type":{"type":"fixed","name":"F","size":2},"default":"abc"}"#);
    assert_eq!(within(&fixed).unwrap().what, "field c: its default \"abc\" has not the length 2 of its type");
}

fn logical(kind: &str, logical: &str) -> Schema {
    of(&format!(r#"{{"type":"{kind}","logicalType":"{logical}"}}"#))
}

#[test]
fn what_passes_the_check_and_fails_in_the_decoder_is_found() {
    let millis = || logical("long", "timestamp-millis");
    let decimal = || of(r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#);
    for (old, new, value, what) in [
        (
            millis(),
            of(r#""long""#),
            Value::TimestampMillis(1),
            "values of long (timestamp-millis) cannot be read as long",
        ),
        (
            millis(),
            logical("long", "timestamp-micros"),
            Value::TimestampMillis(1),
            "values of long (timestamp-millis) cannot be read as long (timestamp-micros)",
        ),
        (
            millis(),
            of(r#"["null","long"]"#),
            Value::TimestampMillis(1),
            "values of long (timestamp-millis) cannot be read as long",
        ),
        (logical("int", "date"), of(r#""int""#), Value::Date(1), "values of int (date) cannot be read as int"),
        (
            logical("string", "uuid"),
            of(r#""string""#),
            Value::Uuid(Uuid::nil()),
            "values of string (uuid) cannot be read as string",
        ),
        (
            of(r#""string""#),
            logical("string", "uuid"),
            Value::String("nobody".to_owned()),
            "values of string cannot be read as string (uuid)",
        ),
        (
            of(r#""bytes""#),
            of(r#""string""#),
            Value::Bytes(vec![255]),
            "bytes that are not UTF-8 cannot be read as string",
        ),
        (
            of(r#""bytes""#),
            decimal(),
            Value::Bytes(vec![1]),
            "small numbers of a decimal in bytes are not read by another version",
        ),
    ] {
        assert_eq!(shape::readable(&old, &new), Ok(()), "{what}");
        decoded(&old, &new, &c(value)).expect_err(what);
        let found: Vec<String> = between(&old, &new).into_iter().map(|trap| trap.what).collect();
        assert_eq!(found, [format!("field c: {what}")]);
        assert_eq!(between(&old, &old), []);
    }
}

#[test]
fn what_only_a_plan_reads_is_let_through_where_there_is_one() {
    // A plan cannot be made from a fixed type to a duration; apache-avro reads it.
    let twelve = r#"{"type":"fixed","name":"T","size":12}"#;
    let duration = format!(r#"{{"type":{twelve},"logicalType":"duration"}}"#);
    let with =
        |kind: &str, time: &str| record(&format!(r#"{{"name":"c","type":{kind}}},{{"name":"t","type":{time}}}"#));
    let values = |c: &Value| {
        let time = ("t".to_owned(), Value::Fixed(12, vec![0; 12]));
        Value::Record(vec![("c".to_owned(), c.clone()), time])
    };
    let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#.to_owned();
    let two = |more: &str| {
        format!(
            r#"["null",{{"type":"record","name":"Card","fields":[{{"name":"x","type":"int"}}]}},
                {{"type":"record","name":"Cash","fields":[{{"name":"x","type":"int"}}{more}]}}]"#
        )
    };
    let cash = Value::Record(vec![("x".to_owned(), Value::Int(1))]);
    for (old, new, value, wrong, what) in [
        (
            decimal.clone(),
            decimal,
            Value::Decimal(Decimal::from([1u8])),
            None,
            "small numbers of a decimal in bytes are not read by another version",
        ),
        (
            two(""),
            two(r#",{"name":"y","type":"int","default":4}"#),
            Value::Union(2, Box::new(cash.clone())),
            // It was cash, and is read as a card.
            Some(Value::Union(1, Box::new(cash))),
            "the decoder does not tell the records a.Card and a.Cash apart",
        ),
    ] {
        let (writer, reader) = (with(&old, twelve), with(&new, &duration));
        assert_eq!(shape::readable(&writer, &reader), Ok(()));
        let read = decoded(&writer, &reader, &values(&value)).ok();
        let read = read.and_then(|read| match read {
            Value::Record(fields) => fields.into_iter().next(),
            _ => None,
        });
        assert_eq!(read.map(|(_, value)| value), wrong);
        let found: Vec<String> = between(&writer, &reader).into_iter().map(|trap| trap.what).collect();
        assert_eq!(found, [format!("field c: {what}")]);
        // With a plan both are read as they were written: its own tests draw such values.
        assert_eq!(between(&with(&old, r#""int""#), &with(&new, r#""long""#)), []);
    }
}

#[test]
fn what_is_let_through_is_read() {
    let symbols = |symbols: &str| of(&format!(r#"{{"type":"enum","name":"E","default":"X","symbols":[{symbols}]}}"#));
    for (old, new, value) in [
        (of(r#""int""#), of(r#""long""#), Value::Int(1)),
        (of(r#""int""#), of(r#"["null","long"]"#), Value::Int(1)),
        (of(r#""long""#), logical("long", "timestamp-millis"), Value::Long(1)),
        (of(r#""long""#), of(r#"["null",{"type":"long","logicalType":"timestamp-millis"}]"#), Value::Long(1)),
        (of(r#""int""#), logical("int", "date"), Value::Int(1)),
        (of(r#""string""#), of(r#""bytes""#), Value::String("x".to_owned())),
        (of(r#"["null","int"]"#), of(r#"["null","string","long"]"#), Value::Union(1, Box::new(Value::Int(1)))),
        (symbols(r#""X","Y""#), symbols(r#""Z","X""#), Value::Enum(1, "Y".to_owned())),
        (
            of(r#"{"type":"array","items":"int"}"#),
            of(r#"{"type":"array","items":["null","long"]}"#),
            Value::Array(vec![Value::Int(1)]),
        ),
    ] {
        assert_eq!((shape::readable(&old, &new), between(&old, &new)), (Ok(()), Vec::new()), "{old:?} {new:?}");
        decoded(&old, &new, &c(value)).unwrap();
    }
}
