//! Queries of a view: by the verb and over HTTP, pages, positions, bad input.

use crate::site::{BANK, Site};
use serde_json::{Value, json};

const VIEW: &str = "/views/balances";

/// A site with accounts of 10, 60, 70 and 70, and the position of the last one.
fn accounts(site: &Site) -> String {
    for (account, cents) in [("anna", 10), ("bert", 60), ("carl", 70)] {
        site.deposit(account, cents);
    }
    let fields = r#"{"cents": 70}"#;
    let answer = site.run(&["publish", BANK, "o'hara", "Deposit", fields, "--json"]).json();
    answer["token"].as_str().unwrap().to_owned()
}

fn keys(found: &Value) -> Vec<&str> {
    found["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect()
}

#[test]
fn rows_are_paged_projected_counted_and_printed_as_asked() {
    let site = Site::new();
    accounts(&site);
    let query = |more: &[&str]| {
        let ran = site.run(&[&["query", "balances"], more].concat());
        assert!(ran.ok, "{ran:?}");
        ran
    };
    let first = ["--where", "balance > 50", "--order", "-balance,-key", "--columns", "balance,key", "--limit", "2"];
    let ran = query(&[&first[..], &["--count"]].concat());
    assert_eq!(
        ran.stdout,
        "balances (2 of 3 rows shown)\nbalance  key\n-------  ------\n     70  o'hara\n     70  carl\n"
    );
    let cursor = ran.stderr.trim().strip_prefix("there are more: the same with --cursor ").unwrap();
    let rest = query(&[&first[..], &["--cursor", cursor, "--format", "csv"]].concat());
    assert_eq!((rest.stdout.as_str(), rest.stderr.as_str()), ("balance,key\n60,bert\n", ""));
    let like = query(&["--where", "key like '%''%' or key in ('anna')", "--columns", "key", "--format", "json"]);
    assert_eq!(like.stdout, "{\"key\":\"anna\"}\n{\"key\":\"o'hara\"}\n");

    // Another query's cursor is none of this one.
    let other = site.run(&["query", "balances", "--order", "balance", "--cursor", cursor]);
    assert!(
        !other.ok && other.stderr.contains("cursor: it is of a query with another view, filter or order"),
        "{other:?}"
    );
    let valid = "it has key, balance, entries, last_entry_ms";
    for (arguments, text) in [
        (["--where", "balanse > 1"], valid),
        (["--order", "balanse"], valid),
        (["--columns", "balance;"], valid),
        (["--where", "balance ~ 1"], "expected one of = != < <= > >= in like is"),
        (["--limit", "0"], "limit: 0 is not within 1 and 10000"),
        (["--limit", "10001"], "limit: 10001 is not within 1 and 10000"),
    ] {
        let ran = site.run(&[&["query", "balances"][..], &arguments].concat());
        assert!(!ran.ok && ran.stderr.contains(text), "{arguments:?}: {ran:?}");
    }
    assert_eq!(query(&["--where", "balance > 50", "--json"]).stdout.lines().count(), 3);
}

#[test]
fn a_url_asks_the_same_and_bad_ones_are_400() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let token = accounts(&site).replace('#', "%23");
    let found =
        client.get(&format!("{VIEW}?where=balance%20%3E%2050&order=-key&limit=2&count=true&after={token}")).json();
    assert_eq!((keys(&found), &found["count"]), (vec!["o'hara", "carl"], &json!(3)), "{found}");
    let next = format!("{VIEW}?where=balance%20%3E%2050&order=-key&limit=2&cursor={}", found["next"].as_str().unwrap());
    let found = client.get(&next).json();
    assert_eq!((keys(&found), &found["next"]), (vec!["bert"], &Value::Null), "{found}");

    let many = vec!["balance=1"; 1_000].join("%20or%20");
    for (asked, text) in [
        ("where=balance%20~%201", "expected one of = != < <= > >= in like is"),
        ("order=1%3B%20DROP%20TABLE%20balances_v1", "it has key, balance, entries, last_entry_ms"),
        ("columns=%22key%22", "it has key, balance, entries, last_entry_ms"),
        ("limit=0", "limit: 0 is not within 1 and 10000"),
        ("limit=99999999999999999999", "is no number"),
        ("cursor=AAAA", "this is no cursor"),
        ("after=1024", "is not a position token"),
        ("after=shop.basket.events/0@1", "view balances does not read the topic of the token"),
        ("stale=maybe", "stale: it is neither true nor false"),
        (&format!("where={many}"), "filter: more than 256 conditions"),
    ] {
        client.get(&format!("{VIEW}?{asked}")).is_problem(400, &[text]);
        assert_eq!(keys(&client.get(VIEW).json()).len(), 4, "after {asked}");
    }
}

