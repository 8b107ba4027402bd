//! What goes on while the registry is away, and after it is back.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod paid;
mod site;

use factum_core::{ErrorKind, MessageCodec};
use factum_schemas::{HttpRegistry, RecordCodec, Registry, SchemaCache};
use paid::Paid;
use site::{BREAKING, MORE, ONE, Site, log};
use std::{path::Path, sync::Arc};

fn cache(url: &str, folder: &Path) -> Arc<SchemaCache> {
    Arc::new(SchemaCache::on_disk(Arc::new(HttpRegistry::new(&[url]).unwrap()), folder).unwrap())
}

#[test]
fn a_consumer_restarts_while_the_registry_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::new();
    let url = site.url();
    // Somebody else's schema of the same record, with a field more.
    let foreign = r#"{"type":"record","name":"a.Paid","fields":[{"name":"cents","type":"long"},{"name":"note","type":"string"}]}"#;
    let id = HttpRegistry::new(&[&url]).unwrap().register("t-a.Paid", foreign).unwrap();
    let value = [&[0][..], &id.to_be_bytes(), &[200, 1, 2, b'x']].concat();
    let read = |cache: &Arc<SchemaCache>| {
        let codec = RecordCodec::<Paid>::for_reading(cache)?;
        cache.with_schema(|| codec.decode_one(&value))
    };
    assert_eq!(read(&cache(&url, folder.path())).unwrap(), Paid { cents: 100 });
    drop(site);

    let away = cache(&url, folder.path());
    assert_eq!(read(&away).unwrap(), Paid { cents: 100 });
    let error = away.fetch(99).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.starts_with(&format!("schema id 99: the schema registry {url} is not available")), "{text}");
    // A consumer without the folder cannot start.
    let elsewhere = tempfile::tempdir().unwrap();
    assert_eq!(read(&cache(&url, elsewhere.path())).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn a_registry_that_starts_again_over_the_same_log_keeps_its_ids() {
    let log = log();
    let site = Site::over(&log, "127.0.0.1:0");
    let address = site.address();
    let client = HttpRegistry::new(&[&site.url()]).unwrap();
    assert_eq!((client.register("s", ONE).unwrap(), client.register("s", MORE).unwrap()), (1, 2));
    drop(site);
    assert_eq!(client.register("s", ONE).unwrap_err().kind(), ErrorKind::Unavailable);

    let site = Site::over(&log, &address);
    assert_eq!((client.register("s", MORE).unwrap(), client.register("s", ONE).unwrap()), (2, 1));
    assert_eq!(client.register("t", BREAKING).unwrap(), 3);
    // What one writes to the log directly, the API shows at once.
    let beside = factum_schemas::LogRegistry::open(log, None).unwrap();
    assert_eq!(beside.register("u", r#""long""#).unwrap(), 4);
    assert_eq!(client.schema_by_id(4).unwrap(), r#""long""#);
    drop(site);
}
