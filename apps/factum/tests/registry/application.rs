//! The whole way of an application: its schemas are registered, checked, compared and shown, it runs, and what
//! would break its history is refused by the registry itself.

use crate::place::{Application, IN_THE_LOG, committed, registry};
use std::fs;

/// The sample of the bank, to its end.
const UP: &[&str] = &["up", "--until-idle", "--where", "balance < 0"];

/// A line of JSON for each subject.
fn subjects(application: &Application, registry: &str) -> Vec<serde_json::Value> {
    let list = application.good(&["schemas", "list", &application.prefix, "--json"], registry);
    list.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn schemas_are_registered_once_and_the_application_that_runs_adds_none() {
    let (registry, application) = (registry(), Application::new());
    let subject = application.subject("Deposited");
    let out = application.good(&["schemas", "register"], &registry);
    assert!(out.contains(&format!("{subject}: registered, id ")), "{out}");
    let again = application.good(&["schemas", "register"], &registry);
    assert!(again.contains(&format!("{subject}: registered before, BACKWARD_TRANSITIVE\n")), "{again}");
    assert!(!again.contains("registered, id"), "{again}");
    let before = subjects(&application, &registry);
    let of = |subject: &str| before.iter().find(|line| line["subject"] == subject).unwrap();
    assert_eq!(of(&subject)["compatibility"], "BACKWARD_TRANSITIVE");
    let command = format!("{}bank.account.commands-bank.account.Deposit", application.prefix);
    assert_eq!(of(&command)["compatibility"], "FULL_TRANSITIVE");
    application.good(&["schemas", "check"], &registry);

    let out = application.good(UP, &registry);
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
    let after = subjects(&application, &registry);
    for line in &before {
        assert!(after.contains(line), "{line} is not in {after:?}");
    }
    // And once more: the log is there, and so are the ids.
    let out = application.good(&["up", "--no-sample", "--until-idle", "--where", "balance < 0"], &registry);
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
    assert_eq!(subjects(&application, &registry), after);
}

#[test]
fn an_application_registers_what_it_writes_where_nobody_did() {
    let (registry, application) = (registry(), Application::new());
    let out = application.good(UP, &registry);
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
    let shown = application.good(&["schemas", "show", &application.subject("Deposited")], &registry);
    let newest = newest("bank.account.Deposited");
    assert_eq!(shown, fs::read_to_string(newest).unwrap());
    application.good(&["schemas", "check"], &registry);
    application.good(&["schemas", "register"], &registry);
}

#[test]
fn a_breaking_change_is_refused_by_the_registry_and_the_next_good_one_is_taken() {
    let (registry, application) = (registry(), Application::new());
    application.good(&["schemas", "register"], &registry);
    let subject = application.subject("Deposited");
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(newest("bank.account.Deposited")).unwrap()).unwrap();
    let file = application.folder.path().join("next.avsc");
    let path = file.to_str().unwrap();
    let with = |field: &str| {
        let mut next = schema.clone();
        next["fields"].as_array_mut().unwrap().push(serde_json::from_str(field).unwrap());
        fs::write(&file, next.to_string()).unwrap();
    };
    with(r#"{"name":"branch","type":"string"}"#);
    let register = ["schemas", "register", "--subject", &subject, "--file", path];
    let err = application.bad(&register, &registry);
    assert!(err.starts_with(&format!("error: POST {registry}/subjects/{subject}/versions: status 409: ")), "{err}");
    assert!(err.contains("branch") && err.ends_with(" (error 409)\n"), "{err}");
    with(r#"{"name":"branch","type":"string","default":""}"#);
    let out = application.good(&register, &registry);
    assert!(out.starts_with(&format!("{subject}: registered, id ")), "{out}");
    let out = application.good(&["schemas", "diff", &subject], &registry);
    assert!(out.contains("\n  + field branch: string, default \"\"\n"), "{out}");
    // What others registered counts too, and the program goes on beside it.
    application.good(&["schemas", "check"], &registry);
    let out = application.good(UP, &registry);
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
}

#[test]
fn the_registry_in_the_log_keeps_its_ids_over_restarts() {
    let application = Application::new();
    let out = application.good(UP, IN_THE_LOG);
    assert!(out.contains("account-0009") && out.contains("-29496"), "{out}");
    application.good(&["schemas", "register"], IN_THE_LOG);
    let before = subjects(&application, IN_THE_LOG);
    assert!(before.len() >= 5, "{before:?}");
    application.good(&["up", "--no-sample", "--until-idle"], IN_THE_LOG);
    let again = application.good(&["schemas", "register"], IN_THE_LOG);
    assert!(!again.contains("registered, id"), "{again}");
    let after = subjects(&application, IN_THE_LOG);
    assert!(before.iter().all(|line| after.contains(line)), "{before:?} {after:?}");
    let id = before[0]["id"].to_string();
    let shown = application.good(&["schemas", "show", "--id", &id], IN_THE_LOG);
    let named = application.good(&["schemas", "show", before[0]["subject"].as_str().unwrap()], IN_THE_LOG);
    assert_eq!(shown, named);
}

/// The file of a record's newest version.
fn newest(record: &str) -> std::path::PathBuf {
    let folder = committed().join(record);
    let numbers = fs::read_dir(&folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap()
    });
    folder.join(format!("{}.avsc", numbers.max().unwrap()))
}
