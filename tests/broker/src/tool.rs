//! Kafka's own Java tools.

use crate::script::KAFKA;

/// What a tool printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    /// Its answer.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// Runs one of Kafka's Java tools (1 to 3 seconds) with the arguments of its command line:
///
/// ```no_run
/// factum_test_broker::kafka_tool(
///     "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
///     &["--bootstrap-server", factum_test_broker::bootstrap(), "--list"],
/// ).expect("the tool works");
/// ```
///
/// # Errors
/// What the tool printed, when its exit code is not 0.
///
/// # Panics
/// When Java or the jars are missing.
pub fn kafka_tool(class: &str, arguments: &[&str]) -> Result<ToolOutput, ToolOutput> {
    let output = KAFKA.run(["tools", class].iter().chain(arguments));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = ToolOutput { stdout: text(&output.stdout), stderr: text(&output.stderr) };
    // The script's own complaints are about the machine, not about the call.
    assert!(!printed.stderr.starts_with("kafka.sh: ") || output.status.success(), "{}", printed.stderr);
    if output.status.success() { Ok(printed) } else { Err(printed) }
}
