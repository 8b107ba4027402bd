//! Every type there and back, and what does not fit.

use super::*;
use serde_json::json;

/// A record with one field of that type.
fn field(kind: Json) -> Schema {
    let record = json!({ "type": "record", "name": "shop.R", "fields": [{ "name": "v", "type": kind }] });
    Schema::parse(&record).unwrap()
}

/// Through the bytes and back.
fn round(schema: &Schema, json: &Json) -> Json {
    let value = to_avro(schema, json).unwrap_or_else(|wrong| panic!("{json}: {wrong}"));
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(schema).build().unwrap();
    let mut bytes = Vec::new();
    writer.write_value_ref(&mut bytes, &value).unwrap_or_else(|error| panic!("{json}: {error}"));
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    to_json(schema, &reader.read_value(&mut &bytes[..]).unwrap()).unwrap()
}

fn refused(kind: Json, value: Json) -> String {
    to_avro(&field(kind), &json!({ "v": value })).unwrap_err().to_string()
}

fn logical(kind: &str, logical: &str) -> Json {
    json!({ "type": kind, "logicalType": logical })
}

fn fixed(size: usize) -> Json {
    json!({ "type": "fixed", "name": "F", "size": size })
}

fn money() -> Json {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2 });
    json!({ "type": "record", "name": "Money", "fields": [{ "name": "amount", "type": decimal }] })
}

#[test]
fn every_type_is_read_as_it_was_written() {
    let decimal = |kind: Json| {
        let mut kind = if kind.is_string() { json!({ "type": kind }) } else { kind };
        kind["logicalType"] = json!("decimal");
        kind["precision"] = json!(9);
        kind["scale"] = json!(2);
        kind
    };
    let duration = json!({ "type": "fixed", "name": "D", "size": 12, "logicalType": "duration" });
    let suit = json!({ "type": "enum", "name": "Suit", "symbols": ["HEARTS", "SPADES"] });
    let cases: Vec<(Json, Vec<Json>)> = vec![
        (json!("null"), vec![json!(null)]),
        (json!("boolean"), vec![json!(true), json!(false)]),
        (json!("int"), vec![json!(i32::MIN), json!(0), json!(i32::MAX)]),
        (json!("long"), vec![json!(i64::MIN), json!(9_007_199_254_740_993_i64), json!(i64::MAX)]),
        (json!("float"), vec![json!(1.5), json!("NaN"), json!("-Infinity")]),
        (json!("double"), vec![json!(0.1), json!(-1e300), json!("Infinity")]),
        (json!("bytes"), vec![json!(""), json!("AP+A")]),
        (json!("string"), vec![json!(""), json!("тea \u{1F375} \"'; --\u{0}")]),
        (fixed(3), vec![json!("AP+A")]),
        (suit, vec![json!("SPADES")]),
        (json!({ "type": "array", "items": "long" }), vec![json!([]), json!([1, -2])]),
        (json!({ "type": "map", "values": "string" }), vec![json!({}), json!({ "a b": "1", "": "2" })]),
        (money(), vec![json!({ "amount": "-1234.50" })]),
        (decimal(json!("bytes")), vec![json!("0.00"), json!("-0.07"), json!("1234567.89")]),
        (decimal(fixed(5)), vec![json!("-1.00"), json!("9999999.99")]),
        (logical("bytes", "big-decimal"), vec![json!("123456789012345678901234567890.5"), json!("-0.001")]),
        (logical("string", "uuid"), vec![json!("3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10")]),
        (logical("int", "date"), vec![json!("2026-01-31"), json!("1969-12-31"), json!("0001-01-01")]),
        (logical("int", "time-millis"), vec![json!("00:00:00.000"), json!("23:59:59.999")]),
        (logical("long", "time-micros"), vec![json!("12:30:00.000001")]),
        (
            logical("long", "timestamp-millis"),
            vec![json!("2026-01-31T12:00:00.000Z"), json!("1969-12-31T23:59:59.999Z")],
        ),
        (logical("long", "timestamp-micros"), vec![json!("2026-01-31T12:00:00.000001Z")]),
        (logical("long", "timestamp-nanos"), vec![json!("2026-01-31T12:00:00.000000001Z")]),
        (logical("long", "local-timestamp-millis"), vec![json!("2026-01-31T12:00:00.000")]),
        (logical("long", "local-timestamp-micros"), vec![json!("2026-01-31T12:00:00.000001")]),
        (logical("long", "local-timestamp-nanos"), vec![json!("2026-01-31T12:00:00.000000001")]),
        (duration, vec![json!("P1M2DT3.004S"), json!("PT0.000S"), json!("P14M")]),
        (json!(["null", "long"]), vec![json!(null), json!(7)]),
        (json!(["string", "null"]), vec![json!("x"), json!(null)]),
        (json!(["null", money()]), vec![json!({ "amount": "1.00" })]),
        (
            json!(["null", "long", money()]),
            vec![json!(null), json!({ "long": 7 }), json!({ "Money": { "amount": "1.00" } })],
        ),
        (json!([logical("int", "date"), "string"]), vec![json!({ "date": "2026-01-31" }), json!({ "string": "x" })]),
    ];
    for (kind, values) in cases {
        let schema = field(kind);
        for value in values {
            let json = json!({ "v": value });
            assert_eq!(round(&schema, &json), json, "{schema:?}");
        }
    }
}

