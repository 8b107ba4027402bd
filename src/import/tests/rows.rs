//! From a file to commands.

use crate::import::{ImportError, ImportRow, Mapping, read_rows};
use crate::{CommandId, ErrorKind};
use expect_test::{Expect, expect};
use std::{fmt::Write, io};

const MAPPING: &str = r#"
command = "RecordEntry"
aggregate = "account-{account}"
id = "{entry}"
occurred = { column = "date" }
expected_version = "ordinal"
[fields]
cents = { column = "amount", as = "cents" }
note = { column = "note", optional = true }
source = { value = ["file", 1] }
[fields.kind]
cases = [
    { when = { side = "credit", why = "interest" }, value = "Interest" },
    { when = { side = "credit" }, value = "Deposit" },
]
"#;

const HEADER: &str = "entry,account,date,side,amount,why,note\n";

fn read(file: &str) -> Result<Vec<ImportRow>, ImportError> {
    read_rows(file.as_bytes(), "bank.account", &Mapping::parse(MAPPING).unwrap())
}

fn check_error(file: &str, expected: Expect) {
    expected.assert_eq(&read(file).unwrap_err().to_string());
}

#[test]
fn a_row_becomes_a_command() {
    let rows = read(&format!(
        "{HEADER}7,anna,1993-01-02,credit,1.50,,\"a, b\"\n8,bert,1993-01-02,credit,2,interest,\n9,anna,1993-01-03,credit,3,,\n"
    ))
    .unwrap();
    let mut shown = String::new();
    for row in &rows {
        let fields = serde_json::Value::from(row.fields());
        let (line, id, record) = (row.line(), row.command_id(), row.record());
        let (occurred, version) = (row.occurred().unwrap().0, row.expected_version().unwrap());
        writeln!(shown, "{line} {} {id} {record} {fields} {occurred} {version}", row.aggregate()).unwrap();
    }
    expect![[r#"
        2 account-anna 754993b1-7e85-5671-a6fd-03bff94fa4a6 RecordEntry {"cents":150,"kind":"Deposit","note":"a, b","source":["file",1]} 725932800000 0
        3 account-bert 6719b913-172c-5bec-a4bf-bd137b0310a9 RecordEntry {"cents":200,"kind":"Interest","note":null,"source":["file",1]} 725932800000 0
        4 account-anna fe9cea06-7291-50d3-a3ec-5801260e167d RecordEntry {"cents":300,"kind":"Deposit","note":null,"source":["file",1]} 726019200000 1
    "#]].assert_eq(&shown);
}

/// The ids of rows that were imported must never change: a repeated import
/// would be another one. Computed with Python's `uuid.uuid5`.
#[test]
fn the_id_of_a_row_is_the_same_for_ever() {
    let row = format!("{HEADER}171812,576,1993-01-01,credit,900.00,,\n");
    let id: CommandId = "37e5d06f-0d48-5592-9c15-3915659c01d0".parse().unwrap();
    assert_eq!(read(&row).unwrap()[0].command_id(), id);
    let elsewhere = read_rows(row.as_bytes(), "shop.order", &Mapping::parse(MAPPING).unwrap()).unwrap();
    assert_ne!(elsewhere[0].command_id(), id);
}

#[test]
fn what_the_mapping_leaves_out_is_absent() {
    let mapping = Mapping::parse("command = \"Close\"\naggregate = \"{a}{{{b}}}\"\nid = \"{a}\"").unwrap();
    let rows = read_rows("b,a\n1,x\n".as_bytes(), "bank.account", &mapping).unwrap();
    assert_eq!(rows[0].aggregate().as_str(), "x{1}");
    assert_eq!((rows[0].occurred(), rows[0].expected_version()), (None, None));
    assert!(rows[0].fields().is_empty());
}

#[test]
fn broken_rows_are_named_by_line_and_column_and_none_is_returned() {
    check_error(
        &format!(
            "{HEADER}\
             1,anna,1993-01-02,credit,1.50,,\n\
             2,anna,1993-01-02,credit,1.505,,\n\
             3,anna,1993-01-02,credit,1.50,\n\
             4,anna,1993-13-02,credit,1.50,,\n\
             \n\
             5,anna,1993-01-02,debit,1.50,household,\n\
             6,,1993-01-02,credit,1.50,,\n\
             7,{},1993-01-02,credit,1.50,,\n\
             1,bert,1993-01-02,credit,1.50,,\n\
             8,\"anna\",1993-01-02,credit,,,\n\
             9,anna,1993-01-02,credit,1.50,,\"open\n",
            "x".repeat(300),
        ),
        expect![[r#"
            9 of 10 rows are broken, nothing was imported
              line 3, column "amount": "1.505" has more than 2 decimal places
              line 4: 6 fields where the header has 7
              line 5, column "date": "1993-13-02" is neither an RFC 3339 time nor a date
              line 7: no case of kind matches side "debit", why "household"
              line 8, column "account": is empty
              line 9: the aggregate id has 308 bytes, the limit is 256
              line 10: its id "1" is also the id of line 2
              line 11, column "amount": is empty
              line 12: a quoted field is never closed"#]],
    );
}

#[test]
fn only_the_first_ten_broken_rows_are_listed() {
    let rows: String = (0..25).map(|i| format!("{i},anna,1993-01-02,credit,x{i},,\n")).collect();
    check_error(
        &format!("{HEADER}x,anna,1993-01-02,credit,5,,\n{rows}"),
        expect![[r#"
        25 of 26 rows are broken, nothing was imported
          line 3, column "amount": "x0" is not a decimal number such as 12.50
          line 4, column "amount": "x1" is not a decimal number such as 12.50
          line 5, column "amount": "x2" is not a decimal number such as 12.50
          line 6, column "amount": "x3" is not a decimal number such as 12.50
          line 7, column "amount": "x4" is not a decimal number such as 12.50
          line 8, column "amount": "x5" is not a decimal number such as 12.50
          line 9, column "amount": "x6" is not a decimal number such as 12.50
          line 10, column "amount": "x7" is not a decimal number such as 12.50
          line 11, column "amount": "x8" is not a decimal number such as 12.50
          line 12, column "amount": "x9" is not a decimal number such as 12.50
          and 15 more"#]],
    );
    let error = crate::Error::from(read(&format!("{HEADER}x\n")).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "1 of 1 rows is broken, nothing was imported\n  line 2: 1 field where the header has 7"
    );
}

#[test]
fn a_missing_column_is_named_with_those_that_exist() {
    check_error(
        "entry,account,day,side,sum\n1,anna,1993-01-02,credit,1.50\n",
        expect![[
            r#"the file has no column "date" (for occurred), no column "amount" (for fields.cents), no column "why" (for fields.kind), no column "note" (for fields.note); its columns are "entry", "account", "day", "side", "sum""#
        ]],
    );
}

#[test]
fn a_file_that_is_no_table_gives_a_short_message() {
    let message = read(&format!("{}\n", "x".repeat(1000))).unwrap_err().to_string();
    assert!(message.ends_with(&format!("; its columns are \"{}\"…", "x".repeat(40))), "{message}");
    let message = read(&format!("{}\n", ",".repeat(1000))).unwrap_err().to_string();
    assert!(message.ends_with("\"\", \"\" and 951 more"), "{message}");
}

#[test]
fn a_column_that_is_needed_and_there_twice_is_refused() {
    check_error(&format!("account,{HEADER}"), expect![[r#"line 1 is no header: two columns are called "account""#]]);
    assert_eq!(read(&format!("other,other,{HEADER}0,0,1,anna,1993-01-02,credit,1.50,,\n")).unwrap().len(), 1);
}

#[test]
fn a_file_without_rows_is_refused() {
    check_error("", expect!["the file has no rows"]);
    check_error(HEADER, expect!["the file has no rows"]);
    check_error("\"entry\n", expect!["line 1 is no header: a quoted field is never closed"]);
}

#[test]
fn a_file_that_cannot_be_read_on_returns_no_rows() {
    struct Away;
    impl io::Read for Away {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is away"))
        }
    }
    let start = format!("{HEADER}1,anna,1993-01-02,credit,1.50,,\n");
    let file = io::Read::chain(start.as_bytes(), Away);
    let error = read_rows(file, "bank.account", &Mapping::parse(MAPPING).unwrap()).unwrap_err();
    expect!["the file cannot be read beyond line 2: the disk is away"].assert_eq(&error.to_string());
}
