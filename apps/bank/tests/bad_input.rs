//! Input that is wrong: each time the answer says why, and the next good input is taken.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod rig;

use factum::{
    AggregateId, Error, MessageCodec, Offset, Partition, RecordBatch, Topic, Version,
    handler::Granted,
    log::Isolation,
    partition_of,
    schemas::{RecordCodec, subject},
    send::Request,
    wire::{AnswerCode, header},
};
use factum_bank::{Deposited, Event};
use rig::{Bank, MAPPING, wait_for};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

fn bank() -> Bank {
    Bank::open(Granted::Only(Default::default()))
}

/// Sends bytes to anna, who has one deposit of 100 cents, and checks answer
/// and dead letter; and that anna's next deposit is taken.
#[track_caller]
fn undecodable(bank: &Bank, value: Vec<u8>, cause: &str) {
    bank.deposit("anna", 100);
    let answer = bank.client.send(Request::new(AggregateId::new("anna").unwrap(), value.clone())).unwrap();
    assert_eq!((answer.code, answer.detail.as_deref()), (AnswerCode::Undecodable, Some(cause)));
    let letter = dead_letter(bank);
    assert_eq!((letter.key.as_slice(), &letter.value), (b"anna".as_slice(), &value));
    assert_eq!((letter.code.as_str(), letter.cause.as_str()), ("undecodable", cause));
    assert_eq!(bank.deposit("anna", 100), 2);
}

struct DeadLetter {
    key: Vec<u8>,
    value: Vec<u8>,
    code: String,
    cause: String,
}

/// The only dead letter that there is.
#[track_caller]
fn dead_letter(bank: &Bank) -> DeadLetter {
    let mut letters = RecordBatch::new();
    let mut reader = bank.environment.log.reader(Isolation::ReadCommitted).unwrap();
    for partition in 0..6 {
        reader.add(&bank.topics().dead_letters.partition(Partition(partition)), Offset(0)).unwrap();
    }
    wait_for("a dead letter", || {
        reader.poll(10, Duration::from_millis(100), &mut letters).unwrap();
        (!letters.is_empty()).then_some(())
    });
    assert_eq!(letters.len(), 1);
    let letter = letters.get(0);
    let text = |name: &str| String::from_utf8(letter.header(name).unwrap().to_vec()).unwrap();
    DeadLetter {
        key: letter.key().unwrap_or_default().to_vec(),
        value: letter.value().unwrap_or_default().to_vec(),
        code: text("dead-letter-code"),
        cause: text("dead-letter-cause"),
    }
}

/// Writes a deposit of 5 cents past the client, as any Kafka client could.
fn produce(bank: &Bank, partition: Partition, key: &[u8]) {
    let value = bank.request("anna", "Deposit", json!({ "cents": 5 })).unwrap().value;
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&bank.topics().commands, partition);
    record.key(key);
    record.value(&value);
    record.header(header::REPLY_TO, b"0");
    record.finish();
    let mut producer = bank.environment.log.producer().unwrap();
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn no_events(bank: &Bank) {
    assert_eq!(bank.ends(&bank.topics().events), vec![Offset(0); 6]);
}

#[test]
fn truncated_bytes_are_named_and_kept() {
    let bank = bank();
    let mut value = bank.request("anna", "Deposit", json!({ "cents": 1_000_000 })).unwrap().value;
    value.truncate(value.len() - 1);
    undecodable(&bank, value, "record bank.account.Deposit of schema id 1: the value is truncated");
}

#[test]
fn bytes_that_are_no_wire_format_are_named_and_kept() {
    undecodable(
        &bank(),
        b"{\"cents\": 100}".to_vec(),
        "the value begins with 0x7b instead of 0x00: not the wire format of a schema registry",
    );
}

#[test]
fn an_unknown_schema_id_is_named_and_kept() {
    undecodable(&bank(), vec![0, 0, 0, 0x27, 0x0f, 2], "the schema registry has no schema of id 9999");
}

#[test]
fn a_record_of_another_topic_is_named_and_kept() {
    let bank = bank();
    let codec = RecordCodec::<Event>::for_writing(bank.topics().events.as_str(), &bank.environment.schemas).unwrap();
    let mut value = Vec::new();
    codec.encode(&Deposited { cents: 100 }.into(), &mut value).unwrap();
    undecodable(&bank, value, "record type bank.account.Deposited is not one of this topic's");
}

