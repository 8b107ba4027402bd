//! JSON that people write and read.

#![allow(missing_docs, clippy::unwrap_used)]

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub mod schemas {
    pub use factum_schemas::*;
}

use factum_core::MessageCodec;
use factum_schemas::{MemoryRegistry, RecordCodec, SchemaCache, command};
use serde_json::json;
use std::sync::Arc;

#[command("shop.basket")]
pub struct Add {
    pub article: String,
    pub pieces: i64,
    #[serde(default)]
    pub note: Option<String>,
}

#[command]
pub enum Command {
    Add(Add),
}

fn codec() -> RecordCodec<Command> {
    let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
    RecordCodec::for_writing("shop.basket.commands", &cache).unwrap()
}

#[test]
fn json_becomes_the_record_that_serde_would_write_and_back() {
    let codec = codec();
    let bytes = codec.encode_json("Add", &json!({ "article": "tea", "pieces": 3, "note": null })).unwrap();
    let record = Add { article: "tea".into(), pieces: 3, note: None };
    assert_eq!(codec.decode_one(&bytes).unwrap(), Command::Add(record));
    let (name, back) = codec.cache().to_json(&bytes).unwrap();
    assert_eq!((name.as_str(), back), ("shop.basket.Add", json!({ "article": "tea", "pieces": 3, "note": null })));
}

#[test]
fn wrong_json_is_refused_with_the_names_that_there_are() {
    let codec = codec();
    let refused = |record: &str, json| codec.encode_json(record, &json).unwrap_err().to_string();
    let good = json!({ "article": "tea", "pieces": 3 });
    assert_eq!(refused("Remove", good), "there is no record \"Remove\"; there are shop.basket.Add");
    assert!(
        refused("Add", json!({ "artikel": "tea", "pieces": 3 }))
            .contains("has no field \"artikel\"; it has article, pieces, note")
    );
    assert!(refused("Add", json!({ "article": "tea" })).contains("needs the field \"pieces\""));
    assert!(refused("Add", json!(7)).contains("is a JSON object with the fields"));
    assert!(refused("Add", json!({ "article": "tea", "pieces": "many" })).contains("does not fit shop.basket.Add"));
}

#[test]
fn truncated_and_trailing_bytes_are_malformed() {
    let codec = codec();
    let bytes = codec.encode_json("Add", &json!({ "article": "tea", "pieces": 3, "note": "hot" })).unwrap();
    for len in 5..bytes.len() {
        assert!(matches!(codec.cache().to_json(&bytes[..len]), Err(DecodeError::Malformed(_))), "{len} bytes");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(codec.cache().to_json(&longer), Err(DecodeError::Malformed(_))));
}
