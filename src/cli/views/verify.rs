//! `views verify`: a view against its log.

use super::{RateArgs, Which, run, show, told};
use crate::{
    App,
    build::Plan,
    cli::{FormatArgs, output},
};
use clap::Args;
use factum_core::{Error, Result};
use std::sync::Arc;

/// Fold a view's log again and name every row that is altered, missing or extra.
///
/// The log is folded into tables beside the live ones up to where the live view is, both are compared
/// at that very position, and the tables are dropped. It ends with an error if a row differs; `views
/// rebuild` then builds the view anew.
///
/// Examples:
///   factum views verify balances --kafka localhost:9092
///   factum views verify balances --sample 1000 --rate 0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    rate: RateArgs,
    /// Only about so many rows, others each time. The whole log is read all the same.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// The most differing rows that are named.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
}

pub(in crate::cli) fn verify(app: &Arc<App>, args: &VerifyArgs) -> Result<()> {
    let host = app.view_host(&args.which.name)?;
    let plan = Plan::Verify { sample: args.sample };
    let built = run(app, &args.which, plan, args.rate.rate, args.limit)?;
    let name = host.name();
    let Some(compared) = &built.compared else {
        return Err(Error::data(format!(
            "view {name} cannot be compared with its log: it has applied nothing, or its topics were made again or \
             truncated; `views rebuild {name}` builds it from the log that there is"
        )));
    };
    if args.format.json {
        output::line(&told(name, &built));
    } else {
        show(compared);
        output::line(&format!("{name}: {}", compared.text));
    }
    if compared.equal {
        return Ok(());
    }
    Err(Error::data(format!(
        "view {name} differs from its log: {} altered, {} missing, {} extra; `views rebuild {name} --allow-diff` \
         builds it anew",
        compared.altered, compared.missing, compared.extra
    )))
}
