use super::*;

fn schema(fields: &str) -> Schema {
    Schema::parse_str(&format!(r#"{{"type":"record","name":"bank.account.Deposited","fields":[{fields}]}}"#)).unwrap()
}

const CENTS: &str = r#"{"name":"cents","type":"long"}"#;
const NOTE: &str = r#"{"name":"note","type":["null","string"],"default":null}"#;

fn both() -> String {
    format!("{CENTS},{NOTE}")
}

fn file(folder: &Path, version: &str) -> PathBuf {
    folder.join("bank.account.Deposited").join(version)
}

#[track_caller]
fn fails(folder: &Path, schema: &Schema, mode: Mode, message: &str) {
    let error = check(folder, std::slice::from_ref(schema), Level::BackwardTransitive, mode).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(message), "{error}");
}

fn written(folder: &Path, schema: &Schema) -> Vec<PathBuf> {
    check(folder, std::slice::from_ref(schema), Level::BackwardTransitive, Mode::Write).unwrap().written
}

#[test]
fn a_record_without_a_file_fails_and_tells_the_command() {
    let folder = tempfile::tempdir().unwrap();
    fails(folder.path(), &schema(CENTS), Mode::Check, "run `FACTUM_WRITE_SCHEMAS=1 cargo test`");
}

#[test]
fn each_change_is_written_as_the_next_version_and_then_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (schema(CENTS), schema(&both()));
    assert_eq!(written(folder.path(), &one), [file(folder.path(), "1.avsc")]);
    assert_eq!(written(folder.path(), &one), [] as [PathBuf; 0]);
    fails(folder.path(), &two, Mode::Check, "Deposited differs from");
    assert_eq!(written(folder.path(), &two), [file(folder.path(), "2.avsc")]);
    let report = check(folder.path(), &[two], Level::BackwardTransitive, Mode::Check).unwrap();
    assert_eq!(report, Report { agreeing: 1, written: Vec::new() });
}

#[test]
fn a_file_is_indented_and_the_same_for_the_same_schema() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    let expected = r#"{
  "fields": [
    {
      "name": "cents",
      "type": "long"
    }
  ],
  "name": "Deposited",
  "namespace": "bank.account",
  "type": "record"
}
"#;
    assert_eq!(fs::read_to_string(file(folder.path(), "1.avsc")).unwrap(), expected);
}

#[test]
fn a_change_that_cannot_read_an_earlier_version_is_not_even_written() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    written(folder.path(), &schema(&both()));
    let without_default = schema(r#"{"name":"cents","type":"long"},{"name":"branch","type":"string"}"#);
    let narrowed = schema(r#"{"name":"cents","type":"long"},{"name":"note","type":"string","default":""}"#);
    for mode in [Mode::Check, Mode::Write] {
        fails(folder.path(), &without_default, mode, "1.avsc wrote");
        // Version 1 is fine, version 2 could have written a null.
        fails(folder.path(), &narrowed, mode, "2.avsc wrote");
    }
    assert!(!file(folder.path(), "3.avsc").exists());
}

/// The next good input succeeds after what was refused.
#[track_caller]
fn and_then_good(folder: &Path) {
    fs::write(file(folder, "1.avsc"), shape::pretty(&schema(CENTS))).unwrap();
    assert_eq!(check(folder, &[schema(CENTS)], Level::BackwardTransitive, Mode::Check).unwrap().agreeing, 1);
}

#[test]
fn a_field_alias_is_refused_also_inside() {
    let folder = tempfile::tempdir().unwrap();
    let alias = schema(r#"{"name":"amount","type":"long","aliases":["cents"]}"#);
    let inside = schema(
        r#"{"name":"money","type":["null",{"type":"array","items":{"type":"record","name":"Money",
            "fields":[{"name":"amount","type":"long","aliases":["cents"]}]}}]}"#,
    );
    for (schema, path) in [(alias, "amount"), (inside, "money[].amount")] {
        let message = format!(
            "record bank.account.Deposited: its type: field {path} has an alias, which the decoder does not follow; \
             rule: no alias; fix: keep the old name, or give the record a new one"
        );
        fails(folder.path(), &schema, Mode::Write, &message);
    }
    assert_eq!(written(folder.path(), &schema(CENTS)).len(), 1);
}