#[test]
fn a_command_of_another_aggregate_type_is_named_and_kept() {
    let bank = bank();
    let schema = r#"{"type":"record","name":"shop.basket.Add","fields":[{"name":"pieces","type":"long"}]}"#;
    let id = bank.environment.schemas.register(&subject("shop.basket.commands", "shop.basket.Add"), schema).unwrap();
    let value = [&[0][..], &id.to_be_bytes(), &[2]].concat();
    undecodable(&bank, value, "record type shop.basket.Add is not one of this topic's");
}

#[test]
fn an_aggregate_id_that_is_empty_or_too_long_is_refused_by_the_client() {
    let bank = bank();
    let refused = |id: &str| bank.request(id, "Deposit", json!({ "cents": 1 })).unwrap_err().to_string();
    assert_eq!(refused(""), "the aggregate id (record key) is empty");
    assert_eq!(refused(&"x".repeat(257)), "the aggregate id has 257 bytes, the limit is 256");
    assert_eq!(bank.deposit(&"x".repeat(256), 1), 1);
}

#[test]
fn an_empty_key_from_another_client_is_a_dead_letter() {
    let bank = bank();
    produce(&bank, partition_of(b"anna", 6), b"");
    let letter = dead_letter(&bank);
    assert_eq!(
        (letter.code.as_str(), letter.cause.as_str()),
        ("invalid-key", "the aggregate id (record key) is empty")
    );
    no_events(&bank);
    assert_eq!(bank.deposit("anna", 1), 1);
}

#[test]
fn an_oversized_key_from_another_client_is_a_dead_letter() {
    let bank = bank();
    produce(&bank, partition_of(b"anna", 6), "ä".repeat(129).as_bytes());
    let letter = dead_letter(&bank);
    assert_eq!(letter.code, "invalid-key");
    assert_eq!(letter.cause, "the aggregate id has 258 bytes, the limit is 256");
    no_events(&bank);
    assert_eq!(bank.deposit("anna", 1), 1);
}

#[test]
fn a_command_in_a_partition_that_is_not_its_keys_is_a_dead_letter() {
    let bank = bank();
    let right = partition_of(b"anna", 6);
    let wrong = Partition((right.0 + 1) % 6);
    produce(&bank, wrong, b"anna");
    let letter = dead_letter(&bank);
    assert_eq!(letter.code, "wrong-partition");
    assert_eq!(
        letter.cause,
        format!(
            "key \"anna\" belongs to partition {right} of bank.account.commands (murmur2, as Kafka's Java client) \
             and came in partition {wrong}: set the producer's partitioner to murmur2_random"
        )
    );
    no_events(&bank);
    assert_eq!(bank.deposit("anna", 1), 1);
}

