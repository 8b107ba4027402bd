//! Changes as records of a compacted topic, laid out like those of Confluent's
//! `_schemas`: the key is JSON with a `keytype`, the value is JSON or null.
//! `IDS` is our own: it keeps the greatest id when its schema is removed.

use super::{Change, Level, Mode, Refusal, Registered};
use factum_core::{Error, RecordRef, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "keytype")]
enum Key {
    #[serde(rename = "SCHEMA")]
    Schema { subject: String, version: u32, magic: u8 },
    #[serde(rename = "DELETE_SUBJECT")]
    DeleteSubject { subject: String, magic: u8 },
    #[serde(rename = "CONFIG")]
    Config { subject: Option<String>, magic: u8 },
    #[serde(rename = "MODE")]
    Mode { subject: Option<String>, magic: u8 },
    #[serde(rename = "IDS")]
    Ids { magic: u8 },
    #[serde(rename = "NOOP")]
    Noop { magic: u8 },
}

#[derive(Debug, Serialize, Deserialize)]
struct SchemaValue {
    subject: String,
    version: u32,
    id: u32,
    schema: String,
    deleted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct DeleteValue {
    subject: String,
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct ConfigValue {
    subject: Option<String>,
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ModeValue {
    subject: Option<String>,
    mode: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct IdsValue {
    last: u32,
}

/// Key and value of a change; no value removes.
pub(crate) fn write(change: &Change) -> (String, Option<String>) {
    match change {
        Change::Schema { registered: Registered { subject, version, id, schema }, deleted } => {
            let (subject, schema) = (subject.clone(), schema.clone());
            let key = Key::Schema { subject: subject.clone(), version: *version, magic: 1 };
            let value = SchemaValue { subject, version: *version, id: *id, schema, deleted: *deleted };
            (json(&key), Some(json(&value)))
        }
        Change::Remove { subject, version } => {
            (json(&Key::Schema { subject: subject.clone(), version: *version, magic: 1 }), None)
        }
        Change::DeleteSubject { subject, version } => {
            let value = version.map(|version| json(&DeleteValue { subject: subject.clone(), version }));
            (json(&Key::DeleteSubject { subject: subject.clone(), magic: 0 }), value)
        }
        Change::Level { subject, level } => {
            let subject = subject.clone();
            let value = level.map(|level| json(&ConfigValue { subject: subject.clone(), level: level.to_string() }));
            (json(&Key::Config { subject, magic: 0 }), value)
        }
        Change::Mode { subject, mode } => {
            let subject = subject.clone();
            let value = mode.map(|mode| json(&ModeValue { subject: subject.clone(), mode: mode.to_string() }));
            (json(&Key::Mode { subject, magic: 0 }), value)
        }
        Change::Ids { last } => (json(&Key::Ids { magic: 0 }), Some(json(&IdsValue { last: *last }))),
    }
}

/// The change that a record tells; none for one that tells nothing.
///
/// # Errors
/// `Data` names the record.
pub(crate) fn read(record: RecordRef<'_>) -> Result<Option<Change>> {
    let strange =
        |error: &dyn std::fmt::Display| Error::data(format!("{record:?} is not a registry's record: {error}"));
    let key = serde_json::from_slice(record.key().unwrap_or_default()).map_err(|error| strange(&error))?;
    let change = |refusal: Refusal| strange(&refusal);
    Ok(Some(match key {
        Key::Schema { subject, version, .. } => match value::<SchemaValue>(record)? {
            Some(SchemaValue { id, schema, deleted, .. }) => {
                Change::Schema { registered: Registered { subject, version, id, schema }, deleted }
            }
            None => Change::Remove { subject, version },
        },
        Key::DeleteSubject { subject, .. } => {
            Change::DeleteSubject { subject, version: value::<DeleteValue>(record)?.map(|value| value.version) }
        }
        Key::Config { subject, .. } => {
            let level = value::<ConfigValue>(record)?.map(|value| value.level.parse::<Level>());
            Change::Level { subject, level: level.transpose().map_err(change)? }
        }
        Key::Mode { subject, .. } => {
            let mode = value::<ModeValue>(record)?.map(|value| value.mode.parse::<Mode>());
            Change::Mode { subject, mode: mode.transpose().map_err(change)? }
        }
        Key::Ids { .. } => match value::<IdsValue>(record)? {
            Some(IdsValue { last }) => Change::Ids { last },
            None => return Ok(None),
        },
        Key::Noop { .. } => return Ok(None),
    }))
}

fn value<T: DeserializeOwned>(record: RecordRef<'_>) -> Result<Option<T>> {
    let parsed = record.value().map(serde_json::from_slice).transpose();
    parsed.map_err(|error| Error::data(format!("{record:?} is not a registry's record: {error}")))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and text are JSON")
}