#[test]
fn a_breaking_change_names_field_rule_and_the_way_over_a_retired_record() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    let renamed = schema(r#"{"name":"amount","type":"long"}"#);
    let file = file(folder.path(), "1.avsc");
    let message = format!(
        "record bank.account.Deposited: its type cannot read what {} wrote: field amount: it is missing there and has \
         no default; rule: BACKWARD_TRANSITIVE; fix: give a new field a default and keep the types, or give the record \
         a new name and retire Deposited: `#[event(retired(Deposited))]` on the enum, with `impl Upcast for Deposited`",
        file.display()
    );
    fails(folder.path(), &renamed, Mode::Write, &message);
    and_then_good(folder.path());
}

#[test]
fn a_command_is_checked_in_both_directions() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    // Fine for an event: what is gone is passed over.
    let without = [schema("")];
    let error = check(folder.path(), &without, Level::FullTransitive, Mode::Check).unwrap_err().to_string();
    let message = "1.avsc cannot read what its type wrote: field cents: it is missing there and has no default; \
                   rule: FULL_TRANSITIVE; fix: those who send it are not all renewed at once: keep the fields that \
                   have no default, or give the record a new name";
    assert!(error.contains(message), "{error}");
    check(folder.path(), &without, Level::BackwardTransitive, Mode::Write).unwrap();
}

#[test]
fn a_dropped_symbol_and_a_narrowed_union_are_incompatible_although_some_values_fit() {
    for (old, new, message) in [
        (
            r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}}"#,
            r#"{"name":"e","type":{"type":"enum","name":"E","symbols":["X"]}}"#,
            "field e: the symbols Y have no place, nor a default; rule: BACKWARD_TRANSITIVE",
        ),
        (
            r#"{"name":"u","type":["null","long","string"]}"#,
            r#"{"name":"u","type":["null","long"]}"#,
            "field u: string has no place in null or long; rule: BACKWARD_TRANSITIVE",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &schema(old));
        fails(folder.path(), &schema(new), Mode::Write, message);
        // The other way, nothing is lost.
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &schema(new));
        assert_eq!(written(folder.path(), &schema(old)).len(), 1);
    }
}

