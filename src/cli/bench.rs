//! `bench`: the handler, on Kafka against a bare loop, the time to an answer,
//! views side by side, views built anew, and the gateway.

mod backlog;
mod fair;
mod gateway;
mod http;
mod lag;
mod overload;
mod place;
mod rebuild;
mod view;
mod views;

use super::{
    FormatArgs,
    connect::{LogArgs, Place},
    output,
};
use crate::{
    App,
    environment::Environment,
    host::{AggregateHost, HandlerOptions, Stop},
    send::{self, Outgoing},
};
use clap::{Args, Subcommand};
use factum_core::{
    AggregateId, CommandId, Error, RecordBatch, Result, Topic, handler::Granted, log::TopicSpec, partition_of,
    wire::header,
};
use factum_log_embedded::EmbeddedLog;
use factum_log_kafka::yardstick::Yardstick;
use indicatif::ProgressBar;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Measure against a yardstick in the same run.
///
/// Topics of its own are made and deleted. Build with --release.
///
/// Examples:
///   factum bench handler --kafka localhost:9092
///   factum bench latency --commands 1000
///   factum bench views --records 200000
///   factum bench rebuild --views postgres://factum@127.0.0.1:25432/postgres --kafka localhost:9092
///   factum bench view --views postgres://factum@127.0.0.1:25432/postgres --kafka localhost:9092
///   factum bench overload --seconds 60 --kafka localhost:9092
///   factum bench fair
///   factum bench gateway --views postgres://factum@127.0.0.1:25432/postgres --connections 32
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum BenchVerb {
    /// A backlog of commands through the handler, and on Kafka through a bare rdkafka loop with the same codec; prints the ratio.
    Handler(HandlerBench),
    /// A view in SQLite alone, and beside a deliberately slow one in the same process; prints the ratio of its rates.
    Views(views::ViewsBench),
    /// A view in PostgreSQL against a bare loop with the same batches, and against one that reads and writes each row by itself; prints the ratios.
    View(view::ViewBench),
    /// A view built anew against the drain of the live one, and how far the live one is behind meanwhile; prints the ratio.
    Rebuild(rebuild::RebuildBench),
    /// The time from a command to its answer, one at a time on an idle system.
    Latency(LatencyBench),
    /// The time from a command to its answer over HTTP against the client's own, and how many rows of a view are served a second.
    Gateway(gateway::GatewayBench),
    /// More than the capacity for a while: what is refused and how, memory, the time until latency is back, and whether everything acknowledged is in the log; ends with an error where a promise is broken.
    Overload(overload::OverloadBench),
    /// A client of the gateway that keeps to its rate, alone and beside one that sends ten times its own; prints the ratios.
    Fair(fair::FairBench),
}

#[derive(Debug, Args)]
pub(super) struct HandlerBench {
    /// Commands in the backlog.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    records: u64,
    /// Aggregates that they are spread over.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    aggregates: u64,
    /// How often it is run; the medians count.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// The most commands in one transaction, for both loops.
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    transaction: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct LatencyBench {
    /// Commands to send.
    #[arg(long, default_value_t = 500, value_name = "N")]
    commands: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The aggregate type; its first sample command is what is sent.
    #[arg(long, value_name = "TYPE")]
    aggregate_type: Option<String>,
    /// Partitions of the topics.
    #[arg(long, default_value_t = 6, value_name = "N")]
    partitions: u32,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// What a benchmark works on: topics of its own, which it deletes.
struct Bench<'a> {
    host: &'a dyn AggregateHost,
    /// What is sent, to one aggregate after the other.
    sample: Outgoing,
    environment: Environment,
    embedded: Option<Arc<EmbeddedLog>>,
    partitions: u32,
    bare_events: Topic,
}

pub(super) fn bench(app: &Arc<App>, verb: &BenchVerb) -> Result<()> {
    match verb {
        BenchVerb::Handler(args) => handler(app, args),
        BenchVerb::Views(args) => views::views(app, args),
        BenchVerb::View(args) => view::view(app, args),
        BenchVerb::Rebuild(args) => rebuild::rebuild(app, args),
        BenchVerb::Latency(args) => latency(app, args),
        BenchVerb::Gateway(args) => gateway::gateway(app, args),
        BenchVerb::Overload(args) => overload::overload(app, args),
        BenchVerb::Fair(args) => fair::fair(app, args),
    }
}

impl<'a> Bench<'a> {
    fn prepare(app: &'a App, common: &Common) -> Result<Self> {
        let host = app.only_aggregate(common.aggregate_type.as_deref(), "--aggregate-type")?;
        let name = host.aggregate_type();
        let sample = app.samples.iter().find(|sample| sample.aggregate_type() == name);
        let sample = sample.and_then(|sample| sample.commands().next());
        let sample = sample.ok_or_else(|| Error::invalid(format!("{name} has no sample command to send")))?;
        let (embedded, mut environment) = match common.log.place() {
            Place::Kafka => (None, common.log.cluster("bench")?),
            Place::Embedded(folder) => {
                let (log, connected) = common.log.open(&folder)?;
                (Some(log), connected.environment)
            }
        };
        environment.prefix = format!("{}bench-{}.", environment.prefix, uuid::Uuid::new_v4().simple());
        environment.create_topics(host.aggregate_type(), common.partitions, common.log.replication())?;
        let bare_events = Topic::new(format!("{}bare.events", environment.prefix));
        let spec = TopicSpec {
            topic: bare_events.clone(),
            partitions: common.partitions,
            replication: common.log.replication(),
            settings: BTreeMap::new(),
        };
        let mut admin = environment.log.admin()?;
        admin.create_topics(&[spec])?;
        admin.wait_for_topic(&bare_events, common.partitions, Duration::from_secs(30))?;
        Ok(Bench { host, sample, environment, embedded, partitions: common.partitions, bare_events })
    }

