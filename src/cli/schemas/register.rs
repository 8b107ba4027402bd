//! `schemas register`.

use super::{Folder, SchemaRegistry, Where, places::places, registry::Plan};
use crate::{App, cli::output};
use clap::Args;
use factum_core::Result;
use factum_schemas::{Schema, compact, parse_schema, rules::Level, same};
use std::path::PathBuf;

pub(super) const HELP: &str = "\
Every record goes under the subject <topic>-<record>, with all its versions in their order, so that the registry \
knows the history. Events get the rule BACKWARD_TRANSITIVE, commands and answers FULL_TRANSITIVE.

Examples:
  factum schemas register --registry http://localhost:8081
  FACTUM_REGISTRY_PASSWORD=… factum schemas register --registry https://registry --registry-user me --registry-ca ca.pem
  factum schemas register --registry http://localhost:8081 --subject orders-value --file order.avsc";

#[derive(Debug, Args)]
pub(in crate::cli) struct RegisterArgs {
    #[command(flatten)]
    folder: Folder,
    /// Register one file under this subject instead.
    #[arg(long, requires = "file", value_name = "SUBJECT")]
    subject: Option<String>,
    /// The file, with --subject.
    #[arg(long, requires = "subject", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The rule of that subject.
    #[arg(long, requires = "subject", default_value = "BACKWARD_TRANSITIVE", value_name = "LEVEL")]
    compatibility: Level,
    #[command(flatten)]
    place: Where,
}

pub(super) fn register(app: &App, args: &RegisterArgs) -> Result<()> {
    let registry = args.place.registry("register")?;
    if let (Some(subject), Some(file)) = (&args.subject, &args.file) {
        let schema = super::read_file(file)?;
        let plan = plan(&registry, subject, args.compatibility, &[&schema])?;
        return carry_out(&registry, &[plan], args);
    }
    let places = places(app, args.place.log.prefix());
    let mut plans = Vec::new();
    for record in args.folder.records()? {
        let Some(places) = places.get(&record.name) else {
            output::note(&format!("{}: no topic of this program has it; give --subject and --file", record.name));
            continue;
        };
        let versions: Vec<&Schema> = record.versions.iter().map(|version| &version.schema).collect();
        for place in places {
            plans.push(plan(&registry, &place.subject, place.level, &versions)?);
        }
    }
    carry_out(&registry, &plans, args)
}

/// The versions of a subject that come after the last one it has.
fn plan(registry: &SchemaRegistry, subject: &str, level: Level, versions: &[&Schema]) -> Result<Plan> {
    let mut known = Vec::new();
    for version in registry.versions(subject)? {
        if let Some(found) = registry.version(subject, Some(version))? {
            known.push(parse_schema(&format!("version {version} of subject {subject}"), &found.schema)?);
        }
    }
    let before = versions.iter().rposition(|version| known.iter().any(|known| same(known, version)));
    let new = &versions[before.map_or(0, |last| last + 1)..];
    let schemas = new.iter().map(|schema| compact(schema)).collect();
    Ok(Plan { subject: subject.to_owned(), level, is_new: known.is_empty(), schemas })
}

fn carry_out(registry: &SchemaRegistry, plans: &[Plan], args: &RegisterArgs) -> Result<()> {
    for (Plan { subject, level, .. }, ids) in plans.iter().zip(registry.carry_out(plans)?) {
        output::line(&if args.place.format.json {
            serde_json::json!({ "subject": subject, "registered": ids, "compatibility": level.name() }).to_string()
        } else if ids.is_empty() {
            format!("{subject}: registered before, {level}")
        } else {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            format!("{subject}: registered, id {}, {level}", ids.join(", "))
        });
    }
    Ok(())
}
