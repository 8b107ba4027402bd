//! Live updates over HTTP: they go on behind what was seen, also in the next process.

use crate::{
    process::until,
    site::{BANK, Site},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An open stream.
struct Stream {
    lines: BufReader<TcpStream>,
    /// The last `id`.
    id: String,
}

impl Stream {
    fn open(address: SocketAddr, path: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let last = last.map(|last| format!("Last-Event-ID: {last}\r\n")).unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n").unwrap();
        let mut stream = Stream { lines: BufReader::new(stream), id: String::new() };
        let status = stream.line();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        // Its first words are its position.
        while stream.id.is_empty() {
            stream.line();
        }
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the stream ended");
        let line = line.trim_end().to_owned();
        if let Some(id) = line.strip_prefix("id: ") {
            self.id = id.to_owned();
        }
        line
    }

    /// The next update.
    fn next(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

const OTHER_TOPIC: &str = "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10";
const EVENTS: &str = "/bank/account/anna/events";

#[test]
fn the_events_of_an_aggregate_go_on_behind_the_last_one_seen_also_after_a_restart() {
    let site = Site::new();
    let mut up = site.serve();
    let deposit = |up: &crate::site::Up, account: &str, cents: u32| {
        let path = format!("/bank/account/{account}/commands/Deposit");
        let answer = up.client().post(&path, &[], &json!({ "cents": cents }).to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    deposit(&up, "anna", 1);
    let mut stream = Stream::open(up.address, EVENTS, None);
    deposit(&up, "ben", 7);
    deposit(&up, "anna", 2);
    let second = stream.next();
    assert_eq!((&second["version"], &second["event"]), (&json!(2), &json!({ "cents": 2 })));
    let seen = stream.id.clone();
    let third = deposit(&up, "anna", 3);
    drop(stream);
    up.process.stop();
    let up = site.serve();
    deposit(&up, "anna", 4);
    let mut stream = Stream::open(up.address, EVENTS, Some(&seen));
    let versions: Vec<Value> = (0..2).map(|_| stream.next()["version"].clone()).collect();
    assert_eq!(versions, [json!(3), json!(4)]);
    // A command's token is a position as well.
    let token = third["token"].as_str().unwrap();
    let mut stream = Stream::open(up.address, &format!("{EVENTS}?after={token}"), None);
    assert_eq!(stream.next()["version"], 4);
}

#[test]
fn the_rows_that_events_touch_are_told_once_the_view_has_them() {
    let site = Site::new();
    let up = site.serve();
    let path = "/views/balances/changes";
    let mut stream = Stream::open(up.address, path, None);
    let begin = stream.id.clone();
    assert_eq!(site.deposit("o'hara", 5), 1);
    let change = stream.next();
    assert_eq!((&change["key"], &change["row"]["balance"]), (&json!("o'hara"), &json!(5)));
    assert_eq!(site.deposit("anna", 7), 1);
    assert_eq!(stream.next()["key"], "anna");
    // From where the stream began, both are told again, as they are now.
    let mut again = Stream::open(up.address, path, Some(&begin));
    let mut keys: Vec<Value> = (0..2).map(|_| again.next()["key"].clone()).collect();
    keys.sort_by_key(ToString::to_string);
    assert_eq!(keys, [json!("anna"), json!("o'hara")]);
}

#[test]
fn a_position_that_is_none_of_this_log_is_refused_and_the_next_good_one_is_served() {
    let site = Site::new();
    let up = site.serve();
    assert_eq!(site.deposit("anna", 5), 1);
    let client = up.client();
    let good = Stream::open(up.address, EVENTS, None).id;
    // An answer's own token is a position in plain text.
    let fields = r#"{"cents": 5}"#;
    let plain = site.run(&["publish", BANK, "anna", "Deposit", fields, "--json"]).json()["token"].clone();
    let (place, id) = plain.as_str().unwrap().split_once('#').unwrap();
    let partition = place.split('@').next().unwrap();
    let refused = |after: &str, text: &str| {
        client.get(&format!("{EVENTS}?after={}", after.replace('#', "%23"))).is_problem(400, &[text]);
    };
    refused("yesterday", "\"yesterday\" is not a position token");
    refused(&format!("{partition}@99#{id}"), "it has offsets from 0 to");
    refused("bank.account.events/77@0", "names bank.account.events/77, which is not followed here");
    assert_ne!(id, OTHER_TOPIC);
    refused(&format!("{place}#{OTHER_TOPIC}"), "the position is of another topic");
    client.get("/views/balance/changes").is_problem(404, &["there is no view \"balance\" here"]);
    client.get(&format!("{EVENTS}?since=1")).is_problem(400, &["since"]);
    Stream::open(up.address, EVENTS, Some(&good));
    until("the process serves on", || (client.get("/bank/account/anna").status == 200).then_some(()));
}
