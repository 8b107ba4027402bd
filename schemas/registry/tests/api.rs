//! The API as other languages' serializers see it: over TCP, by status, code and body.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod site;

use serde_json::json;
use site::{BREAKING, MORE, ONE, Site};

const EMPTY: &str = r#"{"type":"record","name":"a.B","fields":[]}"#;

#[test]
fn an_empty_registry_says_so() {
    let site = Site::new();
    assert_eq!(site.get("/"), (200, json!({})));
    assert_eq!(site.get("/subjects"), (200, json!([])));
    assert_eq!(site.get("/schemas/types"), (200, json!(["AVRO"])));
    assert_eq!(site.get("/config"), (200, json!({ "compatibilityLevel": "BACKWARD_TRANSITIVE" })));
    assert_eq!(site.get("/mode"), (200, json!({ "mode": "READWRITE" })));
}

#[test]
fn a_schema_is_registered_once_and_found_by_id_version_and_text() {
    let site = Site::new();
    assert_eq!(site.post("/subjects/s/versions", ONE), (200, json!({ "id": 1 })));
    assert_eq!(site.post("/subjects/s/versions", ONE), (200, json!({ "id": 1 })));
    assert_eq!(site.post("/subjects/s/versions", MORE), (200, json!({ "id": 2 })));
    assert_eq!(site.post("/subjects/t/versions", MORE), (200, json!({ "id": 2 })));
    assert_eq!(site.get("/subjects"), (200, json!(["s", "t"])));
    assert_eq!(site.get("/subjects?subjectPrefix=t"), (200, json!(["t"])));
    assert_eq!(site.get("/subjects/s/versions"), (200, json!([1, 2])));
    let schema: String = site.get("/schemas/ids/2").1["schema"].as_str().unwrap().to_owned();
    let two = json!({ "subject": "s", "version": 2, "id": 2, "schema": schema });
    for version in ["2", "latest", "-1"] {
        assert_eq!(site.get(&format!("/subjects/s/versions/{version}")), (200, two.clone()));
    }
    assert_eq!(site.post("/subjects/s", MORE), (200, two));
    let whole = serde_json::from_str::<serde_json::Value>(&schema).unwrap();
    assert_eq!(whole["fields"][1]["default"], 0);
    assert_eq!(site.get("/subjects/s/versions/2/schema"), (200, whole.clone()));
    assert_eq!(site.get("/schemas/ids/2/schema"), (200, whole));
    assert_eq!(site.get("/schemas/ids/2/subjects"), (200, json!(["s", "t"])));
    let uses = json!([{ "subject": "s", "version": 2 }, { "subject": "t", "version": 1 }]);
    assert_eq!(site.get("/schemas/ids/2/versions"), (200, uses));
    assert_eq!(site.get("/subjects/s/versions/1/referencedby"), (200, json!([])));
}

#[test]
fn what_is_not_there_has_its_code() {
    let site = Site::new();
    site.post("/subjects/s/versions", ONE);
    for (path, code) in [
        ("/subjects/x/versions", 40401),
        ("/subjects/x/versions/1", 40401),
        ("/subjects/s/versions/9", 40402),
        ("/subjects/s/versions/0", 42202),
        ("/subjects/s/versions/first", 42202),
        ("/schemas/ids/9", 40403),
        ("/schemas/ids/9/subjects", 40403),
        ("/schemas/ids/9/versions", 40403),
        ("/config/s", 40408),
        ("/mode/s", 40409),
        ("/nowhere", 404),
    ] {
        assert_eq!(site.refused(site.get(path)).0, code, "{path}");
    }
    assert_eq!(site.refused(site.post("/subjects/x", ONE)).0, 40401);
    assert_eq!(site.refused(site.post("/subjects/s", MORE)).0, 40403);
    assert_eq!(site.refused(site.call("PUT", "/subjects", None)).0, 405);
    assert_eq!(site.refused(site.get("/schemas/ids/one")).0, 400);
}

#[test]
fn a_breaking_schema_is_refused_with_its_field_and_the_next_good_one_is_taken() {
    let site = Site::new();
    site.post("/subjects/s/versions", ONE);
    let (code, message) = site.refused(site.post("/subjects/s/versions", BREAKING));
    assert_eq!(code, 409);
    assert!(
        message.contains("cannot read what version 1 wrote (field d: it is missing there and has no default)"),
        "{message}"
    );
    assert_eq!(site.get("/subjects/s/versions"), (200, json!([1])));
    assert_eq!(site.post("/subjects/s/versions", MORE), (200, json!({ "id": 2 })));
}

