//! The brokers that tests get: shared, own, killed and restarted.

use factum_test_broker::{OwnBrokers, bootstrap, kafka_tool, unique};
use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

const TOPIC_TOOL: &str = "org.apache.kafka.tools.TopicCommand";

#[test]
fn the_shared_broker_takes_topics_and_never_makes_them_up() {
    let topic = unique("shared");
    let server = ["--bootstrap-server", bootstrap()];
    let run = |rest: &[&str]| kafka_tool(TOPIC_TOOL, &[&server, rest].concat());
    run(&["--describe", "--topic", &topic]).unwrap_err();
    run(&["--create", "--topic", &topic, "--partitions", "3"]).unwrap();
    let described = run(&["--describe", "--topic", &topic]).unwrap();
    assert!(described.stdout.contains("PartitionCount: 3"), "{described:?}");
}

#[test]
fn names_are_unique() {
    assert_ne!(unique("topic"), unique("topic"));
    assert!(unique("topic").starts_with("topic-"));
}

#[test]
fn own_brokers_replicate_and_survive_a_kill_and_stop_with_their_owner() {
    let brokers = OwnBrokers::start(3);
    let ports: Vec<String> = brokers.bootstrap().split(',').map(str::to_owned).collect();
    assert_eq!(ports.len(), 3);
    let create = ["--create", "--topic", "replicated", "--partitions", "1"];
    kafka_tool(TOPIC_TOOL, &[&["--bootstrap-server", brokers.bootstrap()], &create[..]].concat()).unwrap();

    brokers.kill(2);
    assert!(!answers(&ports[1]));
    let server = ["--bootstrap-server", &ports[0]];
    let described = kafka_tool(TOPIC_TOOL, &[&server[..], &["--describe", "--topic", "replicated"]].concat()).unwrap();
    assert!(described.stdout.contains("ReplicationFactor: 3"), "{described:?}");
    brokers.restart(2);
    assert!(answers(&ports[1]));

    drop(brokers);
    let deadline = Instant::now() + Duration::from_secs(5);
    while ports.iter().any(|port| answers(port)) {
        assert!(Instant::now() < deadline, "a broker outlived its owner");
    }
}

fn answers(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().expect("an address"), Duration::from_secs(1)).is_ok()
}
