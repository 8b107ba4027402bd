//! The gateway's description as OpenAPI 3.1, made from schemas and views.
//!
//! Every command has its own path with its own JSON Schema, so that a client
//! generated from the document knows each command's fields.

mod journal;
mod parts;
#[cfg(test)]
mod tests;

use crate::{
    AggregateEntry, Catalog, OtherEntry, ViewEntry,
    catalog::{full_name, short_name},
};
use factum_core::view::{Column, ColumnType};
use factum_schemas::{Schema, json_schema};
use parts::{SCHEMAS, body, json_response, parameter, parts, refer, responses};
use serde_json::{Map, Value, json};

/// The document of everything that a catalog lists.
pub(crate) fn openapi(catalog: &Catalog) -> Value {
    let mut document = Document { paths: Map::new(), schemas: Map::new() };
    catalog.aggregates.iter().for_each(|entry| document.aggregate(entry));
    catalog.views.iter().for_each(|view| document.view(view));
    document.journal();
    catalog.others.iter().for_each(|other| document.other(other));
    let mut components = parts();
    if let Some(schemas) = components["schemas"].as_object_mut() {
        schemas.extend(document.schemas);
    }
    let tags = catalog.aggregates.iter().map(|entry| &entry.name).chain(catalog.views.iter().map(|view| &view.name));
    let tags = tags.map(String::as_str).chain(["journal", "process"]);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": catalog.title, "version": catalog.version,
            "description": "Commands ask an aggregate for something, its events say what happened, views show them as tables. \
                A command's answer has a position token; a view asked with `after` and that token has seen the command.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "/" }],
        "tags": tags.map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "paths": document.paths,
        "components": components,
    })
}

struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

impl Document {
    fn path(&mut self, path: String, item: Value) {
        self.paths.insert(path, item);
    }

    fn aggregate(&mut self, entry: &AggregateEntry) {
        let Some((context, aggregate)) = entry.name.rsplit_once('.') else { return };
        let (base, tag) = (format!("/{context}/{aggregate}"), &entry.name);
        let described = |schemas: &[Schema], definitions: &mut Map<String, Value>| -> Vec<Value> {
            schemas.iter().map(|schema| json_schema(schema, SCHEMAS, definitions)).collect()
        };
        let commands = described(&entry.commands, &mut self.schemas);
        let events = described(&entry.events, &mut self.schemas);
        for (schema, described) in entry.commands.iter().zip(&commands) {
            let name = full_name(schema).unwrap_or_default();
            self.path(format!("{base}/{{id}}/commands/{}", short_name(&name)), command(tag, &name, schema, described));
        }
        let event = format!("{tag}.events");
        self.schemas.insert(event.clone(), event_schema(&entry.events, &events));
        self.path(format!("{base}/commands"), many(tag, &entry.commands, &commands));
        self.path(
            format!("{base}/{{id}}/commands/{{command}}"),
            json!({ "get": {
                "operationId": format!("{tag}.outcome"), "tags": [tag],
                "summary": "What became of a command, as far as its aggregate's events tell",
                "parameters": [parameter("id"), parameter("command")],
                "responses": responses(json_response("It was accepted", &refer("Answer")), &["400", "404", "429", "503"]),
            } }),
        );
        let state = format!("{tag}.state");
        let own = json_schema(&entry.state, SCHEMAS, &mut self.schemas);
        self.schemas.insert(state.clone(), state_schema(&own));
        self.path(
            format!("{base}/{{id}}"),
            json!({ "get": {
                "operationId": format!("{tag}.state"), "tags": [tag], "summary": "The state, folded from all events",
                "parameters": [parameter("id"), parameter("at_version"), parameter("at_time"), parameter("by")],
                "responses": responses(json_response("The state; version 0 without events", &refer(&state)), &["400", "404", "429", "503"]),
            } }),
        );
        let page = json!({
            "type": "object", "required": ["events", "more"],
            "properties": {
                "events": { "type": "array", "items": refer(&event) },
                "more": { "type": "boolean", "description": "Whether there are later ones" },
            },
        });
        self.path(
            format!("{base}/{{id}}/history"),
            json!({ "get": {
                "operationId": format!("{tag}.history"), "tags": [tag], "summary": "The events, oldest first",
                "parameters": [parameter("id"), parameter("after-version"), parameter("limit-events")],
                "responses": responses(json_response("Events", &page), &["400", "404", "429", "503"]),
            } }),
        );
        self.path(
            format!("{base}/{{id}}/events"),
            json!({ "get": {
                "operationId": format!("{tag}.events"), "tags": [tag],
                "summary": "Live updates: every event of the aggregate from now on, or from a position",
                "parameters": [parameter("id"), parameter("after-position"), parameter("Last-Event-ID")],
                "responses": responses(stream(&event), &["400", "404", "429", "503"]),
            } }),
        );
    }

