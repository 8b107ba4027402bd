//! The files of the corpus: `<record>/<n>.jsonl` for each released schema
//! `<record>/<n>.avsc`, and `SHA256SUMS`, which `sha256sum -c` takes as well.
//!
//! The first line of a file holds the schema, each further one a value: its
//! Avro binary in hex, without the frame (the id in it is a registry's own),
//! and what it says as JSON.

use crate::edges;
use apache_avro::{Schema, writer::datum::GenericDatumWriter};
use factum::schemas::{MemoryRegistry, Registry, SchemaCache, committed, compact, same};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    fs,
    path::Path,
    sync::Arc,
};

const SUMS: &str = "SHA256SUMS";
/// What is no event and no command: a state is only read under its own schema.
const STATE: &str = "bank.account.Account";

/// Whether versions without bytes get some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Check,
    Add,
}

/// Everything that was ever released, by record and version.
#[derive(Debug)]
pub(crate) struct Corpus {
    pub(crate) versions: Vec<Version>,
}

/// The bytes of one version of a record.
pub(crate) struct Version {
    pub(crate) record: String,
    pub(crate) number: usize,
    pub(crate) schema: Schema,
    pub(crate) cases: Vec<Case>,
}

/// A value.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its Avro binary.
    pub(crate) avro: Vec<u8>,
    /// What it says, by its own schema.
    pub(crate) value: Value,
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.record, self.number)
    }
}

impl Corpus {
    /// Opens a corpus that has every version of the committed schemas and nothing else.
    pub(crate) fn open(schemas: &Path, folder: &Path, mode: Mode) -> Result<Self, String> {
        let mut sums = sums(folder)?;
        compare(folder, &sums)?;
        let mut versions = Vec::new();
        let mut without_schema: Vec<String> = sums.keys().cloned().collect();
        for record in committed(schemas).map_err(|e| e.to_string())? {
            if !record.name.starts_with("bank.") || record.name == STATE {
                continue;
            }
            for (number, version) in (1..).zip(&record.versions) {
                let name = format!("{}/{number}.jsonl", record.name);
                without_schema.retain(|known| *known != name);
                let file = folder.join(&name);
                if !sums.contains_key(&name) {
                    if mode == Mode::Check {
                        let command = "FACTUM_WRITE_SCHEMAS=1 cargo test -p factum-bank --test corpus";
                        return Err(format!("{name} is missing: run `{command}` and commit it"));
                    }
                    let text = text(&version.schema);
                    fs::create_dir_all(folder.join(&record.name)).unwrap();
                    fs::write(&file, &text).unwrap();
                    sums.insert(name.clone(), sum(text.as_bytes()));
                }
                let (schema, cases) = parse(&fs::read_to_string(&file).unwrap());
                if !same(&schema, &version.schema) {
                    let edited = version.file.display();
                    return Err(format!("{edited} is not the schema that {name} was written with: restore it"));
                }
                versions.push(Version { record: record.name.clone(), number, schema, cases });
            }
        }
        if let Some(name) = without_schema.first() {
            let schema = name.replace(".jsonl", ".avsc");
            return Err(format!("{name} is of a version that has no schema: restore {schema}"));
        }
        if mode == Mode::Add {
            let lines: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
            fs::write(folder.join(SUMS), lines).unwrap();
        }
        Ok(Corpus { versions })
    }
}

/// The digests that are written down, by file; none where there is no corpus yet.
fn sums(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    let pair = |line: &str| line.split_once("  ").map(|(sum, name)| (name.to_owned(), sum.to_owned()));
    text.lines().map(|line| pair(line).ok_or_else(|| format!("{SUMS}: {line} is no line of sha256sum"))).collect()
}

/// Folder and digests say the same, both ways.
fn compare(folder: &Path, sums: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, known) in sums {
        let bytes = fs::read(folder.join(name))
            .map_err(|e| format!("{name} is gone: bytes of a released version are kept for ever, restore it ({e})"))?;
        if sum(&bytes) != *known {
            return Err(format!("{name} was changed: bytes of a released version stay as they are, restore it"));
        }
    }
    let name = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(&inner).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if name(&path) != SUMS && !sums.contains_key(&name(&path)) {
                return Err(format!("{} is not in {SUMS}: remove it", name(&path)));
            }
        }
    }
    Ok(())
}

fn sum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A file of the edge values of a schema.
fn text(schema: &Schema) -> String {
    let registry = Arc::new(MemoryRegistry::new());
    let cache = SchemaCache::in_memory(registry.clone());
    let id = registry.register("corpus", &compact(schema)).unwrap();
    cache.fetch(id).unwrap();
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    let mut text = format!("{}\n", json!({ "schema": serde_json::from_str::<Value>(&compact(schema)).unwrap() }));
    for value in edges::records(schema) {
        let avro = writer.write_value_to_vec(value).unwrap();
        let (_, value) = cache.to_json(&framed(id, &avro)).unwrap();
        writeln!(text, "{}", json!({ "avro": hex(&avro), "value": value })).unwrap();
    }
    text
}

fn parse(text: &str) -> (Schema, Vec<Case>) {
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let schema = Schema::parse_str(&lines.next().unwrap()["schema"].to_string()).unwrap();
    let case = |line: Value| Case { avro: bytes(line["avro"].as_str().unwrap()), value: line["value"].clone() };
    (schema, lines.map(case).collect())
}

/// Avro binary in the wire format.
pub(crate) fn framed(id: u32, avro: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), avro].concat()
}
