//! Every record that is committed, for those who know no Rust types.

use super::{CommittedVersion, aliased, read_versions, unusable};
use crate::{rules::Level, shape};
use factum_core::{Error, Result};
use std::{fs, path::Path};

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
    /// The rule that forbids it.
    pub rule: Level,
    /// What to do.
    pub fix: &'static str,
}

const BACK: &str = "give a new field a default and keep the types, or give the record a new name";
const FORWARD: &str = "those who send it are not all renewed at once: keep the fields that have no default, or give the record a new name";
const ALIAS: &str = "the decoder does not follow aliases: keep the old name, or give the record a new one";

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
    /// What is wrong with the versions among themselves: each one with all before it.
    pub fn breaches(&self, rule: Level) -> Vec<Breach> {
        let mut found = Vec::new();
        for (index, new) in self.versions.iter().enumerate() {
            if let Some(field) = aliased(&new.schema) {
                let problem = format!("{}: {field} has an alias", new.file.display());
                found.push(Breach { problem, rule, fix: ALIAS });
            }
            for old in &self.versions[..index] {
                let (old_file, new_file) = (old.file.display().to_string(), new.file.display().to_string());
                found.extend(between((&old_file, &old.schema), (&new_file, &new.schema), rule));
            }
        }
        found
    }
}

/// What stands between an earlier schema and a later one, each with what it is called.
pub fn between(old: (&str, &apache_avro::Schema), new: (&str, &apache_avro::Schema), rule: Level) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut look = |writer: (&str, &apache_avro::Schema), reader: (&str, &apache_avro::Schema), fix| {
        if let Err(why) = shape::readable(writer.1, reader.1) {
            let problem = format!("{} cannot read what {} wrote: {why}", reader.0, writer.0);
            found.push(Breach { problem, rule, fix });
        }
    };
    if rule.looks_back() {
        look(old, new, BACK);
    }
    if rule.looks_forward() {
        look(new, old, FORWARD);
    }
    found
}
