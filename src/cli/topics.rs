//! `topics`: make, check and adopt the topics of an aggregate type, or of a transform.

use super::{connect::LogArgs, output};
use crate::{App, adopt, host::TransformHost};
use clap::{Args, Subcommand};
use factum_core::{Error, Result};

/// Make, check or adopt the topics of an aggregate type on Kafka.
///
/// A type has five: commands, events, snapshots, replies and dead letters. `up` makes them, too. In the
/// place of an aggregate type a transform may be named: it has one, with the partitions of its input.
///
/// Examples:
///   factum topics create bank.account --partitions 12 --replication 3 --kafka localhost:9092
///   factum topics check bank.account --kafka localhost:9092
///   factum topics create v1 --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum TopicsVerb {
    /// Make the topics that do not exist yet.
    Create {
        #[command(flatten)]
        which: Which,
        /// How many partitions each topic of an aggregate type gets. It can never change: keys would move.
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
    /// The aggregate type, for example bank.account; or a transform.
    #[arg(value_name = "AGGREGATE_TYPE")]
    name: String,
    #[command(flatten)]
    log: LogArgs,
}

impl Which {
    /// The transform that is meant, if it is one.
    fn transform<'a>(&self, app: &'a App) -> Option<&'a dyn TransformHost> {
        app.transforms.iter().find(|host| host.name() == self.name).map(|host| &**host)
    }
}

pub(super) fn topics(app: &App, verb: &TopicsVerb) -> Result<()> {
    let (TopicsVerb::Create { which, .. } | TopicsVerb::Check { which } | TopicsVerb::Adopt { which }) = verb;
    if let Some(transform) = which.transform(app) {
        return topic_of_transform(transform, which, verb);
    }
    match verb {
        TopicsVerb::Create { which, partitions } => {
            let name = app.aggregate_host(&which.name)?.aggregate_type();
            let environment = which.log.cluster("topics create")?;
            environment.create_topics(name, *partitions, which.log.replication())?;
            let partitions = environment.check_topics(name)?;
            output::line(&format!("{name}: 5 topics with {partitions} partitions each"));
        }
        TopicsVerb::Check { which } => {
            let name = app.aggregate_host(&which.name)?.aggregate_type();
            let partitions = which.log.cluster("topics check")?.check_topics(name)?;
            output::line(&format!("{name}: all topics are as they should be, {partitions} partitions each"));
        }
        TopicsVerb::Adopt { which } => {
            let name = app.aggregate_host(&which.name)?.aggregate_type();
            let adopted = adopt::adopt_commands_topic(&which.log.cluster("topics adopt")?, name)?;
            output::line(&format!("{name}: the commands topic with the id {adopted} is taken as a new one"));
        }
    }
    Ok(())
}

fn topic_of_transform(transform: &dyn TransformHost, which: &Which, verb: &TopicsVerb) -> Result<()> {
    let environment = match verb {
        TopicsVerb::Create { .. } => {
            let environment = which.log.cluster("topics create")?;
            environment.create_output(transform, which.log.replication())?;
            environment
        }
        TopicsVerb::Check { .. } => which.log.cluster("topics check")?,
        TopicsVerb::Adopt { .. } => {
            return Err(Error::invalid(format!(
                "{} is a transform: it has no commands topic to adopt; `factum transform {}` says what stops it",
                transform.name(),
                transform.name()
            )));
        }
    };
    let partitions = environment.check_output(transform)?;
    let topic = transform.output(&environment.prefix);
    output::line(&format!("{topic}: it is as it should be, {partitions} partitions"));
    Ok(())
}
