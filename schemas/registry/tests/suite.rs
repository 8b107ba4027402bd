//! What any registry with Confluent's API must do for Factum: the embedded one over HTTP, or, where the variable
//! FACTUM_TEST_REGISTRY has an address, the one there (`deploy/registry/registry.sh start` prints it). Subjects
//! have names of their own, so one registry may be used many times.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod paid;
mod site;

use factum_core::{ErrorKind, MessageCodec};
use factum_schemas::{
    Access, HttpRegistry, RecordCodec, Registry, RegistryClient, Schema, SchemaCache, rules::Level, same, subject,
};
use paid::Paid;
use reqwest::Method;
use serde_json::{Value, json};
use site::{BREAKING, MORE, ONE, Site};
use std::{
    env, process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A registry, whoever made it.
struct Place {
    url: String,
    client: RegistryClient,
    /// The embedded one, which lives as long.
    _site: Option<Site>,
}

fn access() -> Access {
    // A JVM on a busy machine takes its time.
    Access { timeout: Duration::from_secs(60), ..Access::default() }
}

fn place() -> Place {
    let (url, site) = match env::var("FACTUM_TEST_REGISTRY") {
        Ok(url) => (url, None),
        Err(_) => {
            let site = Site::new();
            (site.url(), Some(site))
        }
    };
    Place { client: RegistryClient::new(&url, &access()).unwrap(), url, _site: site }
}

/// A name that nothing else has.
fn name(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (number, now) = (NUMBER.fetch_add(1, Ordering::Relaxed), SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    format!("{what}-{}-{}-{number}", process::id(), now.as_nanos())
}

impl Place {
    fn codecs_registry(&self) -> HttpRegistry {
        HttpRegistry::with_access(&[&self.url], &access()).unwrap()
    }

    /// Status and body of a call that Factum does not make.
    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let mut request = client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().unwrap()).unwrap())
    }
}

#[test]
fn a_schema_is_registered_once_and_found_by_id_by_subject_and_by_version() {
    let place = place();
    let (client, subject) = (&place.client, name("s"));
    let id = client.register(&subject, ONE).unwrap();
    assert_eq!(client.register(&subject, ONE).unwrap(), id);
    assert_eq!(client.versions(&subject).unwrap(), [1]);
    let more = client.register(&subject, MORE).unwrap();
    assert_ne!(more, id);
    assert_eq!(client.register(&subject, ONE).unwrap(), id, "an earlier version is there already");
    assert_eq!(client.versions(&subject).unwrap(), [1, 2]);
    assert!(client.subjects().unwrap().contains(&subject));
    let first = client.version(&subject, Some(1)).unwrap();
    let latest = client.version(&subject, None).unwrap();
    assert_eq!((first.version, first.id, latest.version, latest.id), (1, id, 2, more));
    assert_eq!(client.schema(id).unwrap(), first.schema);
    for (text, found) in [(ONE, &first.schema), (MORE, &latest.schema)] {
        // Some keep the text, some write it in their own way.
        let parse = |text: &str| Schema::parse_str(text).unwrap();
        assert!(same(&parse(text), &parse(found)), "{found}");
    }
}

#[test]
fn one_schema_under_two_subjects_has_one_id() {
    let place = place();
    let id = place.client.register(&name("s"), ONE).unwrap();
    assert_eq!(place.client.register(&name("t"), ONE).unwrap(), id);
}

#[test]
fn what_is_not_there_is_told_as_such() {
    let place = place();
    let (client, subject) = (&place.client, name("s"));
    assert_eq!(client.versions(&subject).unwrap(), Vec::<u32>::new());
    assert_eq!(client.problems(&subject, ONE).unwrap(), Vec::<String>::new());
    assert_eq!(place.codecs_registry().latest(&subject).unwrap(), None);
    let unknown = client.version(&subject, None).unwrap_err();
    client.register(&subject, ONE).unwrap();
    for error in [
        unknown,
        client.version(&subject, Some(9)).unwrap_err(),
        client.schema(2_000_000_000).unwrap_err(),
        place.codecs_registry().schema_by_id(2_000_000_000).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Data, "{error}");
        assert!(error.to_string().contains("status 404: "), "{error}");
    }
    assert_eq!(client.version(&subject, None).unwrap().version, 1);
}

#[test]
fn a_subject_has_the_level_that_it_is_given() {
    let place = place();
    let subject = name("s");
    place.client.register(&subject, ONE).unwrap();
    for level in [
        Level::None,
        Level::Backward,
        Level::BackwardTransitive,
        Level::Forward,
        Level::ForwardTransitive,
        Level::Full,
        Level::FullTransitive,
    ] {
        place.client.set_level(&subject, level).unwrap();
        assert_eq!(place.client.level(&subject).unwrap(), level);
    }
    // One without a level has that of the registry, whatever that is.
    let other = name("s");
    place.client.register(&other, ONE).unwrap();
    place.client.level(&other).unwrap();
}