#[test]
fn an_amount_below_zero_is_refused() {
    let bank = bank();
    for record in ["Deposit", "Withdraw", "SetOverdraftLimit"] {
        let answer = bank.send("anna", record, json!({ "cents": -5 }));
        assert_eq!(answer.code, AnswerCode::Refused);
        assert_eq!(answer.detail.as_deref(), Some(r#"{"NotPositive":{"cents":-5}}"#));
    }
    assert_eq!(bank.deposit("anna", 5), 1);
}

#[test]
fn an_amount_that_overflows_the_balance_is_refused() {
    let bank = bank();
    bank.deposit("anna", i64::MAX);
    let answer = bank.send("anna", "Deposit", json!({ "cents": 1 }));
    assert_eq!((answer.code, answer.detail.as_deref()), (AnswerCode::Refused, Some(r#""Overflow""#)));
    let answer = bank.send("anna", "Withdraw", json!({ "cents": i64::MAX }));
    assert_eq!((answer.code, answer.version), (AnswerCode::Accepted, Version(2)));
}

#[test]
fn json_that_does_not_fit_the_record_is_refused_before_it_is_sent() {
    let bank = bank();
    let refused = |record: &str, fields| bank.request("anna", record, fields).unwrap_err().to_string();
    let deposit = |fields| refused("Deposit", fields);
    assert_eq!(deposit(json!({ "cent": 1 })), r#"bank.account.Deposit has no field "cent"; it has cents"#);
    assert_eq!(deposit(json!({})), r#"bank.account.Deposit needs the field "cents"; it has cents"#);
    assert_eq!(deposit(json!(5)), "bank.account.Deposit is a JSON object with the fields cents");
    for wrong in [json!({ "cents": "1" }), json!({ "cents": 1.5 }), json!({ "cents": 9_223_372_036_854_775_808_u64 })] {
        let error = deposit(wrong.clone());
        assert!(error.starts_with("the JSON does not fit bank.account.Deposit at $.cents: "), "{wrong}: {error}");
    }
    assert_eq!(
        refused("Deposited", json!({ "cents": 1 })),
        "there is no record \"Deposited\"; there are bank.account.Deposit, bank.account.Withdraw, \
         bank.account.SetOverdraftLimit, bank.account.RecordEntry, bank.account.ChargeOverdraftInterest"
    );
    assert_eq!(bank.deposit("anna", 1), 1);
}

#[test]
fn an_imported_entry_needs_the_permission() {
    let entry = json!({ "kind": "Deposit", "cents": 100 });
    let bank = bank();
    let answer = bank.send("anna", "RecordEntry", entry.clone());
    assert_eq!(answer.code, AnswerCode::Forbidden);
    let cause = r#"the command needs the permission "import", which this handler was not granted"#;
    assert_eq!(answer.detail.as_deref(), Some(cause));
    assert_eq!(bank.deposit("anna", 1), 1);
    drop(bank);

    let bank = Bank::open(Granted::Only(["import".to_owned()].into()));
    assert_eq!(bank.send("anna", "RecordEntry", entry).code, AnswerCode::Accepted);
}

const HEADER: &str =
    "trans_id,account_id,date,direction,operation,amount,balance_after,purpose,other_bank,other_account\n";

fn refused_import(bank: &Bank, csv: &str, mapping: &str) -> String {
    let error: Error = bank.import(csv.as_bytes(), mapping).unwrap_err();
    no_events(bank);
    let commands: &Topic = &bank.topics().commands;
    assert_eq!(bank.ends(commands), vec![Offset(0); 6], "no command was sent");
    error.to_string()
}

#[test]
fn a_broken_row_is_named_by_its_line_and_nothing_is_imported() {
    let bank = Bank::open(Granted::All);
    let good = "1,anna,1993-01-01,credit,cash_credit,900.00,900.00,,,\n";
    let broken = "2,anna,1993-01-02,credit,cash_credit,nine,909.00,,,\n3,anna,1993-01-32,credit,,1.00,910.00,,,\n";
    assert_eq!(
        refused_import(&bank, &format!("{HEADER}{good}{broken}"), MAPPING),
        "2 of 3 rows are broken, nothing was imported\n  \
         line 3, column \"amount\": \"nine\" is not a decimal number such as 12.50\n  \
         line 4, column \"date\": \"1993-01-32\" is neither an RFC 3339 time nor a date"
    );
    let tally = bank.import(format!("{HEADER}{good}").as_bytes(), MAPPING).unwrap();
    assert_eq!(tally.codes, BTreeMap::from([("accepted", 1)]));
}

#[test]
fn a_mapping_that_does_not_fit_the_record_imports_nothing() {
    let bank = Bank::open(Granted::All);
    // The first row fits; only the second shows that the mapping does not.
    let mapping = r#"
        command = "RecordEntry"
        aggregate = "{account}"
        id = "{entry}"
        [fields]
        cents = { column = "amount", as = "integer" }
        kind = { column = "kind" }
    "#;
    let csv = "entry,account,amount,kind\n1,anna,5,Deposit\n2,anna,5,Gift\n";
    let error = refused_import(&bank, csv, mapping);
    assert!(
        error.starts_with("nothing was imported: line 3: the JSON does not fit bank.account.RecordEntry at $."),
        "{error}"
    );
    let tally = bank.import("entry,account,amount,kind\n1,anna,5,Deposit\n".as_bytes(), mapping).unwrap();
    assert_eq!(tally.codes, BTreeMap::from([("accepted", 1)]));
    assert_eq!(bank.send("anna", "Withdraw", json!({ "cents": 5 })).code, AnswerCode::Accepted);
}
