//! The golden corpus: bytes of every released version of every event and
//! command, which today's code reads, and which never change.
//!
//! `FACTUM_WRITE_SCHEMAS=1 UPDATE_EXPECT=1 cargo test -p factum-bank --test corpus`
//! adds the bytes of versions that have none yet (it changes nothing that is
//! there) and writes down what today's code makes of all of them.
#![allow(clippy::unwrap_used)] // a test's failure is its panic

#[path = "corpus/edges.rs"]
mod edges;
#[path = "corpus/files.rs"]
mod files;
#[path = "corpus/today.rs"]
mod today;

use expect_test::expect_file;
use factum::{Message, schemas::check_messages};
use factum_bank::{Command, Event};
use files::{Corpus, Mode};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tempfile::TempDir;
use today::Today;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The committed corpus, which is complete and as it always was.
fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let schemas = root("schemas/avsc");
        // A version that is being written has its bytes at once.
        check_messages::<Command>(&schemas).unwrap();
        check_messages::<Event>(&schemas).unwrap();
        let mode =
            if std::env::var("FACTUM_WRITE_SCHEMAS").is_ok_and(|value| value == "1") { Mode::Add } else { Mode::Check };
        Corpus::open(&schemas, &root("tests/fixtures/corpus"), mode).unwrap()
    })
}

#[test]
fn every_released_version_is_there_and_none_was_changed() {
    let records: Vec<&str> = corpus().versions.iter().map(|version| version.record.as_str()).collect();
    for record in [Command::RECORDS, Event::RECORDS].concat() {
        assert!(records.contains(&record), "{record} is not in the corpus");
    }
    assert!(corpus().versions.iter().all(|version| version.cases.len() >= 5));
}

#[test]
fn todays_code_reads_every_released_version_as_it_is_written_down() {
    let (today, mut text) = (Today::open(corpus()), String::new());
    for version in &corpus().versions {
        for case in &version.cases {
            let read = today.read(version, case);
            let line = serde_json::json!({
                "record": version.record, "version": version.number, "written": case.value, "read": read
            });
            writeln!(text, "{line}").unwrap();
        }
    }
    expect_file!["corpus/today.jsonl"].assert_eq(&text);
}