    /// Writes the backlog; returns the bytes of key, value and headers of one command.
    fn fill(&self, records: u64, aggregates: u64) -> Result<usize> {
        let topic = self.environment.topics(self.host.aggregate_type()).commands;
        let value = self.host.encoder(&self.environment)?(&self.sample.record, &self.sample.fields)?;
        let mut producer = self.environment.log.producer()?;
        let bar = ProgressBar::new(records);
        let mut batch = RecordBatch::new();
        let mut size = 0;
        for index in 0..records {
            let key = format!("account-{:08}", index % aggregates.max(1));
            let mut record = batch.start(&topic, partition_of(key.as_bytes(), self.partitions));
            record.key(key.as_bytes());
            record.value(&value);
            let id = CommandId(*uuid::Uuid::new_v4().as_bytes()).to_string();
            record.header(header::ID, id.as_bytes());
            record.header(header::TIME, b"2026-01-01T12:00:00Z");
            record.finish();
            if batch.len() == 5_000 || index + 1 == records {
                size = batch.size_bytes() / batch.len();
                producer.produce(&batch)?;
                batch.clear();
                bar.set_position(index + 1);
            }
        }
        producer.flush(Duration::from_secs(120))?;
        bar.finish_and_clear();
        Ok(size)
    }

    fn bare(&self, args: &HandlerBench, round: usize) -> Result<f64> {
        let settings = args.common.log.kafka_settings()?;
        let yardstick = Yardstick {
            bootstrap: settings.servers().to_owned(),
            commands: self.environment.topics(self.host.aggregate_type()).commands.to_string(),
            events: self.bare_events.to_string(),
            group: format!("{}bare-{round}", self.environment.prefix),
            records: args.records,
            transaction_records: args.transaction,
            consumer_settings: BTreeMap::new(),
            producer_settings: BTreeMap::new(),
        };
        let step = self.host.bare_step(&self.environment)?;
        Ok(yardstick.run(step)?.seconds)
    }

