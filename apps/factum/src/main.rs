//! The binary `factum`: every verb for the reference systems.

use factum::SampleCommand;
use factum_bank::{Account, Balances};
use serde_json::json;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The first example of most articles on event sourcing: 100, less 30, and 50 more.
    let sample = [("Deposit", 100), ("Withdraw", 30), ("Deposit", 50)];
    let app = factum::app("factum").aggregate::<Account>().view::<Balances>();
    let app = sample.into_iter().fold(app, |app, (record, cents)| {
        app.sample(SampleCommand {
            aggregate_type: "bank.account",
            id: "anna",
            record,
            fields: json!({ "cents": cents }),
        })
    });
    app.main()
}
