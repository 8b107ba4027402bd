//! `deploy/postgres/postgres.sh`.

use factum_test_scripts::Script;
use std::path::PathBuf;

/// The script.
pub(crate) const POSTGRES: Script = Script {
    path: "deploy/postgres/postgres.sh",
    what: "PostgreSQL",
    instead: "set FACTUM_TEST_POSTGRES to use the URL of one that runs already",
    state,
    ports: 30_000..32_000,
};

/// A folder that the server's user may enter, also where the checkout belongs to
/// root alone. Each checkout has its own.
fn state() -> PathBuf {
    let checkout = Script::root().canonicalize().unwrap_or_else(|_| Script::root().to_owned());
    let name: String =
        checkout.display().to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    std::env::temp_dir().join(format!("factum-test-database{name}"))
}
