//! The real file, with the mapping that the bank ships.

use crate::import::{Mapping, read_rows};
use std::{collections::HashMap, env, fs, path::PathBuf};

const BANK_MAPPING: &str = include_str!("../../../apps/bank/import.toml");

#[test]
fn each_kind_of_row_has_its_kind_of_entry() {
    let file = "trans_id,account_id,date,direction,operation,amount,balance_after,purpose,other_bank,other_account\n\
                1,576,1993-01-01,credit,cash_credit,900.00,900.00,,,\n\
                2,576,1993-01-02,credit,,1.00,901.00,interest,,\n\
                3,576,1993-01-03,debit,cash_withdrawal,1.00,900.00,overdraft_interest,,\n\
                4,576,1993-01-04,debit,cash_withdrawal,1.00,899.00,statement_fee,,\n\
                5,576,1993-01-05,debit,transfer_out,1.00,898.00,household,AB,123\n";
    let rows = read_rows(file.as_bytes(), "bank.account", &Mapping::parse(BANK_MAPPING).unwrap()).unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row.fields()["kind"].clone()).collect();
    assert_eq!(kinds, ["Deposit", "Interest", "OverdraftInterest", "Fee", "Withdrawal"]);
}

/// The data is not the project's to ship: without it the test says that it did
/// not run. A folder that is given and lacks the file is a failure.
#[test]
fn the_real_file_is_read_to_the_cent() {
    let given = env::var_os("FACTUM_REAL_DATA");
    let folder = given.clone().map_or(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let path = folder.join("bank/transactions.csv");
    let file = match fs::read(&path) {
        Ok(file) => file,
        Err(e) if given.is_none() => return eprintln!("not run: {}: {e}", path.display()),
        Err(e) => panic!("{}: {e}", path.display()),
    };
    let rows = read_rows(file.as_slice(), "bank.account", &Mapping::parse(BANK_MAPPING).unwrap()).unwrap();
    assert_eq!(rows.len(), 33_293);

    let mut accounts: HashMap<String, (u64, i64)> = HashMap::new();
    let mut negative = 0;
    let mut reader = csv::Reader::from_reader(file.as_slice());
    for (row, original) in rows.iter().zip(reader.records()) {
        let original = original.unwrap();
        let (version, balance_cents) = accounts.entry(row.aggregate().to_string()).or_default();
        assert_eq!(row.expected_version().unwrap().0, *version, "line {}", row.line());
        *version += 1;
        let fields = row.fields();
        let cents = fields["cents"].as_i64().unwrap();
        *balance_cents += match fields["kind"].as_str().unwrap() {
            "Deposit" | "Interest" => cents,
            "Withdrawal" | "OverdraftInterest" | "Fee" => -cents,
            other => panic!("{other} is no kind of entry"),
        };
        let bank_says: i64 = original[6].replace('.', "").parse().unwrap();
        assert_eq!(*balance_cents, bank_says, "line {}", row.line());
        negative += u32::from(*balance_cents < 0);
    }
    assert_eq!(accounts.len(), 841);
    assert_eq!(negative, 63);
}
