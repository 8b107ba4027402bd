//! A sink in PostgreSQL.

mod compare;
mod connection;
mod errors;
mod hand_written;
mod in_hand;
mod parked;
mod rebuild;
mod resets;
mod rows;
mod schema;
mod sink;
mod statements;
mod tables;
mod text;
mod tls;
mod url;
mod value;
pub mod yardstick;

pub use connection::PostgresLimits;
pub use rows::PostgresRows;
pub use schema::Schema;
pub use sink::PostgresSink;
pub use url::PostgresUrl;
