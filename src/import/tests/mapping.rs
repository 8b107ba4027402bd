//! What a mapping may say.

use crate::import::{HELP, Mapping};
use expect_test::{Expect, expect};

const SMALLEST: &str = "command = \"Deposit\"\naggregate = \"{account}\"\nid = \"{entry}\"\n";

fn check_error(toml: &str, expected: Expect) {
    expected.assert_eq(&Mapping::parse(toml).unwrap_err().to_string());
}

fn check_field_error(field: &str, expected: Expect) {
    check_error(&format!("{SMALLEST}[fields]\ncents = {field}\n"), expected);
}

#[test]
fn the_smallest_mapping_has_a_command_an_aggregate_and_an_id() {
    let mapping = Mapping::parse(SMALLEST).unwrap();
    assert_eq!(mapping.command(), "Deposit");
    assert_eq!(mapping.columns(), [("account", "aggregate".to_owned()), ("entry", "id".to_owned())]);
}

#[test]
fn the_help_shows_a_mapping_that_can_be_read() {
    let example = HELP.split_once("\n\n").unwrap().1.split_once("\n  column ").unwrap().0;
    let mapping = Mapping::parse(example).unwrap();
    let mut columns: Vec<&str> = mapping.columns().into_iter().map(|(column, _)| column).collect();
    columns.sort_unstable();
    columns.dedup();
    assert_eq!(columns, ["account_id", "amount", "date", "direction", "purpose", "trans_id"]);
}

#[test]
fn an_unknown_or_absent_key_is_named_with_its_line() {
    check_error(
        "command = \"Deposit\"\naggregat = \"{account}\"\n",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 2, column 1
          |
        2 | aggregat = "{account}"
          | ^^^^^^^^
        unknown field `aggregat`, expected one of `command`, `aggregate`, `id`, `occurred`, `expected_version`, `fields`"#]],
    );
    check_error(
        "command = \"Deposit\"\naggregate = \"{account}\"\n",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 1, column 1
          |
        1 | command = "Deposit"
          | ^
        missing field `id`"#]],
    );
    check_error(
        "command = \"\"\naggregate = \"{account}\"\nid = \"{entry}\"\n",
        expect!["the mapping is not valid: command is empty: it names the command's record"],
    );
    check_error(
        &format!("{SMALLEST}expected_version = \"row\"\n"),
        expect![[r#"
        the mapping is not valid: TOML parse error at line 4, column 20
          |
        4 | expected_version = "row"
          |                    ^^^^^
        unknown variant `row`, expected `ordinal`"#]],
    );
    check_error(
        &format!("{SMALLEST}occurred = {{ column = \"at\", format = \"%!\" }}\n"),
        expect![[r#"
        the mapping is not valid: TOML parse error at line 4, column 38
          |
        4 | occurred = { column = "at", format = "%!" }
          |                                      ^^^^
        "%!" is not a time's format: strftime formatting failed: found unrecognized specifier directive `!`"#]],
    );
}

#[test]
fn a_template_without_a_column_or_with_a_lone_brace_is_refused() {
    check_error(
        "command = \"Deposit\"\naggregate = \"account\"\nid = \"{entry}\"\n",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 2, column 13
          |
        2 | aggregate = "account"
          |             ^^^^^^^^^
        a column is expected, as {name}: the text would be the same for each row"#]],
    );
    for broken in ["{account", "account}", "{}", "{a{b}", "}{"] {
        let error = Mapping::parse(&SMALLEST.replace("{account}", broken)).unwrap_err().to_string();
        assert!(error.contains("write a column as {name}, and a plain brace twice"), "{broken}: {error}");
    }
}

#[test]
fn a_field_comes_from_one_place() {
    check_field_error(
        "{ column = \"amount\", value = 5 }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { column = "amount", value = 5 }
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        a field has one of column, value and cases"#]],
    );
    check_field_error(
        "{ }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { }
          |         ^^^
        a field has one of column, value and cases"#]],
    );
    check_field_error(
        "{ value = 5, as = \"cents\" }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { value = 5, as = "cents" }
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        as, format and optional go with column"#]],
    );
    check_field_error(
        "{ column = \"amount\", as = \"money\" }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 35
          |
        5 | cents = { column = "amount", as = "money" }
          |                                   ^^^^^^^
        unknown variant `money`, expected one of `text`, `integer`, `cents`, `boolean`, `timestamp-ms`"#]],
    );
    check_field_error(
        "{ column = \"amount\", format = \"%Y\" }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { column = "amount", format = "%Y" }
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        format goes with as = "timestamp-ms""#]],
    );
    check_field_error(
        "{ value = 1993-01-01 }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { value = 1993-01-01 }
          |         ^^^^^^^^^^^^^^^^^^^^^^
        a field has no time of TOML's: write 1993-01-01 as text, or as milliseconds since 1970"#]],
    );
    check_field_error(
        "{ value = nan }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { value = nan }
          |         ^^^^^^^^^^^^^^^
        NaN is not a number that a field can have"#]],
    );
}

#[test]
fn a_case_that_is_never_reached_is_refused() {
    check_field_error(
        "{ cases = [] }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { cases = [] }
          |         ^^^^^^^^^^^^^^
        a field needs a case"#]],
    );
    check_field_error(
        "{ cases = [{ when = { a = \"1\" }, value = 1 }, { when = { a = \"1\", b = \"2\" }, value = 2 }] }",
        expect![[r#"
            the mapping is not valid: TOML parse error at line 5, column 9
              |
            5 | cents = { cases = [{ when = { a = "1" }, value = 1 }, { when = { a = "1", b = "2" }, value = 2 }] }
              |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            case 2 is never reached: case 1 matches whatever it matches"#]],
    );
    check_field_error(
        "{ cases = [{ value = 1 }, { when = { a = \"1\" }, value = 2 }] }",
        expect![[r#"
        the mapping is not valid: TOML parse error at line 5, column 9
          |
        5 | cents = { cases = [{ value = 1 }, { when = { a = "1" }, value = 2 }] }
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        case 2 is never reached: case 1 matches whatever it matches"#]],
    );
}