#[test]
fn a_breaking_change_is_refused_with_its_field_and_the_next_good_one_is_taken() {
    let place = place();
    let (client, subject) = (&place.client, name("s"));
    client.register(&subject, ONE).unwrap();
    client.set_level(&subject, Level::BackwardTransitive).unwrap();
    let problems = client.problems(&subject, BREAKING).unwrap();
    // The embedded one says "field d", Apicurio "d at /fields/1".
    assert!(problems.len() == 1 && problems[0].contains('d'), "{problems:?}");
    let error = client.register(&subject, BREAKING).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("POST {}/subjects/{subject}/versions: status 409: ", place.url)), "{text}");
    assert!(text.ends_with(" (error 409)") && (text.contains("field d") || text.contains("d at /fields/1")), "{text}");
    let error = place.codecs_registry().register(&subject, BREAKING).unwrap_err();
    assert!(error.to_string().starts_with(&format!("subject {subject}: refused by the schema registry ")), "{error}");
    assert_eq!(client.problems(&subject, MORE).unwrap(), Vec::<String>::new());
    client.register(&subject, MORE).unwrap();
    assert_eq!(client.versions(&subject).unwrap(), [1, 2]);
}

#[test]
fn a_transitive_level_looks_at_all_versions_and_not_at_the_latest_alone() {
    let place = place();
    let (client, subject) = (&place.client, name("s"));
    client.register(&subject, ONE).unwrap();
    client.set_level(&subject, Level::BackwardTransitive).unwrap();
    client.register(&subject, MORE).unwrap();
    // It reads what the second version wrote, and not what the first one did.
    assert_eq!(client.problems(&subject, BREAKING).unwrap().len(), 1);
    assert_eq!(client.register(&subject, BREAKING).unwrap_err().kind(), ErrorKind::Invalid);
    client.set_level(&subject, Level::Backward).unwrap();
    assert_eq!(client.problems(&subject, BREAKING).unwrap(), Vec::<String>::new());
    client.register(&subject, BREAKING).unwrap();
}

#[test]
fn what_is_no_schema_is_refused_and_the_next_good_one_is_taken() {
    let place = place();
    let subject = name("s");
    for bad in ["{", r#"{"type":"nonsense"}"#, r#"{"type":"record","name":"a.B","fields":[{"name":"c"}]}"#] {
        let error = place.client.register(&subject, bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}: {error}");
        assert!(error.to_string().contains("status 422: ") && error.to_string().ends_with(" (error 42201)"), "{error}");
    }
    place.client.register(&subject, ONE).unwrap();
}

#[test]
fn a_subject_may_have_any_sign() {
    let place = place();
    let subject = name("a/b ä?%2F");
    place.client.register(&subject, ONE).unwrap();
    place.client.set_level(&subject, Level::Full).unwrap();
    assert_eq!(place.client.level(&subject).unwrap(), Level::Full);
    assert_eq!(place.client.versions(&subject).unwrap(), [1]);
    assert!(place.client.subjects().unwrap().contains(&subject));
}