#[test]
fn what_is_not_a_schema_that_is_kept_is_refused_and_the_next_good_one_is_taken() {
    let site = Site::new();
    let post = |body| site.refused(site.call("POST", "/subjects/s/versions", Some(body)));
    let reference = json!([{ "name": "a.C", "subject": "c", "version": 1 }]);
    for (body, message) in [
        (json!({ "schema": "{" }), "invalid schema"),
        (json!({ "schema": r#"{"type":"nothing"}"# }), "invalid schema"),
        (json!({}), "the body has no \"schema\""),
        (json!({ "schema": "{}", "schemaType": "JSON" }), "its type is JSON"),
        (json!({ "schema": ONE, "references": reference }), "register it with its types inline"),
    ] {
        let (code, text) = post(body);
        assert_eq!(code, 42201, "{text}");
        assert!(text.contains(message), "{text}");
    }
    assert_eq!(post(json!([])).0, 400);
    assert_eq!(post(json!("text")).0, 400);
    site.refuses_to_read("/subjects/s/versions", &json!({ "schema": "x".repeat(4 << 20) }).to_string());
    let whole =
        json!({ "schema": ONE, "schemaType": "AVRO", "references": [], "metadata": null, "id": -1, "version": -1 });
    assert_eq!(site.call("POST", "/subjects/s/versions", Some(whole)), (200, json!({ "id": 1 })));
}

#[test]
fn every_level_is_set_read_and_acted_on() {
    let site = Site::new();
    // What is new has a default; has none; a field is gone.
    for (level, verdicts) in [
        ("NONE", [true, true, true]),
        ("BACKWARD", [true, false, true]),
        ("BACKWARD_TRANSITIVE", [true, false, true]),
        ("FORWARD", [true, true, false]),
        ("FORWARD_TRANSITIVE", [true, true, false]),
        ("FULL", [true, false, false]),
        ("FULL_TRANSITIVE", [true, false, false]),
    ] {
        let subject = format!("s-{level}");
        let config = format!("/config/{subject}");
        site.post(&format!("/subjects/{subject}/versions"), ONE);
        assert_eq!(site.put(&config, "compatibility", level), (200, json!({ "compatibility": level })));
        assert_eq!(site.get(&config), (200, json!({ "compatibilityLevel": level })));
        for (schema, good) in [MORE, BREAKING, EMPTY].into_iter().zip(verdicts) {
            let path = format!("/compatibility/subjects/{subject}/versions");
            assert_eq!(site.post(&path, schema), (200, json!({ "is_compatible": good })), "{level} {schema}");
            let path = format!("/compatibility/subjects/{subject}/versions/latest?verbose=true");
            let (status, verdict) = site.post(&path, schema);
            assert_eq!((status, verdict["is_compatible"].as_bool()), (200, Some(good)));
            assert_eq!(verdict["messages"].as_array().unwrap().is_empty(), good, "{verdict}");
        }
        let status = site.post(&format!("/subjects/{subject}/versions"), EMPTY).0;
        assert_eq!(status, if verdicts[2] { 200 } else { 409 }, "{level}");
    }
}

#[test]
fn a_transitive_level_looks_at_every_version() {
    let both = MORE.replace(r#"[{"name":"c","type":"long"}"#, r#"[{"name":"c","type":"long","default":0}"#);
    for (level, good) in [("BACKWARD", true), ("BACKWARD_TRANSITIVE", false)] {
        let site = Site::new();
        site.put("/config", "compatibility", level);
        site.post("/subjects/s/versions", EMPTY);
        assert_eq!(site.post("/subjects/s/versions", &both).0, 200);
        let verdict = site.post("/compatibility/subjects/s/versions", BREAKING);
        assert_eq!(verdict, (200, json!({ "is_compatible": good })), "{level}");
    }
}

#[test]
fn a_verdict_needs_a_version_that_is_there() {
    let site = Site::new();
    assert_eq!(site.refused(site.post("/compatibility/subjects/s/versions/latest", ONE)).0, 40401);
    assert_eq!(site.post("/compatibility/subjects/s/versions", ONE), (200, json!({ "is_compatible": true })));
    site.post("/subjects/s/versions", ONE);
    assert_eq!(site.refused(site.post("/compatibility/subjects/s/versions/7", ONE)).0, 40402);
    assert_eq!(site.refused(site.post("/compatibility/subjects/s/versions/1", "{")).0, 42201);
}

#[test]
fn levels_and_modes_are_inherited_and_removed() {
    let site = Site::new();
    assert_eq!(site.refused(site.put("/config", "compatibility", "SOME")).0, 42203);
    assert_eq!(site.refused(site.put("/mode", "mode", "WRITE")).0, 42204);
    site.put("/config", "compatibility", "FULL");
    assert_eq!(site.get("/config/s?defaultToGlobal=true"), (200, json!({ "compatibilityLevel": "FULL" })));
    site.put("/config/s", "compatibility", "NONE");
    assert_eq!(site.delete("/config/s"), (200, json!({ "compatibilityLevel": "NONE" })));
    assert_eq!(site.refused(site.delete("/config/s")).0, 40408);
    assert_eq!(site.delete("/config"), (200, json!({ "compatibilityLevel": "FULL" })));
    assert_eq!(site.get("/config"), (200, json!({ "compatibilityLevel": "BACKWARD_TRANSITIVE" })));
    assert_eq!(site.put("/mode/s", "mode", "READONLY"), (200, json!({ "mode": "READONLY" })));
    assert_eq!(site.get("/mode/s"), (200, json!({ "mode": "READONLY" })));
    assert_eq!(site.get("/mode/t?defaultToGlobal=true"), (200, json!({ "mode": "READWRITE" })));
    assert_eq!(site.refused(site.post("/subjects/s/versions", ONE)).0, 42205);
    assert_eq!(site.post("/subjects/t/versions", ONE), (200, json!({ "id": 1 })));
    assert_eq!(site.delete("/mode/s"), (200, json!({ "mode": "READONLY" })));
    assert_eq!(site.post("/subjects/s/versions", ONE), (200, json!({ "id": 1 })));
}

#[test]
fn import_takes_ids_and_versions_of_another_registry() {
    let site = Site::new();
    let body = json!({ "schema": ONE, "id": 70, "version": 3 });
    let import = || site.call("POST", "/subjects/s/versions", Some(body.clone()));
    assert_eq!(site.refused(import()).0, 42205);
    site.put("/mode/s", "mode", "IMPORT");
    assert_eq!(import(), (200, json!({ "id": 70 })));
    assert_eq!(site.get("/subjects/s/versions"), (200, json!([3])));
    assert_eq!(site.refused(site.put("/mode", "mode", "IMPORT")).0, 42205);
    assert_eq!(site.put("/mode?force=true", "mode", "IMPORT").0, 200);
}

#[test]
fn deletion_is_soft_first_and_then_hard() {
    let site = Site::new();
    site.post("/subjects/s/versions", ONE);
    site.post("/subjects/s/versions", MORE);
    assert_eq!(site.refused(site.delete("/subjects/x")).0, 40401);
    assert_eq!(site.refused(site.delete("/subjects/s/versions/1?permanent=true")).0, 40407);
    assert_eq!(site.delete("/subjects/s/versions/1"), (200, json!(1)));
    assert_eq!(site.refused(site.delete("/subjects/s/versions/1")).0, 40406);
    assert_eq!(site.get("/subjects/s/versions"), (200, json!([2])));
    assert_eq!(site.get("/subjects/s/versions?deleted=true"), (200, json!([1, 2])));
    assert_eq!(site.get("/subjects/s/versions?deletedOnly=true"), (200, json!([1])));
    assert_eq!(site.refused(site.get("/subjects/s/versions/1")).0, 40402);
    assert_eq!(site.get("/subjects/s/versions/1?deleted=true").0, 200);
    assert_eq!(site.refused(site.delete("/subjects/s?permanent=true")).0, 40405);
    assert_eq!(site.delete("/subjects/s"), (200, json!([2])));
    assert_eq!(site.refused(site.delete("/subjects/s")).0, 40404);
    assert_eq!(site.get("/subjects"), (200, json!([])));
    // Clients in Python write the word as Python does.
    for yes in ["true", "True"] {
        assert_eq!(site.get(&format!("/subjects?deleted={yes}")), (200, json!(["s"])));
    }
    assert_eq!(site.get("/subjects?deleted=perhaps"), (200, json!([])));
    assert_eq!(site.get("/schemas/ids/1").0, 200, "values with the id are still read");
    assert_eq!(site.delete("/subjects/s?permanent=true"), (200, json!([1, 2])));
    assert_eq!(site.get("/subjects?deleted=true"), (200, json!([])));
    assert_eq!(site.refused(site.get("/schemas/ids/1")).0, 40403);
    assert_eq!(site.post("/subjects/s/versions", BREAKING), (200, json!({ "id": 3 })), "ids never come back");
}

#[test]
fn a_subject_may_have_any_sign() {
    let site = Site::new();
    assert_eq!(site.post("/subjects/a%2Fb%20%C3%A4%3F/versions", ONE), (200, json!({ "id": 1 })));
    assert_eq!(site.get("/subjects"), (200, json!(["a/b ä?"])));
    assert_eq!(site.get("/subjects/a%2Fb%20%C3%A4%3F/versions"), (200, json!([1])));
    assert_eq!(site.refused(site.post("/subjects/a%0Ab/versions", ONE)).0, 42208);
}

#[test]
fn many_that_register_at_once_share_one_row_of_ids() {
    let site = Site::new();
    let mut ids: Vec<u64> = std::thread::scope(|scope| {
        let site = &site;
        let register = move |number: usize| {
            let schema = ONE.replace("a.B", &format!("a.B{number}"));
            site.post(&format!("/subjects/s{number}/versions"), &schema).1["id"].as_u64().unwrap()
        };
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || register(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    ids.sort_unstable();
    assert_eq!(ids, (1..=8).collect::<Vec<u64>>());
}
