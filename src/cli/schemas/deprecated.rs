//! `schemas deprecated`.

use super::{Folder, SchemaRegistry};
use crate::{
    App,
    cli::{
        FormatArgs,
        connect::{LogArgs, Reading},
        output,
        publish::progress_bar,
        stop_on_signal,
    },
    deprecation::{Kind, Marked, Progress, Seen, Source, Written, ask_owner, called, check_since, find_writers},
    host::{AggregateHost, rfc3339},
    service::parse_time,
};
use clap::Args;
use factum_core::{Result, TimestampMs, Topics};
use factum_handler::system_clock;
use factum_schemas::{Schema, deprecations, parse_schema};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// List what is deprecated, which versions of subjects still have it, and who still writes it.
///
/// An event is marked with `#[event("bank.account", deprecated = "use LimitSet")]` on its struct, a
/// field with `#[event(deprecated = "use memo")]`, also in a struct within an event, which has the
/// attribute, too. For commands the attribute is `#[command(…)]`. The mark is in the schema, so that
/// other languages see it: commit it as the next version of the record, whose bytes and subject stay
/// as they are. In other languages it is the attribute "deprecated" of the record or the field.
///
/// Marks come from the newest committed schema of each event and command, and from the latest version
/// of each subject. A field counts as written where its value is not its default. Who wrote an event
/// or a command, its header says: service, instance and version. A command's is `ce_source`, which
/// other languages set themselves; one that came over HTTP has the name of the gateway. An event that
/// nobody has written for long can be retired, a command deleted, a field taken out.
///
/// The topics with something that is marked are read as a whole, or from --since on. The process that
/// holds the embedded log does that for other terminals.
///
/// Examples:
///   factum schemas deprecated
///   factum schemas deprecated --since 2026-01-31 --kafka localhost:9092 --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct DeprecatedArgs {
    #[command(flatten)]
    folder: Folder,
    /// Only what was recorded from that time on: RFC 3339, or a date, which begins at midnight UTC.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<TimestampMs>,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// A subject of an events or commands topic.
struct Subject {
    name: String,
    record: String,
    versions: Vec<(u32, Schema)>,
}

pub(super) fn deprecated(app: &Arc<App>, args: &DeprecatedArgs) -> Result<()> {
    check_since(args.since, system_clock())?;
    let stop = stop_on_signal()?;
    let (reading, registry) = args.log.log_and_registry()?;
    let subjects = match &registry {
        Some(registry) => subjects(registry, app, args.log.prefix())?,
        None => Vec::new(),
    };
    let mut marked = marks(app, args, &subjects)?;
    if marked.is_empty() {
        output::note(
            "no event, no command and no field is deprecated: `#[event(\"bank.account\", deprecated = \"use LimitSet\")]` \
             marks an event, `#[event(deprecated = \"use memo\")]` a field, and `#[command(…)]` those of commands",
        );
        return Ok(());
    }
    let sources = sources(app, &marked);
    let bar = progress_bar(0, "offsets");
    let mut tell = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    };
    let seen = match &reading {
        Reading::Here(environment) => {
            Some(find_writers(environment, &sources, args.since, &mut marked, &stop, &mut tell))
        }
        Reading::AtOwner(address) => Some(ask_owner(*address, &sources, args.since, &mut marked, &stop, &mut tell)),
        Reading::Nothing => None,
    };
    bar.finish_and_clear();
    let seen = seen.transpose()?;
    seen.iter().flat_map(Seen::remarks).for_each(|remark| output::note(&remark));
    for marked in &marked {
        let versions = carriers(marked, &subjects);
        if args.format.json {
            print_json(marked, &versions, seen.is_some());
        } else {
            print(marked, &versions, seen.is_some().then_some(args.since));
        }
    }
    Ok(())
}

