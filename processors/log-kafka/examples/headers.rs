//! What the headers of an event cost: the bare loop of `yardstick`, with four
//! ways to write them, in turns (`docs/decisions/0001-event-header.md`).
//!
//! `cargo run --release -p factum-log-kafka --example headers -- [COMMANDS [ROUNDS [COMPRESSION]]]`,
//! with the broker of the tests (`KAFKA_BOOTSTRAP`, else one is started).
#![allow(clippy::print_stdout)] // It is a program for people.

use factum_core::wire::{EVENT_HEADER, EventHeader, TraceContext};
use factum_core::{CommandId, Offset, Partition, RecordBatch, TimestampMs, Topic, Version, partition_of};
use factum_log_kafka::yardstick::{EventHeaders, Measured, Yardstick};
use factum_test_broker::{bootstrap, kafka_tool, unique};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{collections::BTreeMap, collections::HashMap, error::Error, time::Duration};

const PARTITIONS: u32 = 6;
const KEYS: u64 = 10_000;
const COMMAND_BYTES: usize = 95;
const EVENT_BYTES: usize = 69;
const TRANSACTION_RECORDS: usize = 5_000;
const SOURCE: &str = "bank-handler/instance-1/0.1.0";
const TRACE: TraceContext = TraceContext { trace_id: [0x5a; 16], parent_id: [0xa5; 8], flags: 1 };
const TRACE_TEXT: &[u8] = b"00-5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a-a5a5a5a5a5a5a5a5-01";
const TIME_MS: i64 = 1_767_225_600_000;
const TIME_TEXT: &[u8] = b"2026-01-01T00:00:00.000Z";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Variant {
    /// No headers at all.
    None,
    /// One binary header without trace, source and correlation id: what the protocol itself needs.
    Short,
    /// One binary header with everything.
    Binary,
    /// Everything as text, CloudEvents and extensions, a header for each.
    Text,
}

impl Variant {
    const ALL: [Variant; 4] = [Variant::None, Variant::Short, Variant::Binary, Variant::Text];
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let commands: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let rounds: usize = arguments.next().map_or(Ok(3), |text| text.parse())?;
    let compression = arguments.next().unwrap_or_else(|| "none".to_owned());

    let topic = new_topic("commands")?;
    produce(&topic, commands)?;
    println!("{commands} commands, {rounds} rounds, compression {compression}");
    println!("| headers | commands/s | ratio | CPU µs a command | ratio | every run, commands/s |");
    println!("|---|---|---|---|---|---|");

    let mut runs: Vec<(Variant, Measured)> = Vec::new();
    for round in 0..rounds {
        for variant in Variant::ALL {
            let measured = run(variant, &topic, commands, &compression)?;
            eprintln!("round {round}, {variant:?}: {measured:?}");
            runs.push((variant, measured));
        }
    }
    let of = |variant| runs.iter().filter(move |(v, _)| *v == variant).map(|(_, measured)| measured);
    let rate = |m: &Measured| m.records as f64 / m.seconds;
    let cpu = |m: &Measured| m.cpu_seconds.unwrap_or(f64::NAN) * 1e6 / m.records as f64;
    let (base_rate, base_cpu) = (median(of(Variant::None).map(rate)), median(of(Variant::None).map(cpu)));
    for variant in Variant::ALL {
        let (rates, cpus) = (median(of(variant).map(rate)), median(of(variant).map(cpu)));
        let all: Vec<String> = of(variant).map(|m| format!("{:.0}", rate(m))).collect();
        let (rate_ratio, cpu_ratio) = (rates / base_rate, cpus / base_cpu);
        println!("| {variant:?} | {rates:.0} | {rate_ratio:.2} | {cpus:.2} | {cpu_ratio:.2} | {} |", all.join(", "));
    }
    Ok(())
}

fn run(variant: Variant, commands: &str, records: u64, compression: &str) -> Result<Measured, Box<dyn Error>> {
    let yardstick = Yardstick {
        bootstrap: bootstrap().to_owned(),
        commands: commands.to_owned(),
        events: new_topic("events")?,
        group: unique("headers"),
        records,
        transaction_records: TRANSACTION_RECORDS,
        consumer_settings: BTreeMap::new(),
        producer_settings: BTreeMap::from([("compression.type".to_owned(), compression.to_owned())]),
    };
    let mut balances: HashMap<Box<[u8]>, u64> = HashMap::new();
    let step = |key: &[u8], command: &[u8], event: &mut Vec<u8>| {
        let cents = u64::from(command[5]);
        let balance = match balances.get_mut(key) {
            Some(balance) => balance,
            None => balances.entry(key.into()).or_default(),
        };
        *balance += cents;
        event.extend_from_slice(&command[..EVENT_BYTES - 8]);
        event.extend_from_slice(&balance.to_be_bytes());
    };
    let measured = match variant {
        Variant::None => yardstick.run_with_headers(step, |_, _, _| {}),
        Variant::Short => yardstick.run_with_headers(step, short_header),
        Variant::Binary => yardstick.run_with_headers(step, binary_header()),
        Variant::Text => yardstick.run_with_headers(step, text_headers),
    };
    kafka_tool(TOPIC_TOOL, &["--bootstrap-server", bootstrap(), "--delete", "--topic", &yardstick.events])
        .map_err(|printed| printed.stderr)?;
    Ok(measured?)
}

