//! Bad input over HTTP: each is told by its text, and the next good input succeeds.

use crate::{
    process::until,
    site::{Site, Up},
};
use serde_json::{Value, json};

const DEPOSIT: &str = "/bank/account/anna/commands/Deposit";
const VIEW: &str = "/views/balances";

/// A body is refused with this text, and the next deposit is the first.
fn refused(body: &str, texts: &[&str]) {
    let site = Site::new();
    let up = site.serve();
    up.client().post(DEPOSIT, &[], body).is_problem(400, texts);
    assert_eq!(deposited(&up, "anna")["version"], 1);
}

fn deposited(up: &Up, account: &str) -> Value {
    let path = format!("/bank/account/{}/commands/Deposit", escaped(account));
    let answer = up.client().post(&path, &[], r#"{"cents": 5}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Every byte as a URL can hold it.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn an_unknown_field_is_refused_with_those_that_there_are() {
    refused(r#"{"cents": 5, "cent": 5}"#, &["has no field \"cent\"; it has cents"]);
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    refused(r#"{"cents": "five"}"#, &["the JSON does not fit bank.account.Deposit", "at $.cents"]);
}

#[test]
fn a_number_beyond_2_53_is_kept_to_the_last_digit_and_one_beyond_2_63_is_refused() {
    refused(r#"{"cents": 9223372036854775808}"#, &["at $.cents: 9223372036854775808 is not a long"]);
    let site = Site::new();
    let up = site.serve();
    let answer = up.client().post(DEPOSIT, &[], r#"{"cents": 9007199254740993}"#);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(up.client().get("/bank/account/anna").body.contains("9007199254740993"));
    assert!(up.client().get("/bank/account/anna/history").body.contains("9007199254740993"));
    let token = answer.header("factum-token").unwrap();
    assert!(up.client().get(&format!("{VIEW}?after={token}")).body.contains("9007199254740993"));
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    refused(r#"{"cents": 5, "cents": 6}"#, &["the key \"cents\" is there twice"]);
}

#[test]
fn a_body_of_100_levels_is_refused() {
    let deep = format!(r#"{{"cents": {}{}}}"#, "[".repeat(100), "]".repeat(100));
    refused(&deep, &["it is more than 64 levels deep"]);
}

#[test]
fn a_filter_of_thousands_of_terms_is_refused_with_the_limit() {
    let site = Site::new();
    let up = site.serve();
    let token = deposited(&up, "anna")["token"].as_str().unwrap().to_owned();
    // More of them do not fit into a URL.
    let many = vec!["key=1"; 7_000].join("+or+");
    let text = "bytes are more than 16384 (nor may it have more than 256 conditions)";
    up.client().get(&format!("{VIEW}?where={many}")).is_problem(400, &[text]);
    let some = vec!["key=1"; 1_000].join("+or+");
    up.client().get(&format!("{VIEW}?where={some}")).is_problem(400, &["more than 256 conditions"]);
    let good = up.client().get(&format!("{VIEW}?where=key=anna&after={token}")).json();
    assert_eq!(good["rows"][0][0], "anna");
}

#[test]
fn sql_in_an_id_a_filter_or_a_columns_name_is_a_value_or_refused() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let nasty = "x'); DROP TABLE balances_v1; --\"$1%_\\";
    let token = deposited(&up, nasty)["token"].as_str().unwrap().to_owned();
    let quoted = escaped(&format!("key = '{}'", nasty.replace('\'', "''")));
    let found = client.get(&format!("{VIEW}?where={quoted}&after={token}")).json();
    assert_eq!((&found["rows"][0][0], &found["rows"][0][1]), (&json!(nasty), &json!(5)));
    assert_eq!(client.get(&format!("/bank/account/{}", escaped(nasty))).json()["id"], nasty);
    let columns = "it has key, balance, entries, last_entry_ms";
    let sql = escaped("balance\"; DROP TABLE balances_v1; --");
    for name in ["order", "columns"] {
        client.get(&format!("{VIEW}?{name}={sql}")).is_problem(400, &[columns]);
    }
    for (filter, text) in
        [("key = 'x' or 1=1 --", columns), ("key = 'x'; DROP TABLE balances_v1", "expected `and`, `or` or the end")]
    {
        client.get(&format!("{VIEW}?where={}", escaped(filter))).is_problem(400, &[text]);
    }
    assert_eq!(client.get(VIEW).json()["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn a_token_of_another_topic_is_refused_with_the_topics_of_the_view() {
    let site = Site::new();
    let up = site.serve();
    let token = deposited(&up, "anna")["token"].as_str().unwrap().to_owned();
    let text =
        "view balances does not read the topic of the token shop.basket.events/0@1: it reads bank.account.events";
    up.client().get(&format!("{VIEW}?after=shop.basket.events/0@1")).is_problem(400, &[text]);
    up.client().get(&format!("{VIEW}?after=nonsense")).is_problem(400, &["\"nonsense\" is not a position token"]);
    up.client().get("/bank/account/anna/events?after=shop.basket.events/0@1").is_problem(400, &["not followed here"]);
    assert_eq!(up.client().get(&format!("{VIEW}?after={token}")).json()["rows"][0][1], 5);
}

#[test]
fn rows_that_may_be_stale_tell_how_stale_they_are() {
    let site = Site::new();
    let up = site.serve();
    let token = deposited(&up, "anna")["token"].as_str().unwrap().to_owned();
    assert_eq!(up.client().get(&format!("{VIEW}?after={token}")).json().get("lag_records"), None);
    let fresh = until("the view has all", || {
        let found = up.client().get(&format!("{VIEW}?stale=true")).json();
        (found["lag_records"] == 0).then_some(found)
    });
    assert_eq!((&fresh["rows"][0][1], fresh.get("behind")), (&json!(5), None));
}

#[test]
fn every_path_of_the_description_is_served() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let document = client.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 12, "{document}");
    for (path, operations) in paths {
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let refused = client.send(&request.replace(['{', '}'], "x")).unwrap();
        assert_eq!(refused.status, 405, "{path}: {refused:?}");
        let allowed = refused.header("allow").unwrap();
        for method in operations.as_object().unwrap().keys() {
            assert!(allowed.split(',').any(|known| known == method.to_uppercase()), "{method} {path}: {allowed}");
        }
    }
}
