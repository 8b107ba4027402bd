//! The README's commands for the bank, with the binary that is built for the tests.

use crate::{
    outside::{Outside, free_ports},
    page::{Step, blocks_of},
    shell::Shell,
};

/// How the README calls the binary.
const FACTUM: &str = "cargo run --";
/// Where the README finds the running process.
const HTTP: &str = "127.0.0.1:8710";
/// What runs this test.
const TESTS: &str = "cargo test --workspace";

#[test]
fn the_readmes_commands_print_what_it_shows() {
    let outside = Outside::new();
    let http = format!("127.0.0.1:{}", free_ports(1));
    let here = |text: &str| text.replace(HTTP, &http).replace(FACTUM, env!("CARGO_BIN_EXE_factum"));
    let mut shell = Shell::start(outside.command("bash"));
    let consoles = blocks_of("README.md").into_iter().filter(|block| block.language == "console");
    let steps: Vec<Step> = consoles.flat_map(|block| block.steps()).filter(|step| step.command != TESTS).collect();
    assert!(steps.len() > 7, "only {} commands were found", steps.len());
    for Step { command, prints } in steps {
        // Only the process that keeps running takes an address; the first command has none.
        let address = if command.ends_with('&') { format!("FACTUM_HTTP={http} ") } else { String::new() };
        let prints = prints.iter().map(|line| here(line)).collect();
        shell.run(&Step { command: format!("{address}{}", here(&command)), prints });
    }
}
