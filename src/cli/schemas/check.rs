//! `schemas check`.

use super::{
    Folder, SchemaRegistry, Where,
    places::{OTHERWISE, Place, places, rule},
};
use crate::{App, cli::output};
use clap::Args;
use factum_core::{Error, Result};
use factum_schemas::{Breach, CommittedRecord, between, clashes, parse_schema, rules::Level, same};

pub(super) const HELP: &str = "\
Events are read for ever, so the newest schema must read every earlier one (BACKWARD_TRANSITIVE). Commands and \
answers pass between programs of different age, so it goes both ways (FULL_TRANSITIVE).

Examples:
  factum schemas check                                   the files alone, as in a build
  factum schemas check --registry http://localhost:8081  also against what is registered
  factum schemas check --json                            a line of JSON for each record or problem";

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    place: Where,
}

pub(super) fn check(app: &App, args: &CheckArgs) -> Result<()> {
    let records = args.folder.records()?;
    let registry = args.place.log.schema_registry()?;
    let places = places(app, args.place.log.prefix());
    let mut broken = Vec::new();
    for record in &records {
        let places = places.get(&record.name).map_or(&[][..], Vec::as_slice);
        let rule = if places.is_empty() { OTHERWISE } else { rule(places) };
        let mut breaches = record.breaches(rule);
        if let Some(registry) = &registry {
            for place in places {
                breaches.extend(with_registry(registry, record, place)?);
            }
        }
        if breaches.is_empty() {
            report(record, rule, args);
        }
        broken.extend(breaches.into_iter().map(|breach| (record.name.as_str(), breach)));
    }
    let named = records.iter().filter_map(|record| Some((record.name.as_str(), &record.versions.last()?.schema)));
    broken.extend(clashes(named));
    if broken.is_empty() {
        return Ok(());
    }
    if args.place.format.json {
        for (record, Breach { problem, rule, fix }) in &broken {
            let line = serde_json::json!({ "record": record, "problem": problem, "rule": rule, "fix": fix });
            output::line(&line.to_string());
        }
    }
    let told = |(record, breach): &(&str, Breach)| format!("\n  record {record}: {breach}");
    Err(Error::invalid(format!("history would break:{}", broken.iter().map(told).collect::<String>())))
}

fn report(record: &CommittedRecord, rule: Level, args: &CheckArgs) {
    let (name, versions) = (&record.name, record.versions.len());
    output::line(&if args.place.format.json {
        serde_json::json!({ "record": name, "versions": versions, "rule": rule.name() }).to_string()
    } else {
        let plural = if versions == 1 { "" } else { "s" };
        format!("{name}: {versions} version{plural}, {rule}")
    });
}

/// The newest file against every registered version: others may have registered what is in no file here.
fn with_registry(registry: &SchemaRegistry, record: &CommittedRecord, place: &Place) -> Result<Vec<Breach>> {
    let Some(newest) = record.versions.last() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for version in registry.versions(&place.subject)? {
        let Some(old) = registry.version(&place.subject, Some(version))? else { continue };
        let called = format!("version {version} of subject {}", place.subject);
        let schema = parse_schema(&called, &old.schema)?;
        // What is in the files was compared with them already.
        if !record.versions.iter().any(|known| same(&known.schema, &schema)) {
            let file = newest.file.display().to_string();
            found.extend(between((&called, &schema), (&file, &newest.schema), place.level));
        }
    }
    // The registry may have a rule of its own.
    let text = factum_schemas::compact(&newest.schema);
    if found.is_empty() {
        let level = registry.level(&place.subject)?;
        let problems = registry.problems(&place.subject, &text)?;
        let breach = |problem| Breach {
            problem: format!("subject {}: {problem}", place.subject),
            rule: level.name(),
            fix: "make the change compatible, or give the record a new name".to_owned(),
        };
        let registered = registry.version(&place.subject, None)?;
        let is_latest = registered
            .and_then(|latest| parse_schema(&place.subject, &latest.schema).ok())
            .is_some_and(|latest| same(&latest, &newest.schema));
        if !is_latest {
            found.extend(problems.into_iter().map(breach));
        }
    }
    Ok(found)
}
