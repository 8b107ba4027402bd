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
    let deadline = Instant::now() + Duration::from_secs(60);
    while ports.iter().any(|port| answers(port)) {
        assert!(Instant::now() < deadline, "a broker outlived its owner");
    }
}

fn answers(address: &str) -> bool {
    TcpStream::connect_timeout(&address.parse().expect("an address"), Duration::from_secs(10)).is_ok()
}

/// With the feature `docker` the shared broker is a container; an engine must answer.
#[cfg(feature = "docker")]
#[test]
fn a_container_is_gone_when_its_process_is() {
    use std::process::{Child, Command, Stdio};
    let containers = |owner: &Child| {
        let label = format!("label=factum.test-process={}", owner.id());
        let listed = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &label]).output().unwrap();
        assert!(listed.status.success(), "no Docker engine answers: {}", String::from_utf8_lossy(&listed.stderr));
        String::from_utf8(listed.stdout).unwrap().lines().count()
    };
    let wait_for = |owner: &Child, count: usize| {
        // Its image may have to be built first.
        let deadline = Instant::now() + Duration::from_secs(600);
        while containers(owner) != count {
            assert!(Instant::now() < deadline, "not {count} containers of process {}", owner.id());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // This test program with another of its tests; its broker is not given.
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_shared_broker_takes_topics_and_never_makes_them_up"])
        .env_remove("KAFKA_BOOTSTRAP")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&process, 1);
    // In the midst of it, and without a chance to tidy up.
    process.kill().unwrap();
    process.wait().unwrap();
    wait_for(&process, 0);
}
