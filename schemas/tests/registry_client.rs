//! The client of people's verbs against a server that answers what the test says.

#![allow(missing_docs, clippy::unwrap_used)]

mod stub;

use factum_core::ErrorKind;
use factum_schemas::{Access, Credentials, RegistryClient};
use std::time::{Duration, Instant};
use stub::{Answer, Stub};

/// A port that no server takes by chance.
const NOBODY: &str = "http://127.0.0.1:1";

fn client(address: &str, credentials: Option<Credentials>) -> RegistryClient {
    // Longer than a busy machine takes to answer.
    let access = Access { credentials, timeout: Duration::from_secs(120), ..Access::default() };
    RegistryClient::new(address, &access).unwrap()
}

#[test]
fn a_registry_in_trouble_is_told_with_address_and_status_and_the_next_answer_is_taken() {
    let html = "which no schema registry says: is this the address of one?";
    for (answer, kind, message) in [
        (
            Answer::json(500, r#"{"error_code":50001,"message":"no leader"}"#),
            ErrorKind::Unavailable,
            "500: no leader (error 50001)",
        ),
        (Answer::html(500), ErrorKind::Unavailable, html),
        (
            Answer::html(200),
            ErrorKind::Unavailable,
            "status 200 with \"<html><body>Sorry</body></html>\", which no schema",
        ),
        (Answer::html(404), ErrorKind::Unavailable, html),
        (Answer::json(200, "{}"), ErrorKind::Unavailable, html),
        (Answer::json(200, ""), ErrorKind::Unavailable, "status 200 with \"nothing\""),
        (Answer::json(404, r#"{"error_code":404,"message":"HTTP 404"}"#), ErrorKind::Invalid, "404: HTTP 404"),
        (
            Answer::json(422, r#"{"error_code":42201,"message":"bad"}"#),
            ErrorKind::Invalid,
            "status 422: bad (error 42201)",
        ),
        (Answer::html(401), ErrorKind::Invalid, "status 401: the registry wants other credentials"),
        (Answer::Hangup, ErrorKind::Unavailable, ""),
    ] {
        let shown = format!("{answer:?}");
        let stub = Stub::start([answer, Answer::json(200, r#"["s"]"#)]);
        let client = client(&stub.address(), None);
        let error = client.subjects().unwrap_err();
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("GET {}/subjects: ", stub.address())), "{text}");
        assert!(text.contains(message), "{shown}: {text}");
        assert_eq!(client.subjects().unwrap(), ["s"], "{shown}");
    }
}

#[test]
fn an_answer_without_end_is_not_read_to_the_end() {
    let huge = format!(r#"["{}"]"#, "x".repeat((16 << 20) + 1));
    let stub = Stub::start([Answer::json(200, &huge), Answer::json(200, "[]")]);
    let client = RegistryClient::new(&stub.address(), &Access::default()).unwrap();
    let error = client.subjects().unwrap_err().to_string();
    assert!(error.ends_with("/subjects: the answer has more than 16777216 bytes"), "{error}");
    assert_eq!(client.subjects().unwrap(), Vec::<String>::new());
}

#[test]
fn a_registry_that_does_not_answer_is_given_up() {
    let stub = Stub::start([Answer::Silence]);
    let before = Instant::now();
    let access = Access { timeout: Duration::from_millis(500), ..Access::default() };
    let error = RegistryClient::new(&stub.address(), &access).unwrap().subjects().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().ends_with("no answer in time"), "{error}");
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
}

#[test]
fn the_next_address_is_tried_and_paths_are_kept() {
    let stub = Stub::start([Answer::json(200, "[1,2]")]);
    let addresses = format!("{NOBODY},{}/apis/ccompat/v7/", stub.address());
    assert_eq!(client(&addresses, None).versions("a/b c").unwrap(), [1, 2]);
    assert_eq!(stub.requests()[0].line, "GET /apis/ccompat/v7/subjects/a%2Fb%20c/versions HTTP/1.1");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let refusal = Answer::json(401, r#"{"error_code":40101,"message":"Unauthorized"}"#);
    let basic = Credentials::Basic { user: "bob".into(), password: Some("s@cret".into()) };
    let bearer = Credentials::Bearer { token: "s@cret".into() };
    let stub = Stub::start([refusal, Answer::json(200, "[]"), Answer::json(200, "[]")]);
    let in_address = stub.address().replace("http://", "http://bob:s%40cret@");
    let with_basic = client(&stub.address(), Some(basic));
    let error = with_basic.subjects().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    client(&in_address, None).subjects().unwrap();
    // Those that are given go before those of the address.
    client(&in_address, Some(bearer)).subjects().unwrap();
    for shown in
        [error.to_string(), format!("{error:?}"), format!("{with_basic:?}"), format!("{:?}", client(&in_address, None))]
    {
        assert!(!shown.contains("cret") && !shown.contains("bob"), "{shown}");
    }
    let requests = stub.requests();
    // "bob:s@cret" in base64.
    for request in &requests[..2] {
        assert!(request.head.contains("Basic Ym9iOnNAY3JldA"), "{}", request.head);
    }
    assert!(requests[2].head.contains("Bearer s@cret"), "{}", requests[2].head);
}
