//! The binary `factum`: every verb for the reference systems.

mod simulate;

use factum_bank::{Account, Balances, Year, v1::V1};
use std::process::ExitCode;

fn main() -> ExitCode {
    factum::app("factum")
        .aggregate::<Account>()
        .view::<Balances>()
        .transform::<V1>()
        .sample(Year::default().sample())
        .verb(simulate::command(), simulate::run)
        .main()
}
