//! The shared broker as a container.

use crate::script::KAFKA;
use factum_test_scripts::bash;
use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};
use testcontainers_modules::{
    kafka::apache::{KAFKA_PORT, Kafka},
    testcontainers::{Container, ContainerRequest, ImageExt, runners::SyncRunner},
};

/// The image's tag: the version that `kafka.sh` has.
const TAG: &str = "4.3.0";
/// The image's name.
const IMAGE: &str = "apache/kafka";
/// The label that tells whose container it is, by process id.
const OWNER: &str = "factum.test-process";
/// What `kafka.sh` sets for any number of brokers.
const SETTINGS: &str = include_str!("../../../deploy/kafka/broker.properties");
/// What it sets for one broker.
const ONE_BROKER: &[(&str, &str)] = &[
    ("default.replication.factor", "1"),
    ("min.insync.replicas", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
];

/// The bootstrap address of a container that lives as long as this process;
/// none where no Docker engine answers. Call it once.
///
/// # Panics
/// When an engine answers and the container does not start, or its image can
/// neither be pulled nor built.
pub(crate) fn bootstrap() -> Option<String> {
    // A container that is dropped is removed, and a static is never dropped.
    static RUNNING: OnceLock<(Container<Kafka>, Child)> = OnceLock::new();
    if !engine_answers() {
        return None;
    }
    let (container, _) = RUNNING.get_or_init(|| {
        provide_image(&format!("{IMAGE}:{TAG}"));
        let name = crate::unique("factum-test-broker");
        let life = remove_afterwards(&name);
        let container = request()
            .with_container_name(name)
            .with_label(OWNER, std::process::id().to_string())
            .start()
            .unwrap_or_else(|e| panic!("the container {IMAGE}:{TAG} does not start: {e}"));
        (container, life)
    });
    let port = container
        .get_host_port_ipv4(KAFKA_PORT)
        .unwrap_or_else(|e| panic!("the container {IMAGE}:{TAG} has no port: {e}"));
    Some(format!("127.0.0.1:{port}"))
}

/// The broker that this process asks for.
fn request() -> ContainerRequest<Kafka> {
    let lines = SETTINGS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    lines
        .chain(ONE_BROKER.iter().copied())
        .fold(Kafka::default().with_jvm_image().with_tag(TAG), |request, (name, value)| {
            request.with_env_var(variable(name), value)
        })
}

/// How the image takes a setting.
fn variable(setting: &str) -> String {
    format!("KAFKA_{}", setting.to_uppercase().replace('.', "_"))
}

fn engine_answers() -> bool {
    docker(&["info"])
}

/// Has the image there: it is already, or it is pulled, or else built here, which takes minutes.
fn provide_image(image: &str) {
    // Whoever waits here finds it afterwards.
    let _providing = KAFKA.lock("image.lock");
    if docker(&["image", "inspect", image]) || docker(&["pull", "--quiet", image]) {
        return;
    }
    let built = bash("deploy/kafka/image.sh", [image]);
    assert!(
        built.status.success(),
        "the image {image} cannot be pulled, nor built: {}",
        String::from_utf8_lossy(&built.stderr).trim()
    );
}

/// Whether Docker does it.
fn docker(arguments: &[&str]) -> bool {
    let asked = Command::new("docker").args(arguments).output();
    asked.is_ok_and(|answer| answer.status.success())
}

/// Has a container removed once the pipe to the returned process closes, however
/// this process ends. Nothing else would: a test program drops no statics.
fn remove_afterwards(name: &str) -> Child {
    Command::new("sh")
        .args(["-c", "cat; docker rm -f -v \"$1\"", "sh", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Else Ctrl-C ends it too.
        .process_group(0)
        .spawn()
        .unwrap_or_else(|e| panic!("sh cannot be run: {e}"))
}
