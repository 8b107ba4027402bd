//! The file: TOML whose keys are the flags' names, checked before anything runs.

use super::{FILE, Flag, Kind, did_you_mean, without_secrets};
use clap::{Arg, ArgAction, Command};
use factum_core::{Error, Result};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{ErrorKind, Read},
    ops::Range,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

/// No configuration is longer.
const MAX_BYTES: u64 = 256 * 1024;

/// What the file says, by key.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The file; none when there is none.
    pub(crate) file: Option<PathBuf>,
    values: BTreeMap<String, Setting>,
}

/// The value of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// As they would stand on the command line.
    pub(crate) values: Vec<String>,
    /// From 1 on.
    pub(crate) line: usize,
}

impl Settings {
    /// Reads the named file, or without one the one in the current folder if it is there.
    ///
    /// # Errors
    /// `Invalid` for a named file that is missing, one that is too long or no
    /// TOML, an unknown key and a value of another type, with file and line.
    pub(crate) fn read(named: Option<PathBuf>, flags: &[Flag]) -> Result<Self> {
        let (path, named) = named.map_or_else(|| (PathBuf::from(FILE), false), |path| (path, true));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && !named => return Ok(Settings::default()),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(&path, &error))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::invalid(format!("{} is longer than {MAX_BYTES} bytes", path.display())));
        }
        let values = parse(&text, flags).map_err(|error| error.context(path.display()))?;
        Ok(Settings { file: Some(path), values })
    }

    /// What the file says about a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        self.values.get(key)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("the configuration {} cannot be read: {error}", path.display()))
}

/// The values of a file's text by key.
///
/// # Errors
/// `Invalid` with the line.
pub(super) fn parse(text: &str, flags: &[Flag]) -> Result<BTreeMap<String, Setting>> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or_else(String::new, |span| format!("line {}: ", line(text, &span)));
        Error::invalid(format!("{line}{}", error.message().replace('\n', ", ")))
    })?;
    let mut found = BTreeMap::new();
    take(text, table.get_ref(), "", flags, &mut found)?;
    Ok(found)
}

fn take(
    text: &str,
    table: &DeTable<'_>,
    path: &str,
    flags: &[Flag],
    found: &mut BTreeMap<String, Setting>,
) -> Result<()> {
    for (name, value) in table {
        let line = line(text, &name.span());
        let key = format!("{path}{}", name.get_ref());
        let below = format!("{key}.");
        let flag = flags.iter().find(|flag| flag.key == key);
        match (flag, value.get_ref()) {
            (Some(flag), value) => {
                let values =
                    values(flag, value).map_err(|text| Error::invalid(format!("line {line}: {key} {text}")))?;
                found.insert(key, Setting { values, line });
            }
            (None, DeValue::Table(inner)) if flags.iter().any(|flag| flag.key.starts_with(&below)) => {
                take(text, inner, &below, flags, found)?;
            }
            (None, value) => return Err(unknown(line, &key, value, flags)),
        }
    }
    Ok(())
}

fn unknown(line: usize, key: &str, value: &DeValue<'_>, flags: &[Flag]) -> Error {
    let tables = flags.iter().filter(|flag| !flag.path.is_empty()).map(|flag| flag.path.join("."));
    let mut tables: Vec<String> = tables.collect();
    tables.dedup();
    let below = format!("{key}.");
    if tables.iter().any(|table| table == key || table.starts_with(&below)) {
        return Error::invalid(format!("line {line}: {key} is a table: write [{key}]"));
    }
    let name = key.rsplit('.').next().unwrap_or(key);
    // The name may be right and the table wrong.
    let same_name = flags.iter().filter(|flag| flag.long == name).map(|flag| flag.key.as_str());
    let mut candidates: Vec<&str> = same_name.collect();
    if candidates.is_empty() {
        candidates = match value {
            DeValue::Table(_) => tables.iter().map(String::as_str).collect(),
            _ => flags.iter().map(|flag| flag.key.as_str()).collect(),
        };
    }
    let hint = did_you_mean(key, candidates.into_iter());
    Error::invalid(format!("line {line}: the key {key} is not known{hint}"))
}

/// The values as on the command line; or what is wrong with them.
fn values(flag: &Flag, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (flag.kind, value) {
        (Kind::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
        (Kind::Switch, other) => Err(format!("takes true or false, not {}", type_name(other))),
        (Kind::Many, DeValue::Array(items)) => items.iter().map(|item| one(flag, item.get_ref())).collect(),
        (Kind::Many | Kind::One, value) => Ok(vec![one(flag, value)?]),
    }
}

fn one(flag: &Flag, value: &DeValue<'_>) -> Result<String, String> {
    let value = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        other => return Err(format!("takes a value such as a text or a number, not {}", type_name(other))),
    };
    // The flag's own parser says whether the value is one, in a command that has nothing else.
    let arg = Arg::new("value").long("value").action(ArgAction::Set).value_parser(flag.parser.clone());
    let parsed = Command::new("check").arg(arg).try_get_matches_from(["check", &format!("--value={value}")]);
    match parsed {
        Ok(_) => Ok(value),
        Err(_) if flag.is_secret() => Err("has a value that its flag does not take".to_owned()),
        Err(error) => {
            let told = without_secrets(error).to_string();
            let told: Vec<&str> = told.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let told = told.join(" ");
            Err(told.replace("error: invalid value", "has the invalid value").replace(" for '--value <value>'", ""))
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}
