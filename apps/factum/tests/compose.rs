//! `deploy/compose` against the binary, and the roles that it makes against a PostgreSQL.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

mod deployed;

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/compose")
}

fn compose() -> Value {
    serde_saphyr::from_str(&fs::read_to_string(folder().join("compose.yaml")).unwrap()).unwrap()
}

fn services(compose: &Value) -> BTreeMap<String, Value> {
    serde_json::from_value(compose["services"].clone()).unwrap()
}

fn strings(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap_or_else(|error| panic!("{list}: {error}"))
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(service["environment"].clone()).unwrap()
}

/// The services that run the binary.
fn processors(compose: &Value) -> BTreeMap<String, Value> {
    let services = services(compose).into_iter();
    services.filter(|(_, service)| service["image"].as_str().unwrap().contains("FACTUM_IMAGE")).collect()
}

#[test]
fn the_binary_takes_what_the_services_set() {
    let compose = compose();
    let processors = processors(&compose);
    assert_eq!(processors.keys().collect::<Vec<_>>(), ["gateway", "handler", "topics", "view"]);
    for (name, service) in processors {
        let (arguments, mut variables) = (strings(&service["command"]), environment(&service));
        assert_eq!(deployed::complaint(&arguments, &variables), None, "{name}");
        // What is wrong would be noticed.
        variables.insert("FACTUM_VEIWS".into(), "x".into());
        assert!(deployed::complaint(&arguments, &variables).unwrap().contains("FACTUM_VEIWS is not known"), "{name}");
        let image = format!("${{FACTUM_IMAGE:-factum:{}}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(service["image"], image.as_str());
    }
}

#[test]
fn every_service_has_a_health_check_that_the_next_one_waits_for() {
    let compose = compose();
    let services = services(&compose);
    for (name, service) in &services {
        let once = service["restart"] == "no";
        assert_eq!(service["healthcheck"]["disable"] == true, once, "{name}");
        if !once {
            assert_eq!(service["healthcheck"]["test"][0], "CMD", "{name}");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let waits_for =
                if services[other]["restart"] == "no" { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(how["condition"], waits_for, "{name} on {other}");
            // What it waits for it can also reach.
            let networks = strings(&service["networks"]);
            assert!(strings(&services[other]["networks"]).iter().any(|one| networks.contains(one)), "{name}: {other}");
        }
    }
    for (name, service) in processors(&compose) {
        if service["restart"] != "no" {
            assert_eq!(strings(&service["healthcheck"]["test"])[1..], ["/usr/bin/factum", "health"], "{name}");
            assert_eq!(environment(&service)["FACTUM_HTTP"], "0.0.0.0:8710", "{name}");
        }
    }
}

#[test]
fn no_file_holds_a_secret_and_no_service_has_more_rights_than_it_needs() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for (variable, value) in environment(&service) {
            let from_outside = value.starts_with("${") && value.contains(":?");
            assert!(from_outside || !deployed::shows_a_secret(&variable, &value), "{name}: {variable}");
        }
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let ports = service["ports"].as_array().cloned().unwrap_or_default();
        assert!(ports.iter().all(|port| port.as_str().unwrap().starts_with("127.0.0.1:")), "{name}: {ports:?}");
    }
    for (name, service) in processors(&compose) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(service["user"], "65532:65532", "{name}");
        assert!(service["env_file"].is_null(), "{name}: it would have the superuser's password");
    }
    let networks = |name: &str| strings(&services(&compose)[name]["networks"]);
    assert_eq!((networks("handler"), networks("postgres")), (vec!["log".to_owned()], vec!["views".to_owned()]));
    for line in fs::read_to_string(folder().join("secrets.env.example")).unwrap().lines() {
        assert!(line.is_empty() || line.starts_with('#') || line.ends_with('='), "{line}");
    }
}