    fn other(&mut self, other: &OtherEntry) {
        let content = json!({ other.media_type: { "schema": true } });
        let told = |description: &str| json!({ "description": description, "content": content });
        self.path(
            other.path.to_owned(),
            json!({ "get": {
                "operationId": format!("process{}", other.path.replace('/', ".")), "tags": ["process"], "summary": other.summary,
                "parameters": [], "responses": { "200": told("It is so"), "503": told("It is not so, and why") },
            } }),
        );
    }

    fn view(&mut self, view: &ViewEntry) {
        let name = &view.name;
        let row = format!("view.{name}");
        let key = Column { name: "key".to_owned(), kind: ColumnType::Text, nullable: false };
        let columns: Map<String, Value> = std::iter::once(&key)
            .chain(&view.columns)
            .map(|column| (column.name.clone(), column_schema(column)))
            .collect();
        let names: Vec<&String> = columns.keys().collect();
        let rows = json!({
            "type": "object", "required": ["view", "columns", "rows"],
            "properties": {
                "view": { "const": name },
                "columns": { "type": "array", "items": { "enum": names } },
                "rows": {
                    "type": "array", "description": "The values of the columns, in their order",
                    "items": { "type": "array", "items": { "anyOf": columns.values().collect::<Vec<_>>() } },
                },
                "next": { "type": ["string", "null"], "description": "The cursor of the next page" },
                "count": { "type": "integer", "minimum": 0 },
                "behind": { "type": "array", "items": refer("Behind") },
                "lag_records": {
                    "type": "integer", "minimum": 0,
                    "description": "With `stale`: how many records of the log the rows lack at most",
                },
            },
        });
        let required: Vec<&String> = columns.keys().collect();
        let described = json!({ "type": "object", "properties": columns, "required": required });
        self.schemas.insert(row.clone(), described);
        self.path(
            format!("/views/{name}"),
            json!({ "get": {
                "operationId": format!("views.{name}"), "tags": [name],
                "summary": format!("Rows of the view, folded from the events of {}", view.inputs.join(", ")),
                "parameters": [
                    parameter("where"), parameter("order"), parameter("columns"), parameter("limit"), parameter("cursor"),
                    parameter("count"), parameter("after"), parameter("wait"), parameter("stale"), parameter("Factum-After"),
                ],
                "responses": responses(json_response("Rows", &rows), &["400", "404", "429", "503"]),
            } }),
        );
        let change = format!("view.{name}.change");
        self.schemas.insert(
            change.clone(),
            json!({
                "type": "object", "required": ["key", "row"],
                "properties": { "key": { "type": "string" }, "row": { "anyOf": [refer(&row), { "type": "null" }] } },
            }),
        );
        self.path(
            format!("/views/{name}/changes"),
            json!({ "get": {
                "operationId": format!("views.{name}.changes"), "tags": [name],
                "summary": "Live updates: the rows that events touch, from now on or from a position",
                "parameters": [parameter("after-position"), parameter("Last-Event-ID")],
                "responses": responses(stream(&change), &["400", "404", "429", "503"]),
            } }),
        );
    }
}

fn command(tag: &str, name: &str, schema: &Schema, described: &Value) -> Value {
    let doc = match schema {
        Schema::Record(record) => record.doc.clone().unwrap_or_default(),
        _ => String::new(),
    };
    let mut responses = responses(
        json_response("It was accepted; the header ETag has the aggregate's new version", &refer("Answer")),
        &["400", "403", "404", "409", "412", "413", "415", "422", "429", "500", "503", "504"],
    );
    responses["202"] = json!({
        "description": "With `Prefer: respond-async`: the log has it, and `Location` tells where to ask",
        "content": { "application/json": { "schema": refer("Sent") } },
    });
    json!({ "post": {
        "operationId": name, "tags": [tag], "summary": name, "description": doc,
        "parameters": [
            parameter("id"), parameter("Idempotency-Key"), parameter("If-Match"), parameter("Prefer"),
            parameter("Factum-Occurred"), parameter("Factum-Correlation-Id"), parameter("Factum-Causation-Id"), parameter("traceparent"),
        ],
        "requestBody": body(described),
        "responses": responses,
    } })
}

