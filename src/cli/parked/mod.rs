//! `parked`: what views have left aside, and what becomes of it.

mod change;
mod show;

use super::{FormatArgs, connect::LogArgs};
use crate::{App, aside::Meant, errand::Doer, replay::PartitionName};
use clap::{Args, Subcommand};
use factum_core::Result;
use factum_views::Database;
use std::sync::Arc;

/// What is shown of a cause in a list.
const CAUSE_CHARACTERS: usize = 100;

/// Look at what views have left aside, try it again, or give it up.
///
/// An event that a view cannot apply (it cannot be decoded, or the view's code panics) parks its
/// aggregate: this event and the later ones of the aggregate wait, in their order, and all other
/// aggregates go on. Nothing is skipped. Deploy code that can apply the event, then `redrive`.
///
/// All of them work beside what runs. While `up` holds the embedded log, it does what they ask.
///
/// Examples:
///   factum parked list balances --kafka localhost:9092
///   factum parked show balances --key acc-7 --kafka localhost:9092
///   factum parked redrive balances --kafka localhost:9092
///   factum parked drop balances --key acc-7 --first --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum ParkedVerb {
    List(show::ListArgs),
    Show(show::ShowArgs),
    Redrive(change::RedriveArgs),
    Drop(change::DropArgs),
}

pub(super) fn parked(app: &Arc<App>, verb: &ParkedVerb) -> Result<()> {
    match verb {
        ParkedVerb::List(args) => show::list(app, args),
        ParkedVerb::Show(args) => show::show(app, args),
        ParkedVerb::Redrive(args) => change::redrive(app, args),
        ParkedVerb::Drop(args) => change::drop(app, args),
    }
}

/// A view, and where it is.
#[derive(Debug, Args)]
struct Which {
    /// The view's name.
    view: String,
    /// Where the views are: a SQLite file, or postgres://USER@HOST/DATABASE. Without it the data folder's file, with --kafka factum-views.sqlite.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL")]
    views: Option<Database>,
    #[command(flatten)]
    log: LogArgs,
}

/// Which of its parked aggregates.
#[derive(Debug, Clone, Args)]
struct Filters {
    /// Only this aggregate.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only this partition: its number, with its topic where the view reads several (bank.account.events/3).
    #[arg(long, value_name = "P")]
    partition: Option<PartitionName>,
    /// Only where the cause has this text in it.
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
}

impl Which {
    /// Who has what is parked, without the log.
    fn doer_without_log(&self, app: &Arc<App>) -> Result<Doer> {
        self.log.doer_without_log(app, self.views.as_ref())
    }

    /// Who has it, with the log.
    fn doer(&self, app: &Arc<App>) -> Result<Doer> {
        self.log.doer(app, self.views.as_ref())
    }

    /// The view's aggregates that are meant.
    ///
    /// # Errors
    /// `Invalid` when there is no such view.
    fn meant(&self, app: &App, filters: &Filters) -> Result<Meant> {
        let Filters { key, partition, cause } = filters.clone();
        Ok(Meant { view: app.view_host(&self.view)?.name().to_owned(), key, partition, cause })
    }
}

fn nothing_parked(view: &str, filters: &Filters) -> String {
    match (&filters.key, &filters.partition, &filters.cause) {
        (None, None, None) => format!("{view}: nothing is parked"),
        _ => format!("{view}: nothing like that is parked"),
    }
}
