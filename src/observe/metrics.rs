//! The metrics of a snapshot in the OpenMetrics text format, which Prometheus reads.

use super::{
    health,
    names::{self, Kind, Metric},
    snapshot::{Measured, MemberNow, PartitionNow, Processor, Snapshot, State},
};
use factum_core::{
    TimestampMs, handler::HandlerStats, measure::Histogram, transform::Totals, view::Counts, wire::AnswerCode,
};
use prometheus_client::{
    collector::Collector,
    encoding::{self, DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};
use std::{collections::BTreeMap, fmt};

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Renders all metrics.
pub(super) fn render(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(snapshot)));
    let mut text = String::new();
    encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// One scrape.
#[derive(Debug)]
struct Scrape(Snapshot);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        process(&mut writer, &self.0)?;
        partitions(&mut writer, &self.0)?;
        handlers(&mut writer, &self.0)?;
        views(&mut writer, &self.0)?;
        transforms(&mut writer, &self.0)
    }
}

/// The values of a metric's labels, in its order.
type Labels<'a> = Vec<&'a str>;

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauges<'l>(&mut self, metric: &Metric, values: impl IntoIterator<Item = (Labels<'l>, f64)>) -> fmt::Result {
        self.family(metric, values, |encoder, value| encoder.encode_gauge(value))
    }

    fn counters<'l>(&mut self, metric: &Metric, values: impl IntoIterator<Item = (Labels<'l>, u64)>) -> fmt::Result {
        self.family(metric, values, |encoder, value| encoder.encode_counter::<NoLabelSet, _, u64>(value, None))
    }

    fn histograms<'l>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = (Labels<'l>, Histogram)>,
    ) -> fmt::Result {
        self.family(metric, values, |encoder, value| {
            let mut buckets: Vec<(f64, u64)> = value.buckets().collect();
            let below: u64 = buckets.iter().map(|(_, count)| count).sum();
            buckets.push((f64::INFINITY, value.count() - below));
            encoder.encode_histogram::<NoLabelSet>(value.sum(), value.count(), &buckets, None)
        })
    }

    fn family<'l, V>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = (Labels<'l>, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, &V) -> fmt::Result,
    ) -> fmt::Result {
        // The encoder appends a counter's ending itself.
        let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
        let kind = match metric.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut encoder = self.0.encode_descriptor(name, metric.help, None, kind)?;
        for (labels, value) in values {
            let labels: Vec<(&str, &str)> = metric.labels.iter().copied().zip(labels).collect();
            if labels.is_empty() {
                encode(&mut encoder, &value)?;
            } else {
                encode(&mut encoder.encode_family(&labels)?, &value)?;
            }
        }
        Ok(())
    }
}

fn process(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    writer.gauges(&names::BUILD_INFO, [(vec![env!("CARGO_PKG_VERSION")], 1.0)])?;
    writer.gauges(&names::READY, [(vec![], if health::is_ready(snapshot) { 1.0 } else { 0.0 })])?;
    writer.gauges(&names::ENDS, snapshot.looked.map(|looked| (vec![], seconds(looked))))?;
    let mut turns: BTreeMap<(Processor, &str), TimestampMs> = BTreeMap::new();
    for member in &snapshot.members {
        let turned = turns.entry((member.processor, member.name)).or_insert(member.turned);
        *turned = member.turned.min(*turned);
    }
    let turns = turns.into_iter().map(|((processor, name), turned)| (vec![processor.as_str(), name], seconds(turned)));
    writer.gauges(&names::TURN, turns)
}

fn partitions(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    // Every state is told, so that one that nothing is in is 0 and not absent.
    let mut states: BTreeMap<(Processor, &str, State), u32> = BTreeMap::new();
    for member in &snapshot.members {
        for state in State::ALL {
            states.entry((member.processor, member.name, state)).or_default();
        }
        for partition in &member.partitions {
            *states.entry((member.processor, member.name, partition.state)).or_default() += 1;
        }
    }
    let states = states
        .into_iter()
        .map(|((processor, name, state), count)| (vec![processor.as_str(), name, state.as_str()], f64::from(count)));
    writer.gauges(&names::PARTITIONS, states)?;
    let places: Vec<_> = snapshot
        .members
        .iter()
        .flat_map(|member| member.partitions.iter().map(move |at| (member, at, at.place.partition.to_string())))
        .collect();
    let each = |value: fn(&PartitionNow) -> Option<f64>| {
        places.iter().filter_map(move |(member, at, partition)| {
            let labels = vec![member.processor.as_str(), member.name, at.place.topic.as_str(), partition.as_str()];
            Some((labels, value(at)?))
        })
    };
    writer.gauges(&names::POSITION, each(|at| Some(at.position?.0 as f64)))?;
    writer.gauges(&names::LAG, each(|at| Some(at.lag()? as f64)))?;
    writer.gauges(&names::PROGRESS, each(|at| Some(seconds(at.since.progress))))?;
    let sizes = |value: fn((usize, usize)) -> usize| {
        places.iter().filter_map(move |(member, at, partition)| {
            Some((vec![member.name, partition.as_str()], value(at.size?) as f64))
        })
    };
    writer.gauges(&names::AGGREGATES, sizes(|(aggregates, _)| aggregates))?;
    writer.gauges(&names::STATE_BYTES, sizes(|(_, bytes)| bytes))
}

