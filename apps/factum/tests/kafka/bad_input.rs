//! Topics, records and settings that are wrong: each is told by its text, and
//! the next good input succeeds.

use crate::{
    books::{Balance, Books},
    process::{Ran, until},
    site::{BANK, Site},
};
use factum::{
    Offset, Partition, RecordBatch, Topic,
    host::{AggregateHost, Typed},
    log::Isolation,
    partition_of,
    schemas::AnswerCodec,
    wire::header,
};
use factum_bank::Account;
use factum_test_broker::{bootstrap, kafka_tool};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A command's id.
const ID: &str = "0b6f4e0e-6a57-4c8e-9d1b-3f1c5a7e9b21";

/// Tries to start a handler, which is refused.
fn refused_start(site: &Site, texts: &[&str]) -> Ran {
    let ran = site.run(&["run", "handler", BANK]);
    ran.refused_with(texts);
    ran
}

fn works(site: &Site) {
    let mut handler = site.handler(&[]);
    assert_eq!(site.deposit("bert", 5), 1);
    handler.stop();
}

#[test]
fn an_events_topic_that_forgets_is_refused_with_the_command_that_mends_it() {
    let site = Site::new(2);
    let events = site.topics().events;
    site.alter(&events, "cleanup.policy", "compact");
    let fix = format!(
        "fix: kafka-configs --alter --entity-type topics --entity-name {events} --add-config cleanup.policy=delete"
    );
    let refused = refused_start(&site, &[&format!("topic {events}: cleanup.policy is compact"), &fix]);
    site.run(&["topics", "check", BANK]).refused_with(&[&fix]);
    site.run(&["run", "view", "balances"]).refused_with(&[&fix]);

    let line = refused.stderr.lines().find_map(|line| line.split_once("fix: kafka-configs ")).unwrap().1;
    let arguments: Vec<&str> = ["--bootstrap-server", site.kafka()].into_iter().chain(line.split(' ')).collect();
    kafka_tool("kafka.admin.ConfigCommand", &arguments).unwrap();
    works(&site);
}

#[test]
fn topics_with_different_partition_counts_are_refused() {
    let site = Site::new(2);
    let topics = site.topics();
    site.admin().add_partitions(&topics.events, 3).unwrap();
    let text = format!("topic {}: has 3 partitions and {} has 2", topics.events, topics.commands);
    refused_start(&site, &[&text, "fix: delete the topic while it is empty"]);
    delete(&site, &topics.events);
    assert!(site.run(&["topics", "create", BANK, "--partitions", "2"]).ok);
    works(&site);
}

#[test]
fn a_topic_that_is_missing_is_refused_until_it_is_made() {
    let site = Site::empty(bootstrap());
    refused_start(&site, &["does not exist", "fix: factum topics create"]);
    site.publish("anna", "Deposit", 1).refused_with(&["does not exist"]);
    assert!(site.run(&["topics", "create", BANK, "--partitions", "2"]).ok);
    works(&site);
}

fn delete(site: &Site, topic: &Topic) {
    let mut admin = site.admin();
    admin.delete_topics(std::slice::from_ref(topic)).unwrap();
    crate::process::until("the topic is gone", || admin.describe_topic(topic).unwrap().is_none().then_some(()));
}

#[test]
fn a_recreated_commands_topic_stops_the_handler_until_it_is_adopted() {
    let site = Site::new(2);
    let mut handler = site.handler(&[]);
    assert_eq!(site.deposit("anna", 100), 1);
    assert_eq!(site.deposit("anna", 10), 2);
    handler.stop();
    delete(&site, &site.topics().commands);
    assert!(site.run(&["topics", "create", BANK, "--partitions", "2"]).ok);

    let mut handler = site.handler(&[]);
    handler.says("was recreated; if its commands are new ones, run `factum topics adopt", 1);
    // Not while somebody could decide.
    assert!(!site.run(&["topics", "adopt", BANK]).ok);
    handler.stop();
    let adopted = site.run(&["topics", "adopt", BANK]);
    assert!(adopted.ok && adopted.stdout.contains("is taken as a new one"), "{adopted:?}");
    let mut handler = site.handler(&[]);
    assert_eq!(site.deposit("anna", 7), 3);
    assert_eq!(Books::read(&site).balances()["anna"], Balance { version: 3, cents: 117 });
    handler.stop();
}

