//! What a process tells over HTTP while it works, while it cannot, and while it ends.

use crate::{
    process::{Process, until},
    site::{BANK, Site},
};
use factum_test_broker::OwnBrokers;
use reqwest::blocking::Client;
use serde_json::Value;

/// A process that is asked.
pub(crate) struct Observed {
    pub(crate) process: Process,
    client: Client,
    address: String,
}

impl Observed {
    /// Starts a processor with a server on a free port.
    pub(crate) fn start(site: &Site, verb: &[&str]) -> Self {
        let mut process = site.start(&[verb, &["--http", "127.0.0.1:0"]].concat());
        process.says("/metrics", 1);
        let said = process.stderr();
        let address = said.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
        let client = Client::builder().no_proxy().build().unwrap();
        Observed { process, client, address }
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.client.get(format!("http://{}{path}", self.address)).send().ok()?;
        Some((answer.status().as_u16(), answer.text().ok()?))
    }

    /// The sum of a metric's values whose labels contain these.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (status, text) = self.get("/metrics")?;
        assert_eq!(status, 200, "{text}");
        let lines =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// What `/readyz` gives as the reason for 503.
    pub(crate) fn hindrance(&self) -> Option<String> {
        let (status, text) = self.get("/readyz").filter(|(status, _)| *status == 503)?;
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["ready"], false, "{status}");
        Some(told["reason"].as_str().unwrap().to_owned())
    }
}

#[test]
fn the_metrics_follow_the_commands_and_the_events() {
    let site = Site::new(2);
    let handler = Observed::start(&site, &["run", "handler", BANK, "--workers", "2"]);
    let view = Observed::start(&site, &["run", "view", "balances"]);
    until("the handler is ready", || handler.is_ready().then_some(()));
    until("the view is ready", || view.is_ready().then_some(()));
    assert_eq!(handler.metric("factum_commands_total", &["outcome=\"accepted\""]), Some(0.0));
    site.deposit("anna", 100);
    site.deposit("bert", 50);
    let refused = site.publish("bert", "Withdraw", 80);
    assert!(refused.stdout.contains("refused") || refused.stderr.contains("refused"), "{refused:?}");

    let handled = |outcome: &str| handler.metric("factum_commands_total", &[&format!("outcome=\"{outcome}\"")]);
    until("the commands are counted", || (handled("accepted") == Some(2.0)).then_some(()));
    until("the refusal is counted", || (handled("refused") == Some(1.0)).then_some(()));
    assert_eq!(handler.metric("factum_events_total", &[BANK]), Some(2.0));
    assert_eq!(handler.metric("factum_batch_commands_sum", &[BANK]), Some(3.0));
    assert_eq!(handler.metric("factum_state_aggregates", &[BANK]), Some(2.0));
    assert!(handler.metric("factum_transaction_seconds_count", &[BANK]).unwrap() >= 3.0);
    until("nothing is left", || (handler.metric("factum_lag_records", &[]) == Some(0.0)).then_some(()));
    assert_eq!(handler.metric("factum_partitions", &["state=\"ready\""]), Some(2.0));
    until("the view has both", || {
        (view.metric("factum_view_events_total", &["outcome=\"applied\""]) == Some(2.0)).then_some(())
    });
    let (status, alive) = handler.get("/healthz").unwrap();
    assert_eq!((status, alive.matches("\"turns\":true").count()), (200, 2), "{alive}");
    // A web page that got our address by a name of its own.
    let foreign =
        handler.client.get(format!("http://{}/metrics", handler.address)).header("host", "evil.example").send();
    assert_eq!(foreign.unwrap().status().as_u16(), 421);
}

#[test]
fn a_handler_is_ready_while_its_broker_is_there_and_says_why_not() {
    let brokers = OwnBrokers::start(1);
    let site = Site::on(brokers.bootstrap(), 1);
    let mut handler = Observed::start(&site, &["run", "handler", BANK]);
    until("it is ready", || handler.is_ready().then_some(()));
    brokers.kill(1);
    until("it is not ready without a broker, and says so", || {
        handler.hindrance().filter(|why| why.contains("waiting-for-log"))
    });
    assert_eq!(handler.get("/healthz").unwrap().0, 200, "a restart would not help");
    brokers.restart(1);
    until("it is ready again", || handler.is_ready().then_some(()));
    assert_eq!(site.deposit("anna", 1), 1);
    handler.process.stop();
    assert_eq!(handler.get("/healthz"), None);
}

/// It may be gone before it is asked: then another is tried.
const ATTEMPTS: usize = 10;

#[test]
fn a_process_that_stops_is_not_ready_any_more() {
    let site = Site::new(1);
    let asked = (0..ATTEMPTS).any(|_| {
        let mut handler = Observed::start(&site, &["run", "handler", BANK]);
        until("it is ready", || handler.is_ready().then_some(()));
        handler.process.signal("TERM");
        let mut told = Vec::new();
        while let Some((status, text)) = handler.get("/readyz") {
            told.push((status, text.contains("\"reason\":\"stopping\"")));
        }
        assert!(handler.process.finish().success());
        // From 200 to 503, and never back.
        told.dedup();
        assert!(matches!(told[..], [] | [(200, false)] | [(503, true)] | [(200, false), (503, true)]), "{told:?}");
        told.ends_with(&[(503, true)])
    });
    assert!(asked, "{ATTEMPTS} processes had ended before they were asked");
}

#[test]
fn a_port_in_use_is_named() {
    let site = Site::new(1);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = site.run(&["run", "handler", BANK, "--http", &address]);
    refused.refused_with(&[&format!("{address} is in use; choose another with --http")]);
}
