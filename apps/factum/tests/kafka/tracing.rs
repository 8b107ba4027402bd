//! A trace from the command line through the events to the spans of the processors.

use crate::{
    process::{Process, until},
    site::{BANK, Site},
};
use serde_json::Value;

/// Whether the process, which logs JSON, has had a span of that name with that trace, perhaps
/// among others: how many commands or events share a batch is a matter of timing.
fn had_span(process: &Process, name: &str, trace_id: &str) -> Option<()> {
    let text = process.stderr();
    // The last line may be half written.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let spans = lines.flat_map(|line| line["spans"].as_array().cloned().unwrap_or_default());
    let has_trace =
        |span: &Value| span["trace_ids"].as_str().is_some_and(|ids| ids.split(',').any(|id| id == trace_id));
    let mut traced = spans.filter(|span| span["name"] == name && has_trace(span));
    traced.next().map(|_| ())
}

#[test]
fn a_trace_goes_from_the_command_line_to_the_event_and_to_the_view() {
    let site = Site::new(2);
    let json = ["--log-format", "json", "--log", "debug,librdkafka=error"];
    let mut handler = site.handler(&json);
    let mut view = site.start(&[&["run", "view", "balances"][..], &json].concat());
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let context = format!("00-{trace_id}-b7ad6b7169203331-01");
    let deposit = |option: &str| site.run(&["publish", BANK, "anna", "Deposit", "{\"cents\": 5}", "--json", option]);
    assert_eq!(deposit(&format!("--trace={context}")).json()["trace"], context);
    // Without a value it begins one.
    let begun = deposit("--trace").json()["trace"].as_str().unwrap().to_owned();
    assert!(begun.starts_with("00-") && begun.ends_with("-01") && begun != context, "{begun}");
    deposit("--trace=00-0-0-0").refused_with(&["not a W3C trace context"]);

    let history = site.run(&["history", BANK, "anna", "--json"]).stdout;
    let traces: Vec<Value> =
        history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["trace"].clone()).collect();
    assert_eq!(traces, [context, begun]);
    until("the handler's span", || had_span(&handler, "command.handle", trace_id));
    until("the view's span", || had_span(&view, "view.batch", trace_id));
    handler.stop();
    view.stop();
}
