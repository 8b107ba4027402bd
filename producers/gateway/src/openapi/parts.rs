//! What the paths of the document share.

use serde_json::{Value, json};

/// Where schemas are.
pub(super) const SCHEMAS: &str = "#/components/schemas/";

pub(super) fn refer(schema: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{schema}") })
}

pub(super) fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

pub(super) fn body(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

pub(super) fn json_response(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

/// The good answer, and problems by their status.
pub(super) fn responses(good: Value, problems: &[&str]) -> Value {
    let mut responses = json!({ "200": good });
    for status in problems {
        responses[*status] = json!({ "$ref": format!("#/components/responses/{status}") });
    }
    responses
}

/// Parameters, responses and schemas that do not depend on the domain.
pub(super) fn parts() -> Value {
    json!({
        "parameters": {
            "id": path("id", json!({ "type": "string", "minLength": 1, "maxLength": 256 }), "The aggregate's id"),
            "command": path("command", json!({ "type": "string", "format": "uuid" }), "The command's id"),
            "Idempotency-Key": header("Idempotency-Key", json!({ "type": "string", "format": "uuid" }),
                "The command's id: a repeat is answered as before and not decided again"),
            "If-Match": header("If-Match", json!({ "type": "string", "examples": ["\"3\""] }),
                "The version that the aggregate must have; else 412 with the actual one"),
            "Prefer": header("Prefer", json!({ "type": "string", "examples": ["wait=10", "respond-async"] }),
                "How many seconds to wait for the answer (30, at most 55), or not to wait for it (RFC 7240)"),
            "Factum-Occurred": header("Factum-Occurred", json!({ "type": "string", "format": "date-time" }),
                "When it occurred; without it, when it is handled"),
            "Factum-After": header("Factum-After", json!({ "type": "string" }), "As `after`, with commas between tokens"),
            "Factum-Correlation-Id": header("Factum-Correlation-Id", json!({ "type": "string", "format": "uuid" }),
                "The conversation that the command belongs to"),
            "Factum-Causation-Id": header("Factum-Causation-Id", json!({ "type": "string" }),
                "The `id` of the event that caused the command"),
            "at_version": query("at_version", json!({ "type": "integer", "minimum": 0 }), "As it was at that version"),
            "at_time": query("at_time", json!({ "type": "string", "format": "date-time" }), "As it was at that time"),
            "by": query("by", json!({ "enum": ["occurred", "recorded"] }), "Which of an event's two times is meant"),
            "traceparent": header("traceparent", json!({ "type": "string" }), "W3C trace context"),
            "Last-Event-ID": header("Last-Event-ID", json!({ "type": "string" }), "The `id` of the last event that was seen: the stream goes on behind it"),
            "after-position": query("after", json!({ "type": "string" }), "As Last-Event-ID; also a command's position token"),
            "after-version": query("after", json!({ "type": "integer", "minimum": 0 }), "Only events with a later version"),
            "limit-events": query("limit", json!({ "type": "integer", "minimum": 1, "maximum": crate::MAX_EVENTS }), "The most events in the answer"),
            "since": query("since", json!({ "type": "string", "format": "date-time" }), "From that time on"),
            "until": query("until", json!({ "type": "string", "format": "date-time" }), "Before that time"),
            "type": query("type", json!({ "type": "string" }), "Of an aggregate type, or a record by its name"),
            "of-aggregate": query("aggregate", json!({ "type": "string" }), "Of one aggregate"),
            "where-journal": query("where", json!({ "type": "string" }), "Only rows of the journal for which this holds"),
            "limit-audit": query("limit", json!({ "type": "integer", "minimum": 1, "maximum": crate::MAX_AUDIT_EVENTS }), "The most events of the page"),
            "after-page": query("after", json!({ "type": "string" }), "`next` of the page before"),
            "correlation": path("correlation", json!({ "type": "string", "format": "uuid" }), "The conversation's id"),
            "where": query("where", json!({ "type": "string", "examples": ["balance > 50"] }), "Which rows"),
            "order": query("order", json!({ "type": "string" }), "By which columns"),
            "columns": query("columns", json!({ "type": "string" }), "Which columns, with commas between"),
            "limit": query("limit", json!({ "type": "integer", "minimum": 1 }), "The most rows of a page"),
            "cursor": query("cursor", json!({ "type": "string" }), "`next` of the page before"),
            "count": query("count", json!({ "type": "boolean" }), "Also count the rows of all pages"),
            "after": query("after", json!({ "type": "array", "items": { "type": "string" } }),
                "Position tokens of commands: the rows have to include them"),
            "wait": query("wait", json!({ "type": "integer", "minimum": 0 }), "How many seconds to wait until they do"),
            "stale": query("stale", json!({ "type": "boolean" }), "Not to wait: rows as they are, and how much they lack"),
            "dry_run": query("dry_run", json!({ "type": "boolean" }), "Only look whether all can be encoded"),
        },
        "responses": {
            "400": problem("The request cannot be understood; `detail` tells what is expected"),
            "403": problem("The handler does not grant the permission that the command needs"),
            "404": problem("There is no such aggregate type, command, view or outcome"),
            "409": problem("The command was handled before, too long ago for its answer to be known"),
            "412": problem("The aggregate has another version, which `version` tells"),
            "413": problem("The body is too large"),
            "415": problem("The body is not JSON"),
            "422": problem("The domain refused the command; `refusal` tells why"),
            "429": retry("This client has its share of requests or streams under way, or more came in a second than a limit allows, which `limit` names"),
            "500": problem("Something is broken; the log tells what"),
            "503": retry("Overloaded, or the log or the database is away, or a view is behind"),
            "504": problem("The command's deadline passed before it was handled"),
        },
        "schemas": {
            "Problem": {
                "type": "object", "required": ["title", "status", "detail"],
                "description": "RFC 9457",
                "properties": {
                    "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" },
                    "version": { "type": "integer" }, "refusal": true, "at": { "type": "integer" },
                },
            },
            "Answer": {
                "type": "object", "required": ["command", "code", "version", "events", "token"],
                "properties": {
                    "command": { "type": "string", "format": "uuid" }, "code": { "type": "string" },
                    "version": { "type": "integer", "minimum": 0 }, "events": { "type": "integer", "minimum": 0 },
                    "token": { "type": ["string", "null"], "description": "The position that includes the command's effect" },
                    "refusal": true,
                },
            },
            "Sent": {
                "type": "object", "required": ["command", "code"],
                "properties": { "command": { "type": "string", "format": "uuid" }, "code": { "const": "sent" } },
            },
            "Tally": {
                "type": "object", "required": ["answers", "samples"],
                "properties": {
                    "answers": { "type": "object", "additionalProperties": { "type": "integer" } },
                    "samples": { "type": "array", "items": { "type": "string" } },
                },
            },
            "Behind": {
                "type": "object", "required": ["partition", "position", "wanted"],
                "properties": {
                    "partition": { "type": "string" }, "position": { "type": "integer" }, "wanted": { "type": "integer" },
                },
            },
        },
    })
}

fn path(name: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": description })
}

fn header(name: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": "header", "schema": schema, "description": description })
}

fn query(name: &str, schema: Value, description: &str) -> Value {
    json!({ "name": name, "in": "query", "schema": schema, "description": description })
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": refer("Problem") } },
    })
}

fn retry(description: &str) -> Value {
    let mut response = problem(description);
    response["headers"] = json!({ "Retry-After": { "schema": { "type": "integer" }, "description": "Seconds" } });
    response
}
