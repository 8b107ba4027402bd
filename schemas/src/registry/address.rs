//! Where a registry is.

use factum_core::{Error, Result};

/// An address, with its credentials apart so that no message shows them.
pub(super) struct Address {
    /// Without credentials and without a slash at the end.
    pub(super) url: String,
    host: String,
    /// User and password.
    pub(super) credentials: Option<(String, Option<String>)>,
}

impl Address {
    pub(super) fn parse(address: &str) -> Result<Self> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(credentials), host),
            None => (None, authority),
        };
        let url = format!("{scheme}://{host}{}", path.trim_end_matches('/'));
        match scheme {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                return Err(Error::invalid(format!(
                    "the schema registry {url} needs TLS: build with the feature `tls`"
                )));
            }
            _ => {
                return Err(Error::invalid(format!(
                    "{host}{path} is not the address of a schema registry: http://host:port is expected"
                )));
            }
        }
        if host.is_empty() {
            return Err(Error::invalid(format!("the schema registry {url} has no host")));
        }
        let credentials = credentials.map(|credentials| match credentials.split_once(':') {
            Some((user, password)) => (decoded(user), Some(decoded(password))),
            None => (decoded(credentials), None),
        });
        Ok(Address { url, host: host.to_owned(), credentials })
    }

    /// A proxy of the environment is not for this machine.
    pub(super) fn is_local(&self) -> bool {
        let host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }
}

/// Percent-encoding (RFC 3986) undone; what is not well formed stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_kept_apart_from_the_address() {
        let address = Address::parse("http://me:s%40cret%2F@host:8081/apis/ccompat/v7/").unwrap();
        assert_eq!(address.url, "http://host:8081/apis/ccompat/v7");
        assert_eq!(address.credentials, Some(("me".to_owned(), Some("s@cret/".to_owned()))));
        assert!(!address.is_local());
        assert!(Address::parse("http://127.0.0.1:1").unwrap().is_local());
    }
}
