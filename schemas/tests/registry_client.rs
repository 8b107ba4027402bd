//! The client of people's verbs against a server that answers what the test says.

#![allow(missing_docs, clippy::unwrap_used)]

mod stub;

use factum_core::ErrorKind;
use factum_schemas::{Access, Credentials, RegistryClient};
use std::time::Duration;
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
        (Answer::json(429, r#"{"error_code":429,"message":"slow down"}"#), ErrorKind::Unavailable, "429: slow down"),
        (Answer::html(429), ErrorKind::Unavailable, html),
        (Answer::html(401), ErrorKind::Invalid, "status 401: the registry wants other credentials"),
        (Answer::Hangup, ErrorKind::Unavailable, ""),
    ] {
        let shown = format!("{answer:?}");
        // Trouble that may pass is asked about three times.
        let passes = matches!(&answer, Answer::Body(500.., ..) | Answer::Hangup);
        let answers = vec![answer; if passes { 3 } else { 1 }];
        let stub = Stub::start(answers.into_iter().chain([Answer::json(200, r#"["s"]"#)]));
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
fn trouble_that_passes_in_a_moment_is_not_told() {
    let trouble = Answer::json(503, r#"{"error_code":50301,"message":"starting"}"#);
    let stub = Stub::start([trouble, Answer::Hangup, Answer::json(200, "[]")]);
    assert_eq!(client(&stub.address(), None).subjects().unwrap(), Vec::<String>::new());
    assert_eq!(stub.requests().len(), 3);
}

#[test]
fn an_answer_without_end_is_not_read_to_the_end() {
    let huge = format!(r#"["{}"]"#, "x".repeat((16 << 20) + 1));
    for endless in [Answer::json(200, &huge), Answer::Flood] {
        let stub = Stub::start([endless, Answer::json(200, "[]")]);
        let client = client(&stub.address(), None);
        let error = client.subjects().unwrap_err().to_string();
        assert!(error.ends_with("/subjects: the answer has more than 16777216 bytes"), "{error}");
        assert_eq!(client.subjects().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_registry_that_does_not_answer_or_does_not_come_to_an_end_is_given_up() {
    for (slow, message) in
        [(Answer::Silence, "no answer in time"), (Answer::Drops, "status 200, and the answer broke off after ")]
    {
        let stub = Stub::start([slow, Answer::json(200, "[]")]);
        let impatient = Access { timeout: Duration::from_millis(500), ..Access::default() };
        let error = RegistryClient::new(&stub.address(), &impatient).unwrap().subjects().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // On a busy machine not even the beginning may have come.
        let told = error.to_string();
        assert!(told.contains(message) || told.contains("no answer in time"), "{told}");
        // Its time is over: it was asked once.
        assert!(stub.requests().len() <= 1);
        assert_eq!(client(&stub.address(), None).subjects().unwrap(), Vec::<String>::new());
    }
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
