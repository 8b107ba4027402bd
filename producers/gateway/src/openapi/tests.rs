//! The document against the structure that OpenAPI 3.1 asks for.

use super::*;
use std::collections::BTreeSet;

fn document() -> Value {
    let command = r#"{"type":"record","name":"shop.order.Place","doc":"Orders something.","fields":[
        {"name":"article","type":"string"},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"note","type":["null","string"],"default":null}]}"#;
    let event = r#"{"type":"record","name":"shop.order.Placed","fields":[{"name":"article","type":"string"}]}"#;
    let state = r#"{"type":"record","name":"shop.order.Order","fields":[{"name":"digest","type":"bytes"}]}"#;
    let column = |name: &str, kind, nullable| Column { name: name.to_owned(), kind, nullable };
    openapi(&Catalog {
        title: "shop".into(),
        version: "1.2.3".into(),
        aggregates: vec![AggregateEntry {
            name: "shop.order".into(),
            commands: vec![Schema::parse_str(command).unwrap()],
            events: vec![Schema::parse_str(event).unwrap()],
            state: Schema::parse_str(state).unwrap(),
        }],
        others: vec![OtherEntry { path: "/healthz", summary: "Whether it lives", media_type: "application/json" }],
        views: vec![ViewEntry {
            name: "orders".into(),
            inputs: vec!["shop.order".into()],
            columns: vec![
                column("total", ColumnType::Integer, false),
                column("note", ColumnType::Text, true),
                column("digest", ColumnType::Bytes, false),
            ],
        }],
    })
}

/// Every object in it, with where it is.
fn walk<'a>(value: &'a Value, at: &str, each: &mut dyn FnMut(&str, &'a Value)) {
    each(at, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(value, &format!("{at}/{}", name.replace('/', "~1")), each));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| walk(value, &format!("{at}/{index}"), each));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_something() {
    let document = document();
    let mut count = 0;
    walk(&document, "", &mut |at, value| {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            count += 1;
            let found = target.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            assert!(found.is_some(), "{at}: {target}");
        }
    });
    assert!(count > 30, "{count}");
}

#[test]
fn every_object_has_the_members_that_openapi_requires() {
    let document = document();
    assert_eq!((&document["openapi"], &document["info"]["version"]), (&json!("3.1.0"), &json!("1.2.3")));
    let mut ids = BTreeSet::new();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/'), "{path}");
        let wanted: BTreeSet<&str> = path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect();
        for (method, operation) in item.as_object().unwrap() {
            assert!(["get", "post"].contains(&method.as_str()), "{path} {method}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            assert!(operation["summary"].is_string(), "{path}");
            // The page shows an operation below its first tag.
            assert!(tags.contains(&&operation["tags"][0]), "{path}: {tags:?}");
            let resolve = |value: &'_ Value| match value.get("$ref").and_then(Value::as_str) {
                Some(target) => document.pointer(&target[1..]).unwrap().clone(),
                None => value.clone(),
            };
            let parameters: Vec<Value> = operation["parameters"].as_array().unwrap().iter().map(resolve).collect();
            let mut names = BTreeSet::new();
            for parameter in &parameters {
                let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
                assert!(["path", "query", "header"].contains(&place), "{path} {name}");
                assert!(parameter["schema"].is_object() && parameter["description"].is_string(), "{path} {name}");
                assert_eq!(parameter["required"] == true, place == "path", "{path} {name}");
                assert!(names.insert((name.to_owned(), place.to_owned())), "{path} has {name} twice");
            }
            let given: BTreeSet<&str> =
                names.iter().filter(|(_, place)| place == "path").map(|(name, _)| name.as_str()).collect();
            assert_eq!(given, wanted, "{path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("200"), "{path}");
            for (status, response) in responses {
                assert!(status.parse::<u16>().is_ok(), "{path} {status}");
                assert!(resolve(response)["description"].is_string(), "{path} {status}");
            }
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!(name.bytes().all(plain), "{name}");
    }
}

#[test]
fn a_command_has_its_own_path_and_schema_and_a_view_its_columns() {
    let document = document();
    let place = &document["paths"]["/shop/order/{id}/commands/Place"]["post"];
    assert_eq!(
        (&place["operationId"], &place["description"]),
        (&json!("shop.order.Place"), &json!("Orders something."))
    );
    let schema = &place["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema, &json!({ "$ref": "#/components/schemas/shop.order.Place" }));
    let record = &document["components"]["schemas"]["shop.order.Place"];
    assert_eq!(record["required"], json!(["article", "price"]));
    assert_eq!(record["properties"]["price"]["pattern"], r"^-?[0-9]+(\.[0-9]{1,2})?$");
    let columns = &document["components"]["schemas"]["view.orders"]["properties"];
    assert_eq!((&columns["total"]["type"], &columns["note"]["type"]), (&json!("integer"), &json!(["string", "null"])));
    assert!(document["paths"]["/views/orders"]["get"]["responses"]["503"]["$ref"].is_string());
}

#[test]
fn every_path_that_is_served_is_described_and_every_described_one_is_served() {
    let document = document();
    let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let mut served = BTreeSet::from(["/healthz".to_owned()]);
    for path in crate::routes::paths() {
        let named = path.replace("{context}", "shop").replace("{aggregate}", "order").replace("{name}", "orders");
        // A command has a path of its own beside that of its outcome.
        if named.ends_with("/commands/{command}") {
            served.insert(named.replace("{command}", "Place"));
        }
        served.insert(named);
    }
    assert_eq!(described, served);
}

#[test]
fn bytes_have_one_form_in_commands_states_and_rows() {
    let schemas = &document()["components"]["schemas"];
    let state = &schemas["shop.order.state"]["properties"]["state"];
    assert_eq!(state, &json!({ "$ref": "#/components/schemas/shop.order.Order" }));
    let of_state = &schemas["shop.order.Order"]["properties"]["digest"];
    let of_row = &schemas["view.orders"]["properties"]["digest"];
    assert_eq!((of_state, of_state["contentEncoding"].as_str()), (of_row, Some("base64")));
}
