//! The manifests of `deploy/kubernetes` against the binary: what they set is
//! what it reads. That Kubernetes takes them is checked by `check.sh` beside them.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// What the binary says when a setting for a cluster is all that it lacks: it
/// has then taken every flag and every variable, and knows the type or the view.
const ONLY_A_CLUSTER_IS_MISSING: &str = "needs a log that processes share";
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

    /// What the binary says to its arguments and variables, without a cluster.
    fn run(&self) -> String {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
        command.env_clear().current_dir(folder.path()).envs(&self.variables);
        // Nothing is reached, and no port is taken.
        command.env_remove("FACTUM_KAFKA").env_remove("FACTUM_KAFKA_CONFIG");
        if self.variables.contains_key("FACTUM_HTTP") {
            command.env("FACTUM_HTTP", "127.0.0.1:0");
        }
        for argument in self.items(&self.spec, "args") {
            command.arg(argument.as_str().unwrap());
        }
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// What is wrong with its arguments and variables.
    fn complaint(&self) -> Option<String> {
        let said = self.run();
        (!said.contains(ONLY_A_CLUSTER_IS_MISSING) || said.contains("warning")).then_some(said)
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

fn containers() -> Vec<Container> {
    let objects = objects();
    let map = objects.iter().find(|(_, object)| object["kind"] == "ConfigMap").unwrap().1["data"].clone();
    let map: BTreeMap<String, String> = serde_json::from_value(map).unwrap();
    let mut found = Vec::new();
    for (manifest, object) in &objects {
        let pod = &object["spec"]["template"]["spec"];
        for spec in pod["containers"].as_array().into_iter().flatten() {
            let mut variables = map.clone();
            for variable in spec["env"].as_array().into_iter().flatten() {
                let value = variable["value"].as_str().unwrap_or("of-the-pod");
                variables.insert(variable["name"].as_str().unwrap().to_owned(), value.to_owned());
            }
            found.push(Container { manifest: manifest.clone(), pod: pod.clone(), spec: spec.clone(), variables });
        }
    }
    assert_eq!(found.len(), 3, "the handler, the view and the topics");
    found
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
        if container.manifest == "view.yaml" {
            assert_eq!(mount("FACTUM_VIEWS")["readOnly"], Value::Null, "its rows are written there");
        }
        assert_eq!(container.text("/image"), format!("factum:{}", env!("CARGO_PKG_VERSION")));
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
