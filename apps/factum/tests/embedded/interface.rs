//! The HTTP interface, by a client that knows nothing of the program.

use crate::{process::until, site::Site};
use serde_json::json;

const DEPOSIT: &str = "/bank/account/anna/commands/Deposit";
const WITHDRAW: &str = "/bank/account/anna/commands/Withdraw";

#[test]
fn commands_states_histories_and_views_have_their_paths() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let accepted = client.post(DEPOSIT, &[("Factum-Occurred", "2026-01-31T12:00:00Z")], r#"{"cents": 100}"#);
    assert_eq!((accepted.status, accepted.header("etag")), (200, Some("\"1\"")), "{accepted:?}");
    let answer = accepted.json();
    assert_eq!((&answer["code"], &answer["version"], &answer["events"]), (&json!("accepted"), &json!(1), &json!(1)));
    // A command's full name is as good.
    let second = client.post("/bank/account/anna/commands/bank.account.Withdraw", &[], r#"{"cents": 30}"#);
    assert_eq!(second.json()["version"], 2, "{second:?}");

    let state = client.get("/bank/account/anna");
    assert_eq!((state.status, state.header("etag")), (200, Some("\"2\"")), "{state:?}");
    let expected = json!({ "id": "anna", "version": 2, "state": { "balance_cents": 70, "overdraft_limit_cents": 0 } });
    assert_eq!(state.json(), expected);

    let history = client.get("/bank/account/anna/history").json();
    assert_eq!(history["more"], false);
    let events = history["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{history}");
    assert_eq!(events[0]["occurred"], "2026-01-31T12:00:00.000Z");
    assert_eq!((&events[1]["type"], &events[1]["event"]), (&json!("bank.account.Withdrawn"), &json!({ "cents": 30 })));
    let part = client.get("/bank/account/anna/history?after=0&limit=1").json();
    assert_eq!((part["events"].as_array().unwrap().len(), &part["more"]), (1, &json!(true)));
    let rest = client.get("/bank/account/anna/history?after=1").json();
    assert_eq!((&rest["events"][0]["version"], &rest["more"]), (&json!(2), &json!(false)));

    let row = until("the view has both", || {
        let found = client.get("/views/balances?where=balance%20%3D%2070&limit=5").json();
        found["rows"].as_array().unwrap().first().map(|row| (found["columns"].clone(), row.clone()))
    });
    assert_eq!(row.0, json!(["key", "balance", "entries", "last_entry_ms"]));
    assert_eq!((&row.1[0], &row.1[1], &row.1[2]), (&json!("anna"), &json!(70), &json!(2)));
}

#[test]
fn a_version_that_is_not_the_aggregates_is_412() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    assert_eq!(client.post(DEPOSIT, &[("If-Match", "\"0\"")], r#"{"cents": 5}"#).json()["version"], 1);
    let conflict = client.post(DEPOSIT, &[("If-Match", "\"0\"")], r#"{"cents": 5}"#);
    conflict.is_problem(412, &["expected version 0, the actual one is 1"]);
    assert_eq!(conflict.json()["version"], 1);
    client
        .post(DEPOSIT, &[("If-Match", "soon")], r#"{"cents": 5}"#)
        .is_problem(400, &["If-Match \"soon\" is not a version"]);
    let tag = client.get("/bank/account/anna").header("etag").unwrap().to_owned();
    assert_eq!(client.post(DEPOSIT, &[("If-Match", &tag)], r#"{"cents": 5}"#).json()["version"], 2);
}

#[test]
fn a_refusal_is_422_with_the_domains_reason() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let refused = client.post(WITHDRAW, &[], r#"{"cents": 5}"#);
    refused.is_problem(422, &["Insufficient"]);
    assert_eq!(refused.json()["refusal"], json!({ "Insufficient": { "balance_cents": 0, "asked_cents": 5 } }));
    assert_eq!(refused.json()["title"], "refused");
    assert_eq!(client.post(DEPOSIT, &[], r#"{"cents": 5}"#).status, 200);
    assert_eq!(client.post(WITHDRAW, &[], r#"{"cents": 5}"#).status, 200);
}

#[test]
fn a_repeated_key_is_answered_as_before() {
    let site = Site::new();
    let key = [("Idempotency-Key", "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10")];
    let mut up = site.serve();
    let first = up.client().post(DEPOSIT, &key, r#"{"cents": 5}"#).json();
    let second = up.client().post(DEPOSIT, &key, r#"{"cents": 5}"#).json();
    assert_eq!(second, first);
    up.client().post(DEPOSIT, &[("Idempotency-Key", "once")], r#"{"cents": 5}"#).is_problem(400, &["once"]);
    up.process.stop();
    // The next process knows it as well.
    let up = site.serve();
    assert_eq!(up.client().post(DEPOSIT, &key, r#"{"cents": 5}"#).json()["version"], 1);
    assert_eq!(up.client().get("/bank/account/anna").json()["state"]["balance_cents"], 5);
}

#[test]
fn a_command_whose_answer_nobody_waits_for_tells_where_to_ask() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let prefer = ("Prefer", "respond-async");
    let sent = client.post(DEPOSIT, &[prefer], r#"{"cents": 5}"#);
    assert_eq!((sent.status, &sent.json()["code"]), (202, &json!("sent")), "{sent:?}");
    assert_eq!(sent.header("preference-applied"), Some("respond-async"));
    let id = sent.json()["command"].as_str().unwrap().to_owned();
    let location = sent.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/bank/account/anna/commands/{id}"));
    let outcome = until("it is decided", || Some(client.get(&location)).filter(|outcome| outcome.status == 200));
    assert_eq!((&outcome.json()["command"], &outcome.json()["version"]), (&json!(id), &json!(1)));
    assert_eq!(outcome.header("etag"), Some("\"1\""));
    // A refused one leaves no event; its repeat tells.
    let refused = client.post(WITHDRAW, &[prefer], r#"{"cents": 6}"#);
    let key = refused.json()["command"].as_str().unwrap().to_owned();
    client.get(refused.header("location").unwrap()).is_problem(404, &["POST it again with its Idempotency-Key"]);
    client.post(WITHDRAW, &[("Idempotency-Key", &key)], r#"{"cents": 6}"#).is_problem(422, &["Insufficient"]);
    client.get("/bank/account/anna/commands/Deposit").is_problem(400, &["\"Deposit\" is not a command's id"]);
}

#[test]
fn a_request_has_a_name_in_its_answer() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let named = |id: &str| {
        let answer = client.post(DEPOSIT, &[("X-Request-Id", id)], "{}");
        answer.is_problem(400, &["needs the field \"cents\""]);
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(named("till-7/42"), "till-7/42");
    for wrong in ["two words", &"x".repeat(129)] {
        let made = named(wrong);
        assert_eq!((made.len(), made.as_str() == wrong), (36, false), "{made}");
    }
    assert_ne!(client.get("/bank/account/anna").header("x-request-id"), None);
}

#[test]
fn many_commands_go_in_one_request_or_not_at_all() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let command = |fields| json!({ "aggregate": "anna", "command": "Deposit", "fields": fields });
    let body =
        |last| json!([command(json!({ "cents": 1 })), command(json!({ "cents": 2 })), command(last)]).to_string();
    let broken = client.post("/bank/account/commands", &[], &body(json!({ "cents": "three" })));
    broken.is_problem(400, &["the JSON does not fit bank.account.Deposit"]);
    assert_eq!(broken.json()["at"], 2);
    let checked = client.post("/bank/account/commands?dry_run=true", &[], &body(json!({ "cents": 3 })));
    assert_eq!((checked.status, &checked.json()["checked"]), (200, &json!(3)));
    assert_eq!(client.get("/bank/account/anna").json()["version"], 0);
    let sent = client.post("/bank/account/commands", &[], &body(json!({ "cents": 3 })));
    assert_eq!((sent.status, &sent.json()["answers"]["accepted"]), (200, &json!(3)));
    assert_eq!(client.get("/bank/account/anna").json()["state"]["balance_cents"], 6);
    let many = json!(vec![command(json!({ "cents": 1 })); 1_001]).to_string();
    client.post("/bank/account/commands", &[], &many).is_problem(400, &["1001 commands are more than 1000"]);
}

#[test]
fn what_cannot_be_understood_is_a_clear_problem() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    client
        .post(DEPOSIT, &[], r#"{"cents": "#)
        .is_problem(400, &["the JSON cannot be read: EOF while parsing a value at line 1 column 10"]);
    client.post(DEPOSIT, &[], r#"{"cent": 5}"#).is_problem(400, &["has no field \"cent\"; it has cents"]);
    client.post(DEPOSIT, &[], r#"{"cents": 1.5}"#).is_problem(400, &["the JSON does not fit bank.account.Deposit"]);
    client.post(DEPOSIT, &[], r#"{"cents": 1.5}"#).is_problem(400, &["at $.cents: 1.5 is not a long"]);
    client
        .post(DEPOSIT, &[], r#"{"cents": 9223372036854775808}"#)
        .is_problem(400, &["9223372036854775808 is not a long"]);
    client.post(DEPOSIT, &[], r#"{"cents": 5, "cents": 6}"#).is_problem(400, &["the key \"cents\" is there twice"]);
    let deep = format!(r#"{{"cents": {}{}}}"#, "[".repeat(100), "]".repeat(100));
    client.post(DEPOSIT, &[], &deep).is_problem(400, &["it is more than 64 levels deep"]);
    client.post(DEPOSIT, &[], "[]").is_problem(400, &["bank.account.Deposit"]);
    client.post("/bank/account/anna/commands/Depot", &[], "{}").is_problem(404, &["there is no record \"Depot\""]);
    let unknown = "there is no aggregate type \"bank.acount\" here; there are bank.account";
    client.post("/bank/acount/anna/commands/Deposit", &[], "{}").is_problem(404, &[unknown]);
    client.get("/bank/acount/anna").is_problem(404, &[unknown]);
    client.get("/views/balance").is_problem(404, &["there is no view \"balance\" here; there are balances"]);
    client.get("/views/balances?where=balanse%3D1").is_problem(400, &["balanse"]);
    client.get("/views/balances?limit=many").is_problem(400, &["limit"]);
    client.get("/views/balances?filter=balance").is_problem(400, &["filter"]);
    client.get("/bank").is_problem(404, &["there is no GET /bank; aggregates are at"]);
    let method = client.post("/bank/account/anna", &[], "{}");
    method.is_problem(405, &["there is no POST /bank/account/anna; the header allow tells"]);
    assert_eq!(method.header("allow"), Some("GET,HEAD"));
    let long = format!("/bank/account/{}", "x".repeat(257));
    client.get(&long).is_problem(400, &["the aggregate id has 257 bytes, the limit is 256"]);
    client.post(&format!("{long}/commands/Deposit"), &[], "{}").is_problem(400, &["257 bytes"]);
    client.get("/bank/account/%ff").is_problem(400, &["UTF-8"]);
    for (name, value, text) in
        [("Factum-Occurred", "yesterday", "is not a time"), ("Prefer", "wait=long", "wait is a number of seconds")]
    {
        client.post(DEPOSIT, &[(name, value)], r#"{"cents": 5}"#).is_problem(400, &[value, text]);
    }
    let text = client.post(DEPOSIT, &[("content-type", "text/plain")], r#"{"cents": 5}"#);
    text.is_problem(415, &["the content type is \"text/plain\"; `Content-Type: application/json` is expected"]);
    // The answer comes before the body.
    let length = 4 * 1024 * 1024 + 1;
    let head =
        format!("POST {DEPOSIT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    client.send(&head).unwrap().is_problem(413, &["a body has at most 4 MiB"]);
    assert_eq!(client.post(DEPOSIT, &[], r#"{"cents": 5}"#).json()["version"], 1);
}

#[test]
fn a_request_for_another_host_or_from_another_origin_is_refused() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let ask = |host: &str, more: &str| {
        let request = format!("GET /views/balances HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n");
        client.send(&request).unwrap()
    };
    let foreign = ask("evil.example", "");
    assert_eq!(foreign.status, 421);
    assert!(foreign.body.contains("name it localhost or 127.0.0.1"), "{foreign:?}");
    assert_eq!(ask("localhost", "Origin: http://evil.example\r\n").status, 403);
    assert_eq!(ask("localhost", "").status, 200);
}

#[test]
fn the_registry_is_served_and_is_the_same_for_whoever_opens_the_log_next() {
    let site = Site::new();
    let mut up = site.serve();
    let client = up.client();
    let subject = "bank.account.events-bank.account.Deposited";
    let version = client.get(&format!("/registry/subjects/{subject}/versions/1")).json();
    let id = version["id"].as_u64().unwrap();
    let by_id = client.get(&format!("/registry/schemas/ids/{id}")).json();
    assert_eq!(by_id["schema"], version["schema"]);
    let beside = site.run(&["schemas", "list", "--json"]);
    assert!(beside.ok && beside.stdout.contains(subject), "{beside:?}");
    up.process.stop();
    assert_eq!(site.run(&["schemas", "list", "--json"]).stdout, beside.stdout);
}

#[test]
fn the_process_is_observed_where_it_serves() {
    let site = Site::new();
    let up = site.serve();
    assert_eq!(site.deposit("anna", 5), 1);
    let client = up.client();
    until("it is ready", || (client.get("/readyz").status == 200).then_some(()));
    assert_eq!(client.get("/healthz").status, 200);
    let counted = "factum_commands_total{aggregate_type=\"bank.account\",outcome=\"accepted\"} 1";
    until("the command is counted", || client.get("/metrics").body.contains(counted).then_some(()));
}
