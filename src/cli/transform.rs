//! `transform`: a topic of events in another shape.

use super::{
    connect::{LogArgs, Place},
    http::HttpArgs,
    output,
    run::Protocol,
    stop_on_signal,
};
use crate::{
    App,
    environment::Environment,
    host::{Stop, TransformHost, TransformMember, TransformProgress, transform},
};
use clap::Args;
use factum_core::{Error, Result, Throttle};
use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// Between two looks at how it is.
const LOOK: Duration = Duration::from_millis(100);
/// Between words about what is waited for.
const TELL: Duration = Duration::from_secs(5);

/// Republish the events of an aggregate type in an older or newer shape, exactly once.
///
/// A program has the transforms that its author registered. The new topic is named after the events
/// topic and the transform, bank.account.events.v1 for example, and has its partitions, keys and
/// times; `topics create NAME` makes it. More processes share the partitions. Progress is the offsets
/// of the consumer group bank.account.v1.transform: Kafka's own tools tell its lag, as do /metrics and
/// /readyz. An event that cannot be transformed stops its partition and is told; none is left out.
/// On the embedded log `up` runs all transforms, so this verb works while nothing else holds the log.
///
/// Examples:
///   factum topics create v1 --kafka localhost:9092
///   factum transform v1 --kafka localhost:9092 --http 127.0.0.1:8713
///   factum transform v1 --until-end
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct TransformArgs {
    /// The transform's name.
    name: String,
    /// End when everything that is in the log now was republished, and say how much that was.
    #[arg(long)]
    until_end: bool,
    /// A name for this process that it keeps over restarts: it then comes back without a rebalance.
    #[arg(long, env = "FACTUM_INSTANCE_ID", value_name = "NAME")]
    instance_id: Option<String>,
    /// Milliseconds that a silent process keeps its partitions.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    session_timeout_ms: u64,
    /// Milliseconds after which the broker aborts a transaction that was left open.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    transaction_timeout_ms: u64,
    /// How the processes agree on partitions.
    #[arg(long, default_value = "classic")]
    group_protocol: Protocol,
    /// The most events a second that this process takes. Without it there is no limit.
    #[arg(long, value_name = "N")]
    max_events_per_second: Option<NonZeroU32>,
    /// Milliseconds that the transform's code may take for one event. The process then ends with code 70,
    /// and says which event it was.
    #[arg(long, default_value_t = 60_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    deadline_ms: u64,
    #[command(flatten)]
    http: HttpArgs,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn transform(app: &App, args: &TransformArgs) -> Result<()> {
    let host = transform::named(&app.transforms, &args.name)?;
    let stop = stop_on_signal()?;
    let environment = match args.log.place() {
        Place::Kafka => args.log.cluster("transform")?,
        Place::Embedded(_) => {
            let (environment, _) = args.log.at_rest("transform")?;
            // Nobody else can make it while this process has the log.
            environment.create_output(host, None)?;
            environment
        }
    };
    let ends = if args.until_end { Some(transform::ends(&environment, host)?) } else { None };
    let observed = args.http.serve(&environment, &stop)?;
    let (running, progress) = host.start(&environment, args.member(), &stop)?;
    if let Some(board) = observed.board() {
        board.add_transform(&progress);
    }
    output::note(&format!(
        "republishing the events of {} in {}; Ctrl-C ends",
        host.input(),
        host.output(&environment.prefix)
    ));
    let mut waited = Ok(());
    match ends {
        Some(ends) => waited = wait_for(&environment, (host, &progress), &ends, &stop, || running.failure().is_some()),
        None => {
            while !stop.is_stopped() && running.failure().is_none() {
                std::thread::sleep(LOOK);
            }
        }
    }
    stop.stop();
    let ended = running.join();
    observed.end()?;
    ended.and(waited)?;
    if args.until_end {
        output::line(&progress.tally());
    }
    Ok(())
}

/// Until the group has come to these ends, or a partition of this process cannot go on.
fn wait_for(
    environment: &Environment,
    (host, progress): (&dyn TransformHost, &TransformProgress),
    ends: &[factum_core::log::CommitOffset],
    stop: &Stop,
    has_failed: impl Fn() -> bool,
) -> Result<()> {
    let mut told = Instant::now();
    while !has_failed() {
        if stop.is_stopped() {
            return Err(Error::unavailable("stopped before everything was republished; it goes on there next time"));
        }
        if let Some(stopped) = progress.stopped() {
            return Err(Error::invalid(stopped));
        }
        let Some(behind) = transform::behind(environment, host, ends)? else { return Ok(()) };
        if told.elapsed() >= TELL {
            told = Instant::now();
            let totals = progress.status().totals;
            output::note(&format!("{} events so far; waiting for {}@{}", totals.read, behind.place, behind.offset));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

impl TransformArgs {
    fn member(&self) -> TransformMember {
        TransformMember {
            instance_id: self.instance_id.clone(),
            session_timeout: Duration::from_millis(self.session_timeout_ms),
            transaction_timeout: Duration::from_millis(self.transaction_timeout_ms),
            protocol: self.group_protocol.into(),
            throttle: Throttle::new(self.max_events_per_second),
            deadline: Duration::from_millis(self.deadline_ms),
            pause_point: None,
        }
    }
}