#[test]
fn a_query_with_the_position_of_a_reply_sees_its_effect() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    for cents in 1..=20 {
        let fields = json!({ "cents": 1 }).to_string();
        let reply = client.post("/bank/account/anna/commands/Deposit", &[], &fields);
        let token = reply.header("factum-token").unwrap();
        assert_eq!(reply.json()["token"], token);
        // From this process or from another one.
        assert!(!token.contains(['#', '/', '@']), "{token} is not opaque");
        let found = match cents % 3 {
            // As the header that it came in.
            2 => {
                let request = format!(
                    "GET {VIEW} HTTP/1.1\r\nHost: {}\r\nFactum-After: {token}\r\nConnection: close\r\n\r\n",
                    up.address
                );
                client.send(&request).unwrap().json()["rows"][0][1].clone()
            }
            0 => site.run(&["query", "balances", "--json", "--after", token]).json()["balance"].clone(),
            _ => client.get(&format!("{VIEW}?after={token}")).json()["rows"][0][1].clone(),
        };
        assert_eq!(found, json!(cents));
    }
}

#[test]
fn a_position_that_the_view_does_not_reach_is_told_at_once_or_after_the_wait() {
    let site = Site::new();
    let up = site.serve();
    let client = up.client();
    let token = accounts(&site);
    let (place, rest) = token.split_once('@').unwrap();
    let (offset, id) = rest.split_once('#').unwrap();
    let next: i64 = offset.parse::<i64>().unwrap() + 1;
    client.get(&format!("{VIEW}?after={}", token.replace('#', "%23")));
    // It may be beyond the transaction's end as well.
    let told = [format!("at {place} its next record is "), ", and 9999 was asked for".to_owned()];
    let tells = |text: &str| told.iter().all(|part| text.contains(part));
    client
        .get(&format!("{VIEW}?after={place}@9999&wait=0"))
        .is_problem(503, &["view balances is behind after 0.0 s", &told[0], &told[1]]);
    let ran = site.run(&["query", "balances", "--after", &format!("{place}@9999"), "--wait", "0"]);
    assert!(!ran.ok && tells(&ran.stderr), "{ran:?}");

    let stale = client.get(&format!("{VIEW}?after={place}@9999&stale=true")).json();
    assert_eq!(keys(&stale).len(), 4);
    let behind = &stale["behind"][0];
    assert_eq!((&behind["partition"], &behind["wanted"]), (&json!(place), &json!(9999)), "{stale}");
    assert!(behind["position"].as_i64().unwrap() >= next, "{stale}");
    let ran = site.run(&["query", "balances", "--after", &format!("{place}@9999"), "--stale"]);
    assert!(ran.ok && ran.stderr.starts_with("stale: ") && tells(&ran.stderr), "{ran:?}");

    // A topic that was deleted and made again has another id.
    let (start, last) = id.split_at(id.len() - 1);
    let other = format!("{start}{}", if last == "0" { "1" } else { "0" });
    client.get(&format!("{VIEW}?after={place}@0%23{other}")).is_problem(400, &["is of another topic of that name"]);
    let ran = site.run(&["query", "balances", "--after", &format!("{place}@0#{other}")]);
    assert!(!ran.ok && ran.stderr.contains("is of another topic of that name"), "{ran:?}");
    assert_eq!(keys(&client.get(&format!("{VIEW}?after={place}@0%23{id}")).json()).len(), 4);
}
