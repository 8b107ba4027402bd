//! The manifests of `deploy/kubernetes` against the binary: what they set is
//! what it reads. That Kubernetes takes them is checked by `check.sh` beside them.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

mod deployed;

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// What a server of metrics answers about its process.
const PROBED: &[&str] = &["/healthz", "/readyz"];

/// A container that a manifest asks for.
#[derive(Debug, Clone)]
struct Container {
    manifest: String,
    pod: Value,
    spec: Value,
    /// What is set, by variable; what only Kubernetes knows is a name.
    variables: BTreeMap<String, String>,
}

impl Container {
    fn text(&self, pointer: &str) -> &str {
        self.spec.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{}: {pointer}", self.manifest))
    }

    fn items<'a>(&self, of: &'a Value, name: &str) -> Vec<&'a Value> {
        of[name].as_array().map(|items| items.iter().collect()).unwrap_or_default()
    }

    /// The container's port of that name.
    fn port(&self, name: &Value) -> u64 {
        let ports = self.items(&self.spec, "ports");
        let named: Vec<u64> = ports
            .iter()
            .filter(|port| &port["name"] == name)
            .filter_map(|port| port["containerPort"].as_u64())
            .collect();
        assert_eq!(named.len(), 1, "{}: no port {name}", self.manifest);
        named[0]
    }

    /// What is wrong with its arguments and variables.
    fn complaint(&self) -> Option<String> {
        let arguments = self.items(&self.spec, "args");
        let arguments: Vec<String> = arguments.iter().map(|argument| argument.as_str().unwrap().to_owned()).collect();
        deployed::complaint(&arguments, &self.variables)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kubernetes")
}

/// The objects of all manifests, by file.
fn objects() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let objects: Vec<Value> = serde_saphyr::from_multiple(&fs::read_to_string(&path).unwrap()).unwrap();
            found.extend(
                objects.into_iter().map(|object| (path.file_name().unwrap().to_str().unwrap().to_owned(), object)),
            );
        }
    }
    found
}

/// The data of the ConfigMap of that name.
fn config_map(objects: &[(String, Value)], name: &Value) -> BTreeMap<String, String> {
    let is_it = |object: &Value| object["kind"] == "ConfigMap" && &object["metadata"]["name"] == name;
    let found = objects.iter().find(|(_, object)| is_it(object)).unwrap_or_else(|| panic!("no ConfigMap {name}"));
    serde_json::from_value(found.1["data"].clone()).unwrap()
}

/// What a container's variable is; what only the cluster knows is a name.
fn variable(objects: &[(String, Value)], variable: &Value) -> String {
    let from = &variable["valueFrom"]["configMapKeyRef"];
    match variable["value"].as_str() {
        Some(value) => value.to_owned(),
        None if from.is_object() => config_map(objects, &from["name"])[from["key"].as_str().unwrap()].clone(),
        None => "of-the-pod".to_owned(),
    }
}

fn containers() -> Vec<Container> {
    let objects = objects();
    let mut found = Vec::new();
    for (manifest, object) in &objects {
        let pod = &object["spec"]["template"]["spec"];
        for spec in pod["containers"].as_array().into_iter().flatten() {
            let mut variables = BTreeMap::new();
            for from in spec["envFrom"].as_array().into_iter().flatten() {
                variables.extend(config_map(&objects, &from["configMapRef"]["name"]));
            }
            for one in spec["env"].as_array().into_iter().flatten() {
                variables.insert(one["name"].as_str().unwrap().to_owned(), variable(&objects, one));
            }
            found.push(Container { manifest: manifest.clone(), pod: pod.clone(), spec: spec.clone(), variables });
        }
    }
    let mut manifests: Vec<&str> = found.iter().map(|container| container.manifest.as_str()).collect();
    manifests.sort_unstable();
    assert_eq!(manifests, ["gateway.yaml", "handler.yaml", "topics.yaml", "view-sqlite.yaml", "view.yaml"]);
    found
}

/// Each file would have a part of the rows. A pod that a Deployment replaces may run beside the next.
#[test]
fn a_view_in_sqlite_is_one_pod() {
    let sets: Vec<Value> = objects()
        .into_iter()
        .filter(|(manifest, object)| manifest == "view-sqlite.yaml" && object["spec"]["template"].is_object())
        .map(|(_, object)| json!([object["kind"], object["spec"]["replicas"]]))
        .collect();
    assert_eq!(sets, [json!(["StatefulSet", 1])]);
}

#[test]
fn the_binary_takes_what_the_manifests_set() {
    for container in containers() {
        assert_eq!(container.complaint(), None, "{}", container.manifest);
    }
}

#[test]
fn what_the_binary_does_not_take_is_noticed() {
    let handler = containers().into_iter().find(|one| one.manifest == "handler.yaml").unwrap();
    let with_variable = |name: &str, value: &str| {
        let mut changed = handler.clone();
        changed.variables.insert(name.to_owned(), value.to_owned());
        changed.complaint().unwrap_or_default()
    };
    let with_argument = |argument: &str| {
        let mut changed = handler.clone();
        changed.spec["args"].as_array_mut().unwrap().push(argument.into());
        changed.complaint().unwrap_or_default()
    };
    assert!(with_variable("FACTUM_INSTANCE", "one").contains("FACTUM_INSTANCE is not known"));
    assert!(with_variable("FACTUM_RUN_HANDLER_SESSION_TIMEOUT_MS", "45s").contains("45s"));
    assert!(with_argument("--instance").contains("--instance"));
    let mut other_type = handler.clone();
    other_type.spec["args"][2] = "bank.acount".into();
    assert!(other_type.complaint().unwrap_or_default().contains("bank.acount"));
}

