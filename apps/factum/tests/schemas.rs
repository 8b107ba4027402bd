//! `factum schemas` as a person uses it, against the registry's API on a port.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

#[path = "registry/embedded.rs"]
mod embedded;

use embedded::embedded as registry;
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc,
    thread,
};

const RECORD: &str = "bank.account.Deposited";
const SUBJECT: &str = "bank.account.events-bank.account.Deposited";

/// What a run of the program said.
struct Said {
    good: bool,
    out: String,
    err: String,
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    run_verb(&[&["schemas"], arguments].concat(), environment)
}

fn run_verb(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_factum"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FACTUM_")) {
        command.env_remove(name);
    }
    // A folder without a log, unless the test names one.
    let empty = tempfile::tempdir().unwrap();
    command.env("FACTUM_DATA", empty.path());
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { good: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

#[track_caller]
fn good(arguments: &[&str]) -> String {
    let said = run(arguments, &[]);
    assert!(said.good, "{arguments:?}: {}", said.err);
    said.out
}

#[track_caller]
fn bad(arguments: &[&str]) -> String {
    let said = run(arguments, &[]);
    assert!(!said.good, "{arguments:?}: {}", said.out);
    said.err
}

/// Answers every request with the same for the rest of the test's process, and tells what it was asked.
fn stub(status: u16, body: &'static str) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 1_024];
            while !request.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut part).unwrap();
                assert!(length > 0, "the request has an end");
                request.extend_from_slice(&part[..length]);
            }
            let length = body.len();
            let answer = format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).unwrap();
            // A test that has read enough is no longer there.
            asked.send(String::from_utf8(request).unwrap()).unwrap_or_default();
        }
    });
    (url, requests)
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avsc")
}

/// A copy of the committed schemas, to break.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for record in fs::read_dir(committed()).unwrap() {
        let record = record.unwrap();
        let to = folder.path().join(record.file_name());
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir(record.path()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    folder
}

/// The first version of the record with one more field, as the next version.
fn next_version(folder: &Path, record: &str, field: &str) {
    let text = fs::read_to_string(folder.join(record).join("1.avsc")).unwrap();
    let mut schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    schema["fields"].as_array_mut().unwrap().push(serde_json::from_str(field).unwrap());
    fs::write(folder.join(record).join("2.avsc"), schema.to_string()).unwrap();
}

#[test]
fn the_committed_schemas_are_checked_registered_and_shown() {
    let url = registry();
    let dir = committed();
    let dir = dir.to_str().unwrap();
    let out = good(&["check", "--dir", dir]);
    assert!(out.contains("bank.account.Deposited: 1 version, BACKWARD_TRANSITIVE\n"), "{out}");
    assert!(out.contains("bank.account.Deposit: 1 version, FULL_TRANSITIVE\n"), "{out}");
    assert!(out.contains("factum.Answer: 1 version, FULL_TRANSITIVE\n"), "{out}");
    // The repository's own schemas are warned of in nothing.
    assert_eq!(run(&["check", "--dir", dir], &[]).err, "");
    let out = good(&["register", "--dir", dir, "--registry", &url]);
    assert!(out.contains(&format!("{SUBJECT}: registered, id ")), "{out}");
    let again = good(&["register", "--dir", dir, "--registry", &url]);
    assert!(again.contains(&format!("{SUBJECT}: registered before, BACKWARD_TRANSITIVE")), "{again}");
    assert!(!again.contains("registered, id"), "{again}");
    good(&["check", "--dir", dir, "--registry", &url]);
    let list = good(&["list", "bank.account.commands", "--registry", &url, "--json"]);
    let lines: Vec<serde_json::Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["compatibility"] == "FULL_TRANSITIVE"), "{list}");
    assert!(lines.iter().any(|line| line["subject"] == "bank.account.commands-bank.account.Deposit"), "{list}");
    let shown = good(&["show", SUBJECT, "--registry", &url]);
    assert_eq!(shown, fs::read_to_string(committed().join(RECORD).join("1.avsc")).unwrap());
    let err = bad(&["show", "nothing", "--registry", &url]);
    assert!(err.contains("the registry has no subject nothing: `schemas list` shows those it has"), "{err}");
}

