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
    let error = check(folder, std::slice::from_ref(schema), mode).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains(message), "{error}");
}

fn written(folder: &Path, schema: &Schema) -> Vec<PathBuf> {
    check(folder, std::slice::from_ref(schema), Mode::Write).unwrap().written
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
    let report = check(folder.path(), &[two], Mode::Check).unwrap();
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

#[test]
fn a_field_alias_is_refused_also_inside() {
    let folder = tempfile::tempdir().unwrap();
    let alias = schema(r#"{"name":"amount","type":"long","aliases":["cents"]}"#);
    let inside = schema(
        r#"{"name":"money","type":["null",{"type":"array","items":{"type":"record","name":"Money",
            "fields":[{"name":"amount","type":"long","aliases":["cents"]}]}}]}"#,
    );
    fails(folder.path(), &alias, Mode::Write, "field amount has an alias");
    fails(folder.path(), &inside, Mode::Write, "field amount has an alias");
}

#[test]
fn a_missing_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &schema(CENTS));
    written(folder.path(), &schema(&both()));
    fs::remove_file(file(folder.path(), "1.avsc")).unwrap();
    fails(folder.path(), &schema(&both()), Mode::Check, "1.avsc is missing");
}

#[test]
fn a_file_that_was_edited_by_hand_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let one = schema(CENTS);
    written(folder.path(), &one);
    let path = file(folder.path(), "1.avsc");
    for (content, message) in [
        ("{", "1.avsc is not usable"),
        (r#""long""#, "1.avsc does not hold a record"),
        (
            r#"{"type":"record","name":"bank.account.Paid","fields":[]}"#,
            "1.avsc holds record bank.account.Paid instead",
        ),
    ] {
        fs::write(&path, content).unwrap();
        fails(folder.path(), &one, Mode::Write, message);
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