#[test]
fn probes_ask_the_address_that_the_binary_serves() {
    let servers: Vec<Container> = containers().into_iter().filter(|one| one.manifest != "topics.yaml").collect();
    for container in &servers {
        let served: SocketAddr = container.variables["FACTUM_HTTP"].parse().unwrap();
        // Probes and metrics come from other machines.
        assert!(served.ip().is_unspecified(), "{}: {served}", container.manifest);
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let path = container.text(&format!("/{probe}/httpGet/path"));
            assert!(PROBED.contains(&path), "{}: {probe}: {path}", container.manifest);
            assert_eq!(container.port(&container.spec[probe]["httpGet"]["port"]), u64::from(served.port()), "{probe}");
        }
        // A partition that cannot be handled is no reason to kill the process.
        assert_eq!(container.text("/livenessProbe/httpGet/path"), "/healthz");
        assert_eq!(container.text("/readinessProbe/httpGet/path"), "/readyz");
    }
    for (manifest, service) in objects().iter().filter(|(_, object)| object["kind"] == "Service") {
        let container = servers.iter().find(|one| &one.manifest == manifest).unwrap();
        let port = &service["spec"]["ports"][0];
        assert_eq!(Some(container.port(&port["targetPort"])), port["port"].as_u64(), "{manifest}");
    }
}

#[test]
fn files_are_where_a_volume_is_and_the_image_is_this_version() {
    for container in containers() {
        let mounts = container.items(&container.spec, "volumeMounts");
        let mount = |variable: &str| {
            let file = Path::new(&container.variables[variable]);
            let folder = file.parent().and_then(Path::to_str).unwrap();
            let found = mounts.iter().find(|mount| mount["mountPath"] == folder);
            found.unwrap_or_else(|| panic!("{}: no volume for {variable}", container.manifest))
        };
        assert_eq!(mount("FACTUM_KAFKA_CONFIG")["readOnly"], true, "{}", container.manifest);
        if container.manifest == "view-sqlite.yaml" {
            assert_eq!(mount("FACTUM_VIEWS")["readOnly"], Value::Null, "its rows are written there");
        }
        assert_eq!(container.text("/image"), format!("factum:{}", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn no_manifest_holds_a_secret_and_views_know_where_theirs_is() {
    for (manifest, object) in objects().iter().filter(|(_, object)| object["kind"] == "ConfigMap") {
        for (name, value) in object["data"].as_object().unwrap() {
            assert!(!deployed::shows_a_secret(name, value.as_str().unwrap()), "{manifest}: {name}");
        }
    }
    for container in containers() {
        for variable in container.items(&container.spec, "env") {
            let (name, value) = (variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or_default());
            assert!(!deployed::shows_a_secret(name, value), "{}: {name}", container.manifest);
        }
        let in_postgres = container.variables.get("FACTUM_VIEWS").is_some_and(|at| at.starts_with("postgres://"));
        let password = container.items(&container.spec, "env").into_iter().find(|one| one["name"] == "PGPASSWORD");
        assert_eq!(password.is_some(), in_postgres, "{}", container.manifest);
        if let Some(password) = password {
            assert!(password["valueFrom"]["secretKeyRef"].is_object(), "{}", container.manifest);
        }
    }
    // The gateway reads what the view writes, as somebody who can only read.
    let views = |manifest: &str| {
        let container = containers().into_iter().find(|one| one.manifest == manifest).unwrap();
        container.variables["FACTUM_VIEWS"].clone()
    };
    assert_eq!(views("gateway.yaml"), views("view.yaml").replace("factum_view@", "factum_gateway@"));
}

#[test]
fn services_and_budgets_select_the_pods_beside_them() {
    for (manifest, object) in objects() {
        let selected = match object["kind"].as_str() {
            Some("Service") => &object["spec"]["selector"],
            Some("PodDisruptionBudget" | "Deployment" | "StatefulSet") => &object["spec"]["selector"]["matchLabels"],
            _ => continue,
        };
        let pods = objects().into_iter().find(|(of, pods)| of == &manifest && pods["spec"]["template"].is_object());
        let name = "app.kubernetes.io/name";
        let labels = &pods.unwrap().1["spec"]["template"]["metadata"]["labels"];
        assert!(labels[name].is_string(), "{manifest}");
        assert_eq!(selected[name], labels[name], "{manifest}: {}", object["kind"]);
    }
}

#[test]
fn no_container_has_more_rights_than_it_needs() {
    for Container { manifest, pod, spec, .. } in containers() {
        let (pod_rights, rights) = (&pod["securityContext"], &spec["securityContext"]);
        assert_eq!(pod_rights["runAsNonRoot"], true, "{manifest}");
        assert!(pod_rights["runAsUser"].as_u64().is_some_and(|user| user > 0), "{manifest}");
        assert_eq!(pod_rights["seccompProfile"]["type"], "RuntimeDefault", "{manifest}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{manifest}");
        // Else Kubernetes sets variables that begin with FACTUM_, each of them a warning.
        assert_eq!(pod["enableServiceLinks"], false, "{manifest}");
        assert_eq!(rights["allowPrivilegeEscalation"], false, "{manifest}");
        assert_eq!(rights["readOnlyRootFilesystem"], true, "{manifest}");
        assert_eq!(rights["capabilities"]["drop"][0], "ALL", "{manifest}");
    }
}
