//! Every record that is committed, for those who know no Rust types.

use super::{CommittedVersion, read_versions, unusable};
use crate::{
    compare::{Names, words},
    newest,
    rules::Level,
    shape, traps,
};
use apache_avro::Schema;
use factum_core::{Error, Result};
use std::{collections::BTreeMap, fmt, fs, path::Path};

/// A record and its committed versions.
#[derive(Debug)]
pub struct CommittedRecord {
    /// The full name.
    pub name: String,
    /// Its versions from 1.
    pub versions: Vec<CommittedVersion>,
}

/// Why a schema would break history, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// What cannot be read by what, with the field's name.
    pub problem: String,
    /// The rule that forbids it: a level of compatibility, or in words.
    pub rule: &'static str,
    /// What to do.
    pub fix: String,
}

const FORWARD: &str = "those who send it are not all renewed at once: keep the fields that have no default, or give the record a new name";
const ONE_NAME: &str = "a full name has one definition";

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; rule: {}; fix: {}", self.problem, self.rule, self.fix)
    }
}

/// The records in `folder`, by name.
///
/// # Errors
/// `Invalid` names the folder or file that is not usable.
pub fn committed(folder: &Path) -> Result<Vec<CommittedRecord>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| unusable(folder, e))? {
        let path = entry.map_err(|e| unusable(folder, e))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !path.is_dir() {
            return Err(Error::invalid(format!(
                "{} is not a record's folder: schemas are in <full name>/1.avsc and so on",
                path.display()
            )));
        }
        records.push(CommittedRecord { name: name.to_owned(), versions: read_versions(&path, name)? });
    }
    records.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(records)
}

impl CommittedRecord {
    /// What is wrong with the versions: the newest in itself, and each one with all before it.
    pub fn breaches(&self, rule: Level) -> Vec<Breach> {
        let named: Vec<_> = self.versions.iter().map(|it| (it.file.display().to_string(), &it.schema)).collect();
        let mut found = Vec::new();
        if let Some((file, newest)) = named.last() {
            found.extend(within(file, newest));
        }
        for (index, (file, new)) in named.iter().enumerate() {
            for (old_file, old) in &named[..index] {
                found.extend(between((old_file, old), (file, new), rule));
            }
        }
        found
    }
}

/// What is wrong with a schema that this program would read with, whoever wrote.
pub(super) fn within(called: &str, schema: &Schema) -> Option<Breach> {
    let trap = traps::within(schema)?;
    Some(Breach { problem: format!("{called}: {}", trap.what), rule: trap.rule, fix: trap.fix.to_owned() })
}

/// What stands between an earlier schema and a later one, each with what it is called.
pub fn between(old: (&str, &Schema), new: (&str, &Schema), rule: Level) -> Vec<Breach> {
    let mut found = Vec::new();
    if rule.looks_back() {
        found.extend(unreadable(old, new, rule, &backward(old.1, rule)));
    }
    if rule.looks_forward() {
        found.extend(unreadable(new, old, rule, FORWARD));
    }
    found
}

fn unreadable(writer: (&str, &Schema), reader: (&str, &Schema), rule: Level, fix: &str) -> Vec<Breach> {
    let problem = |why: &str| format!("{} cannot read what {} wrote: {why}", reader.0, writer.0);
    if let Err(why) = shape::readable(writer.1, reader.1) {
        return vec![Breach { problem: problem(&why), rule: rule.name(), fix: fix.to_owned() }];
    }
    let traps = traps::between(writer.1, reader.1).into_iter();
    traps.map(|trap| Breach { problem: problem(&trap.what), rule: trap.rule, fix: trap.fix.to_owned() }).collect()
}

/// Events are for ever, so what is old has an upcaster; commands are on their way for a while.
fn backward(old: &Schema, rule: Level) -> String {
    let fix = "give a new field a default and keep the types, or give the record a new name";
    let name = newest::record_name(old).unwrap_or_default();
    let short = name.rsplit('.').next().unwrap_or(&name);
    if rule.looks_forward() {
        return fix.to_owned();
    }
    format!("{fix} and retire {short}: `#[event(retired({short}))]` on the enum, with `impl Upcast for {short}`")
}

/// Types that have one full name and two definitions in different records, of
/// which a program of another language makes one class; each with the later record.
/// A record comes with its full name.
pub fn clashes<'a>(records: impl Iterator<Item = (&'a str, &'a Schema)>) -> Vec<(&'a str, Breach)> {
    let mut known: BTreeMap<String, (&'a str, String)> = BTreeMap::new();
    let mut found = Vec::new();
    for (record, schema) in records {
        for (name, definition) in Names::of(schema).iter() {
            let parts = parts(definition);
            let (first, before) = known.entry(name.to_owned()).or_insert((record, parts.clone()));
            if *before != parts {
                let breach = Breach {
                    problem: format!("it and {first} define two types with the full name {name}"),
                    rule: ONE_NAME,
                    fix: "give one of them another name or namespace".to_owned(),
                };
                found.push((record, breach));
            }
        }
    }
    found
}

/// What makes a named type up; the types in it by their names, since each is told once.
fn parts(definition: &Schema) -> String {
    match definition {
        Schema::Record(record) => {
            record.fields.iter().map(|field| format!("{}: {}\n", field.name, words(&field.schema))).collect()
        }
        other => words(other),
    }
}
