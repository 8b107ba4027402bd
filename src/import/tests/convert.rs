//! From text to values.

use crate::import::convert::{Conversion, TimeFormat, timestamp};
use expect_test::{Expect, expect};

fn check(conversion: Conversion, texts: &[&str], expected: Expect) {
    let shown: Vec<String> = texts
        .iter()
        .map(|text| match conversion.value(text, None) {
            Ok(value) => format!("{text} -> {value}\n"),
            Err(problem) => format!("{text} -> error: {problem}\n"),
        })
        .collect();
    expected.assert_eq(&shown.concat());
}

fn check_times(format: Option<&str>, texts: &[&str], expected: Expect) {
    let format = format.map(|format| TimeFormat::try_from(format.to_owned()).unwrap());
    let shown: Vec<String> = texts
        .iter()
        .map(|text| match timestamp(text, format.as_ref()) {
            Ok(time) => format!("{}\n", jiff::Timestamp::from_millisecond(time.0).unwrap()),
            Err(problem) => format!("error: {problem}\n"),
        })
        .collect();
    expected.assert_eq(&shown.concat());
}

#[test]
fn decimal_text_becomes_cents_without_a_float() {
    check(
        Conversion::Cents,
        &[
            "900.00",
            "12.5",
            "7",
            "0.01",
            "-0.05",
            "92233720368547758.07",
            "92233720368547758.08",
            "1.005",
            "1.",
            ".5",
            "1e3",
            "+1",
            "1,50",
            "1 000",
            "--1",
            "٣",
            "",
        ],
        expect![[r#"
            900.00 -> 90000
            12.5 -> 1250
            7 -> 700
            0.01 -> 1
            -0.05 -> -5
            92233720368547758.07 -> 9223372036854775807
            92233720368547758.08 -> error: "92233720368547758.08" does not fit 64 bits as cents
            1.005 -> error: "1.005" has more than 2 decimal places
            1. -> error: "1." is not a decimal number such as 12.50
            .5 -> error: ".5" is not a decimal number such as 12.50
            1e3 -> error: "1e3" is not a decimal number such as 12.50
            +1 -> error: "+1" is not a decimal number such as 12.50
            1,50 -> error: "1,50" is not a decimal number such as 12.50
            1 000 -> error: "1 000" is not a decimal number such as 12.50
            --1 -> error: "--1" is not a decimal number such as 12.50
            ٣ -> error: "٣" is not a decimal number such as 12.50
             -> error: is empty
        "#]],
    );
}

#[test]
fn integers_booleans_and_text_are_read() {
    check(
        Conversion::Integer,
        &["42", "-7", "007", "9223372036854775808", "4.0", "-", ""],
        expect![[r#"
        42 -> 42
        -7 -> -7
        007 -> 7
        9223372036854775808 -> error: "9223372036854775808" does not fit 64 bits
        4.0 -> error: "4.0" is not an integer
        - -> error: "-" is not an integer
         -> error: is empty
    "#]],
    );
    check(
        Conversion::Boolean,
        &["true", "0", "yes", ""],
        expect![[r#"
        true -> true
        0 -> false
        yes -> error: "yes" is not true, false, 1 or 0
         -> error: is empty
    "#]],
    );
    check(
        Conversion::Text,
        &["as it is, ", ""],
        expect![[r#"
            as it is,  -> "as it is, "
             -> ""
        "#]],
    );
    check(
        Conversion::TimestampMs,
        &["1970-01-02"],
        expect![[r#"
        1970-01-02 -> 86400000
    "#]],
    );
}

#[test]
fn times_without_an_offset_are_utc_and_dates_are_midnight() {
    check_times(
        None,
        &[
            "1993-01-31",
            "1993-02-31",
            "2017-10-02 10:56:33",
            "2017-10-02T10:56:33.5+02:00",
            "2017-10-02T10:56:33[Europe/Prague]",
            "31.1.1993",
            "yesterday",
        ],
        expect![[r#"
            1993-01-31T00:00:00Z
            error: "1993-02-31" is neither an RFC 3339 time nor a date
            2017-10-02T10:56:33Z
            2017-10-02T08:56:33.5Z
            error: "2017-10-02T10:56:33[Europe/Prague]" is neither an RFC 3339 time nor a date
            error: "31.1.1993" is neither an RFC 3339 time nor a date
            error: "yesterday" is neither an RFC 3339 time nor a date
        "#]],
    );
}

#[test]
fn a_format_says_how_times_are_written() {
    check_times(
        Some("%d.%m.%Y"),
        &["31.1.1993", "1993-01-31", "31.1.1993 "],
        expect![[r#"
        1993-01-31T00:00:00Z
        error: "1993-01-31" is not a time as "%d.%m.%Y" says: strptime parsing failed: expected to match literal byte `.` from format string, but found byte `9` in input
        error: "31.1.1993 " is not a time as "%d.%m.%Y" says: strptime expects to consume the entire input, but ` ` remains unparsed
    "#]],
    );
    check_times(
        Some("%d/%m/%Y %H:%M %z"),
        &["02/10/2017 10:56 +0200", "02/10/2017 10:56"],
        expect![[r#"
        2017-10-02T08:56:00Z
        error: "02/10/2017 10:56" is not a time as "%d/%m/%Y %H:%M %z" says: strptime parsing failed: expected non-empty input for directive `%z`, but found end of input
    "#]],
    );
    check_times(
        Some("%s"),
        &["1506941793"],
        expect![[r#"
        2017-10-02T10:56:33Z
    "#]],
    );
    check_times(
        Some("%H:%M"),
        &["10:56"],
        expect![[r#"
        error: "10:56" is not a time as "%H:%M" says: date required to parse datetime: year required to parse date
    "#]],
    );
}
