//! Runs the scripts under `deploy/` that start servers for tests.
//!
//! What it is: a [`Script`] is a file of the checkout with a folder for what its
//! servers leave on disk, locks between test processes, and ports. What Kafka
//! and PostgreSQL need of it is the same; what differs they say.
//!
//! What it is not: a way to skip. A script that fails is a test that fails.
//!
//! Invariant: two scripts have no ports in common, so that one lock for each keeps
//! test processes from giving a port to two servers.

mod script;
mod shared;

pub use script::{Script, bash};

/// A name that nothing else uses: `name`, a dash, and 12 random hexadecimal digits.
pub fn unique(name: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &random[..12])
}
