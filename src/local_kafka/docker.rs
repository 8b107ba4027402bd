//! Brokers as containers of the image that the Kafka project publishes.

use super::{Cluster, SETTINGS, VERSION};
use factum_core::{Error, Result};
use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use uuid::Uuid;

const READY: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Any 16 bytes as Kafka writes ids; each cluster has volumes of its own.
const CLUSTER_ID: &str = "ZmFjdHVtLWxvY2FsLTAwMQ";

/// Whether an engine answers and has the image, or gets it; else why not.
pub(super) fn ready(tell: &impl Fn(&str)) -> Result<(), String> {
    docker(&["info", "--format", "{{.ServerVersion}}"]).map_err(|_| "no Docker engine answers".to_owned())?;
    if docker(&["image", "inspect", &image()]).is_ok() {
        return Ok(());
    }
    tell(&format!("pulling the image {}", image()));
    docker(&["pull", "--quiet", &image()])
        .map(drop)
        .map_err(|why| format!("the image {} cannot be had: {why}", image()))
}

pub(super) fn start(data: &Path, cluster: &Cluster) -> Result<()> {
    let name = name(data);
    // Remains of a start that was cut off; volumes stay.
    remove(&name, cluster);
    run(&["network", "create", &name])?;
    let started = start_all(&name, cluster);
    if started.is_err() {
        remove(&name, cluster);
    }
    started
}

pub(super) fn stop(data: &Path, cluster: &Cluster) -> Result<()> {
    let name = name(data);
    let containers: Vec<String> = (1..=cluster.brokers).map(|broker| container(&name, broker)).collect();
    let there: Vec<&str> = containers.iter().map(String::as_str).filter(|one| is_there(one)).collect();
    if !there.is_empty() {
        // All at once: the last ones of a cluster have no quorum to leave in good order.
        run(&[&["stop", "--time", "20"], &there[..]].concat())?;
    }
    remove(&name, cluster);
    Ok(())
}

pub(super) fn delete(data: &Path, cluster: &Cluster) -> Result<()> {
    let name = name(data);
    for broker in 1..=cluster.brokers {
        run(&["volume", "rm", "--force", &container(&name, broker)])?;
    }
    Ok(())
}

/// A line about each broker; or what is down.
pub(super) fn status(data: &Path, cluster: &Cluster) -> Result<Vec<String>, String> {
    let name = name(data);
    let line = |broker: u16| {
        let container = container(&name, broker);
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &container]).unwrap_or_default();
        let port = port(cluster, broker);
        if matches!(pid.trim(), "" | "0") {
            return Err(format!("broker {broker}: down"));
        }
        Ok(format!("broker {broker}: process {}, 127.0.0.1:{port}, container {container}", pid.trim()))
    };
    (1..=cluster.brokers).map(line).collect()
}

fn start_all(name: &str, cluster: &Cluster) -> Result<()> {
    for broker in 1..=cluster.brokers {
        let container = container(name, broker);
        let publish = format!("127.0.0.1:{}:9092", port(cluster, broker));
        let volume = format!("{container}:/var/lib/kafka/data");
        let mut arguments: Vec<String> =
            ["run", "--detach", "--name", &container, "--network", name, "--publish", &publish, "--volume", &volume]
                .map(String::from)
                .into();
        for setting in settings(name, broker, cluster) {
            arguments.extend(["--env".to_owned(), setting]);
        }
        arguments.push(image());
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    let deadline = Instant::now() + READY;
    for broker in 1..=cluster.brokers {
        let container = container(name, broker);
        while !answers(&container, port(cluster, broker))? {
            if Instant::now() > deadline {
                return Err(Error::unavailable(format!("{container} is not ready after {} s", READY.as_secs())));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(())
}

/// Whether a broker is ready; an error when it has ended.
fn answers(container: &str, port: u16) -> Result<bool> {
    let state = run(&["inspect", "--format", "{{.State.Status}}", container])?;
    // The broker logs to standard output.
    let log = run(&["logs", "--tail", "200", container])?;
    if state.trim() == "exited" {
        let last = log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        return Err(Error::unavailable(format!("{container} ended at its start:\n{last}")));
    }
    Ok(log.contains("Kafka Server started") && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
}

/// The variables by which the image takes a broker's settings.
fn settings(name: &str, broker: u16, cluster: &Cluster) -> Vec<String> {
    let (replicas, in_sync) = if cluster.brokers < 3 { (1, 1) } else { (3, 2) };
    let voters: Vec<String> =
        (1..=cluster.brokers).map(|broker| format!("{broker}@{}:9094", container(name, broker))).collect();
    let advertised = format!("HOST://127.0.0.1:{},INTERNAL://{}:9093", port(cluster, broker), container(name, broker));
    let own = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", broker.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", "HOST://0.0.0.0:9092,INTERNAL://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094".to_owned()),
        ("advertised.listeners", advertised),
        ("listener.security.protocol.map", "HOST:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("inter.broker.listener.name", "INTERNAL".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("log.dirs", "/var/lib/kafka/data".to_owned()),
        ("default.replication.factor", replicas.to_string()),
        ("min.insync.replicas", in_sync.to_string()),
        ("offsets.topic.replication.factor", replicas.to_string()),
        ("transaction.state.log.replication.factor", replicas.to_string()),
        ("transaction.state.log.min.isr", in_sync.to_string()),
    ];
    let shared = SETTINGS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let variable = |name: &str, value: &str| format!("KAFKA_{}={value}", name.to_uppercase().replace('.', "_"));
    let shared = shared.map(|(name, value)| variable(name, value));
    let own = own.iter().map(|(name, value)| variable(name, value));
    shared.chain(own).chain([format!("CLUSTER_ID={CLUSTER_ID}")]).collect()
}

/// Removes containers and network, not the volumes. What is not there is as it should be.
fn remove(name: &str, cluster: &Cluster) {
    for broker in 1..=cluster.brokers {
        docker(&["rm", "--force", &container(name, broker)]).unwrap_or_default();
    }
    docker(&["network", "rm", name]).unwrap_or_default();
}

fn image() -> String {
    format!("apache/kafka:{VERSION}")
}

/// The name of a folder's network; containers and volumes begin with it.
fn name(data: &Path) -> String {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, data.as_os_str().as_encoded_bytes()).simple().to_string();
    format!("factum-kafka-{}", &hash[..8])
}

fn container(name: &str, broker: u16) -> String {
    format!("{name}-{broker}")
}

fn port(cluster: &Cluster, broker: u16) -> u16 {
    cluster.port.saturating_add(broker - 1)
}

fn is_there(container: &str) -> bool {
    docker(&["inspect", "--format", "{{.Id}}", container]).is_ok()
}

fn run(arguments: &[&str]) -> Result<String> {
    let verb = arguments.first().copied().unwrap_or_default();
    docker(arguments).map_err(|why| Error::unavailable(format!("docker {verb}: {why}")))
}

/// What the command line of Docker prints; or why it failed.
fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|error| format!("docker: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
