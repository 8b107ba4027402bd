//! What is asked of all aggregates: an audit, and a conversation.

use super::{
    Document,
    parts::{json_response, parameter, refer, responses},
};
use serde_json::{Value, json};

impl Document {
    /// The paths of the journal. An event there is of any type, so its fields are not described.
    pub(super) fn journal(&mut self) {
        self.schemas.insert("journal.Event".to_owned(), event(&[]));
        let audited = [("aggregate_type", json!({ "type": "string" })), ("aggregate", json!({ "type": "string" }))];
        self.schemas.insert("journal.AuditedEvent".to_owned(), event(&audited));
        let behind = json!({
            "type": "integer", "minimum": 0,
            "description": "How many records the journal was behind the log; 0: it has all",
        });
        let page = json!({
            "type": "object", "required": ["events", "next", "behind"],
            "properties": {
                "events": { "type": "array", "items": refer("journal.AuditedEvent") },
                "next": { "type": ["string", "null"], "description": "`after` of the next page" },
                "behind": behind,
            },
        });
        self.path(
            "/audit".to_owned(),
            json!({ "get": {
                "operationId": "journal.audit", "tags": ["journal"], "summary": "The events of a period, in the order of their times",
                "parameters": [
                    parameter("since"), parameter("until"), parameter("by"), parameter("type"), parameter("of-aggregate"),
                    parameter("where-journal"), parameter("limit-audit"), parameter("after-page"),
                ],
                "responses": responses(json_response("Events", &page), &["400", "429", "503"]),
            } }),
        );
        let command = json!({
            "type": "object", "required": ["depth", "command", "causation", "aggregate_type", "aggregate", "events"],
            "properties": {
                "depth": { "type": "integer", "minimum": 0, "description": "How many commands led to it" },
                "command": { "type": "string", "format": "uuid" },
                "causation": { "type": ["string", "null"], "description": "The id of the event that caused it" },
                "aggregate_type": { "type": "string" }, "aggregate": { "type": "string" },
                "events": { "type": "array", "items": refer("journal.Event") },
            },
        });
        let tree = json!({
            "type": "object", "required": ["correlation", "commands", "more", "behind"],
            "properties": {
                "correlation": { "type": "string", "format": "uuid" },
                "commands": { "type": "array", "items": command },
                "more": { "type": "boolean", "description": "Whether there are more events than are shown" },
                "behind": behind,
            },
        });
        self.path(
            "/correlations/{correlation}".to_owned(),
            json!({ "get": {
                "operationId": "journal.causes", "tags": ["journal"],
                "summary": "A conversation: its commands, each behind the one whose event caused it",
                "parameters": [parameter("correlation")],
                "responses": responses(json_response("The tree", &tree), &["400", "429", "503"]),
            } }),
        );
    }
}

/// An event of any type, with more members.
fn event(more: &[(&str, Value)]) -> Value {
    let mut schema = super::event_schema(&[], &[json!({ "type": "object" })]);
    for (name, member) in more {
        schema["properties"][*name] = member.clone();
        if let Some(required) = schema["required"].as_array_mut() {
            required.push(json!(name));
        }
    }
    schema
}