#[test]
fn a_large_schema_is_kept_whole_and_one_beyond_the_limit_is_refused() {
    let place = place();
    let documented =
        |bytes: usize| ONE.replace(r#""name":"c""#, &format!(r#""doc":"{}","name":"c""#, "x".repeat(bytes)));
    let (subject, large) = (name("s"), documented(1_000_000));
    let cache = SchemaCache::in_memory(Arc::new(place.codecs_registry()));
    let id = cache.register(&subject, &large).unwrap();
    assert!(place.client.schema(id).unwrap().contains(&"x".repeat(1_000_000)));
    // The embedded registry refuses it, and where another one takes it, the codec does.
    let error = cache.register(&name("s"), &documented(1 << 20)).unwrap_err();
    assert!(error.to_string().contains("the limit is 1048576"), "{error}");
    assert_eq!(cache.register(&subject, &large).unwrap(), id);
}

#[test]
fn many_that_register_the_same_at_once_get_one_id() {
    let place = place();
    let subject = name("s");
    let schema = ONE.replace("a.B", &format!("a.{}", subject.replace('-', "_")));
    let ids: Vec<u32> = std::thread::scope(|scope| {
        let register = || place.client.register(&subject, &schema).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(register)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    // Apicurio may count one schema as several versions then; they have one id.
    for version in place.client.versions(&subject).unwrap() {
        assert_eq!(place.client.version(&subject, Some(version)).unwrap().id, ids[0]);
    }
}

#[test]
fn values_with_the_id_are_read_after_the_subject_was_deleted() {
    let place = place();
    let subject = name("s");
    let id = place.client.register(&subject, MORE).unwrap();
    assert_eq!(place.call(Method::DELETE, &format!("/subjects/{subject}"), None), (200, json!([1])));
    assert_eq!(place.client.versions(&subject).unwrap(), Vec::<u32>::new());
    assert!(!place.client.subjects().unwrap().contains(&subject));
    place.codecs_registry().schema_by_id(id).unwrap();
    assert_eq!(place.client.register(&subject, MORE).unwrap(), id);
}

#[test]
fn a_schema_that_refers_to_another_subject_is_told_as_unusable() {
    let place = place();
    let (subject, owner) = (name("s"), name("s"));
    place.client.register(&subject, ONE).unwrap();
    let references = json!([{ "name": "a.B", "subject": subject, "version": 1 }]);
    let schema = r#"{"type":"record","name":"a.Owner","fields":[{"name":"b","type":"a.B"}]}"#;
    let body = json!({ "schema": schema, "schemaType": "AVRO", "references": references });
    let (status, answer) = place.call(Method::POST, &format!("/subjects/{owner}/versions"), Some(&body));
    if status == 422 {
        // The embedded one does not take such.
        assert!(answer["message"].as_str().unwrap().contains("register it with its types inline"), "{answer}");
    } else {
        let id = u32::try_from(answer["id"].as_u64().unwrap()).unwrap();
        let error = place.codecs_registry().schema_by_id(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(
            error.to_string().ends_with("it refers to other subjects; register it with its types inline"),
            "{error}"
        );
    }
}

#[test]
fn a_codec_writes_what_another_process_reads_and_the_start_after_it_registers_nothing() {
    let place = place();
    let topic = name("t");
    let folder = tempfile::tempdir().unwrap();
    let cache = || {
        let registry: Arc<dyn Registry> = Arc::new(place.codecs_registry());
        Arc::new(SchemaCache::on_disk(registry, folder.path()).unwrap())
    };
    let mut value = Vec::new();
    RecordCodec::for_writing(&topic, &cache()).unwrap().encode(&Paid { cents: 7 }, &mut value).unwrap();
    let stranger = Arc::new(SchemaCache::in_memory(Arc::new(place.codecs_registry())));
    let reader = RecordCodec::<Paid>::for_reading(&stranger).unwrap();
    assert_eq!(stranger.with_schema(|| reader.decode_one(&value)).unwrap(), Paid { cents: 7 });
    let mut again = Vec::new();
    RecordCodec::for_writing(&topic, &cache()).unwrap().encode(&Paid { cents: 7 }, &mut again).unwrap();
    assert_eq!(again, value);
    assert_eq!(place.client.versions(&subject(&topic, "a.Paid")).unwrap(), [1]);
}

#[test]
fn an_id_that_was_registered_under_another_subject_is_read_for_what_it_is() {
    let place = place();
    // A stranger's record of the same name, with a field more, and one of another name, under subjects of their own.
    let register = |schema: &str| place.client.register(&name("elsewhere"), schema).unwrap();
    let text = r#"{"type":"record","name":"a.Paid","fields":[{"name":"cents","type":"long"},{"name":"note","type":"string"}]}"#;
    let (longer, other) = (register(text), register(&text.replace("a.Paid", "a.Unpaid")));
    let cache = Arc::new(SchemaCache::in_memory(Arc::new(place.codecs_registry())));
    let codec = RecordCodec::<Paid>::for_reading(&cache).unwrap();
    let read =
        |id: u32, bytes: &[u8]| cache.with_schema(|| codec.decode_one(&[&[0][..], &id.to_be_bytes(), bytes].concat()));
    assert_eq!(read(longer, &[14, 2, b'x']).unwrap(), Paid { cents: 7 });
    let error = read(other, &[14, 2, b'x']).unwrap_err();
    assert!(error.to_string().contains("a.Unpaid"), "{error}");
    // Where it is written it gets a subject of its own, and one id for the same text.
    let topic = name("t");
    let own = RecordCodec::<Paid>::for_writing(&topic, &cache).unwrap();
    let mut value = Vec::new();
    own.encode(&Paid { cents: 8 }, &mut value).unwrap();
    assert_eq!(own.decode_one(&value).unwrap(), Paid { cents: 8 });
    assert_eq!(place.client.versions(&subject(&topic, "a.Paid")).unwrap(), [1]);
}