#[test]
fn a_type_that_is_used_again_by_its_name_is_found() {
    let schema = Schema::parse(&json!({ "type": "record", "name": "shop.R", "fields": [
        { "name": "many", "type": { "type": "array", "items": money() } },
        { "name": "one", "type": ["null", "Money"], "default": null },
        { "name": "either", "type": ["Money", "string"] },
    ] }))
    .unwrap();
    let json = json!({ "many": [], "one": { "amount": "2.50" }, "either": { "Money": { "amount": "1.00" } } });
    assert_eq!(round(&schema, &json), json);
    let full = json!({ "many": [], "either": { "shop.Money": { "amount": "1.00" } } });
    assert_eq!(round(&schema, &full)["either"], json["either"]);
}

#[test]
fn an_absent_field_has_its_default() {
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2 });
    let schema = Schema::parse(&json!({ "type": "record", "name": "R", "fields": [
        { "name": "bytes", "type": "bytes", "default": "\u{0}\u{ff}" },
        { "name": "price", "type": decimal, "default": "\u{7d}" },
        { "name": "at", "type": logical("long", "timestamp-millis"), "default": 0 },
        { "name": "kind", "type": { "type": "enum", "name": "K", "symbols": ["A", "B"] }, "default": "B" },
        { "name": "tags", "type": { "type": "array", "items": "string" }, "default": ["x"] },
        { "name": "note", "type": ["null", "string"], "default": null },
        { "name": "name", "type": ["string", "null"], "default": "nobody" },
        { "name": "inner", "type": { "type": "record", "name": "I", "fields": [
            { "name": "a", "type": "long" }, { "name": "b", "type": "boolean", "default": true }] },
          "default": { "a": 3 } },
    ] }))
    .unwrap();
    let expected = json!({
        "bytes": "AP8=", "price": "1.25", "at": "1970-01-01T00:00:00.000Z", "kind": "B", "tags": ["x"], "note": null,
        "name": "nobody", "inner": { "a": 3, "b": true },
    });
    assert_eq!(round(&schema, &json!({})), expected);
}

#[test]
fn what_does_not_fit_is_refused_with_its_place_and_what_is_expected() {
    let date = || logical("int", "date");
    let stamp = || logical("long", "timestamp-millis");
    let items = json!({ "type": "array", "items": money() });
    for (kind, value, text) in [
        (json!("long"), json!("7"), "at $.v: \"7\" is not a long: a whole number from -9223372036854775808 to"),
        (json!("long"), json!(1.5), "at $.v: 1.5 is not a long"),
        (json!("long"), json!(9_223_372_036_854_775_808_u64), "9223372036854775808 is not a long"),
        (json!("long"), json!(1e20), "is not a long"),
        (json!("int"), json!(2_147_483_648_i64), "2147483648 is not an int: a whole number from -2147483648"),
        (json!("double"), json!(9_007_199_254_740_993_i64), "9007199254740993 is not a number that a double can hold"),
        (json!("double"), json!("1.5"), "\"1.5\" is not a number"),
        (json!("float"), json!(1e39), "is not in the range of a float"),
        (json!("string"), json!(7), "7 is not text"),
        (json!("boolean"), json!("true"), "\"true\" is not true or false"),
        (json!("string"), json!(null), "null is not text"),
        (json!("bytes"), json!("a?"), "is not Base64 with padding"),
        (fixed(3), json!("AAA="), "at $.v: it has 2 bytes, 3 are expected"),
        (
            items.clone(),
            json!([{ "amount": "1" }, { "amount": 2 }]),
            "at $.v[1].amount: 2 is not a decimal number as text",
        ),
        (items.clone(), json!([{ "amount": "1.234" }]), "\"1.234\" has 3 digits behind the point, the limit is 2"),
        (items.clone(), json!([{ "amount": "12345" }]), "\"12345\" has more than the 6 digits that its type holds"),
        (items.clone(), json!([{ "amount": "1e3" }]), "\"1e3\" is not a decimal number"),
        (
            items.clone(),
            json!([{ "amount": "1", "unit": 2 }]),
            "at $.v[0]: shop.Money has no field \"unit\"; it has amount",
        ),
        (items, json!([{}]), "at $.v[0]: shop.Money needs the field \"amount\"; it has amount"),
        (json!({ "type": "map", "values": "long" }), json!({ "a b": true }), "at $.v[\"a b\"]: true is not a long"),
        (logical("string", "uuid"), json!("3f0a4a346f3c4c31a6d53d6f2a1c9b10"), "is not a UUID"),
        (date(), json!("2026-02-30"), "\"2026-02-30\" is not a date: \"2026-01-31\" is expected"),
        (date(), json!("2026-01-31T12:00:00"), "is not a date"),
        (stamp(), json!("2026-01-31T12:00:00"), "is not a time: \"2026-01-31T12:00:00Z\" is expected"),
        (stamp(), json!("2026-01-31T12:00:00.0001Z"), "has more than 3 digits behind the second"),
        (stamp(), json!(1_700_000_000), "1700000000 is not a time as text (RFC 3339)"),
        (logical("int", "time-millis"), json!("24:00:00"), "is not a time of day"),
        (logical("long", "local-timestamp-millis"), json!("2026-01-31T12:00:00Z"), "without a zone"),
        (
            json!({ "type": "fixed", "name": "D", "size": 12, "logicalType": "duration" }),
            json!("-P1D"),
            "is not a duration",
        ),
        (json!({ "type": "enum", "name": "E", "symbols": ["A", "B"] }), json!("C"), "\"C\" is not one of \"A\", \"B\""),
        (json!(["null", "long"]), json!("x"), "at $.v: \"x\" is not a long"),
        (
            json!(["long", money()]),
            json!(7),
            "7 is not an object with one member that names its type, one of \"long\", \"Money\"",
        ),
        (json!(["long", money()]), json!(null), "null is not an object with one member"),
        (json!(["long", money()]), json!({ "long": 1, "Money": {} }), "is not an object with one member"),
        (json!(["long", money()]), json!({ "Money": {} }), "at $.v.Money: shop.Money needs the field \"amount\""),
    ] {
        let told = refused(kind, value);
        assert!(told.contains(text), "{text:?} is not in {told:?}");
    }
}

