//! How a registry lets one in.

use super::address::Address;
use factum_core::{Error, ErrorKind, Result};
use reqwest::blocking::ClientBuilder;
use std::{fmt, fs, path::PathBuf, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Credentials, certificates and patience for a registry over HTTP.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who asks; without them those of the address, `http://user:password@host`.
    pub credentials: Option<Credentials>,
    /// A PEM file with the certificates of authorities to trust besides the system's. Needs the feature `tls`.
    pub ca: Option<PathBuf>,
    /// A PEM file with this program's certificate and its private key (PKCS 8), for a registry that wants one.
    /// Needs the feature `tls`.
    pub certificate: Option<PathBuf>,
    /// How long a call to one address may take.
    pub timeout: Duration,
}

/// Who asks. Debug output shows no secret.
#[derive(Clone)]
pub enum Credentials {
    /// HTTP's basic authentication.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Option<String>,
    },
    /// A token that somebody else gave out.
    Bearer {
        /// The token.
        token: String,
    },
}

impl Default for Access {
    fn default() -> Self {
        Access { credentials: None, ca: None, certificate: None, timeout: TIMEOUT }
    }
}

impl Access {
    /// These credentials, or those of the first address that has some.
    pub(super) fn credentials_for(&self, addresses: &[Address]) -> Option<Credentials> {
        let of_address = || {
            let (user, password) = addresses.iter().find_map(|address| address.credentials.clone())?;
            Some(Credentials::Basic { user, password })
        };
        self.credentials.clone().or_else(of_address)
    }

    /// A client for these addresses, to be built.
    ///
    /// # Errors
    /// `Invalid` names the file of certificates that is not usable.
    pub(super) fn client(&self, addresses: &[Address]) -> Result<ClientBuilder> {
        let mut builder = ClientBuilder::new().timeout(self.timeout);
        if addresses.iter().all(Address::is_local) {
            builder = builder.no_proxy();
        }
        let files = [("certificates", &self.ca, trusting as Use), ("certificate and key", &self.certificate, being)];
        for (what, file, put) in files {
            let Some(file) = file else { continue };
            let what = format!("the {what} in {}", file.display());
            let pem = fs::read(file)
                .map_err(|e| Error::with_source(ErrorKind::Invalid, format!("{what} cannot be read"), e))?;
            builder = put(builder, &pem).map_err(|why| Error::invalid(format!("{what} are not usable: {why}")))?;
        }
        Ok(builder)
    }
}

/// What is done with a PEM file's content.
type Use = fn(ClientBuilder, &[u8]) -> Result<ClientBuilder, String>;

#[cfg(feature = "tls")]
fn trusting(builder: ClientBuilder, pem: &[u8]) -> Result<ClientBuilder, String> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|e| e.to_string())?;
    if certificates.is_empty() {
        return Err("there is no PEM certificate in it".to_owned());
    }
    Ok(builder.tls_certs_merge(certificates))
}

#[cfg(feature = "tls")]
fn being(builder: ClientBuilder, pem: &[u8]) -> Result<ClientBuilder, String> {
    // The library wants the key to be the first thing that it reads.
    const KEY: &[u8] = b"-----BEGIN PRIVATE KEY-----";
    let key = pem.windows(KEY.len()).position(|part| part == KEY);
    let key = &pem[key.ok_or("there is no PEM private key in it (PKCS 8)")?..];
    let identity = reqwest::Identity::from_pkcs8_pem(pem, key).map_err(|e| super::call::cause(&e))?;
    Ok(builder.identity(identity))
}

#[cfg(not(feature = "tls"))]
fn trusting(_: ClientBuilder, _: &[u8]) -> Result<ClientBuilder, String> {
    Err("build with the feature `tls`".to_owned())
}

#[cfg(not(feature = "tls"))]
fn being(builder: ClientBuilder, pem: &[u8]) -> Result<ClientBuilder, String> {
    trusting(builder, pem)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Basic { .. } => "Basic",
            Credentials::Bearer { .. } => "Bearer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let basic = Credentials::Basic { user: "me".into(), password: Some("s3cret".into()) };
        let bearer = Credentials::Bearer { token: "s3cret".into() };
        for credentials in [basic, bearer] {
            let shown = format!("{:?}", Access { credentials: Some(credentials), ..Access::default() });
            assert!(!shown.contains("s3cret") && !shown.contains("me\""), "{shown}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let access = Access { ca: Some(file.clone()), ..Access::default() };
        assert!(access.client(&[]).unwrap_err().to_string().contains("ca.pem cannot be read"));
        fs::write(&file, "nothing").unwrap();
        assert!(access.client(&[]).unwrap_err().to_string().contains("ca.pem are not usable"));
    }
}
