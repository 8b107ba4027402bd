//! Which schema registry, and how it lets one in.

use clap::Args;
use factum_core::{Error, ErrorKind, Result};
use factum_schemas::{Access, Credentials, HttpRegistry, RegistryClient};
use std::{fs, path::Path, path::PathBuf};

const PASSWORD: &str = "FACTUM_REGISTRY_PASSWORD";
const TOKEN: &str = "FACTUM_REGISTRY_TOKEN";

#[derive(Debug, Clone, Args)]
pub(super) struct RegistryArgs {
    /// A Confluent-compatible schema registry, or several addresses of one with commas between. Without it, schemas
    /// are kept in the topic factum.schemas.
    #[arg(
        id = "registry",
        long = "registry",
        env = "FACTUM_REGISTRY",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Registry"
    )]
    url: Option<String>,
    /// The user at the registry; the password comes from FACTUM_REGISTRY_PASSWORD or --registry-password-file.
    #[arg(long = "registry-user", env = "FACTUM_REGISTRY_USER", value_name = "USER", help_heading = "Registry")]
    user: Option<String>,
    /// A file whose first line is the password.
    #[arg(
        long = "registry-password-file",
        env = "FACTUM_REGISTRY_PASSWORD_FILE",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    password_file: Option<PathBuf>,
    /// A file whose first line is a bearer token; or FACTUM_REGISTRY_TOKEN holds the token.
    #[arg(
        long = "registry-token-file",
        env = "FACTUM_REGISTRY_TOKEN_FILE",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    token_file: Option<PathBuf>,
    /// PEM certificates of authorities to trust besides the system's, for an https registry.
    #[arg(long = "registry-ca", env = "FACTUM_REGISTRY_CA", value_name = "FILE", help_heading = "Registry")]
    ca: Option<PathBuf>,
    /// A PEM file with this program's certificate and private key (PKCS 8), for a registry that wants one.
    #[arg(
        long = "registry-certificate",
        env = "FACTUM_REGISTRY_CERTIFICATE",
        value_name = "FILE",
        help_heading = "Registry"
    )]
    certificate: Option<PathBuf>,
}

impl RegistryArgs {
    /// The registry for codecs, if one was named.
    pub(super) fn over_http(&self) -> Result<Option<HttpRegistry>> {
        let Some(urls) = &self.url else { return Ok(None) };
        HttpRegistry::with_access(&urls.split(',').collect::<Vec<_>>(), &self.access()?).map(Some)
    }

    /// The registry for people's verbs, if one was named.
    pub(super) fn client(&self) -> Result<Option<RegistryClient>> {
        let Some(urls) = &self.url else { return Ok(None) };
        RegistryClient::new(urls, &self.access()?).map(Some)
    }

    fn access(&self) -> Result<Access> {
        let token = secret(self.token_file.as_deref(), TOKEN)?;
        let credentials = match (&self.user, token) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(format!(
                    "the registry takes a user or a token, not both: leave out --registry-user or {TOKEN}"
                )));
            }
            (Some(user), None) => {
                let password = secret(self.password_file.as_deref(), PASSWORD)?;
                Some(Credentials::Basic { user: user.clone(), password })
            }
            (None, Some(token)) => Some(Credentials::Bearer { token }),
            (None, None) => None,
        };
        let (ca, certificate) = (self.ca.clone(), self.certificate.clone());
        Ok(Access { credentials, ca, certificate, ..Access::default() })
    }
}

/// The first line of a file, else what the environment holds. Not an argument: those are seen by everybody.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>> {
    let Some(file) = file else {
        return Ok(std::env::var(variable).ok().filter(|secret| !secret.is_empty()));
    };
    let text = fs::read_to_string(file)
        .map_err(|e| Error::with_source(ErrorKind::Invalid, format!("{} cannot be read", file.display()), e))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Some(line.to_owned())),
        _ => Err(Error::invalid(format!("{} is empty: its first line is the secret", file.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_the_first_line_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(secret(Some(&file), "NOT_SET_HERE").unwrap().as_deref(), Some("s3cret"));
        fs::write(&file, "\n").unwrap();
        assert!(secret(Some(&file), "NOT_SET_HERE").unwrap_err().to_string().ends_with("its first line is the secret"));
        assert!(secret(Some(&folder.path().join("none")), "NOT_SET_HERE").is_err());
        assert_eq!(secret(None, "NOT_SET_HERE").unwrap(), None);
    }
}