fn many(tag: &str, schemas: &[Schema], described: &[Value]) -> Value {
    let one = schemas.iter().zip(described).map(|(schema, described)| {
        let name = full_name(schema).unwrap_or_default();
        json!({
            "type": "object", "required": ["aggregate", "command", "fields"], "additionalProperties": false,
            "properties": {
                "aggregate": { "type": "string" }, "command": { "enum": [short_name(&name), name] }, "fields": described,
                "id": { "type": "string", "format": "uuid" },
                "occurred_ms": { "type": "integer", "format": "int64" },
                "expected_version": { "type": "integer", "minimum": 0 },
            },
        })
    });
    let list = json!({
        "type": "array", "maxItems": crate::MAX_BATCH, "items": { "anyOf": one.collect::<Vec<_>>() },
    });
    let told = json!({ "anyOf": [refer("Tally"), {
        "type": "object", "required": ["checked"], "properties": { "checked": { "type": "integer" } },
    }] });
    json!({ "post": {
        "operationId": format!("{tag}.many"), "tags": [tag],
        "summary": "Many commands: not one is sent unless all of them can be encoded",
        "parameters": [parameter("dry_run"), parameter("Prefer")],
        "requestBody": body(&list),
        "responses": responses(json_response("How they were answered", &told), &["400", "404", "413", "415", "429", "503"]),
    } })
}

fn event_schema(schemas: &[Schema], described: &[Value]) -> Value {
    let names: Vec<String> = schemas.iter().filter_map(full_name).collect();
    json!({
        "type": "object", "required": [
            "version", "type", "event", "occurred", "recorded", "id", "command", "correlation", "source", "partition", "offset",
        ],
        "properties": {
            "id": { "type": "string", "description": "The command, `/`, and its place among that command's events, from 0" },
            "causation": { "type": "string", "description": "The id of the event that caused its command, if one did" },
            "version": { "type": "integer", "minimum": 1 },
            "type": { "type": "string", "examples": names, "description": "The record's full name" },
            "event": { "description": "As it was written; of an older version perhaps", "anyOf": described },
            "occurred": { "type": "string", "format": "date-time" },
            "recorded": { "type": "string", "format": "date-time" },
            "command": { "type": "string", "format": "uuid", "description": "The command that caused it" },
            "correlation": { "type": "string" },
            "source": { "type": "string", "description": "Who wrote it" },
            "partition": { "type": "integer", "minimum": 0 },
            "offset": { "type": "integer", "minimum": 0 },
            "trace": { "type": ["string", "null"] },
        },
    })
}

/// A state of a type whose state this is.
fn state_schema(own: &Value) -> Value {
    json!({
        "type": "object", "required": ["id", "version", "state"],
        "properties": {
            "id": { "type": "string" }, "version": { "type": "integer", "minimum": 0 }, "state": own,
            "folded": { "type": "integer", "minimum": 0, "description": "Of a past state: the events that were folded on one that was kept" },
            "left_out": {
                "type": "integer", "minimum": 0,
                "description": "Of a past state by the time occurred: events of an earlier version that occurred later",
            },
        },
    })
}

fn stream(data: &str) -> Value {
    json!({
        "description": format!("Server-sent events. `data` is JSON: {data}; `id` is a position, from which a stream goes on"),
        "content": { "text/event-stream": { "schema": { "type": "string" } } },
    })
}

fn column_schema(column: &Column) -> Value {
    let kind = match column.kind {
        ColumnType::Integer => "integer",
        ColumnType::Real => "number",
        ColumnType::Boolean => "boolean",
        ColumnType::Text | ColumnType::Bytes => "string",
    };
    let mut schema = if column.nullable { json!({ "type": [kind, "null"] }) } else { json!({ "type": kind }) };
    if column.kind == ColumnType::Bytes {
        schema["contentEncoding"] = json!("base64");
    }
    schema
}
