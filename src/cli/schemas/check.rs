//! `schemas check`.

use super::{
    Folder, SchemaRegistry, Where,
    places::{OTHERWISE, Place, places, rule},
    rollout::Rollouts,
};
use crate::{App, cli::output};
use clap::Args;
use factum_core::{Error, Result};
use factum_schemas::{
    Breach, CommittedRecord, Mistake, Rollout, between, clashes, mistakes, parse_schema, rules::Level, same,
};
use std::str::FromStr;

pub(super) const HELP: &str = "\
Events are read for ever, so the newest schema must read every earlier one (BACKWARD_TRANSITIVE). Commands and \
answers pass between programs of different age, so it goes both ways (FULL_TRANSITIVE). A breaking change gets a new \
record name, and the old record is retired with an upcaster.

Classic mistakes in events are warned of, and end nothing: a command dressed as an event (command-as-event), an event \
that says nothing (says-nothing), a fat one (fat). One that is meant is accepted with --accept, for all times in \
factum.toml: schemas.check.accept = [\"bank.account.Updated:says-nothing\"].

For what changed last it says whether instances of the version before may run meanwhile (roll out side by side) \
or not (needs a stop, and why); with a registry, \"before\" is what is registered.

Examples:
  factum schemas check                                   the files alone, as in a build
  factum schemas check --registry http://localhost:8081  also against what is registered
  factum schemas check --json                            a line of JSON for each record or problem";

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    folder: Folder,
    /// A warning that is meant: command-as-event, says-nothing or fat. May be repeated.
    #[arg(long, value_name = "RECORD:WARNING", value_delimiter = ',')]
    accept: Vec<Accepted>,
    #[command(flatten)]
    place: Where,
}

/// A mistake that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Accepted {
    record: String,
    mistake: Mistake,
}

impl FromStr for Accepted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = text.split_once(':').and_then(|(record, name)| {
            let mistake = Mistake::ALL.into_iter().find(|mistake| mistake.name() == name)?;
            Some(Accepted { record: record.to_owned(), mistake })
        });
        found.ok_or_else(|| {
            let names: Vec<&str> = Mistake::ALL.iter().map(|mistake| mistake.name()).collect();
            Error::invalid(format!(
                "{text:?} is no warning of a record: give RECORD:WARNING, for example bank.account.Updated:says-nothing; \
                 there are {}",
                names.join(", ")
            ))
        })
    }
}

pub(super) fn check(app: &App, args: &CheckArgs) -> Result<()> {
    let records = args.folder.records()?;
    let registry = args.place.log.schema_registry()?;
    let places = places(app, args.place.log.prefix());
    let rollouts = Rollouts::of(app, registry.as_ref())?;
    let mut broken = Vec::new();
    for record in &records {
        let places = places.get(&record.name).map_or(&[][..], Vec::as_slice);
        let rule = if places.is_empty() { OTHERWISE } else { rule(places) };
        let mut breaches = record.breaches(rule);
        if let Some(registry) = &registry {
            for place in places {
                breaches.extend(with_registry(registry, record, place, args)?);
            }
        }
        if breaches.is_empty() {
            report(record, rule, rollouts.rollout(record, places)?.as_ref(), args);
        }
        broken.extend(breaches.into_iter().map(|breach| (record.name.as_str(), breach)));
    }
    warn_of_mistakes(app, &records, args);
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

/// Tells the mistakes of the events that this program writes.
fn warn_of_mistakes(app: &App, records: &[CommittedRecord], args: &CheckArgs) {
    for host in &app.aggregates {
        let events = records.iter().filter(|record| host.events().contains(&record.name.as_str()));
        for (name, newest) in events.filter_map(|record| Some((&record.name, &record.versions.last()?.schema))) {
            for mistake in mistakes(newest, host.commands()) {
                if !args.accept.contains(&Accepted { record: name.clone(), mistake }) {
                    let (why, instead) = (mistake.why(), mistake.instead());
                    warn(
                        args,
                        name,
                        mistake.name(),
                        why,
                        &format!("{instead}; or accept it: --accept {name}:{mistake}"),
                    );
                }
            }
        }
    }
}

fn warn(args: &CheckArgs, record: &str, warning: &str, why: &str, instead: &str) {
    if args.place.format.json {
        let line = serde_json::json!({ "record": record, "warning": warning, "why": why, "instead": instead });
        output::line(&line.to_string());
    } else {
        output::note(&format!("warning: record {record}: {warning}: {why}; instead: {instead}"));
    }
}

fn report(record: &CommittedRecord, rule: Level, rollout: Option<&Rollout>, args: &CheckArgs) {
    let (name, versions) = (&record.name, record.versions.len());
    output::line(&if args.place.format.json {
        let rollout = rollout.map(ToString::to_string);
        serde_json::json!({ "record": name, "versions": versions, "rule": rule.name(), "rollout": rollout }).to_string()
    } else {
        let plural = if versions == 1 { "" } else { "s" };
        let rollout = rollout.map(|rollout| format!("; {rollout}")).unwrap_or_default();
        format!("{name}: {versions} version{plural}, {rule}{rollout}")
    });
}

/// The newest file against every registered version: others may have registered what is in no file here.
fn with_registry(
    registry: &SchemaRegistry,
    record: &CommittedRecord,
    place: &Place,
    args: &CheckArgs,
) -> Result<Vec<Breach>> {
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
            let why = format!("{called} is in no file: somebody else registered it, or a file was edited since");
            let show = format!("`schemas show {} --version {version}` shows it; restore the file", place.subject);
            warn(args, &record.name, "not-in-files", &why, &format!("{show}, or commit it as a version"));
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
