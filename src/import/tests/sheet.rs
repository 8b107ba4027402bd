//! Records of a CSV file, right and broken.

use crate::import::sheet::{MAX_RECORD_BYTES, Next, Record, Sheet};
use expect_test::{Expect, expect};
use std::fmt::Write;

fn check(file: impl AsRef<[u8]>, expected: Expect) {
    let mut sheet = Sheet::new(file.as_ref());
    let mut record = Record::default();
    let mut shown = String::new();
    loop {
        match sheet.read(&mut record).unwrap() {
            Next::End => break,
            Next::Record => writeln!(shown, "{}: {:?}", record.line(), record.fields().collect::<Vec<_>>()).unwrap(),
            Next::Broken(problem) => writeln!(shown, "{}: error: {problem}", record.line()).unwrap(),
        }
    }
    expected.assert_eq(&shown);
}

fn records(file: &str) -> Vec<Vec<String>> {
    let mut sheet = Sheet::new(file.as_bytes());
    let mut record = Record::default();
    let mut records = Vec::new();
    loop {
        match sheet.read(&mut record).unwrap() {
            Next::End => return records,
            Next::Record => records.push(record.fields().map(str::to_owned).collect()),
            Next::Broken(problem) => panic!("line {}: {problem}", record.line()),
        }
    }
}

#[test]
fn a_byte_order_mark_and_either_line_ending_are_passed_over() {
    check(
        "\u{feff}a,b\r\n1,2\r\n3,4\n\n\r\n5,6",
        expect![[r#"
        1: ["a", "b"]
        2: ["1", "2"]
        3: ["3", "4"]
        6: ["5", "6"]
    "#]],
    );
    check(
        "\u{feff}\"a\",b\n",
        expect![[r#"
        1: ["a", "b"]
    "#]],
    );
    check("", expect![[r#""#]]);
    check("\n\r\n", expect![[r#""#]]);
}

#[test]
fn a_quoted_field_holds_commas_quotes_and_lines() {
    check(
        "a,b\r\n\"1,\"\"x\"\"\r\n\r\ny\",\"\"\r\n3,4\r\n",
        expect![[r#"
        1: ["a", "b"]
        2: ["1,\"x\"\r\n\r\ny", ""]
        5: ["3", "4"]
    "#]],
    );
}

#[test]
fn a_wrong_quote_is_named_by_its_line_and_reading_goes_on() {
    check(
        "a,b\n1,5\" pipe\n\"2\"x,3\n4,5\n\"6,7\n8,9\n",
        expect![[r#"
        1: ["a", "b"]
        2: error: a quote within a field that does not start with one
        3: error: text behind a closing quote
        4: ["4", "5"]
        5: error: a quoted field is never closed
    "#]],
    );
}

#[test]
fn text_that_is_not_utf_8_is_named_by_its_line() {
    check(
        b"a,b\n1,\xff\n3,4\n",
        expect![[r#"
        1: ["a", "b"]
        2: error: the text is not UTF-8
        3: ["3", "4"]
    "#]],
    );
}

#[test]
fn a_record_beyond_the_limit_is_broken_and_the_next_is_read() {
    let long = "x".repeat(MAX_RECORD_BYTES);
    let longest = &long[..MAX_RECORD_BYTES - 3];
    assert_eq!(records(&format!("{longest},1\n2,3\n")).len(), 2);
    check(
        format!("a,b\n{longest},12\n3,4\n"),
        expect![[r#"
        1: ["a", "b"]
        2: error: a record is longer than 1048576 bytes, or a quoted field is never closed
        3: ["3", "4"]
    "#]],
    );
    // A quote that is never closed, in a file longer than the limit.
    let lines = "1,2\n".repeat(MAX_RECORD_BYTES / 4);
    check(
        format!("a,b\n\"1,2\n{lines}"),
        expect![[r#"
        1: ["a", "b"]
        2: error: a record is longer than 1048576 bytes, or a quoted field is never closed
        262146: ["1", "2"]
    "#]],
    );
}

/// On files that are right it reads what the `csv` crate reads.
#[test]
fn right_files_are_read_as_the_csv_crate_reads_them() {
    // All files of up to 6 symbols from what matters to the format; those
    // with a wrong quote are this reader's to refuse and are left out.
    const SYMBOLS: [&str; 5] = ["a", ",", "\"", "\n", "\r\n"];
    let mut compared = 0;
    for length in 0..=6u32 {
        for mut number in 0..5usize.pow(length) {
            let mut file = String::new();
            for _ in 0..length {
                file.push_str(SYMBOLS[number % 5]);
                number /= 5;
            }
            let mut sheet = Sheet::new(file.as_bytes());
            let mut record = Record::default();
            let mut ours = Vec::new();
            let right = loop {
                match sheet.read(&mut record).unwrap() {
                    Next::End => break true,
                    Next::Broken(_) => break false,
                    Next::Record => ours.push(record.fields().map(str::to_owned).collect::<Vec<_>>()),
                }
            };
            if right {
                let mut reader =
                    csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file.as_bytes());
                let theirs: Vec<Vec<String>> =
                    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
                assert_eq!(ours, theirs, "{file:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 5_000, "only {compared} files were compared");
}