#[test]
fn a_breaking_change_is_refused_with_field_rule_and_fix_and_the_next_good_one_passes() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    good(&["register", "--dir", dir, "--registry", &url]);
    next_version(folder.path(), RECORD, r#"{"name":"branch","type":"string"}"#);
    let err = bad(&["check", "--dir", dir]);
    assert!(err.contains("error: history would break:\n  record bank.account.Deposited: "), "{err}");
    let expected = "1.avsc wrote: field branch: it is missing there and has no default; rule: BACKWARD_TRANSITIVE; \
                    fix: give a new field a default";
    assert!(err.contains(expected), "{err}");
    let err = bad(&["register", "--dir", dir, "--registry", &url]);
    assert!(err.contains("status 409") && err.contains("field branch"), "{err}");
    next_version(folder.path(), RECORD, r#"{"name":"branch","type":"string","default":""}"#);
    good(&["check", "--dir", dir, "--registry", &url]);
    let out = good(&["register", "--dir", dir, "--registry", &url]);
    assert!(out.contains(&format!("{SUBJECT}: registered, id ")), "{out}");
    let out = good(&["diff", RECORD, "--dir", dir]);
    assert!(out.ends_with("\n  + field branch: string, default \"\"\nroll out side by side\n"), "{out}");
    let between = [&format!("{SUBJECT}@1"), RECORD, "--dir", dir, "--registry", &url];
    assert!(
        good(&[&["diff"][..], &between].concat())
            .ends_with("\n  + field branch: string, default \"\"\nroll out side by side\n")
    );
    let out = good(&["diff", SUBJECT, RECORD, "--dir", dir, "--registry", &url]);
    assert!(out.ends_with("\n  no change\n"), "{out}");
}

#[test]
fn a_command_must_be_readable_in_both_directions() {
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let file = folder.path().join("bank.account.Deposit");
    let empty = r#"{"type":"record","name":"Deposit","namespace":"bank.account","fields":[]}"#;
    fs::write(file.join("2.avsc"), empty).unwrap();
    let err = bad(&["check", "--dir", dir]);
    assert!(err.contains("record bank.account.Deposit: ") && err.contains("rule: FULL_TRANSITIVE"), "{err}");
    // For an event that is allowed: the newest reads what was written.
    fs::remove_file(file.join("2.avsc")).unwrap();
    fs::write(folder.path().join(RECORD).join("2.avsc"), empty.replace("Deposit", "Deposited")).unwrap();
    good(&["check", "--dir", dir]);
}

#[test]
fn bad_files_end_the_check_with_an_error_and_the_next_good_ones_pass() {
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let file = folder.path().join(RECORD).join("1.avsc");
    let fine = fs::read_to_string(&file).unwrap();
    let with = |fields: &str| format!(r#"{{"type":"record","name":"{RECORD}","fields":[{fields}]}}"#);
    let twice = r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"b","type":{"type":"fixed","name":"E","size":2}}"#;
    for (text, message) in [
        ("{".to_owned(), "1.avsc is not usable: it is not JSON"),
        (with(r#"{"name":"cents","type":"long","default":"x"}"#), "`default`'s value type of field `cents`"),
        (with(r#"{"name":"next","type":["null","bank.account.Deposited"]}"#), "Deposited contains itself"),
        (with(twice), "it defines two types with the full name bank.account.E"),
        (with(&" ".repeat(1 << 20)), "bytes, the limit is 1048576"),
        (with(r#"{"name":"cents","type":"long","aliases":["amount"]}"#), "rule: no alias; fix: keep the old name"),
    ] {
        fs::write(&file, text).unwrap();
        let err = bad(&["check", "--dir", dir]);
        assert!(err.contains(message), "{err}");
        fs::write(&file, &fine).unwrap();
        good(&["check", "--dir", dir]);
    }
    next_version(folder.path(), RECORD, r#"{"name":"note","type":"string","default":""}"#);
    fs::rename(file.with_file_name("2.avsc"), file.with_file_name("3.avsc")).unwrap();
    let err = bad(&["check", "--dir", dir]);
    assert!(err.contains("2.avsc is missing"), "{err}");
    fs::rename(file.with_file_name("3.avsc"), file.with_file_name("2.avsc")).unwrap();
    good(&["check", "--dir", dir]);
}

#[test]
fn each_change_says_whether_it_is_rolled_out_side_by_side_or_needs_a_stop() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let here = ["check", "--dir", dir, "--registry", &url];
    // Where nothing is registered nothing runs, and what is registered needs no roll-out.
    assert!(!good(&here).contains("roll out") && !good(&here).contains("needs a stop"));
    good(&["register", "--dir", dir, "--registry", &url]);
    assert!(!good(&here).contains("roll out") && !good(&here).contains("needs a stop"));

    next_version(folder.path(), RECORD, r#"{"name":"branch","type":"string","default":""}"#);
    let line = format!("{RECORD}: 2 versions, BACKWARD_TRANSITIVE; roll out side by side\n");
    assert!(good(&here).contains(&line) && good(&here[..3]).contains(&line));

    // The version before has no default for what the new one leaves out.
    let empty = r#"{"type":"record","name":"Deposited","namespace":"bank.account","fields":[]}"#;
    fs::write(folder.path().join(RECORD).join("2.avsc"), empty).unwrap();
    let why = "needs a stop: an instance of the version before cannot read what this one writes: \
               field cents: it is missing there and has no default\n";
    assert!(good(&here).contains(why) && good(&here[..3]).contains(why));
    assert!(good(&["diff", RECORD, "--dir", dir]).ends_with(why));
    assert!(good(&[&here[..], &["--json"]].concat()).contains(r#""rollout":"needs a stop: "#));
}

#[test]
fn another_state_is_rolled_out_side_by_side_after_its_snapshots() {
    let folder = copy();
    next_version(folder.path(), "bank.account.Account", r#"{"name":"frozen","type":"boolean","default":false}"#);
    let out = good(&["check", "--dir", folder.path().to_str().unwrap()]);
    let line = "bank.account.Account: 2 versions, BACKWARD_TRANSITIVE; roll out side by side after `factum snapshots \
                prepare`: each version of a state has its own snapshots\n";
    assert!(out.contains(line), "{out}");
}

#[test]
fn a_new_event_needs_a_stop_where_others_of_its_topic_are_registered() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let first = folder.path().join(RECORD).join("1.avsc");
    good(&["register", "--registry", &url, "--subject", SUBJECT, "--file", first.to_str().unwrap()]);
    let out = good(&["check", "--dir", dir, "--registry", &url]);
    let line = "bank.account.Withdrawn: 1 version, BACKWARD_TRANSITIVE; needs a stop: an instance of the version \
                before does not know this record; without a stop: first release a version that reads it";
    assert!(out.contains(line), "{out}");
    assert!(out.contains("bank.account.Deposited: 1 version, BACKWARD_TRANSITIVE\n"), "{out}");
    assert!(out.contains("bank.account.Withdraw: 1 version, FULL_TRANSITIVE\n"), "{out}");
    // It is not registered either, but nobody writes it any more.
    assert!(out.contains("bank.account.OverdraftLimitSet: 1 version, BACKWARD_TRANSITIVE\n"), "{out}");
}

#[test]
fn classic_mistakes_are_warned_of_and_can_be_accepted() {
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let file = folder.path().join(RECORD).join("1.avsc");
    let payload = r#"{"name":"payload","type":"string"}"#;
    fs::write(&file, format!(r#"{{"type":"record","name":"{RECORD}","fields":[{payload}]}}"#)).unwrap();
    let said = run(&["check", "--dir", dir], &[]);
    assert!(said.good, "{}", said.err);
    let expected = "warning: record bank.account.Deposited: says-nothing: each reader has to guess what happened, and no \
                    upcaster can find it out later; instead: one event for each thing that happens, named after it, with \
                    fields that have types and names; or accept it: --accept bank.account.Deposited:says-nothing\n";
    assert_eq!(said.err, expected);
    let out = good(&["check", "--dir", dir, "--json"]);
    assert!(out.contains(r#""record":"bank.account.Deposited","warning":"says-nothing""#), "{out}");
    let accepted = ["check", "--dir", dir, "--accept", "bank.account.Deposited:says-nothing"];
    assert_eq!(run(&accepted, &[]).err, "");
    let err = bad(&["check", "--dir", dir, "--accept", "bank.account.Deposited"]);
    assert!(err.contains("give RECORD:WARNING") && err.contains("command-as-event, says-nothing, fat"), "{err}");
}

#[test]
fn what_is_deprecated_is_listed_with_its_subjects_and_writers() {
    let (folder, data) = (copy(), tempfile::tempdir().unwrap());
    let (dir, data) = (folder.path().to_str().unwrap(), data.path().to_str().unwrap());
    let file = folder.path().join(RECORD).join("1.avsc");
    let said = run(&["deprecated", "--dir", dir, "--data", data], &[]);
    assert!(said.good && said.out.is_empty(), "{}", said.err);
    assert!(said.err.contains("there is no log in") && said.err.contains("no field is deprecated"), "{}", said.err);
    let text = fs::read_to_string(&file).unwrap();
    let marked = text.replacen(r#""name": "cents","#, r#""name": "cents", "deprecated": "use amount","#, 1);
    assert_ne!(text, marked);
    fs::write(&file, marked).unwrap();
    let publish = ["publish", "bank.account", "anna", "Deposit", r#"{"cents":100}"#, "--data", data];
    let said = run_verb(&publish, &[]);
    assert!(said.good, "{}", said.err);

    let out = good(&["deprecated", "--dir", dir, "--data", data]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..2],
        ["bank.account.Deposited, field cents: deprecated: use amount", &format!("  in {SUBJECT}, version 1")]
    );
    assert!(
        lines[2].starts_with("  written by ") && lines[2].contains(": 1 record, the last bank.account.events/"),
        "{out}"
    );
    let out = good(&["deprecated", "--dir", dir, "--data", data, "--json"]);
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&line["record"], &line["field"], &line["deprecated"]),
        (&RECORD.into(), &"cents".into(), &"use amount".into())
    );
    assert_eq!(line["subjects"], serde_json::json!([{ "subject": SUBJECT, "versions": [1] }]));
    assert_eq!((line["writers"].as_array().unwrap().len(), &line["writers"][0]["records"]), (1, &1.into()));
    let out = good(&["deprecated", "--dir", dir, "--data", data, "--since", "2000-01-01"]);
    assert!(out.contains(" since 2000-01-01T00:00:00.000Z: 1 record, the last "), "{out}");
    let err = bad(&["deprecated", "--dir", dir, "--data", data, "--since", "2999-01-01"]);
    assert!(err.contains("--since lies in the future"), "{err}");

    // A command's field, and who sends it; the event has no mark any more.
    fs::write(&file, text).unwrap();
    let file = folder.path().join("bank.account.Deposit/1.avsc");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen(r#""name": "cents","#, r#""name": "cents", "deprecated": "use amount","#, 1))
        .unwrap();
    let out = good(&["deprecated", "--dir", dir, "--data", data]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "bank.account.Deposit, field cents: deprecated: use amount",
            "  in bank.account.commands-bank.account.Deposit, version 1"
        ]
    );
    assert!(
        lines[2].starts_with("  written by factum/") && lines[2].contains(", the last bank.account.commands/"),
        "{out}"
    );
    assert_eq!(lines.len(), 3, "{out}");
}

#[test]
fn a_file_that_was_edited_after_it_was_registered_is_told() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    good(&["register", "--dir", dir, "--registry", &url]);
    let file = folder.path().join(RECORD).join("1.avsc");
    let fine = fs::read_to_string(&file).unwrap();
    fs::write(&file, fine.replace("cents", "cents_")).unwrap();
    let err = bad(&["check", "--dir", dir, "--registry", &url]);
    assert!(err.contains(&format!("cannot read what version 1 of subject {SUBJECT} wrote: field cents_")), "{err}");
    let field = r#""fields": ["#;
    fs::write(&file, fine.replace(field, &format!(r#"{field} {{"name":"n","type":"int","default":0}},"#))).unwrap();
    let said = run(&["check", "--dir", dir, "--registry", &url], &[]);
    let expected = format!(
        "warning: record {RECORD}: not-in-files: version 1 of subject {SUBJECT} is in no file: somebody else registered \
         it, or a file was edited since; instead: `schemas show {SUBJECT} --version 1` shows it; restore the file, or \
         commit it as a version\n"
    );
    assert!(said.good && said.err == expected, "{}", said.err);
    fs::write(&file, fine).unwrap();
    assert_eq!(run(&["check", "--dir", dir, "--registry", &url], &[]).err, "");
}

#[test]
fn what_somebody_else_registered_counts_too() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = elsewhere.path().join("foreign.avsc");
    let schema = r#"{"type":"record","name":"bank.account.Deposited","fields":[]}"#;
    fs::write(&foreign, schema).unwrap();
    let file = foreign.to_str().unwrap();
    good(&["register", "--registry", &url, "--subject", SUBJECT, "--file", file]);
    let err = bad(&["check", "--dir", dir, "--registry", &url, "--json"]);
    assert!(err.contains(&format!("cannot read what version 1 of subject {SUBJECT} wrote: field ")), "{err}");
}

#[test]
fn every_registered_version_counts_and_not_the_latest_alone() {
    let url = registry();
    let folder = copy();
    let dir = folder.path().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = elsewhere.path().join("foreign.avsc");
    let file = foreign.to_str().unwrap();
    let register =
        ["register", "--registry", &url, "--subject", SUBJECT, "--file", file, "--compatibility", "BACKWARD"];
    let of = |fields: &str| format!(r#"{{"type":"record","name":"{RECORD}","fields":[{fields}]}}"#);
    // The newest file reads what the second wrote and not what the first wrote.
    for fields in ["", r#"{"name":"cents","type":"long","default":0}"#] {
        fs::write(&foreign, of(fields)).unwrap();
        good(&register);
    }
    fs::write(folder.path().join(RECORD).join("1.avsc"), of(r#"{"name":"cents","type":"long"}"#)).unwrap();
    let err = bad(&["check", "--dir", dir, "--registry", &url]);
    assert!(err.contains(&format!("cannot read what version 1 of subject {SUBJECT} wrote: field cents")), "{err}");
    assert!(!err.contains("what version 2 of subject"), "{err}");
    // Registering sets the subject's rule again, and all that is there already stays.
    fs::write(folder.path().join(RECORD).join("1.avsc"), of(r#"{"name":"cents","type":"long","default":0}"#)).unwrap();
    let out = good(&["register", "--dir", dir, "--registry", &url]);
    assert!(out.contains(&format!("{SUBJECT}: registered before, BACKWARD_TRANSITIVE\n")), "{out}");
    let list = good(&["list", SUBJECT, "--registry", &url, "--json"]);
    assert!(list.contains(r#""compatibility":"BACKWARD_TRANSITIVE""#) && list.contains(r#""version":2"#), "{list}");
}

#[test]
fn a_registry_in_trouble_is_told_with_its_address() {
    let (url, asked) = stub(500, r#"{"error_code":50001,"message":"no leader"}"#);
    let err = bad(&["list", "--registry", &url]);
    assert_eq!(err, format!("error: GET {url}/subjects: status 500: no leader (error 50001)\n"));
    assert!(asked.recv().unwrap().starts_with("GET /subjects "));
    let (url, asked) = stub(200, "<html>hello</html>");
    let err = bad(&["list", "--registry", &url]);
    assert!(
        err.contains("with \"<html>hello</html>\", which no schema registry says: is this the address of one?"),
        "{err}"
    );
    assert!(asked.recv().unwrap().starts_with("GET /subjects "));
    assert_eq!(good(&["list", "--registry", &registry()]).lines().count(), 2);
}

#[test]
fn a_password_comes_from_the_environment_and_is_never_shown() {
    let (url, asked) = stub(401, r#"{"error_code":40101,"message":"Unauthorized"}"#);
    let arguments = ["list", "--registry", &url, "--registry-user", "bob"];
    let said = run(&arguments, &[("FACTUM_REGISTRY_PASSWORD", "s@cret")]);
    assert!(!said.good && said.err.contains("status 401: Unauthorized"), "{}", said.err);
    assert!(!said.err.contains("s@cret"), "{}", said.err);
    // "bob:s@cret" in base64.
    let request = asked.recv().unwrap();
    assert!(request.contains("Basic Ym9iOnNAY3JldA"), "{request}");
    let help = run(&["list", "--help"], &[("FACTUM_REGISTRY", "http://bob:s@cret@host")]);
    assert!(help.good && !help.out.contains("s@cret"), "{}", help.out);
}

#[test]
fn what_is_missing_is_asked_for() {
    let err = bad(&["list"]);
    assert!(err.contains("`schemas list` needs a registry: give --registry URL, --kafka HOST:PORT"), "{err}");
    let err = bad(&["check", "--dir", "nowhere"]);
    assert!(err.contains("there is no folder nowhere: give --dir FOLDER"), "{err}");
    let dir = committed();
    let dir = dir.to_str().unwrap();
    let err = bad(&["diff", "no.Such", "--dir", dir]);
    assert!(err.contains("no.Such is no file and no record in"), "{err}");
    let err = bad(&["diff", RECORD, "--dir", dir]);
    assert!(err.contains("has one version alone: name a second schema"), "{err}");
}
