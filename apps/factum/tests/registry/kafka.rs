//! An application whose log is Kafka and whose registry is elsewhere, which ends and starts again.

use crate::{place::Application, process::Process, restarted::Restarted};
use serde_json::Value;

const BANK: &str = "bank.account";

/// The application on the broker that tests share.
struct Site {
    application: Application,
    registry: Restarted,
}

impl Site {
    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let kafka = [("FACTUM_KAFKA", factum_test_broker::bootstrap()), ("FACTUM_LOG", "info")];
        self.application.command(arguments, self.registry.url(), &kafka)
    }

    /// What a verb says that ends well.
    #[track_caller]
    fn good(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn handler(&self, name: &str) -> Process {
        let mut command = self.command(&["run", "handler", BANK, "--session-timeout-ms", "6000"]);
        Process::start(&mut command, &self.application.folder.path().join(name))
    }

    /// What came of a command: an account's version, if it is accepted.
    #[track_caller]
    fn publish(&self, account: &str, command: &str, cents: u32, more: &[&str]) -> Value {
        let fields = format!("{{\"cents\": {cents}}}");
        let output = self.command(&[&["publish", BANK, account, command, &fields, "--json"], more].concat()).output();
        let output = output.unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn subjects(&self) -> Vec<String> {
        let list = self.good(&["schemas", "list", &self.application.prefix, "--json"]);
        list.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_registry_beside_kafka_gives_the_same_schemas_after_a_crash_and_commands_go_on_without_it() {
    let site = Site { application: Application::new(), registry: Restarted::new() };
    site.good(&["schemas", "register"]);
    site.good(&["topics", "create", BANK, "--partitions", "2"]);
    let before = site.subjects();
    assert!(before.len() >= 5, "{before:?}");
    let mut handler = site.handler("first");
    let kept: &[&str] = &["--schema-cache", "schemas"];
    assert_eq!(site.publish("anna", "Deposit", 100, kept)["version"], 1);
    // A handler that runs asks about schemas that it has not met.
    assert_eq!(site.publish("anna", "Withdraw", 1, kept)["version"], 2);

    site.registry.kill();
    assert_eq!(site.publish("anna", "Withdraw", 1, kept)["version"], 3);
    let unkept = site.command(&["publish", BANK, "anna", "Deposit", r#"{"cents": 1}"#]).output().unwrap();
    let told = String::from_utf8(unkept.stderr).unwrap();
    assert!(!unkept.status.success() && told.contains("the schema registry "), "{told}");
    assert!(told.contains(" is not available"), "{told}");
    handler.stop();

    // Whoever starts now knows no schema but those that the registry has kept.
    site.registry.start();
    let mut handler = site.handler("second");
    assert_eq!(site.publish("anna", "Deposit", 1, &[])["version"], 4);
    assert_eq!(site.publish("anna", "Withdraw", 100, &[])["code"], "refused");
    assert_eq!(site.publish("anna", "Withdraw", 99, &[])["version"], 5);
    handler.stop();
    let history = site.good(&["history", BANK, "anna", "--json"]);
    let types: Vec<Value> =
        history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].take()).collect();
    let of = ["Deposited", "Withdrawn", "Withdrawn", "Deposited", "Withdrawn"].map(|record| format!("{BANK}.{record}"));
    assert_eq!(types, of);
    assert_eq!(site.subjects(), before);
    let again = site.good(&["schemas", "register"]);
    assert!(!again.contains("registered, id"), "{again}");
}
