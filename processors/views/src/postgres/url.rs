//! A database's URL, which may hold a password.

use super::tls::Tls;
use factum_core::{Error, Result};
use std::{env, fmt, sync::Arc, time::Duration};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// PostgreSQL's own port.
const DEFAULT_PORT: u16 = 5432;

/// The URL of a PostgreSQL database, as PostgreSQL's own clients take it:
/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?connect_timeout=10`. Without a
/// password in it, the environment's `PGPASSWORD` is used. It shows itself
/// without the password.
///
/// Connections are encrypted with `sslmode=require` (nothing is checked),
/// `verify-ca` (an authority signed the server's certificate) and `verify-full`
/// (and it is for the host's name). `sslrootcert` is the PEM file of the
/// authorities, without which they are the system's. Without `sslmode`, and with
/// `prefer`, they are not encrypted.
#[derive(Clone)]
pub struct PostgresUrl {
    // Its clones are handed around; a configuration is large.
    config: Arc<Config>,
    tls: Option<Tls>,
}

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Invalid`, without the password: this is no URL of a database, or what it says of TLS cannot be.
    pub fn parse(text: &str) -> Result<Self> {
        // The parser's own error says what is wrong, and can quote a part of the text.
        let invalid = || {
            Error::invalid(
                "this is not the URL of a PostgreSQL database: write postgres://USER@HOST:PORT/DATABASE, percent-encode \
                 special characters, and give the password in PGPASSWORD or as USER:PASSWORD",
            )
        };
        let (rest, tls) = Tls::take(text)?;
        let mut config: Config = rest.parse().map_err(|_| invalid())?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() || !text.contains("://") {
            return Err(invalid());
        }
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(PostgresUrl { config: Arc::new(config), tls })
    }

    /// The same database, with connections that find and make tables in that schema.
    pub(super) fn in_schema(&self, name: &str) -> Self {
        let mut config = (*self.config).clone();
        let quoted = format!("\"{}\"", name.replace('"', "\"\"")).replace('\\', "\\\\").replace(' ', "\\ ");
        let options = config.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        config.options(format!("{options}-csearch_path={quoted}"));
        PostgresUrl { config: Arc::new(config), tls: self.tls.clone() }
    }

    /// What it says of TLS, where connections are encrypted.
    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// What a client connects with: what the URL says, and limits for a network that says nothing.
    pub(super) fn config(&self, network_timeout: Duration, connect_timeout: Duration) -> Config {
        let mut config = (*self.config).clone();
        if config.get_password().is_none()
            && let Ok(password) = env::var("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(connect_timeout);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(network_timeout);
        }
        if config.get_application_name().is_none() {
            config.application_name("factum");
        }
        config.keepalives_idle(network_timeout);
        config
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let ports = self.config.get_ports();
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            let comma = if number == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(folder) => write!(f, "{comma}{}:{port}", folder.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
