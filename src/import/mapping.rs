//! How a row becomes a command, as TOML says it.

use super::{
    ImportError,
    convert::{Conversion, TimeFormat},
    template::Template,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a row becomes a command. [`HELP`](super::HELP) explains the syntax.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub(super) command: String,
    pub(super) aggregate: Template,
    pub(super) id: Template,
    pub(super) occurred: Option<Occurred>,
    pub(super) expected_version: Option<ExpectedVersion>,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Field>,
}

/// Where the time comes from at which a row's event occurred.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Occurred {
    pub(super) column: String,
    pub(super) format: Option<TimeFormat>,
}

/// Where the version comes from that a row's command expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ExpectedVersion {
    /// How many of the aggregate's rows came before.
    Ordinal,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawField")]
pub(super) enum Field {
    Column { column: String, conversion: Conversion, format: Option<TimeFormat>, empty: Empty },
    Constant(Value),
    Cases(Vec<Case>),
}

/// What a text without characters means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Null,
    Text,
}

/// A value, and the texts that columns must have for it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Case {
    pub(super) when: BTreeMap<String, String>,
    pub(super) value: Value,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// [`ImportError::Mapping`] with the line and the key.
    pub fn parse(toml: &str) -> Result<Self, ImportError> {
        let mapping: Mapping =
            toml::from_str(toml).map_err(|e| ImportError::Mapping(e.to_string().trim_end().to_owned()))?;
        if mapping.command.is_empty() {
            return Err(ImportError::Mapping("command is empty: it names the command's record".to_owned()));
        }
        Ok(mapping)
    }

    /// The command's record, as the mapping names it: short or in full.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Each column that it names, with the key that names it.
    pub(super) fn columns(&self) -> Vec<(&str, String)> {
        let mut columns: Vec<(&str, String)> = Vec::new();
        columns.extend(self.aggregate.columns().map(|column| (column, "aggregate".to_owned())));
        columns.extend(self.id.columns().map(|column| (column, "id".to_owned())));
        columns.extend(self.occurred.iter().map(|occurred| (occurred.column.as_str(), "occurred".to_owned())));
        for (name, field) in &self.fields {
            let key = format!("fields.{name}");
            match field {
                Field::Column { column, .. } => columns.push((column, key)),
                Field::Constant(_) => {}
                Field::Cases(cases) => {
                    let named = cases.iter().flat_map(|case| case.when.keys());
                    columns.extend(named.map(|column| (column.as_str(), key.clone())));
                }
            }
        }
        columns
    }
}

/// A field as it is written; which keys go together is checked behind it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    column: Option<String>,
    #[serde(rename = "as")]
    conversion: Option<Conversion>,
    format: Option<TimeFormat>,
    optional: Option<bool>,
    value: Option<toml::Value>,
    cases: Option<Vec<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    #[serde(default)]
    when: BTreeMap<String, String>,
    value: toml::Value,
}

impl TryFrom<RawField> for Field {
    type Error = String;

    fn try_from(raw: RawField) -> Result<Self, String> {
        if raw.column.is_none() && (raw.conversion.is_some() || raw.format.is_some() || raw.optional.is_some()) {
            return Err("as, format and optional go with column".to_owned());
        }
        match (raw.column, raw.value, raw.cases) {
            (Some(column), None, None) => {
                let conversion = raw.conversion.unwrap_or_default();
                if raw.format.is_some() && conversion != Conversion::TimestampMs {
                    return Err("format goes with as = \"timestamp-ms\"".to_owned());
                }
                let empty = if raw.optional == Some(true) { Empty::Null } else { Empty::Text };
                Ok(Field::Column { column, conversion, format: raw.format, empty })
            }
            (None, Some(value), None) => Ok(Field::Constant(constant(value)?)),
            (None, None, Some(cases)) => Ok(Field::Cases(check_cases(cases)?)),
            _ => Err("a field has one of column, value and cases".to_owned()),
        }
    }
}

fn check_cases(raw: Vec<RawCase>) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::with_capacity(raw.len());
    for (i, RawCase { when, value }) in raw.into_iter().enumerate() {
        if let Some(earlier) = cases.iter().position(|earlier| earlier.when.iter().all(|(c, t)| when.get(c) == Some(t)))
        {
            return Err(format!("case {} is never reached: case {} matches whatever it matches", i + 1, earlier + 1));
        }
        cases.push(Case { when, value: constant(value)? });
    }
    if cases.is_empty() { Err("a field needs a case".to_owned()) } else { Ok(cases) }
}

fn constant(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Boolean(boolean) => boolean.into(),
        toml::Value::Float(number) if number.is_finite() => number.into(),
        toml::Value::Float(number) => return Err(format!("{number} is not a number that a field can have")),
        toml::Value::Datetime(time) => {
            return Err(format!("a field has no time of TOML's: write {time} as text, or as milliseconds since 1970"));
        }
        toml::Value::Array(items) => items.into_iter().map(constant).collect::<Result<Vec<_>, _>>()?.into(),
        toml::Value::Table(table) => Value::Object(
            table.into_iter().map(|(key, value)| Ok((key, constant(value)?))).collect::<Result<_, String>>()?,
        ),
    })
}
