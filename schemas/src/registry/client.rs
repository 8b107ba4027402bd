//! The parts of Confluent's API that people need and codecs do not: lists,
//! versions, compatibility. Any registry that has this API will do.

use super::{Access, Credentials, address::Address};
use crate::rules::Level;
use factum_core::{Error, ErrorKind, Result};
use reqwest::{
    Method, Url,
    blocking::{Client, Response},
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt, io::Read};

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// How much of a stranger's answer an error shows, in characters.
const SHOWN: usize = 120;

/// A client of a registry. Its calls block; not for a thread of a tokio runtime.
pub struct RegistryClient {
    addresses: Vec<Url>,
    credentials: Option<Credentials>,
    client: Client,
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

#[derive(Deserialize)]
struct ErrorBody {
    error_code: i64,
    message: String,
}

#[derive(Deserialize)]
struct SchemaBody {
    schema: String,
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
    #[serde(default)]
    messages: Vec<String>,
}

impl RegistryClient {
    /// A client of the registry at one or more addresses, separated by commas
    /// and tried in their order, for example `http://localhost:8081`.
    ///
    /// # Errors
    /// `Invalid` when an address or a certificate is not usable.
    pub fn new(addresses: &str, access: &Access) -> Result<Self> {
        let parsed = addresses.split(',').map(Address::parse).collect::<Result<Vec<_>>>()?;
        let unusable = |e: &dyn fmt::Display| Error::invalid(format!("the schema registry cannot be called: {e}"));
        let client = access.client(&parsed)?.build().map_err(|e| unusable(&e))?;
        let url = |address: &Address| Url::parse(&address.url).map_err(|e| unusable(&e));
        let credentials = access.credentials_for(&parsed);
        Ok(RegistryClient { addresses: parsed.iter().map(url).collect::<Result<_>>()?, credentials, client })
    }

    /// The names of the subjects.
    ///
    /// # Errors
    /// `Unavailable`: the registry is away, in trouble, or not a registry;
    /// `Invalid`: it refuses the call. Both name address and status.
    pub fn subjects(&self) -> Result<Vec<String>> {
        self.call(Method::GET, &["subjects"], &[], None)
    }

    /// The versions of a subject; none of one that does not exist.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>> {
        let found = self.call(Method::GET, &["subjects", subject, "versions"], &[], None);
        Ok(or_none(found)?.unwrap_or_default())
    }

    /// One version of a subject, the latest where none is named.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data`: there is none.
    pub fn version(&self, subject: &str, version: Option<u32>) -> Result<RegisteredVersion> {
        let version = version.map_or("latest".to_owned(), |version| version.to_string());
        self.call(Method::GET, &["subjects", subject, "versions", &version], &[], None)
    }

    /// The schema of an id.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data`: there is none.
    pub fn schema(&self, id: u32) -> Result<String> {
        let body: SchemaBody = self.call(Method::GET, &["schemas", "ids", &id.to_string()], &[], None)?;
        Ok(body.schema)
    }

    /// Registers a schema; returns its id.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let body = json!({ "schema": schema, "schemaType": "AVRO" });
        let given: IdBody = self.call(Method::POST, &["subjects", subject, "versions"], &[], Some(body))?;
        Ok(given.id)
    }

    /// The level that holds for a subject.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`]; `Data` for a level that nobody knows.
    pub fn level(&self, subject: &str) -> Result<Level> {
        let own = self.call::<LevelBody>(Method::GET, &["config", subject], &[], None);
        let found = match or_none(own)? {
            Some(own) => own,
            None => self.call(Method::GET, &["config"], &[], None)?,
        };
        Ok(found.level.parse()?)
    }

    /// Sets the level of a subject.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn set_level(&self, subject: &str, level: Level) -> Result<()> {
        let body = json!({ "compatibility": level.name() });
        self.call::<Value>(Method::PUT, &["config", subject], &[], Some(body)).map(|_| ())
    }

    /// What the registry has against a schema as the next version of a subject.
    ///
    /// # Errors
    /// Those of [`RegistryClient::subjects`].
    pub fn problems(&self, subject: &str, schema: &str) -> Result<Vec<String>> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let body = json!({ "schema": schema, "schemaType": "AVRO" });
        let found = self.call::<VerdictBody>(Method::POST, &path, &[("verbose", "true")], Some(body));
        Ok(match or_none(found)? {
            Some(VerdictBody { is_compatible: false, messages }) if messages.is_empty() => {
                vec!["the registry says that it is not compatible".to_owned()]
            }
            Some(VerdictBody { is_compatible: false, messages }) => messages,
            // There is no version that it could contradict.
            Some(_) | None => Vec::new(),
        })
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<T> {
        let mut failed = Error::invalid("the schema registry has no address");
        for address in &self.addresses {
            let url = below(address, path, query);
            match self.call_one(method.clone(), url, body.as_ref()) {
                // The next address may be that of one that is up.
                Err(error) if error.kind() == ErrorKind::Unavailable => failed = error,
                answered => return answered,
            }
        }
        Err(failed)
    }

    fn call_one<T: DeserializeOwned>(&self, method: Method, url: Url, body: Option<&Value>) -> Result<T> {
        let what = format!("{method} {url}");
        let mut request = self.client.request(method, url).header(ACCEPT, format!("{MEDIA_TYPE}, application/json"));
        request = match &self.credentials {
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, password.as_ref()),
            Some(Credentials::Bearer { token }) => request.bearer_auth(token),
            None => request,
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        let response = request
            .send()
            .map_err(|e| Error::unavailable(format!("{what}: no schema registry answers: {}", cause(&e))))?;
        answer(&what, response)
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<&str> = self.addresses.iter().map(Url::as_str).collect();
        f.debug_struct("RegistryClient").field("addresses", &addresses).finish_non_exhaustive()
    }
}

fn below(address: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = address.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// None where the registry says that there is nothing of the name.
fn or_none<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::Data => Ok(None),
        found => found.map(Some),
    }
}

fn answer<T: DeserializeOwned>(what: &str, response: Response) -> Result<T> {
    let status = response.status();
    let mut body = Vec::new();
    let read = response.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body);
    read.map_err(|e| Error::with_source(ErrorKind::Unavailable, format!("{what}: status {}", status.as_u16()), e))?;
    if body.len() as u64 > MAX_ANSWER_BYTES {
        return Err(Error::unavailable(format!("{what}: the answer has more than {MAX_ANSWER_BYTES} bytes")));
    }
    let what = format!("{what}: status {}", status.as_u16());
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| stranger(&what, &body));
    }
    let Ok(ErrorBody { error_code, message }) = serde_json::from_slice(&body) else {
        return Err(match status.as_u16() {
            401 | 403 => Error::invalid(format!("{what}: the registry wants other credentials")),
            _ => stranger(&what, &body),
        });
    };
    let kind = match status.as_u16() {
        404 if error_code / 100 == 404 => ErrorKind::Data,
        400 | 401 | 403 | 404 | 405 | 409 | 413 | 422 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Err(Error::new(kind, format!("{what}: {message} (error {error_code})")))
}

/// Somebody else answered, a proxy for example.
fn stranger(what: &str, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
    let line: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    Error::unavailable(format!("{what} with {line:?}, which no schema registry says: is this the address of one?"))
}

/// What went wrong first: the library's own words repeat the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
    }
    deepest.to_string()
}
