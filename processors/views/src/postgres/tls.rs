//! How connections are encrypted, and what of the server's certificate is checked.

use factum_core::{Error, Result};
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// What a URL says of TLS, in the words of PostgreSQL's own clients
/// (<https://www.postgresql.org/docs/current/libpq-ssl.html>). There is none of
/// it where connections are not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    check: Check,
    /// The PEM file of the authorities; none: the system's.
    root: Option<PathBuf>,
}

/// What is checked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Nothing: who can put itself in between reads everything.
    Nothing,
    /// An authority signed it.
    Authority,
    /// And it is for the host's name.
    Name,
}

/// What the URL says for TLS and the client's parser does not know.
const NOT_SUPPORTED: &[&str] = &["sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir"];

impl Tls {
    /// What a URL says of TLS, and the URL without it.
    ///
    /// # Errors
    /// `Invalid`: a value that is none, a file that cannot be read, or a build without TLS.
    pub(super) fn take(url: &str) -> Result<(String, Option<Tls>)> {
        let Some((before, parameters)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
        let (mut mode, mut root, mut others) = (None, None, Vec::new());
        for parameter in parameters.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "sslmode" => mode = Some(value),
                "sslrootcert" => root = Some(decoded(value)?),
                _ if NOT_SUPPORTED.contains(&name) => {
                    return Err(Error::invalid(format!(
                        "{name} in the URL: certificates of clients and lists of revoked ones are not supported; leave it \
                         out, and log in with a password"
                    )));
                }
                _ => others.push(parameter),
            }
        }
        let check = match (mode, &root) {
            (None | Some("disable" | "prefer"), None) => None,
            (None | Some("disable" | "prefer"), Some(_)) => {
                return Err(Error::invalid(
                    "sslrootcert in the URL is for connections with TLS: add sslmode=verify-full, or leave it out",
                ));
            }
            (Some("require"), None) => Some(Check::Nothing),
            // As libpq has it, for a URL that names an authority means that it is asked.
            (Some("require" | "verify-ca"), _) => Some(Check::Authority),
            (Some("verify-full"), _) => Some(Check::Name),
            (Some(_), _) => {
                return Err(Error::invalid(
                    "sslmode in the URL is none of disable, prefer, require, verify-ca and verify-full",
                ));
            }
        };
        let root = root.filter(|root| root != "system").map(PathBuf::from);
        let tls = check.map(|check| Tls { check, root });
        if let Some(tls) = &tls {
            // What is wrong with it is told before anybody connects.
            tls.connector()?;
        }
        let mark = if others.is_empty() { "" } else { "?" };
        Ok((format!("{before}{mark}{}", others.join("&")), tls))
    }

    /// What connects so. It reads the authorities' file anew, which may have been renewed.
    #[cfg(feature = "tls")]
    pub(super) fn connector(&self) -> Result<postgres_native_tls::MakeTlsConnector> {
        let mut builder = native_tls::TlsConnector::builder();
        builder.danger_accept_invalid_hostnames(self.check != Check::Name);
        builder.danger_accept_invalid_certs(self.check == Check::Nothing);
        if let Some(path) = &self.root {
            let invalid = |why: &dyn std::fmt::Display| {
                Error::invalid(format!(
                    "sslrootcert in the URL: {} is no PEM file with the certificates of authorities: {why}",
                    path.display()
                ))
            };
            let pem = std::fs::read(path).map_err(|e| invalid(&e))?;
            let authorities = native_tls::Certificate::stack_from_pem(&pem).map_err(|e| invalid(&e))?;
            if authorities.is_empty() {
                return Err(invalid(&"it has none"));
            }
            builder.disable_built_in_roots(true);
            for authority in authorities {
                builder.add_root_certificate(authority);
            }
        }
        let connector = builder.build().map_err(|e| Error::invalid(format!("there is no TLS on this machine: {e}")))?;
        Ok(postgres_native_tls::MakeTlsConnector::new(connector))
    }

    /// Nobody connects so.
    #[cfg(not(feature = "tls"))]
    pub(super) fn connector(&self) -> Result<tokio_postgres::NoTls> {
        let mode = match self.check {
            Check::Nothing => "require",
            Check::Authority => "verify-ca",
            Check::Name => "verify-full",
        };
        Err(Error::invalid(format!("sslmode={mode} for PostgreSQL needs a build with the Cargo feature `tls`")))
    }
}

