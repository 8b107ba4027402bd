//! The gateway as processes of their own, on a broker.

use crate::{
    process::{Process, until},
    site::{Site, root},
};
use factum_test_database::{OwnServer, TestDatabase};
use postgres::{Client as Database, NoTls};
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::Command,
};

struct Gateway {
    process: Process,
    base: String,
    client: Client,
}

impl Gateway {
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut process = site.start(&[&["run", "gateway", "--http", "127.0.0.1:0"], arguments].concat());
        process.says("ready; Ctrl-C ends", 1);
        let said = process.stderr();
        let base = said.lines().find_map(|line| line.strip_prefix("serving at ")).unwrap().to_owned();
        Gateway { process, base, client: Client::builder().no_proxy().build().unwrap() }
    }

    fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.base)).send().unwrap()
    }

    fn deposit(&self, cents: i64) -> Value {
        let url = format!("{}/bank/account/anna/commands/Deposit", self.base);
        let answer = self.client.post(url).json(&json!({ "cents": cents })).send().unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json().unwrap()
    }

    /// The versions that a stream tells, and its last id.
    fn versions(&self, after: Option<&str>, count: usize, mut meanwhile: impl FnMut()) -> (Vec<u64>, String) {
        let mut request = self.client.get(format!("{}/bank/account/anna/events", self.base));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let stream = request.timeout(std::time::Duration::from_secs(60)).send().unwrap();
        assert_eq!(stream.status(), 200);
        let (mut versions, mut id) = (Vec::new(), String::new());
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            if let Some(told) = line.strip_prefix("id: ") {
                if id.is_empty() {
                    meanwhile();
                }
                id = told.to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                versions.push(serde_json::from_str::<Value>(data).unwrap()["version"].as_u64().unwrap());
            }
            if versions.len() == count {
                break;
            }
        }
        (versions, id)
    }
}

#[test]
fn any_gateway_serves_what_another_began_and_a_stream_goes_on_there() {
    let site = Site::new(3);
    let database = TestDatabase::new();
    let url = database.url();
    let views = ["--views", url.as_str()];
    let mut handler = site.handler(&[]);
    let mut view = site.start(&[&["run", "view", "balances"], &views[..]].concat());
    let mut first = Gateway::start(&site, &views);
    let second = Gateway::start(&site, &[&["--max-body-kib", "1"], &views[..]].concat());
    assert_eq!(first.deposit(5)["version"], 1);
    let (seen, id) = first.versions(None, 1, || assert_eq!(first.deposit(6)["version"], 2));
    assert_eq!(seen, [2]);
    let told = second.deposit(7);
    assert_eq!(told["version"], 3);
    // The view is read with the position of the reply, on the other instance.
    let token = told["token"].as_str().unwrap();
    let rows: Value = first.get(&format!("/views/balances?columns=key,balance&after={token}")).json().unwrap();
    assert_eq!(rows["rows"], json!([["anna", 18]]));
    // Without the view, what comes is not in the rows, and either instance says how much that is.
    view.stop();
    let late = first.deposit(8)["token"].as_str().unwrap().to_owned();
    for gateway in [&first, &second] {
        let stale: Value =
            gateway.get(&format!("/views/balances?columns=balance&stale=true&after={late}")).json().unwrap();
        assert_eq!((&stale["rows"], stale["behind"].as_array().unwrap().len()), (&json!([[18]]), 1), "{stale}");
        assert!(stale["lag_records"].as_u64().unwrap() >= 1, "{stale}");
        let behind = gateway.get(&format!("/views/balances?wait=0&after={late}"));
        assert_eq!((behind.status().as_u16(), &behind.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    }
    let mut view = site.start(&[&["run", "view", "balances"], &views[..]].concat());
    let rows: Value = second.get(&format!("/views/balances?columns=balance&wait=50&after={late}")).json().unwrap();
    assert_eq!(rows["rows"], json!([[26]]));
    first.process.stop();
    assert_eq!(second.versions(Some(&id), 2, || ()).0, [3, 4]);
    let large = json!({ "cents": 5, "note": "x".repeat(2_000) });
    let url = format!("{}/bank/account/anna/commands/Deposit", second.base);
    let answer = second.client.post(url).json(&large).send().unwrap();
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json::<Value>().unwrap()["detail"], "a body has at most 1024 bytes");
    until("it is ready", || (second.get("/readyz").status() == 200).then_some(()));
    assert_eq!(second.get("/openapi.json").json::<Value>().unwrap()["info"]["title"], "factum");
    view.stop();
    handler.stop();
}

#[test]
fn a_request_under_way_is_answered_when_the_gateway_is_told_to_end() {
    let site = Site::new(1);
    let mut gateway = Gateway::start(&site, &[]);
    let url = format!("{}/bank/account/anna/commands/Deposit", gateway.base);
    // No handler runs yet, so the answer comes after the end began.
    let asked = std::thread::spawn({
        let client = gateway.client.clone();
        move || client.post(url).json(&json!({ "cents": 5 })).timeout(std::time::Duration::from_secs(60)).send()
    });
    let commands = site.topics().commands.partition(factum::Partition(0));
    until("the command is in the log", || {
        let end = site.admin().bounds(&commands, factum::log::Isolation::ReadUncommitted).unwrap().end;
        (end > factum::Offset(0)).then_some(())
    });
    gateway.process.signal("TERM");
    gateway.process.says("ending: requests under way have 30 s", 1);
    let mut handler = site.handler(&[]);
    let answer = asked.join().unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), &answer.json::<Value>().unwrap()["version"]), (200, &json!(1)));
    assert!(gateway.process.finish().success());
    handler.stop();
}

