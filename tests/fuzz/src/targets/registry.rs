//! The registry: records of its topic, and requests to its API.

use super::{
    http,
    records::{put, record},
    zoo,
};
use crate::{Draw, Target};
use factum_core::{
    Partition, RecordBatch, Topic,
    log::{Log, TopicSpec},
};
use factum_log_memory::MemoryLog;
use factum_schemas::{LogRegistry, SCHEMAS_TOPIC};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Records of the topic `_schemas`, which others can write: an input is records
/// (see [`record`]), the first byte is how long the first one is.
pub(super) struct RegistryRecords;

impl Target for RegistryRecords {
    fn name(&self) -> &'static str {
        "registry-records"
    }

    fn share(&self) -> u64 {
        5
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let schema = draw.one(&["\"long\"", zoo::NEWEST, zoo::OLDER]);
        let number = draw.odd_number() % 5;
        let (key, value) = match draw.below(5) {
            0 => (json!({"keytype":"CONFIG","subject":null,"magic":0}), json!({"compatibilityLevel":"FULL"})),
            1 => (json!({"keytype":"MODE","subject":"a","magic":0}), json!({"mode":"IMPORT"})),
            2 => (json!({"keytype":"DELETE_SUBJECT","subject":"a","magic":0}), json!({"subject":"a","version":number})),
            3 => (json!({"keytype":"IDS","magic":0}), json!({"last":draw.odd_number()})),
            _ => (
                json!({"keytype":"SCHEMA","subject":"a","version":number,"magic":1}),
                json!({"subject":"a","version":number,"id":number,"schema":schema,"deleted":draw.once_in(2)}),
            ),
        };
        let mut bytes = Vec::new();
        put(&mut bytes, 254, key.to_string().as_bytes());
        put(&mut bytes, 255, value.to_string().as_bytes());
        bytes
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "{\"a\":",
            "[",
            "null",
            "\"SCHEMA\"",
            "\"DELETE_SUBJECT\"",
            "\"version\":",
            "\"id\":",
            "\"magic\":",
            "NOOP",
            "\\u0000",
        ]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let log = MemoryLog::with_system_clock();
        let topic = Topic::from(SCHEMAS_TOPIC);
        let spec = TopicSpec { topic: topic.clone(), partitions: 1, replication: None, settings: Default::default() };
        let written = log.admin().and_then(|mut admin| admin.create_topics(&[spec])).and_then(|()| {
            let mut batch = RecordBatch::new();
            // The same record twice: what it says must not depend on what came before.
            for _ in 0..2 {
                let mut new = batch.start(&topic, Partition(0));
                new.content_of(record(input, &[]).get(0));
                new.finish();
            }
            let mut producer = log.producer()?;
            producer.produce(&batch)?;
            producer.flush(Duration::from_secs(10))
        });
        written.map_err(|error| error.to_string())?;
        let registry = LogRegistry::open(Arc::new(log), None).map_err(|error| error.to_string())?;
        // Records that contradict each other are an error of the call.
        drop(registry.read(|model| model.subjects("", factum_schemas::rules::Which::All)));
        Ok(())
    }
}

/// Requests to the API, over a registry with one schema: an input is a request (see [`http::request`]).
pub(super) struct RegistryRequests;

const REQUESTS: [&str; 12] = [
    "GET /subjects?deleted=true&subjectPrefix=a",
    "POST /subjects/a/versions",
    "POST /subjects/a?deleted=true",
    "GET /subjects/a/versions/latest",
    "GET /subjects/a/versions/1/schema",
    "DELETE /subjects/a/versions/-1?permanent=true",
    "GET /schemas/ids/1?subject=a",
    "POST /compatibility/subjects/a/versions/latest?verbose=true",
    "PUT /config/a",
    "GET /config/a?defaultToGlobal=true",
    "PUT /mode?force=true",
    "DELETE /mode/a",
];

impl Target for RegistryRequests {
    fn name(&self) -> &'static str {
        "registry-requests"
    }

    fn share(&self) -> u64 {
        1
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let body = match draw.below(4) {
            0 => json!({"compatibility":draw.one(&["NONE", "FULL_TRANSITIVE"])}),
            1 => json!({"mode":draw.one(&["IMPORT", "READONLY"])}),
            _ => {
                json!({"schema":draw.one(&["\"long\"", zoo::NEWEST]),"schemaType":"AVRO","references":[],"id":-1,"version":1})
            }
        };
        let kind = "Content-Type: application/vnd.schemaregistry.v1+json";
        format!("{}\n{kind}\n\n{body}", draw.one(&REQUESTS)).into_bytes()
    }

    fn words(&self) -> &'static [&'static str] {
        &["/", "%", "%00", "latest", "-1", "?", "&", "=", "{\"a\":", "[", "null", "\"references\":[{}],", "true"]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Some(request) = http::request(input) else { return Ok(()) };
        let log = Arc::new(MemoryLog::with_system_clock());
        let registry = LogRegistry::open(log, None).map_err(|error| error.to_string())?;
        registry
            .change(|model| model.register("a", "\"int\"".into()))
            .map_err(|error| error.to_string())?
            .map_err(|refusal| refusal.message().to_owned())?;
        let routed = http::Routed::new(factum_registry::router(Arc::new(registry)));
        let (_, body) = routed.answer(request)?;
        match std::str::from_utf8(&body) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the answer is not text: {error}")),
        }
    }
}
