//! Finds or starts the PostgreSQL that tests use.
//!
//! What it is: [`TestDatabase`] is a schema of a server that all tests share,
//! [`OwnServer`] a server that one test may stop, fill or restart,
//! [`SecureServer`] one that wants TLS and a password. All of it is a thin layer over `deploy/postgres/postgres.sh`.
//!
//! What it is not: a way to skip. A test that asks for a database gets one or
//! fails with a sentence that says what to install.
//!
//! Invariant: nobody else uses a test's schema, which goes with its [`TestDatabase`].
//!
//! ```no_run
//! let database = factum_test_database::TestDatabase::new();
//! let rows = database.client().query("SELECT 1", &[]);
//! # let _ = rows;
//! ```

mod script;
mod secure;
mod server;
mod shared;

pub use secure::SecureServer;
pub use server::OwnServer;
pub use shared::TestDatabase;