#[test]
fn a_version_number_that_is_missing_in_the_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let three = schema(&format!("{},{}", both(), r#"{"name":"cash","type":"boolean","default":false}"#));
    [schema(CENTS), schema(&both()), three]
        .iter()
        .for_each(|schema| assert_eq!(written(folder.path(), schema).len(), 1));
    let two = file(folder.path(), "2.avsc");
    fs::remove_file(&two).unwrap();
    fails(folder.path(), &schema(&both()), Mode::Check, &format!("{} is missing", two.display()));
    assert_eq!(committed(folder.path()).unwrap_err().to_string(), format!("{} is missing", two.display()));
    fs::write(&two, shape::pretty(&schema(&both()))).unwrap();
    assert_eq!(committed(folder.path()).unwrap()[0].versions.len(), 3);
}

#[test]
fn a_file_that_was_edited_by_hand_is_named() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    for (content, message) in [
        ("{", "1.avsc is not usable: it is not JSON: EOF while parsing an object at line 1 column 1"),
        ("{}", "1.avsc is not usable: it is not an Avro schema: No `type` in complex type"),
        (r#""long""#, "1.avsc does not hold a record"),
        (
            r#"{"type":"record","name":"bank.account.Paid","fields":[]}"#,
            "1.avsc holds record bank.account.Paid instead",
        ),
        (
            r#"{"type":"record","name":"bank.account.Deposited","fields":[{"name":"cents","type":"string"}]}"#,
            "its type cannot read what",
        ),
    ] {
        fs::write(file(folder.path(), "1.avsc"), content).unwrap();
        fails(folder.path(), &schema(CENTS), Mode::Write, message);
        and_then_good(folder.path());
    }
    // What was edited and still reads differs from its type.
    fs::write(file(folder.path(), "1.avsc"), shape::pretty(&schema(&both()))).unwrap();
    fails(folder.path(), &schema(CENTS), Mode::Check, "Deposited differs from");
    and_then_good(folder.path());
}

#[test]
fn two_types_with_one_full_name_are_refused_in_one_schema_and_between_records() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    let kind = |symbol: &str| format!(r#"{{"type":"enum","name":"Kind","symbols":["{symbol}"]}}"#);
    let twice = format!(
        r#"{{"type":"record","name":"bank.account.Deposited","fields":[{{"name":"a","type":{}}},{{"name":"b","type":{}}}]}}"#,
        kind("X"),
        kind("Y")
    );
    fs::write(file(folder.path(), "1.avsc"), twice).unwrap();
    let message = "1.avsc is not usable: it defines two types with the full name bank.account.Kind";
    fails(folder.path(), &schema(CENTS), Mode::Check, message);
    and_then_good(folder.path());

    let named = |name: &str, symbol: &str| {
        let fields = format!(r#"[{{"name":"a","type":{}}}]"#, kind(symbol));
        Schema::parse_str(&format!(r#"{{"type":"record","name":"bank.account.{name}","fields":{fields}}}"#)).unwrap()
    };
    let both = |symbol: &str| [named("Moved", "X"), named("Sent", symbol)];
    let error = check(folder.path(), &both("Y"), Level::BackwardTransitive, Mode::Write).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record bank.account.Sent: it and bank.account.Moved define two types with the full name bank.account.Kind; \
         rule: a full name has one definition; fix: give one of them another name or namespace"
    );
    assert_eq!(check(folder.path(), &both("X"), Level::BackwardTransitive, Mode::Write).unwrap().written.len(), 2);
}

#[test]
fn a_recursive_type_is_refused_in_a_file_and_in_a_type() {
    let folder = tempfile::tempdir().unwrap();
    let list = schema(r#"{"name":"next","type":["null","bank.account.Deposited"],"default":null}"#);
    let message = "not usable: bank.account.Deposited contains itself: a value could exhaust the stack";
    fails(folder.path(), &list, Mode::Write, message);
    written(folder.path(), &schema(CENTS));
    fs::write(file(folder.path(), "1.avsc"), shape::pretty(&list)).unwrap();
    fails(folder.path(), &schema(CENTS), Mode::Check, message);
    and_then_good(folder.path());
}

#[test]
fn a_schema_of_1_mib_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    let of = |length: usize| {
        let empty = r#"{"type":"record","name":"bank.account.Deposited","doc":"","fields":[]}"#;
        empty.replace(r#""doc":"""#, &format!(r#""doc":"{}""#, "x".repeat(length - empty.len())))
    };
    fs::write(file(folder.path(), "1.avsc"), of((1 << 20) + 1)).unwrap();
    fails(
        folder.path(),
        &schema(CENTS),
        Mode::Check,
        "1.avsc is not usable: it has 1048577 bytes, the limit is 1048576",
    );
    fs::write(file(folder.path(), "1.avsc"), of(1 << 20)).unwrap();
    assert_eq!(committed(folder.path()).unwrap()[0].versions.len(), 1);
    and_then_good(folder.path());
}

#[test]
fn a_default_of_the_wrong_type_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    for (field, message) in [
        (
            r#"{"name":"cents","type":"long","default":"x"}"#,
            "1.avsc is not usable: it is not an Avro schema: `default`'s value type of field `cents`",
        ),
        (
            r#"{"name":"cents","type":["long","null"],"default":null}"#,
            "1.avsc: field cents: its default null is not of the union's first type long; rule: a default is of its \
             type; fix: put the default's type first in the union, or take a default of the first type",
        ),
    ] {
        let text = format!(r#"{{"type":"record","name":"bank.account.Deposited","fields":[{field}]}}"#);
        fs::write(file(folder.path(), "1.avsc"), text).unwrap();
        fails(folder.path(), &schema(CENTS), Mode::Check, message);
        and_then_good(folder.path());
    }
}

#[test]
fn a_file_with_another_name_is_named() {
    for stray in ["01.avsc", "0.avsc", "1.json", "one.avsc"] {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), &schema(CENTS));
        fs::write(file(folder.path(), stray), "{}").unwrap();
        fails(folder.path(), &schema(CENTS), Mode::Check, &format!("{stray} is not a schema file"));
    }
}