#[test]
fn a_command_in_the_partition_of_librdkafkas_default_is_dead_lettered() {
    let site = Site::new(6);
    let mut handler = site.handler(&[]);
    let environment = site.environment();
    let topics = environment.topics(BANK);
    let account = (0..)
        .map(|number| format!("account-{number}"))
        .find(|key| crc32(key.as_bytes()) % 6 != partition_of(key.as_bytes(), 6).0)
        .unwrap();
    let value = Typed::<Account>::default().encoder(&environment).unwrap()("Deposit", &json!({ "cents": 1 })).unwrap();
    let wrong = Partition(crc32(account.as_bytes()) % 6);
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&topics.commands, wrong);
    record.key(account.as_bytes());
    record.value(&value);
    record.header(header::ID, ID.as_bytes());
    record.finish();
    let mut producer = environment.log.producer().unwrap();
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();

    let right = partition_of(account.as_bytes(), 6);
    handler.says("command dead-lettered", 1);
    handler.says(&format!("belongs to partition {right} of {} (murmur2", topics.commands), 1);
    let end = |topic: &Topic, partition| {
        site.admin().bounds(&topic.partition(partition), Isolation::ReadCommitted).unwrap().end.0
    };
    // The record and the transaction's marker.
    assert_eq!(end(&topics.dead_letters, wrong), 2);
    // The client that computes the partition has its first event.
    assert_eq!(site.deposit(&account, 1), 1);
    handler.stop();
}

/// CRC-32 as in zlib: the partitioner `consistent_random` of librdkafka.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn bytes_that_are_no_command_are_dead_lettered() {
    let site = Site::new(1);
    let mut handler = site.handler(&[]);
    let environment = site.environment();
    let topics = environment.topics(BANK);
    let mut batch = RecordBatch::new();
    for value in [&b"not avro"[..], b"\x00\x00\x00\x00\x01", b""] {
        let mut record = batch.start(&topics.commands, Partition(0));
        record.key(b"anna");
        record.value(value);
        if value == b"not avro" {
            record.header(header::ID, ID.as_bytes());
            record.header(header::REPLY_TO, b"0");
        }
        record.finish();
    }
    let mut producer = environment.log.producer().unwrap();
    producer.produce(&batch).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    handler.says("command dead-lettered", 3);

    // Whoever asked is told.
    let answers = AnswerCodec::for_reading(&environment.schemas).unwrap();
    let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
    reader.add(&topics.replies.partition(Partition(0)), Offset(0)).unwrap();
    let mut told = RecordBatch::new();
    let answer = until("an answer", || {
        reader.poll(10, Duration::from_millis(100), &mut told).unwrap();
        let value = told.iter().find(|record| record.key() == Some(ID.as_bytes()))?.value().unwrap();
        Some(environment.schemas.with_schema(|| answers.decode(value)).unwrap())
    });
    assert_eq!(answer.code.as_str(), "undecodable", "{answer:?}");

    assert_eq!(site.deposit("anna", 1), 1);
    let list = site.run(&["dead-letters", "list", BANK, "--code", "undecodable", "--json"]);
    let letters: Vec<Value> = list.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 3, "{list:?}");
    assert_eq!(
        (&letters[0]["key"], &letters[0]["command"]),
        (&json!("anna"), &json!(format!("{}/0@0", topics.commands)))
    );
    let shown = site.run(&["dead-letters", "show", BANK, letters[0]["letter"].as_str().unwrap()]);
    assert!(
        shown.ok && ["\"bytes\": 8", "dead-letter-cause", ID].into_iter().all(|text| shown.stdout.contains(text)),
        "{shown:?}"
    );
    let none = site.run(&["dead-letters", "list", BANK, "--code", "failed"]);
    assert!(none.ok && none.stdout.contains("no dead letters"), "{none:?}");
    site.run(&["dead-letters", "show", BANK, "0/999999"]).refused_with(&["there is no dead letter at"]);
    site.run(&["dead-letters", "show", BANK, "17"]).refused_with(&["give PARTITION/OFFSET, for example 3/17"]);
    handler.stop();
}

#[test]
fn a_registry_that_is_away_is_named() {
    let site = Site::new(2);
    let begun = Instant::now();
    let ran = site.run(&["run", "handler", BANK, "--registry", "http://127.0.0.1:1"]);
    ran.refused_with(&["http://127.0.0.1:1"]);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    works(&site);
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_named() {
    let site = Site::new(2);
    let file = site.path("kafka.properties");
    let start = |text: &str| {
        std::fs::write(&file, text).unwrap();
        site.run(&["topics", "check", BANK, "--kafka-config", file.to_str().unwrap()])
    };
    start("lingr.ms=5\n").refused_with(&["the property lingr.ms is refused"]);
    start("enable.auto.commit=true\n").refused_with(&["enable.auto.commit=true conflicts with the protocol"]);
    start("linger.ms\n").refused_with(&["line 1 is not name=value"]);
    let good = start("linger.ms=5\n");
    assert!(good.ok, "{good:?}");
}
