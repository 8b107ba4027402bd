//! The release that the variable `RELEASE` names.

use factum_test_releases::{first, second};
use std::process::ExitCode;

fn main() -> ExitCode {
    let app = factum::app("releases");
    match std::env::var("RELEASE").as_deref() {
        // It has no view but the journal, so that the second release's views read all that it wrote.
        Ok("1") => app.aggregate::<first::Account>().main(),
        Ok("forgetful") => app.aggregate::<second::Account>().view::<second::fees::NewFees>().main(),
        _ => app.aggregate::<second::Account>().view::<second::Accounts>().view::<second::fees::Fees>().main(),
    }
}