#[test]
fn json_that_may_mean_two_things_is_refused() {
    let refused = |text: &str| parse_json(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        refused("{\"cents\": 5,\n \"cents\": 6}"),
        "the JSON cannot be read: the key \"cents\" is there twice at line 2 column 8"
    );
    assert!(refused(r#"{"a": [{"b": 1, "b": 1}]}"#).contains("the key \"b\" is there twice"));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(
        refused(&deep(100)).contains("it is more than 64 levels deep at line 1 column 65"),
        "{}",
        refused(&deep(100))
    );
    assert!(refused(&"[".repeat(1_000_000)).contains("more than 64 levels deep"));
    assert!(parse_json(deep(64).as_bytes()).is_ok());
    assert!(refused("{} {}").contains("trailing characters"));
    assert!(refused("1e999").contains("number out of range"));
    assert!(refused("").contains("EOF"));
    assert!(refused("\"\u{0}\"").contains("control character"));
    assert!(parse_json(b"\"\xff\"").is_err());
    let number = parse_json(b"9223372036854775807").unwrap();
    assert_eq!(number.as_i64(), Some(i64::MAX));
}

#[test]
fn a_description_names_every_type() {
    let schema = Schema::parse(&json!({ "type": "record", "name": "shop.R", "doc": "A thing.", "fields": [
        { "name": "price", "type": money(), "doc": "What it costs." },
        { "name": "other", "type": ["null", "Money"], "default": null },
        { "name": "either", "type": ["long", "Money"] },
        { "name": "at", "type": logical("long", "timestamp-millis") },
    ] }))
    .unwrap();
    let mut definitions = serde_json::Map::new();
    let root = json_schema(&schema, "#/d/", &mut definitions);
    assert_eq!(root, json!({ "$ref": "#/d/shop.R" }));
    assert_eq!(definitions.keys().collect::<Vec<_>>(), ["shop.Money", "shop.R"]);
    let record = &definitions["shop.R"];
    assert_eq!((&record["description"], &record["additionalProperties"]), (&json!("A thing."), &json!(false)));
    assert_eq!(record["required"], json!(["price", "either", "at"]));
    let properties = &record["properties"];
    assert_eq!(properties["price"], json!({ "$ref": "#/d/shop.Money", "description": "What it costs." }));
    assert_eq!(properties["other"], json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/d/shop.Money" }] }));
    assert_eq!(properties["either"]["anyOf"][1]["required"], json!(["Money"]));
    assert_eq!(properties["at"]["format"], "date-time");
    assert_eq!(definitions["shop.Money"]["properties"]["amount"]["pattern"], r"^-?[0-9]+(\.[0-9]{1,2})?$");
}