#[test]
fn todays_code_writes_the_bytes_of_the_newest_version() {
    let today = Today::open(corpus());
    let mut compared = 0;
    for version in corpus().versions.iter().filter(|version| today.writes(version)) {
        for case in &version.cases {
            assert_eq!(today.written_again(version, case), case.avro, "{version:?}: {}", case.value);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} values");
}

/// A copy of schemas and corpus, to damage.
struct Copy {
    schemas: TempDir,
    corpus: TempDir,
}

impl Copy {
    fn new() -> Self {
        corpus();
        let copied = |from: &Path| {
            let to = tempfile::tempdir().unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let path = entry.unwrap().path();
                let target = to.path().join(path.file_name().unwrap());
                if path.is_file() {
                    fs::copy(&path, target).unwrap();
                    continue;
                }
                fs::create_dir(&target).unwrap();
                for file in fs::read_dir(&path).unwrap() {
                    let file = file.unwrap();
                    fs::copy(file.path(), target.join(file.file_name())).unwrap();
                }
            }
            to
        };
        Copy { schemas: copied(&root("schemas/avsc")), corpus: copied(&root("tests/fixtures/corpus")) }
    }

    fn open(&self, mode: Mode) -> Result<Corpus, String> {
        Corpus::open(self.schemas.path(), self.corpus.path(), mode)
    }

    fn bytes(&self, name: &str) -> PathBuf {
        self.corpus.path().join("bank.account.Deposited").join(name)
    }

    fn schema(&self, name: &str) -> PathBuf {
        self.schemas.path().join("bank.account.Deposited").join(name)
    }

    /// Fails in both modes: nothing that was released is made anew.
    #[track_caller]
    fn fails(&self, text: &str) {
        for mode in [Mode::Check, Mode::Add] {
            let error = self.open(mode).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}

#[test]
fn a_file_that_is_gone_is_missed_and_not_made_again() {
    let copy = Copy::new();
    let before = fs::read(copy.bytes("1.jsonl")).unwrap();
    fs::remove_file(copy.bytes("1.jsonl")).unwrap();
    copy.fails("bank.account.Deposited/1.jsonl is gone: bytes of a released version are kept for ever, restore it");
    fs::remove_dir(copy.bytes("")).unwrap();
    fs::remove_dir_all(copy.schema("")).unwrap();
    copy.fails("bank.account.Deposited/1.jsonl is gone");
    let whole = Copy::new();
    fs::create_dir(copy.schema("")).unwrap();
    fs::copy(whole.schema("1.avsc"), copy.schema("1.avsc")).unwrap();
    fs::create_dir(copy.bytes("")).unwrap();
    fs::write(copy.bytes("1.jsonl"), before).unwrap();
    copy.open(Mode::Check).unwrap();
}

#[test]
fn a_file_that_was_changed_is_named() {
    let copy = Copy::new();
    let before = fs::read_to_string(copy.bytes("1.jsonl")).unwrap();
    for changed in [before.replacen("\"avro\":\"0", "\"avro\":\"1", 1), before.replace('\n', "\r\n"), String::new()] {
        fs::write(copy.bytes("1.jsonl"), changed).unwrap();
        copy.fails("bank.account.Deposited/1.jsonl was changed: bytes of a released version stay as they are");
    }
    fs::write(copy.bytes("1.jsonl"), before).unwrap();
    copy.open(Mode::Check).unwrap();
}

#[test]
fn a_file_of_nobody_is_named() {
    for stray in ["2.jsonl", "notes.txt"] {
        let copy = Copy::new();
        fs::write(copy.bytes(stray), "{}").unwrap();
        copy.fails(&format!("bank.account.Deposited/{stray} is not in SHA256SUMS: remove it"));
        fs::remove_file(copy.bytes(stray)).unwrap();
        copy.open(Mode::Check).unwrap();
    }
}

#[test]
fn a_schema_of_a_released_version_that_is_gone_or_edited_is_named() {
    let copy = Copy::new();
    let schema = fs::read_to_string(copy.schema("1.avsc")).unwrap();
    fs::write(copy.schema("1.avsc"), schema.replace("Money came in.", "Money came.")).unwrap();
    copy.fails("1.avsc is not the schema that bank.account.Deposited/1.jsonl was written with: restore it");
    fs::remove_file(copy.schema("1.avsc")).unwrap();
    copy.fails(
        "bank.account.Deposited/1.jsonl is of a version that has no schema: restore bank.account.Deposited/1.avsc",
    );
    fs::write(copy.schema("1.avsc"), schema).unwrap();
    copy.open(Mode::Check).unwrap();
}

#[test]
fn a_version_without_bytes_is_named_and_its_bytes_are_added_beside_the_others() {
    let copy = Copy::new();
    let before = fs::read_to_string(copy.corpus.path().join("SHA256SUMS")).unwrap();
    let mut schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(copy.schema("1.avsc")).unwrap()).unwrap();
    let note = serde_json::json!({ "name": "note", "type": ["null", "string"], "default": null });
    schema["fields"].as_array_mut().unwrap().push(note);
    fs::write(copy.schema("2.avsc"), schema.to_string()).unwrap();
    let error = copy.open(Mode::Check).unwrap_err();
    assert!(error.contains("bank.account.Deposited/2.jsonl is missing: run `FACTUM_WRITE_SCHEMAS=1"), "{error}");
    copy.open(Mode::Add).unwrap();
    let after = fs::read_to_string(copy.corpus.path().join("SHA256SUMS")).unwrap();
    let added: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(added.len() == 1 && added[0].ends_with("  bank.account.Deposited/2.jsonl"), "{added:?}");
    assert!(before.lines().all(|line| after.contains(line)));
    // Today's code has no such field, and reads the rest of it.
    let corpus = copy.open(Mode::Check).unwrap();
    let today = Today::open(&corpus);
    let version = corpus.versions.iter().find(|version| version.number == 2).unwrap();
    let noted = version.cases.iter().find(|case| case.value["note"].is_string()).unwrap();
    let read = today.read(version, noted);
    assert_eq!(read, serde_json::json!([{ "bank.account.Deposited": { "cents": noted.value["cents"] } }]));
}
