//! The contract in files: `<folder>/<full name>/<n>.avsc`, n from 1.
//!
//! A domain crate checks its types in its own `cargo test`, so a change of a
//! wire format is a diff that a reviewer sees, and a change that would break
//! history fails without a broker.

mod records;

pub use records::{Breach, CommittedRecord, between, clashes, committed};

use crate::{AvroMessage, bounds, disk::MAX_SCHEMA_BYTES, newest, parse, rules::Level, shape};
use apache_avro::Schema;
use factum_core::{Error, ErrorKind, Result};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The variable that makes the checks write what is missing.
const WRITE: &str = "FACTUM_WRITE_SCHEMAS";

/// What a check found in order, or wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records agree with their newest file.
    pub agreeing: usize,
    /// The files that were written, because `FACTUM_WRITE_SCHEMAS=1` was set.
    pub written: Vec<PathBuf>,
}

/// Checks the records of an enum, also the retired ones, against their files; see [`check_committed`].
///
/// # Errors
/// Those of [`check_committed`].
pub fn check_messages<M: AvroMessage>(folder: &Path) -> Result<Report> {
    let schemas: Vec<Schema> = newest::of_message::<M>()?.iter().map(|record| record.schema.clone()).collect();
    check(folder, &schemas, M::RULE, Mode::of_environment())
}

/// Checks record schemas against the files in `folder`: the newest file says
/// what the type says, and every earlier version can be read by it
/// (BACKWARD_TRANSITIVE; [`check_messages`] takes the rule of the enum).
///
/// With `FACTUM_WRITE_SCHEMAS=1` in the environment a changed schema is written as the
/// next version instead, unless it would break history.
///
/// # Errors
/// `Invalid` names the record or file: no file, a difference, a version that
/// cannot be read, an alias (the decoder does not follow those), a missing
/// number, a file that is not the record's schema, a name with two definitions.
pub fn check_committed(folder: &Path, schemas: &[Schema]) -> Result<Report> {
    check(folder, schemas, Level::BackwardTransitive, Mode::of_environment())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Check,
    Write,
}

impl Mode {
    fn of_environment() -> Self {
        if std::env::var(WRITE).is_ok_and(|value| value == "1") { Mode::Write } else { Mode::Check }
    }
}

fn check(folder: &Path, schemas: &[Schema], rule: Level, mode: Mode) -> Result<Report> {
    let mut report = Report::default();
    let names: Vec<String> = schemas.iter().filter_map(newest::record_name).collect();
    if let Some((record, breach)) = clashes(names.iter().map(String::as_str).zip(schemas)).first() {
        return Err(Error::invalid(format!("record {record}: {breach}")));
    }
    for schema in schemas {
        let name =
            newest::record_name(schema).ok_or_else(|| Error::invalid("a committed schema is that of a record"))?;
        let record = CommittedRecord { versions: read_versions(&folder.join(&name), &name)?, name };
        let (name, versions) = (&record.name, &record.versions);
        bounds::check(schema).map_err(|why| Error::invalid(format!("record {name} is not usable: {why}")))?;
        // Without its file the type is the next version.
        let mut breaches = record.breaches(rule);
        breaches.extend(records::within("its type", schema));
        for version in versions {
            let file = version.file.display().to_string();
            breaches.extend(between((&file, &version.schema), ("its type", schema), rule));
        }
        if let Some(breach) = breaches.first() {
            return Err(Error::invalid(format!("record {name}: {breach}")));
        }
        if versions.last().is_some_and(|newest| shape::same(&newest.schema, schema)) {
            report.agreeing += 1;
            continue;
        }
        let file = folder.join(name).join(format!("{}.avsc", versions.len() + 1));
        match mode {
            Mode::Write => {
                write(&file, schema).map_err(|e| unusable(&file, e))?;
                report.written.push(file);
            }
            Mode::Check => {
                let what = match versions.last() {
                    Some(newest) => format!("record {name} differs from {}", newest.file.display()),
                    None => format!("record {name} has no file in {}", folder.display()),
                };
                return Err(Error::invalid(format!(
                    "{what}: run `{WRITE}=1 cargo test` to write {} and commit it",
                    file.display()
                )));
            }
        }
    }
    Ok(report)
}

/// A committed version of a record.
#[derive(Debug)]
pub struct CommittedVersion {
    /// Where it is, `<folder>/<full name>/<n>.avsc`.
    pub file: PathBuf,
    /// What it holds.
    pub schema: Schema,
}

/// The versions of a record in their order.
fn read_versions(folder: &Path, name: &str) -> Result<Vec<CommittedVersion>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unusable(folder, e)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let file = entry.map_err(|e| unusable(folder, e))?.path();
        let number = file
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".avsc"))
            .and_then(|stem| stem.parse::<usize>().ok().filter(|number| *number > 0 && number.to_string() == stem));
        numbers.push(number.ok_or_else(|| {
            Error::invalid(format!("{} is not a schema file: those are named 1.avsc, 2.avsc and so on", file.display()))
        })?);
    }
    numbers.sort_unstable();
    let mut versions = Vec::new();
    for (index, number) in numbers.into_iter().enumerate() {
        if number != index + 1 {
            return Err(Error::invalid(format!("{} is missing", folder.join(format!("{}.avsc", index + 1)).display())));
        }
        let file = folder.join(format!("{number}.avsc"));
        let schema = read(&file, name)?;
        versions.push(CommittedVersion { file, schema });
    }
    Ok(versions)
}

fn read(file: &Path, name: &str) -> Result<Schema> {
    let length = fs::metadata(file).map_err(|e| unusable(file, e))?.len();
    if length > MAX_SCHEMA_BYTES as u64 {
        return Err(unusable(file, format!("it has {length} bytes, the limit is {MAX_SCHEMA_BYTES}")));
    }
    let json = fs::read_to_string(file).map_err(|e| unusable(file, e))?;
    let schema = parse::parse(&json).map_err(|why| unusable(file, why))?;
    bounds::check(&schema).map_err(|why| unusable(file, why))?;
    match newest::record_name(&schema) {
        Some(found) if found == name => Ok(schema),
        Some(found) => Err(Error::invalid(format!("{} holds record {found} instead of {name}", file.display()))),
        None => Err(Error::invalid(format!("{} does not hold a record", file.display()))),
    }
}

fn write(file: &Path, schema: &Schema) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, shape::pretty(schema))
}

fn unusable(file: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::with_source(ErrorKind::Invalid, format!("{} is not usable", file.display()), error)
}

#[cfg(test)]
mod tests;
