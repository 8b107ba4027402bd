//! The bare loop does what it measures.

use factum_log_kafka::yardstick::Yardstick;
use factum_test_broker::{bootstrap, kafka_tool, unique};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

#[test]
fn every_command_gives_one_committed_event_in_its_partition() {
    let (commands, events) = (topic("commands"), topic("events"));
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap();
    for number in 0..250u32 {
        let key = number.to_string();
        let record = BaseRecord::to(&commands).partition((number % 2).cast_signed()).key(&key).payload("command");
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();

    let yardstick = Yardstick {
        bootstrap: bootstrap().to_owned(),
        commands,
        events: events.clone(),
        group: unique("yardstick"),
        records: 250,
        transaction_records: 100,
        consumer_settings: BTreeMap::new(),
        producer_settings: BTreeMap::new(),
    };
    let mut calls = 0;
    let measured = yardstick
        .run(|key, command, event| {
            assert_eq!(command, b"command");
            calls += 1;
            event.extend_from_slice(key);
        })
        .unwrap();
    assert_eq!((calls, measured.records, measured.transactions), (250, 250, 3));
    assert!(measured.seconds > 0.0);

    let mut expected: Vec<(i32, String)> =
        (0..250u32).map(|number| ((number % 2).cast_signed(), number.to_string())).collect();
    expected.sort();
    assert_eq!(committed_events(&events, expected.len()), expected);
}

/// Partition and value of what a reader of committed records finds, sorted.
#[allow(clippy::unwrap_used)] // A helper of a test.
fn committed_events(topic: &str, count: usize) -> Vec<(i32, String)> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap())
        .set("group.id", unique("reader"))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    reader.subscribe(&[topic]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut found = Vec::new();
    while found.len() < count && Instant::now() < deadline {
        if let Some(message) = reader.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            assert_eq!(message.key(), message.payload());
            found.push((message.partition(), String::from_utf8(message.payload().unwrap().to_vec()).unwrap()));
        }
    }
    found.sort();
    found
}

fn topic(name: &str) -> String {
    let topic = unique(name);
    let arguments = ["--bootstrap-server", bootstrap(), "--create", "--topic", &topic, "--partitions", "2"];
    kafka_tool("org.apache.kafka.tools.TopicCommand", &arguments).expect("the topic is new");
    topic
}
