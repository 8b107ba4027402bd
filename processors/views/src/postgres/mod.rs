//! A sink in PostgreSQL.

mod connection;
mod errors;
mod rebuild;
mod resets;
mod rows;
mod sink;
mod statements;
mod tables;
mod text;
mod url;
mod value;

pub use connection::PostgresLimits;
pub use rows::PostgresRows;
pub use sink::PostgresSink;
pub use url::PostgresUrl;