/// The roles that the compose file's script makes.
fn roles(server: &OwnServer) -> [String; 2] {
    let port = server.url().rsplit_once("/postgres").unwrap().0.rsplit_once(':').unwrap().1;
    let made = Command::new("bash")
        .arg(root().join("deploy/compose/postgres-init.sh"))
        .envs([("PGHOST", "127.0.0.1"), ("PGPORT", port), ("POSTGRES_USER", "factum"), ("DATABASE", "bank")])
        .envs([("VIEW_PASSWORD", "of the view"), ("GATEWAY_PASSWORD", "of the gateway")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    ["factum_view", "factum_gateway"].map(|role| format!("postgres://{role}@127.0.0.1:{port}/bank"))
}

#[test]
fn a_gateway_whose_role_may_only_select_answers_everything_and_tries_to_write_nothing() {
    let (site, server) = (Site::new(2), OwnServer::start(&["log_statement=all", "log_line_prefix=%u "]));
    let [writer, reader] = roles(&server);
    let mut handler = site.handler(&[]);
    let mut view = site.start(&["run", "view", "--all", "--views", &writer]);
    let mut gateway = Gateway::start(&site, &["--views", &reader]);
    handler.says("Assigned(", 1);
    // The first event occurred last, so that a state by the time occurred is folded from far.
    let first = gateway.deposit(5);
    let early = "occurred = { column = \"amount\", format = \"%s\" }";
    let import = site.deposits("anna", early, 1_100);
    let imported = site.run(&import.each_ref().map(String::as_str));
    assert!(imported.ok, "{imported:?}");
    let token = gateway.deposit(6)["token"].as_str().unwrap().replace('#', "%23");

    let get = |path: &str| {
        let answer = gateway.get(path);
        assert_eq!(answer.status(), 200, "{path}: {:?}", answer.text());
        answer.json::<Value>().unwrap()
    };
    let rows = get(&format!("/views/balances?columns=key,balance&after={token}"));
    assert_eq!(rows["rows"], json!([["anna", 1_111]]));
    let talk = first["command"].as_str().unwrap();
    assert_eq!(get(&format!("/correlations/{talk}"))["commands"][0]["events"][0]["version"], 1);
    assert_eq!(get("/audit?limit=3")["events"].as_array().unwrap().len(), 3);
    assert_eq!(get("/bank/account/anna/history?after=1100")["events"].as_array().unwrap().len(), 2);
    assert_eq!(get("/bank/account/anna?at_version=1000")["state"]["balance_cents"], 1_004);
    let then = get("/bank/account/anna?at_time=2001-01-01T00:00:00Z");
    assert_eq!((&then["state"]["balance_cents"], &then["folded"]), (&json!(1_100), &json!(1_100)), "{then}");

    // What the server has been asked in its name, and what that may do.
    let log = std::fs::read_to_string(server.log()).unwrap();
    let asked: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("factum_gateway ")).collect();
    let of = |sign: &str| asked.iter().filter(|line| line.contains(sign)).count();
    assert!(of("SELECT ") > 5, "{asked:#?}");
    for sign in ["ERROR", "INSERT", "UPDATE ", "DELETE", "CREATE", "LOCK "] {
        assert_eq!(of(sign), 0, "{sign}: {asked:#?}");
    }
    let mut by_hand = Database::connect(&reader, NoTls).unwrap();
    for statement in ["DELETE FROM balances_v1", "CREATE TABLE mine (x int)", "DROP TABLE balances_v1"] {
        let refused = by_hand.batch_execute(statement).unwrap_err();
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{statement}: {refused}");
    }
    gateway.process.stop();
    view.stop();
    handler.stop();
}
