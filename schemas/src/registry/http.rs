//! A registry over HTTP, for codecs: the API that Confluent, Apicurio and Karapace share.

use super::{Access, Registry, RegistryClient, client::AnySchema};
use factum_core::{Error, ErrorKind, Result};
use std::{fmt, time::Duration};

/// A registry over HTTP.
///
/// Making, calling and dropping it blocks, and panics on a thread of a tokio
/// runtime: use a thread of one's own or `spawn_blocking`.
pub struct HttpRegistry {
    client: RegistryClient,
    name: String,
}

impl HttpRegistry {
    /// A registry with one or more addresses, tried in their order, for example
    /// `http://localhost:8081` or `https://user:password@registry/apis/ccompat/v7`.
    /// A call ends after 5 seconds for each address.
    ///
    /// # Errors
    /// `Invalid` when an address is not usable. `https` needs the feature `tls`.
    pub fn new(addresses: &[&str]) -> Result<Self> {
        Self::with_access(addresses, &Access::default())
    }

    /// The same with another time-out.
    ///
    /// # Errors
    /// Those of [`HttpRegistry::new`].
    pub fn with_timeout(addresses: &[&str], timeout: Duration) -> Result<Self> {
        Self::with_access(addresses, &Access { timeout, ..Access::default() })
    }

    /// The same with credentials, certificates and a time-out.
    ///
    /// # Errors
    /// Those of [`HttpRegistry::new`] and of [`Access`].
    pub fn with_access(addresses: &[&str], access: &Access) -> Result<Self> {
        let client = RegistryClient::over(addresses.iter().copied(), access)?;
        Ok(HttpRegistry { name: client.name(), client })
    }

    fn error(&self, doing: &str, error: Error) -> Error {
        let what = match error.kind() {
            ErrorKind::Unavailable => format!("{doing}: the schema registry {} is not available", self.name),
            _ => format!("{doing}: refused by the schema registry {}", self.name),
        };
        Error::with_source(error.kind(), what, error)
    }
}

impl Registry for HttpRegistry {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        let doing = format!("schema id {id}");
        let found = self.client.any_schema(id).map_err(|e| self.error(&doing, e))?;
        self_contained(found, &doing)
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        self.client.register(subject, schema).map_err(|e| self.error(&format!("subject {subject}"), e))
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        let doing = format!("subject {subject}");
        let found = self.client.any_latest(subject).map_err(|e| self.error(&doing, e))?;
        found.map(|(id, schema)| Ok((id, self_contained(schema, &doing)?))).transpose()
    }
}

impl fmt::Debug for HttpRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRegistry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The schema's text, if nothing else is needed to read it.
fn self_contained(found: AnySchema, doing: &str) -> Result<String> {
    if let Some(other) = found.schema_type.filter(|kind| kind != "AVRO") {
        return Err(Error::data(format!("{doing}: its type is {other:?}, not Avro")));
    }
    if found.references.is_some_and(|references| !references.is_empty()) {
        return Err(Error::data(format!("{doing}: it refers to other subjects; register it with its types inline")));
    }
    Ok(found.schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_without_its_credentials() {
        for bad in ["host:8081", "ftp://host", "http://", "http:///path", "http://me:secret@", ""] {
            let error = HttpRegistry::new(&[bad]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(HttpRegistry::new(&[]).unwrap_err().kind(), ErrorKind::Invalid);
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_is_told_to_be_a_feature() {
        let error = HttpRegistry::new(&["https://me:secret@host"]).unwrap_err().to_string();
        assert_eq!(error, "the schema registry https://host needs TLS: build with the feature `tls`");
    }
}