/// The handler's way: one header, built in the batch that is produced.
fn binary_header() -> impl FnMut(&[u8], &[u8], &mut EventHeaders) {
    let (mut batch, topic) = (RecordBatch::new(), Topic::from("events"));
    move |command_id, _, headers| {
        let command = CommandId::parse(command_id).unwrap_or(CommandId([0; 16]));
        batch.clear();
        let mut record = batch.start(&topic, Partition(0));
        EventHeader {
            version: Version(u64::from(command.0[15])),
            command,
            command_offset: Offset(1_000_000),
            index: 0,
            size: 1,
            occurred: TimestampMs(TIME_MS),
            correlation: command,
            cause: None,
            trace: Some(TRACE),
            source: SOURCE,
        }
        .write(&mut record);
        record.finish();
        headers.add(EVENT_HEADER, batch.get(0).header(EVENT_HEADER).unwrap_or_default());
    }
}

/// Layout byte, flags, version, command id, its offset, index and size: 50 bytes with the time it occurred.
fn short_header(command_id: &[u8], _: &[u8], headers: &mut EventHeaders) {
    let command = CommandId::parse(command_id).unwrap_or(CommandId([0; 16]));
    let mut bytes = [0u8; 50];
    bytes[0] = 1;
    bytes[2..10].copy_from_slice(&u64::from(command.0[15]).to_be_bytes());
    bytes[10..26].copy_from_slice(&command.0);
    bytes[26..34].copy_from_slice(&1_000_000i64.to_be_bytes());
    bytes[38..42].copy_from_slice(&1u32.to_be_bytes());
    bytes[42..50].copy_from_slice(&TIME_MS.to_be_bytes());
    headers.add(EVENT_HEADER, &bytes);
}

/// The CloudEvents Kafka binding with our extensions. What can be a constant
/// or passed on as it came is, so this is the cheapest form of it.
fn text_headers(command_id: &[u8], key: &[u8], headers: &mut EventHeaders) {
    let mut text = [0u8; 64];
    text[..36].copy_from_slice(&command_id[..36]);
    headers.reserve(11);
    text[36..38].copy_from_slice(b"/0");
    headers.add("ce_id", &text[..38]);
    headers.add("ce_type", b"bank.account.Deposited");
    headers.add("ce_source", SOURCE.as_bytes());
    headers.add("ce_specversion", b"1.0");
    headers.add("ce_time", TIME_TEXT);
    headers.add("ce_subject", key);
    headers.add("version", u32::from(command_id[35]).to_string().as_bytes());
    text[36..48].copy_from_slice(b",1000000,0,1");
    headers.add("batch", &text[..48]);
    headers.add("causation-id", &text[..36]);
    headers.add("correlation-id", &text[..36]);
    headers.add("traceparent", TRACE_TEXT);
}

const TOPIC_TOOL: &str = "org.apache.kafka.tools.TopicCommand";

fn new_topic(name: &str) -> Result<String, Box<dyn Error>> {
    let topic = unique(name);
    let partitions = PARTITIONS.to_string();
    let arguments = ["--bootstrap-server", bootstrap(), "--create", "--topic", &topic, "--partitions", &partitions];
    kafka_tool(TOPIC_TOOL, &arguments).map_err(|printed| printed.stderr)?;
    Ok(topic)
}

fn produce(topic: &str, commands: u64) -> Result<(), Box<dyn Error>> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).set("enable.idempotence", "true").create()?;
    for number in 0..commands {
        let key = format!("account-{}", number % KEYS);
        // A digit of the number moves the amounts about; the rest stands for the command's other fields.
        let mut value = vec![b'x'; COMMAND_BYTES];
        value[..6].copy_from_slice(&[0, 0, 0, 0, 1, u8::try_from(number % 100)?]);
        let id = format!("{number:08x}-0000-7000-8000-{number:012x}");
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "ce_id", value: Some(&id) });
        let partition = i32::try_from(partition_of(key.as_bytes(), PARTITIONS).0)?;
        let mut record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value).headers(headers);
        while let Err((error, again)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(rdkafka::types::RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = again;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
