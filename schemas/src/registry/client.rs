//! The parts of Confluent's API that Factum needs: schemas, versions, compatibility. Any registry that has
//! this API will do; where Apicurio and Karapace differ from Confluent's, a comment says how.

use super::{Access, call::Caller};
use crate::rules::Level;
use factum_core::{ErrorKind, Result};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

/// How often a schema is posted while others make its subject.
const REGISTRATIONS: u32 = 5;

/// A client of a registry. Its calls block; not for a thread of a tokio runtime.
#[derive(Debug)]
pub struct RegistryClient {
    caller: Caller,
}

/// A version of a subject, as a registry tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegisteredVersion {
    /// The version, from 1.
    pub version: u32,
    /// The schema's id.
    pub id: u32,
    /// The schema as JSON.
    pub schema: String,
}

/// A schema of a registry, of whatever type.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AnySchema {
    /// Its text.
    pub(super) schema: String,
    /// Avro where nothing is said.
    pub(super) schema_type: Option<String>,
    #[serde(default)]
    pub(super) references: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct IdBody {
    id: u32,
}

#[derive(Deserialize)]
struct LevelBody {
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

#[derive(Deserialize)]
struct VerdictBody {
    is_compatible: bool,
    messages: Option<Vec<String>>,
    /// Apicurio's word for it.
    reason: Option<String>,
}

impl RegistryClient {
    /// A client of the registry at one or more addresses, separated by commas
    /// and tried in their order, for example `http://localhost:8081`.
    ///
    /// # Errors
    /// `Invalid` when an address or a certificate is not usable.
    pub fn new(addresses: &str, access: &Access) -> Result<Self> {
        Self::over(addresses.split(','), access)
    }

    pub(super) fn over<'a>(addresses: impl IntoIterator<Item = &'a str>, access: &Access) -> Result<Self> {
        Ok(RegistryClient { caller: Caller::new(addresses, access)? })
    }

    /// Its addresses, without credentials.
    pub(super) fn name(&self) -> String {
        self.caller.name()
    }

    /// The names of the subjects.
    ///
    /// # Errors
    /// `Unavailable`: the registry is away, in trouble, or not a registry;
    /// `Invalid`: it refuses the call. Both name address and status.
    pub fn subjects(&self) -> Result<Vec<String>> {
        self.caller.call(&Method::GET, &["subjects"], &[], None)
    }

    /// The versions of a subject; none of one that does not exist.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        let found = self.caller.call(&Method::GET, &["subjects", subject, "versions"], &[], None);
        Ok(or_none(found)?.unwrap_or_default())
    }

    /// One version of a subject, the latest where none is named.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data`: there is none.
    pub fn version(&self, subject: &str, version: Option<u32>) -> Result<RegisteredVersion> {
        let version = version.map_or("latest".to_owned(), |version| version.to_string());
        self.caller.call(&Method::GET, &["subjects", subject, "versions", &version], &[], None)
    }

    /// The schema of an id, also where its subject was deleted: values with the id may still be there.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data`: there is none.
    pub fn schema(&self, id: u32) -> Result<String> {
        self.any_schema(id).map(|found| found.schema)
    }

    pub(super) fn any_schema(&self, id: u32) -> Result<AnySchema> {
        self.caller.call(&Method::GET, &["schemas", "ids", &id.to_string()], &[("deleted", "true")], None)
    }

    pub(super) fn any_latest(&self, subject: &str) -> Result<Option<(u32, AnySchema)>> {
        #[derive(Deserialize)]
        struct Latest {
            id: u32,
            #[serde(flatten)]
            schema: AnySchema,
        }
        let found = self.caller.call::<Latest>(&Method::GET, &["subjects", subject, "versions", "latest"], &[], None);
        Ok(or_none(found)?.map(|latest| (latest.id, latest.schema)))
    }

    /// Registers a schema; returns its id, the one that it has already if its text is there. Confluent and the
    /// embedded registry compare schemas without white space, Apicurio every character.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let body = submission(schema);
        let path = ["subjects", subject, "versions"];
        let post = || self.caller.call::<IdBody>(&Method::POST, &path, &[], Some(&body));
        let mut given = post();
        for _ in 1..REGISTRATIONS {
            match &given {
                // Apicurio says so to all but the first of those that make one subject at the same time.
                Err(error) if error.to_string().contains("already exists") => given = post(),
                _ => break,
            }
        }
        given.map(|given| given.id)
    }

    /// The level that holds for a subject. Without one set, that is BACKWARD at Confluent's and NONE at Apicurio's.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data` for a level that nobody knows.
    pub fn level(&self, subject: &str) -> Result<Level> {
        let own = self.caller.call::<LevelBody>(&Method::GET, &["config", subject], &[], None);
        let found = match or_none(own)? {
            Some(own) => own,
            None => self.caller.call(&Method::GET, &["config"], &[], None)?,
        };
        Ok(found.level.parse()?)
    }

    /// Sets the level of a subject.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn set_level(&self, subject: &str, level: Level) -> Result<()> {
        let body = json!({ "compatibility": level.name() });
        self.caller.call::<Value>(&Method::PUT, &["config", subject], &[], Some(&body)).map(|_| ())
    }

    /// What the registry has against a schema as the next version of a subject, by the subject's level.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn problems(&self, subject: &str, schema: &str) -> Result<Vec<String>> {
        let all = ["compatibility", "subjects", subject, "versions"];
        let body = submission(schema);
        let ask =
            |path: &[&str]| self.caller.call::<VerdictBody>(&Method::POST, path, &[("verbose", "true")], Some(&body));
        let latest = || ask(&[&all[..], &["latest"]].concat());
        // Confluent compares with all versions only where the level says so, Apicurio with those that the path names.
        let found = match self.level(subject)?.is_transitive().then(|| ask(&all)) {
            // Karapace has no path for all of them.
            Some(Err(error)) if error.kind() == ErrorKind::Invalid => latest(),
            Some(answered) => answered,
            None => latest(),
        };
        Ok(match or_none(found)? {
            Some(VerdictBody { is_compatible: false, messages, reason }) => {
                let mut problems = messages.unwrap_or_default();
                problems.extend(reason);
                if problems.is_empty() {
                    problems.push("the registry says that it is not compatible".to_owned());
                }
                problems
            }
            // There is no version that it could contradict.
            Some(_) | None => Vec::new(),
        })
    }
}

/// None where the registry says that there is nothing of the name. Confluent says so for a subject without a
/// level of its own by another code than Apicurio.
fn or_none<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::Data => Ok(None),
        found => found.map(Some),
    }
}

fn submission(schema: &str) -> Value {
    json!({ "schema": schema, "schemaType": "AVRO" })
}
