//! `topics`: make, check and adopt the topics of an aggregate type.

use super::{connect::LogArgs, output};
use crate::{App, adopt};
use clap::{Args, Subcommand};
use factum_core::Result;

/// Make, check or adopt the topics of an aggregate type on Kafka.
///
/// A type has five: commands, events, snapshots, replies and dead letters. `up` makes them, too.
///
/// Examples:
///   factum topics create bank.account --partitions 12 --replication 3 --kafka localhost:9092
///   factum topics check bank.account --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum TopicsVerb {
    /// Make the topics of an aggregate type that do not exist yet.
    Create {
        #[command(flatten)]
        which: Which,
        /// How many partitions each of them gets. It can never change: keys would move.
        #[arg(long, default_value_t = 6, value_name = "N")]
        partitions: u32,
    },
    /// Check settings, partitions and replication as a handler does at its start.
    Check {
        #[command(flatten)]
        which: Which,
    },
    /// Take a recreated commands topic as a new one, whose commands have not been handled. No handler may run.
    Adopt {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn topics(app: &App, verb: &TopicsVerb) -> Result<()> {
    match verb {
        TopicsVerb::Create { which, partitions } => {
            let name = app.aggregate_host(&which.aggregate_type)?.aggregate_type();
            let environment = which.log.cluster("topics create")?;
            environment.create_topics(name, *partitions, which.log.replication())?;
            let partitions = environment.check_topics(name)?;
            output::line(&format!("{name}: 5 topics with {partitions} partitions each"));
        }
        TopicsVerb::Check { which } => {
            let name = app.aggregate_host(&which.aggregate_type)?.aggregate_type();
            let partitions = which.log.cluster("topics check")?.check_topics(name)?;
            output::line(&format!("{name}: all topics are as they should be, {partitions} partitions each"));
        }
        TopicsVerb::Adopt { which } => {
            let name = app.aggregate_host(&which.aggregate_type)?.aggregate_type();
            let adopted = adopt::adopt_commands_topic(&which.log.cluster("topics adopt")?, name)?;
            output::line(&format!("{name}: the commands topic with the id {adopted} is taken as a new one"));
        }
    }
    Ok(())
}
