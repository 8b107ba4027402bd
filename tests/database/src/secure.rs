//! A server with TLS and passwords.

use crate::{OwnServer, script::POSTGRES};
use factum_test_scripts::unique;
use std::{fs, path::PathBuf};

/// A server of one test's own that takes clients by TLS and the password of
/// the user `factum` only. Its certificate is for `localhost` and `127.0.0.1`.
#[derive(Debug)]
pub struct SecureServer(OwnServer);

impl SecureServer {
    /// Starts it with a new authority, a new certificate and a new password.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    pub fn start() -> Self {
        SecureServer(OwnServer::start_as(&POSTGRES.state(&unique("secure")), &["--secure"]))
    }

    /// Its URL by a host's name, whatever that name stands for elsewhere, with
    /// the password and with more parameters.
    pub fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.0.url().rsplit_once("/postgres").and_then(|(url, _)| url.rsplit_once(':')).expect("a port").1;
        format!("postgres://factum:{}@{host}:{port}/postgres?hostaddr=127.0.0.1{parameters}", self.password())
    }

    /// The PEM file of the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        self.0.folder().join("secure/ca.pem")
    }

    /// The password of the user `factum`.
    ///
    /// # Panics
    /// When its file cannot be read.
    pub fn password(&self) -> String {
        let file = self.0.folder().join("secure/password");
        let password = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{} cannot be read: {e}", file.display()));
        password.trim().to_owned()
    }
}