    fn remove(&self) -> Result<()> {
        let topics = self.environment.topics(self.host.aggregate_type());
        let mut all: Vec<Topic> = topics.all().into_iter().cloned().collect();
        all.push(self.bare_events.clone());
        self.environment.log.admin()?.delete_topics(&all)?;
        // Else the next start would read all of it before the space is free.
        self.embedded.as_ref().map_or(Ok(()), |log| log.reclaim())
    }
}

fn handler(app: &App, args: &HandlerBench) -> Result<()> {
    // The yardstick is a loop on Kafka: on the embedded log there is nothing to compare with.
    let compared = args.common.log.place() == Place::Kafka;
    let (mut bare_rates, mut handler_rates, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 1..=args.rounds.max(1) {
        // Each round has topics of its own: the handler decides about a command only once.
        let bench = Bench::prepare(app, &args.common)?;
        bytes = bench.fill(args.records, args.aggregates)?;
        let options = HandlerOptions {
            granted: Granted::All,
            max_batch_commands: Some(args.transaction),
            ..HandlerOptions::default()
        };
        let rate = |seconds: f64| args.records as f64 / seconds.max(f64::EPSILON);
        // In turn, so that a machine that slows down does not favour one of them.
        if compared && round % 2 == 1 {
            bare_rates.push(rate(bench.bare(args, round)?));
        }
        handler_rates.push(rate(bench.host.drain(&bench.environment, options, args.records)?));
        if compared && round % 2 == 0 {
            bare_rates.push(rate(bench.bare(args, round)?));
        }
        bench.remove()?;
    }
    let ratios: Vec<f64> = handler_rates.iter().zip(&bare_rates).map(|(handler, bare)| handler / bare).collect();
    if args.common.format.json {
        let mut told = json!({
            "records": args.records, "aggregates": args.aggregates, "command_bytes": bytes,
            "partitions": args.common.partitions, "transaction": args.transaction, "rounds": args.rounds,
            "handler_per_second": median(handler_rates).round(),
        });
        if compared {
            told["bare_per_second"] = json!(median(bare_rates).round());
            told["ratio"] = json!((median(ratios) * 1_000.0).round() / 1_000.0);
        }
        output::line(&told.to_string());
    } else if compared {
        let rates = handler_rates.iter().zip(&bare_rates).zip(&ratios).zip(1..);
        let rows: Vec<_> = rates
            .map(|(((handler, bare), ratio), round)| {
                vec![format!("{round}"), format!("{bare:.0}"), format!("{handler:.0}"), format!("{ratio:.2}")]
            })
            .collect();
        output::table(&["round", "bare/s", "handler/s", "ratio"].map(String::from), &rows);
        let (bare, handler, ratio) = (median(bare_rates), median(handler_rates), median(ratios));
        output::line(&format!(
            "median: bare {bare:.0}/s, handler {handler:.0}/s, ratio {ratio:.2}; {bytes} bytes a command"
        ));
    } else {
        let rows: Vec<_> =
            handler_rates.iter().zip(1..).map(|(rate, round)| vec![format!("{round}"), format!("{rate:.0}")]).collect();
        output::table(&["round", "handler/s"].map(String::from), &rows);
        output::line(&format!(
            "median: handler {:.0}/s on the embedded log, each transaction synced; {bytes} bytes a command",
            median(handler_rates)
        ));
    }
    Ok(())
}

fn latency(app: &App, args: &LatencyBench) -> Result<()> {
    let bench = Bench::prepare(app, &args.common)?;
    let stop = Stop::default();
    let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
    let (running, _) = bench.host.start_handler(&bench.environment, options, &stop)?;
    let client = send::connect(&bench.environment, bench.host.aggregate_type())?;
    let encode = bench.host.encoder(&bench.environment)?;
    let mut times_ms = Vec::with_capacity(args.commands);
    for index in 0..=args.commands {
        let aggregate = AggregateId::new(format!("account-{:08}", index % 100))?;
        let command = Outgoing::new(aggregate, &bench.sample.record, bench.sample.fields.clone());
        let request = send::request(&encode, &command, Duration::from_secs(60))?;
        let begin = Instant::now();
        send::expect_accepted(&client.send(request)?)?;
        // The first one waits for the group to form and is not counted.
        if index > 0 {
            times_ms.push(begin.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    stop.stop();
    running.join()?;
    drop(client);
    bench.remove()?;
    times_ms.sort_by(f64::total_cmp);
    let at = |part: f64| share(&times_ms, part);
    let (p50, p90, p99) = (at(0.5), at(0.9), at(0.99));
    if args.common.format.json {
        output::line(&json!({ "commands": times_ms.len(), "p50_ms": p50, "p90_ms": p90, "p99_ms": p99 }).to_string());
    } else {
        output::line(&format!("{} commands: median {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms", times_ms.len()));
    }
    Ok(())
}

/// The value below which that part of sorted values lies.
fn share(sorted: &[f64], part: f64) -> f64 {
    // A part of a length that fits memory.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = (sorted.len() as f64 * part) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
