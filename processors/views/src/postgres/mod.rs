//! A sink in PostgreSQL.

mod url;

pub use url::PostgresUrl;
