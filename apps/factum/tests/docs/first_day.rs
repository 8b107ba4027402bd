//! Every command of docs/first-day.md, in its order.

use crate::{
    outside::{Outside, free_ports},
    page::{Step, blocks_of},
    shell::Shell,
};
use std::process::Command;

/// Where the page finds the running process.
const HTTP: &str = "127.0.0.1:8710";
/// Where the page finds the local Kafka.
const KAFKA: &str = "127.0.0.1:9092";

/// Stops the local Kafka also when the test fails.
struct LocalKafka(std::path::PathBuf);

impl Drop for LocalKafka {
    fn drop(&mut self) {
        let mut factum = Command::new(env!("CARGO_BIN_EXE_factum"));
        factum.args(["kafka", "stop", "--delete-data", "--data"]).arg(&self.0).output().ok();
    }
}

#[test]
fn every_command_of_the_first_day_prints_what_the_page_shows() {
    let outside = Outside::new();
    let kafka = LocalKafka(outside.path().join("kafka"));
    // The ports of the page may be somebody else's on this machine.
    // One for HTTP, one each for the broker's clients and its controller.
    let port = free_ports(3);
    let (http, kafka_port) = (format!("127.0.0.1:{port}"), port + 1);
    let bootstrap = format!("127.0.0.1:{kafka_port}");
    let here = |text: &str| text.replace(HTTP, &http).replace(KAFKA, &bootstrap);
    let mut bash = outside.command("bash");
    bash.env("FACTUM_HTTP", &http)
        .env("FACTUM_KAFKA_PORT", kafka_port.to_string())
        .env("FACTUM_KAFKA_DATA", &kafka.0)
        // Containers are a test of their own, where there is an engine.
        .env("FACTUM_KAFKA_WITH", "jvm");
    let mut shell = Shell::start(bash);
    let mut commands = 0;
    for block in blocks_of("docs/first-day.md") {
        match (block.language.as_str(), &block.title) {
            ("console", _) => {
                for Step { command, prints } in block.steps() {
                    let prints = prints.iter().map(|line| here(line)).collect();
                    shell.run(&Step { command: here(&command), prints });
                    commands += 1;
                }
            }
            ("diff", Some(file)) => outside.write(file, &block.applied_to(&outside.read(file))),
            (_, Some(file)) => outside.write(file, &block.text),
            (language, None) => panic!("a block of {language:?} that is neither run nor written"),
        }
    }
    assert!(commands > 20, "only {commands} commands were found");
}

#[test]
fn the_first_day_begins_with_the_template_of_the_readme() {
    let files =
        |page: &str| blocks_of(page).into_iter().filter(|block| block.title.is_some()).take(2).collect::<Vec<_>>();
    assert_eq!(files("README.md"), files("docs/first-day.md"));
}