/// The records of an aggregate type, and the topics that they are written into.
fn records(host: &dyn AggregateHost) -> [(Kind, Vec<&'static str>); 2] {
    [(Kind::Events, [host.events(), &host.retired_events()].concat()), (Kind::Commands, host.commands().to_vec())]
}

/// The topics into which something is written that is marked.
fn sources(app: &App, marked: &[Marked]) -> Vec<Source> {
    let mut sources = Vec::new();
    for host in &app.aggregates {
        for (kind, records) in records(&**host) {
            if marked.iter().any(|marked| records.contains(&marked.record.as_str())) {
                sources.push(Source { aggregate_type: host.aggregate_type().to_owned(), kind });
            }
        }
    }
    sources
}

/// The marks of the program's events and commands, in the files and in the registry.
fn marks(app: &App, args: &DeprecatedArgs, subjects: &[Subject]) -> Result<Vec<Marked>> {
    let mut newest: BTreeMap<&str, Vec<&Schema>> = BTreeMap::new();
    let committed = if args.folder.dir.is_dir() { args.folder.records()? } else { Vec::new() };
    let known: Vec<&str> =
        app.aggregates.iter().flat_map(|host| records(&**host)).flat_map(|(_, records)| records).collect();
    for record in committed.iter().filter(|record| known.contains(&record.name.as_str())) {
        newest.entry(&record.name).or_default().extend(record.versions.last().map(|version| &version.schema));
    }
    for subject in subjects {
        newest.entry(&subject.record).or_default().extend(subject.versions.last().map(|(_, schema)| schema));
    }
    let mut found: Vec<Marked> = Vec::new();
    for (record, schemas) in newest {
        for mark in schemas.into_iter().flat_map(deprecations) {
            if !found.iter().any(|known| known.record == record && known.mark.field == mark.field) {
                found.push(Marked { record: record.to_owned(), mark, writers: BTreeMap::new() });
            }
        }
    }
    Ok(found)
}

/// The subjects of the topics of events and of commands, with all their versions.
fn subjects(registry: &SchemaRegistry, app: &App, prefix: &str) -> Result<Vec<Subject>> {
    let topics = app.aggregates.iter().flat_map(|host| {
        let topics = Topics::with_prefix(prefix, host.aggregate_type());
        [topics.events, topics.commands]
    });
    let begins: Vec<String> = topics.map(|topic| format!("{topic}-")).collect();
    let mut found = Vec::new();
    for name in registry.subjects()? {
        let Some(record) = begins.iter().find_map(|begin| name.strip_prefix(begin.as_str())) else { continue };
        let mut versions = Vec::new();
        for version in registry.versions(&name)? {
            // One that was deleted in between is left out.
            let Some(registered) = registry.version(&name, Some(version))? else { continue };
            versions
                .push((version, parse_schema(&format!("version {version} of subject {name}"), &registered.schema)?));
        }
        found.push(Subject { record: record.to_owned(), versions, name });
    }
    Ok(found)
}

/// The versions of subjects that have what is marked.
fn carriers<'a>(marked: &Marked, subjects: &'a [Subject]) -> Vec<(&'a str, Vec<u32>)> {
    let of_record = subjects.iter().filter(|subject| subject.record == marked.record);
    let carriers = of_record.map(|subject| {
        let carrying = subject.versions.iter().filter(|(_, schema)| marked.mark.is_part_of(schema));
        (subject.name.as_str(), carrying.map(|(version, _)| *version).collect::<Vec<u32>>())
    });
    carriers.filter(|(_, versions)| !versions.is_empty()).collect()
}

fn print(marked: &Marked, versions: &[(&str, Vec<u32>)], read: Option<Option<TimestampMs>>) {
    output::line(&format!("{}: deprecated: {}", called(marked), marked.mark.why));
    for (subject, versions) in versions {
        let list: Vec<String> = versions.iter().map(u32::to_string).collect();
        output::line(&format!("  in {subject}, version {}", list.join(", ")));
    }
    let Some(since) = read else { return };
    let since = since.map_or(String::new(), |time| format!(" since {}", rfc3339(time)));
    if marked.writers.is_empty() {
        output::line(&format!("  written by nobody{since}"));
    }
    for (source, Written { records, last, time }) in &marked.writers {
        let plural = if *records == 1 { "" } else { "s" };
        let last = format!("the last {last} at {}", rfc3339(*time));
        output::line(&format!("  written by {source}{since}: {records} record{plural}, {last}"));
    }
}

fn print_json(marked: &Marked, versions: &[(&str, Vec<u32>)], is_read: bool) {
    let subjects: Vec<_> =
        versions.iter().map(|(subject, versions)| json!({ "subject": subject, "versions": versions })).collect();
    let writers: Vec<_> = marked
        .writers
        .iter()
        .map(|(source, Written { records, last, time })| {
            json!({
                "source": source, "records": records, "last": last.to_string(), "last_recorded": rfc3339(*time),
            })
        })
        .collect();
    let value = json!({
        "record": marked.record, "field": marked.mark.field, "deprecated": marked.mark.why, "subjects": subjects,
        // Nobody is known where the log was not read.
        "writers": is_read.then_some(writers),
    });
    output::line(&value.to_string());
}
