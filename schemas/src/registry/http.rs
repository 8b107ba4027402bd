//! A registry over HTTP: the API that Confluent, Apicurio and Karapace share.
//!
//! `schema_registry_converter` makes the calls; its plain functions, used here,
//! cache and retry nothing. Its encoders and decoders are not used: they know
//! no reader schema and cache without a limit.

use super::{Access, Credentials, Registry, address::Address};
use factum_core::{Error, ErrorKind, Result};
use schema_registry_converter::{
    blocking::schema_registry::{SrSettings, get_schema_by_id, get_schema_by_subject, post_schema},
    error::SRCError,
    schema_registry_common::{RawError, RegisteredSchema, SchemaType, SubjectNameStrategy, SuppliedSchema},
};
use std::{error::Error as _, fmt, time::Duration};

/// A registry over HTTP.
///
/// Making, calling and dropping it blocks, and panics on a thread of a tokio
/// runtime: use a thread of one's own or `spawn_blocking`.
pub struct HttpRegistry {
    settings: SrSettings,
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
        let addresses = addresses.iter().map(|address| Address::parse(address)).collect::<Result<Vec<_>>>()?;
        let Some(first) = addresses.first() else {
            return Err(Error::invalid("the schema registry has no address: http://host:port is expected"));
        };
        let mut builder = SrSettings::new_builder(first.url.clone());
        for more in &addresses[1..] {
            builder.add_url(more.url.clone());
        }
        match access.credentials_for(&addresses) {
            Some(Credentials::Basic { user, password }) => builder.set_basic_authorization(&user, password.as_deref()),
            Some(Credentials::Bearer { token }) => builder.set_token_authorization(&token),
            None => &mut builder,
        };
        let name = addresses.iter().map(|address| address.url.as_str()).collect::<Vec<_>>().join(", ");
        builder.set_timeout(access.timeout);
        let settings = builder.build_with(access.client(&addresses)?).map_err(|e| {
            Error::with_source(ErrorKind::Invalid, format!("the schema registry {name} is not usable"), Cause(e))
        })?;
        Ok(HttpRegistry { settings, name })
    }

    fn error(&self, doing: &str, error: SRCError) -> Error {
        let status = status(&error);
        let known = raw(&error).is_some_and(|raw| raw.error_code != 0);
        let kind = match status {
            Some(401 | 403) => ErrorKind::Invalid,
            // Without the registry's own error body somebody else answered, a proxy for example.
            Some(404) if known => ErrorKind::Data,
            Some(400 | 409 | 422) => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let what = match kind {
            ErrorKind::Unavailable => format!("{doing}: the schema registry {} is not available", self.name),
            _ => format!("{doing}: refused by the schema registry {}", self.name),
        };
        Error::with_source(kind, what, Cause(error))
    }
}

impl Registry for HttpRegistry {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn schema_by_id(&self, id: u32) -> Result<String> {
        let doing = format!("schema id {id}");
        let found = get_schema_by_id(id, &self.settings).map_err(|e| self.error(&doing, e))?;
        self_contained(found, &doing)
    }

    fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let posted = post_schema(&self.settings, subject.to_owned(), supplied);
        posted.map(|registered| registered.id).map_err(|e| self.error(&format!("subject {subject}"), e))
    }

    fn latest(&self, subject: &str) -> Result<Option<(u32, String)>> {
        let doing = format!("subject {subject}");
        // This strategy takes any text as the name of the record, and the name alone as the subject.
        let strategy = SubjectNameStrategy::RecordNameStrategy(subject.to_owned());
        match get_schema_by_subject(&self.settings, &strategy) {
            Ok(found) => Ok(Some((found.id, self_contained(found, &doing)?))),
            Err(e) => match self.error(&doing, e) {
                error if error.kind() == ErrorKind::Data => Ok(None),
                error => Err(error),
            },
        }
    }
}

impl fmt::Debug for HttpRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRegistry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The schema's text, if nothing else is needed to read it.
fn self_contained(found: RegisteredSchema, doing: &str) -> Result<String> {
    if found.schema_type != SchemaType::Avro {
        return Err(Error::data(format!("{doing}: it is {:?}, not Avro", found.schema_type)));
    }
    if !found.references.is_empty() {
        return Err(Error::data(format!("{doing}: it refers to other subjects; register it with its types inline")));
    }
    Ok(found.schema)
}

/// The library tells the status only in its message.
fn status(error: &SRCError) -> Option<u16> {
    let (_, after) = error.error.split_once("failed with status ")?;
    after.split(' ').next()?.parse().ok()
}

fn raw(error: &SRCError) -> Option<&RawError> {
    error.source()?.downcast_ref()
}

/// The library's error in words for people: what the registry said, else what went wrong first.
#[derive(Debug)]
struct Cause(SRCError);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = status(&self.0) {
            return match raw(&self.0).filter(|raw| raw.error_code != 0) {
                Some(raw) => write!(f, "{} (error {})", raw.message, raw.error_code),
                None => write!(f, "status {status} without a registry's error"),
            };
        }
        let mut deepest: &dyn std::error::Error = &self.0;
        while let Some(deeper) = deepest.source() {
            deepest = deeper;
        }
        match self.0.source() {
            Some(_) => write!(f, "{}: {deepest}", self.0.error),
            None => f.write_str(&self.0.error),
        }
    }
}

impl std::error::Error for Cause {}

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