fn decoded(value: &str) -> Result<String> {
    let text = percent_decode_str(value).decode_utf8();
    Ok(text.map_err(|_| Error::invalid("sslrootcert in the URL is not UTF-8"))?.into_owned())
}

/// What to do about an error of a connection, by what it says; none where that does not tell.
pub(super) fn advice(told: &str) -> Option<&'static str> {
    let says = |text: &str| told.contains(text);
    // OpenSSL's words, then the server's.
    if says("hostname mismatch") || says("IP address mismatch") {
        Some(
            "the server's certificate is for another name: connect by a name that is in it, or take sslmode=verify-ca, \
             which does not check names",
        )
    } else if says("certificate verify failed") {
        Some(
            "the server's certificate is not from an authority that is trusted: sslrootcert=FILE in the URL names the PEM \
             file of the one that signed it",
        )
    } else if says("server does not support TLS") {
        Some("switch it on there (ssl = on), or leave sslmode out where the network is trusted")
    } else if says("no pg_hba.conf entry") && (says("no encryption") || says("SSL off")) {
        Some("where the server wants TLS, add sslmode=verify-full&sslrootcert=FILE to the URL")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(url: &str, expected: Expect) {
        let shown = match Tls::take(url) {
            Ok((rest, tls)) => format!("{rest} {tls:?}"),
            Err(error) => format!("error: {error}"),
        };
        assert!(!shown.contains("s3cret"), "{shown}");
        expected.assert_eq(&shown);
    }

    #[test]
    fn what_cannot_be_is_told_before_anybody_connects() {
        check("postgres://db/bank?sslmode=prefer&user=ada", expect!["postgres://db/bank?user=ada None"]);
        check("postgres://db/bank?sslmode=disable", expect!["postgres://db/bank None"]);
        check("postgres://db/bank?connect_timeout=3", expect!["postgres://db/bank?connect_timeout=3 None"]);
        check(
            "postgres://ada:s3cret@db/bank?sslmode=s3cret",
            expect!["error: sslmode in the URL is none of disable, prefer, require, verify-ca and verify-full"],
        );
        check(
            "postgres://db/bank?sslrootcert=ca.pem",
            expect![
                "error: sslrootcert in the URL is for connections with TLS: add sslmode=verify-full, or leave it out"
            ],
        );
        check(
            "postgres://db/bank?sslmode=verify-full&sslkey=s3cret",
            expect![
                "error: sslkey in the URL: certificates of clients and lists of revoked ones are not supported; leave it out, and log in with a password"
            ],
        );
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let error = Tls::take(&format!("postgres://ada:s3cret@db/bank?sslmode={mode}")).unwrap_err();
            let expected = format!("sslmode={mode} for PostgreSQL needs a build with the Cargo feature `tls`");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[cfg(feature = "tls")]
    #[test]
    fn modes_and_authorities_are_those_of_postgresqls_own_clients() {
        check(
            "postgres://db/bank?sslmode=require&user=ada",
            expect!["postgres://db/bank?user=ada Some(Tls { check: Nothing, root: None })"],
        );
        check(
            "postgres://db/bank?sslmode=verify-full&sslrootcert=system",
            expect!["postgres://db/bank Some(Tls { check: Name, root: None })"],
        );
        check(
            "postgres://db/bank?sslmode=verify-ca&sslrootcert=%2Fno%2Fsuch.pem",
            expect![
                "error: sslrootcert in the URL: /no/such.pem is no PEM file with the certificates of authorities: No such file or directory (os error 2)"
            ],
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("empty.pem");
        std::fs::write(&file, "no certificate").unwrap();
        let error =
            Tls::take(&format!("postgres://db/bank?sslmode=require&sslrootcert={}", file.display())).unwrap_err();
        assert!(error.to_string().contains("empty.pem is no PEM file"), "{error}");
    }
}