fn handlers(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let mut handlers: BTreeMap<&str, (HandlerStats, Histogram, Histogram)> = BTreeMap::new();
    for MemberNow { name, measured, .. } in &snapshot.members {
        let Measured::Handler { stats, transaction_seconds, batch_commands } = measured else { continue };
        handlers
            .entry(name)
            .and_modify(|sum| {
                sum.0.add(stats);
                sum.1.add(transaction_seconds);
                sum.2.add(batch_commands);
            })
            .or_insert((*stats, *transaction_seconds, *batch_commands));
    }
    let commands = handlers.iter().flat_map(|(name, (stats, ..))| {
        let codes = AnswerCode::all().map(|code| match code {
            // Counted where it is found, whether it is answered or not.
            AnswerCode::AlreadyHandled => (code.as_str(), stats.already_handled),
            code => (code.as_str(), stats.outcomes.of(code)),
        });
        let all = codes.chain([("repeated", stats.repeats)]);
        all.map(|(code, count)| (vec![*name, code], count)).collect::<Vec<_>>()
    });
    writer.counters(&names::COMMANDS, commands)?;
    let each =
        |value: fn(&HandlerStats) -> u64| handlers.iter().map(move |(name, (stats, ..))| (vec![*name], value(stats)));
    writer.counters(&names::EVENTS, each(|stats| stats.events))?;
    let by = |values: fn(&HandlerStats) -> Vec<(&'static str, u64)>| {
        handlers.iter().flat_map(move |(name, (stats, ..))| {
            values(stats).into_iter().map(|(label, count)| (vec![*name, label], count))
        })
    };
    writer.counters(
        &names::TRANSACTIONS,
        by(|stats| vec![("committed", stats.transactions), ("aborted", stats.aborted), ("unknown", stats.unknown)]),
    )?;
    writer.histograms(
        &names::TRANSACTION_SECONDS,
        handlers.iter().map(|(name, (_, seconds, _))| (vec![*name], *seconds)),
    )?;
    writer
        .histograms(&names::BATCH_COMMANDS, handlers.iter().map(|(name, (_, _, commands))| (vec![*name], *commands)))?;
    writer.counters(&names::SNAPSHOTS, each(|stats| stats.snapshots))?;
    writer.counters(&names::CHECKPOINTS, each(|stats| stats.checkpoints))?;
    writer.counters(
        &names::RECOVERED,
        by(|stats| vec![("snapshot", stats.recovered_snapshots), ("event", stats.recovered_events)]),
    )
}

fn views(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let views: Vec<(&str, Counts, Histogram, Histogram)> = snapshot
        .members
        .iter()
        .filter_map(|member| match &member.measured {
            Measured::View { totals, commit_seconds, batch_records } => {
                Some((member.name, *totals, *commit_seconds, *batch_records))
            }
            Measured::Handler { .. } | Measured::Transform { .. } => None,
        })
        .collect();
    let events = views.iter().flat_map(|(name, totals, ..)| {
        let Counts { applied, unknown, repeated, parked } = *totals;
        let outcomes = [("applied", applied), ("unknown", unknown), ("repeated", repeated), ("parked", parked)];
        outcomes.map(|(outcome, count)| (vec![*name, outcome], count))
    });
    writer.counters(&names::VIEW_EVENTS, events)?;
    let places = snapshot.members.iter().flat_map(|member| member.partitions.iter().map(move |at| (member.name, at)));
    let places: Vec<_> = places.map(|(view, at)| (view, at, at.place.partition.to_string())).collect();
    let parked = places.iter().filter_map(|(view, at, partition)| {
        Some((vec![*view, at.place.topic.as_str(), partition.as_str()], at.parked? as f64))
    });
    writer.gauges(&names::PARKED, parked)?;
    writer
        .histograms(&names::VIEW_COMMIT_SECONDS, views.iter().map(|(name, _, seconds, _)| (vec![*name], *seconds)))?;
    writer.histograms(&names::VIEW_BATCH_RECORDS, views.iter().map(|(name, _, _, records)| (vec![*name], *records)))
}

fn transforms(writer: &mut Writer<'_>, snapshot: &Snapshot) -> fmt::Result {
    let transforms: Vec<(&str, Totals, Histogram)> = snapshot
        .members
        .iter()
        .filter_map(|member| match &member.measured {
            Measured::Transform { totals, transaction_seconds } => Some((member.name, *totals, *transaction_seconds)),
            Measured::Handler { .. } | Measured::View { .. } => None,
        })
        .collect();
    let events = transforms.iter().flat_map(|(name, totals, _)| {
        let Totals { read, written, skipped } = *totals;
        let outcomes = [("read", read), ("written", written), ("skipped", skipped)];
        outcomes.map(|(outcome, count)| (vec![*name, outcome], count))
    });
    writer.counters(&names::TRANSFORM_EVENTS, events)?;
    writer.histograms(&names::TRANSFORM_SECONDS, transforms.iter().map(|(name, _, seconds)| (vec![*name], *seconds)))
}

fn seconds(time: TimestampMs) -> f64 {
    time.0 as f64 / 1_000.0
}
