//! The registry client against a server that answers what the test says.

#![allow(missing_docs, clippy::unwrap_used)]

mod stub;

use factum_core::ErrorKind;
use factum_schemas::{HttpRegistry, Registry};
use std::time::{Duration, Instant};
use stub::{Answer, Stub};

const SCHEMA: &str = r#"{"type":"record","name":"a.B","fields":[]}"#;

/// A port that no server takes by chance.
const NOBODY: &str = "http://127.0.0.1:1";

fn client(stub: &Stub) -> HttpRegistry {
    // Longer than a busy machine takes to answer.
    HttpRegistry::with_timeout(&[&stub.address()], Duration::from_secs(120)).unwrap()
}

#[test]
fn a_schema_is_fetched_by_its_id() {
    let stub = Stub::start([Answer::json(200, r#"{"schema":"\"long\""}"#)]);
    assert_eq!(client(&stub).schema_by_id(7).unwrap(), "\"long\"");
    assert_eq!(stub.requests()[0].line, "GET /schemas/ids/7?deleted=true HTTP/1.1");
}

#[test]
fn a_schema_is_posted_under_its_subject() {
    let stub = Stub::start([Answer::json(200, r#"{"id":42}"#)]);
    assert_eq!(client(&stub).register("t-a.B", SCHEMA).unwrap(), 42);
    let request = &stub.requests()[0];
    assert_eq!(request.line, "POST /subjects/t-a.B/versions HTTP/1.1");
    assert!(request.body.contains(r#""schemaType":"AVRO""#), "{}", request.body);
    assert!(request.body.contains(r#"\"name\":\"a.B\""#), "{}", request.body);
}

#[test]
fn the_latest_schema_of_a_subject_or_none() {
    let stub = Stub::start([
        Answer::json(200, r#"{"subject":"s","version":3,"id":9,"schema":"\"int\""}"#),
        Answer::json(404, r#"{"error_code":40401,"message":"Subject not found"}"#),
    ]);
    let client = client(&stub);
    assert_eq!(client.latest("s").unwrap(), Some((9, "\"int\"".to_owned())));
    assert_eq!(client.latest("s").unwrap(), None);
    assert_eq!(stub.requests()[0].line, "GET /subjects/s/versions/latest HTTP/1.1");
}

#[test]
fn nothing_is_cached_so_a_failure_does_not_stay() {
    let stub = Stub::start([
        Answer::json(404, r#"{"error_code":40403,"message":"Schema 7 not found"}"#),
        Answer::json(200, r#"{"schema":"\"long\""}"#),
    ]);
    let client = client(&stub);
    let error = client.schema_by_id(7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().ends_with("Schema 7 not found (error 40403)"), "{error}");
    assert_eq!(client.schema_by_id(7).unwrap(), "\"long\"");
}

#[test]
fn an_incompatible_or_invalid_schema_is_refused_in_the_registrys_own_words() {
    for (status, code) in [(409, 409), (422, 42201)] {
        let body = format!(r#"{{"error_code":{code},"message":"READER_FIELD_MISSING_DEFAULT_VALUE"}}"#);
        let stub = Stub::start([Answer::json(status, &body)]);
        let error = client(&stub).register("t-a.B", SCHEMA).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.starts_with("subject t-a.B: refused by the schema registry http://127.0.0.1:"), "{text}");
        assert!(text.ends_with(&format!("READER_FIELD_MISSING_DEFAULT_VALUE (error {code})")), "{text}");
    }
}

#[test]
fn a_registry_in_trouble_is_unavailable_whatever_its_body() {
    for answer in [
        Answer::json(500, r#"{"error_code":50003,"message":"not the leader"}"#),
        Answer::json(503, r#"{"error_code":503,"message":"starting"}"#),
        Answer::html(502),
        Answer::html(404),
        Answer::html(200),
        Answer::json(429, "{}"),
        Answer::Hangup,
    ] {
        let shown = format!("{answer:?}");
        // Trouble that may pass is asked about three times.
        let passes = matches!(&answer, Answer::Body(500.., ..) | Answer::Hangup);
        let answers = vec![answer; if passes { 3 } else { 1 }];
        let stub = Stub::start(answers.into_iter().chain([Answer::json(200, r#"{"schema":"\"long\""}"#)]));
        let client = client(&stub);
        let error = client.schema_by_id(7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{shown}: {error}");
        assert!(error.to_string().starts_with("schema id 7: the schema registry http://127.0.0.1:"), "{error}");
        assert_eq!(client.schema_by_id(7).unwrap(), "\"long\"", "{shown}");
    }
}

#[test]
fn a_path_that_is_not_there_says_nothing_of_the_schema() {
    for (code, message) in [(404, "HTTP 404 Not Found"), (0, "RESTEASY003210: Could not find resource")] {
        let body = format!(r#"{{"error_code":{code},"message":"{message}"}}"#);
        let stub = Stub::start([Answer::json(404, &body), Answer::json(200, r#"{"schema":"\"long\""}"#)]);
        let client = client(&stub);
        let error = client.schema_by_id(7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().ends_with(&format!("status 404: {message} (error {code})")), "{error}");
        assert_eq!(client.schema_by_id(7).unwrap(), "\"long\"");
    }
}

#[test]
fn wrong_credentials_are_a_call_to_fix_and_are_not_shown() {
    let stub = Stub::start([Answer::json(401, r#"{"error_code":401,"message":"Unauthorized"}"#)]);
    let address = stub.address().replace("http://", "http://bob:s%40cret@");
    let client = HttpRegistry::new(&[&address]).unwrap();
    let error = client.schema_by_id(7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for shown in [error.to_string(), format!("{error:?}"), client.name(), format!("{client:?}")] {
        assert!(!shown.contains("cret") && !shown.contains("bob"), "{shown}");
    }
    // "bob:s@cret" in base64.
    assert!(stub.requests()[0].head.contains("Basic Ym9iOnNAY3JldA"), "{}", stub.requests()[0].head);
}

#[test]
fn nobody_at_the_address_is_unavailable() {
    let error = HttpRegistry::new(&[NOBODY]).unwrap().schema_by_id(7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_registry_that_does_not_answer_is_given_up() {
    let stub = Stub::start([Answer::Silence]);
    let client = HttpRegistry::with_timeout(&[&stub.address()], Duration::from_millis(200)).unwrap();
    let before = Instant::now();
    let error = client.schema_by_id(7).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
}

#[test]
fn the_next_address_is_tried() {
    let stub = Stub::start([Answer::json(200, r#"{"schema":"\"long\""}"#)]);
    let client = HttpRegistry::new(&[NOBODY, &stub.address()]).unwrap();
    assert_eq!(client.schema_by_id(7).unwrap(), "\"long\"");
}

#[test]
fn a_schema_that_is_not_whole_or_not_avro_is_bad_data() {
    let stub = Stub::start([
        Answer::json(200, r#"{"schema":"\"B\"","references":[{"name":"a.B","subject":"s","version":1}]}"#),
        Answer::json(200, r#"{"schema":"{}","schemaType":"JSON"}"#),
    ]);
    let client = client(&stub);
    for message in ["it refers to other subjects", "not Avro"] {
        let error = client.schema_by_id(7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().contains(message), "{error}");
    }
}
