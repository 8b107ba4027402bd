//! `schemas diff`.

use super::{Folder, Where};
use crate::cli::output;
use clap::Args;
use factum_core::{Error, Result};
use factum_schemas::{CommittedVersion, Rollout, Schema, changes, parse_schema};
use std::path::Path;

pub(super) const HELP: &str = "\
A schema is a file (order.avsc), a committed record (bank.account.Deposited, or bank.account.Deposited@2), or a \
subject of the registry (bank.account.events-bank.account.Deposited, or with @3).
Without NEW: the last two versions of OLD.

Examples:
  factum schemas diff bank.account.Deposited
  factum schemas diff bank.account.Deposited@1 bank.account.Deposited@3
  factum schemas diff bank.account.events-bank.account.Deposited bank.account.Deposited --registry http://localhost:8081";

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// The earlier schema.
    old: String,
    /// The later one.
    new: Option<String>,
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    place: Where,
}

/// A schema and what it is called.
struct Named {
    name: String,
    schema: Schema,
}

pub(super) fn diff(args: &DiffArgs) -> Result<()> {
    let (old, new) = match &args.new {
        Some(new) => (newest(args, &args.old)?, newest(args, new)?),
        None => {
            let mut versions = all(args, &args.old)?;
            match (versions.pop(), versions.pop()) {
                (Some(new), Some(old)) => (old, new),
                _ => return Err(Error::invalid(format!("{} has one version alone: name a second schema", args.old))),
            }
        }
    };
    let lines = changes(&old.schema, &new.schema);
    let rollout = Rollout::between(&old.schema, &new.schema).to_string();
    if args.place.format.json {
        let value = serde_json::json!({ "old": old.name, "new": new.name, "changes": lines, "rollout": rollout });
        output::line(&value.to_string());
        return Ok(());
    }
    output::line(&format!("{} -> {}", old.name, new.name));
    if lines.is_empty() {
        output::line("  no change");
    }
    lines.iter().for_each(|line| output::line(&format!("  {line}")));
    if !lines.is_empty() {
        output::line(&rollout);
    }
    Ok(())
}

fn newest(args: &DiffArgs, what: &str) -> Result<Named> {
    all(args, what)?.pop().ok_or_else(|| Error::invalid(format!("{what} has no version")))
}

/// The versions that a name stands for, the last two at least where there are so many.
fn all(args: &DiffArgs, what: &str) -> Result<Vec<Named>> {
    if Path::new(what).is_file() {
        return Ok(vec![Named { name: what.to_owned(), schema: super::read_file(Path::new(what))? }]);
    }
    let (name, version) = match what.rsplit_once('@') {
        Some((name, version)) => {
            let number = version.parse::<u32>().ok().filter(|number| *number > 0);
            let wrong = || Error::invalid(format!("{what}: after the @ comes a version, a number from 1"));
            (name, Some(number.ok_or_else(wrong)?))
        }
        None => (what, None),
    };
    if args.folder.dir.join(name).is_dir() {
        return committed(args, name, version);
    }
    let Some(registry) = args.place.log.schema_registry()? else {
        return Err(Error::invalid(format!(
            "{name} is no file and no record in {}: give --dir FOLDER, or --registry URL for a subject",
            args.folder.dir.display()
        )));
    };
    let versions = registry.versions(name)?;
    let wanted: Vec<u32> = match version {
        Some(version) => vec![version],
        None => versions[versions.len().saturating_sub(2)..].to_vec(),
    };
    let mut found = Vec::new();
    for version in wanted {
        let called = format!("{name}@{version}");
        let registered = registry.version(name, Some(version))?;
        let registered = registered.ok_or_else(|| Error::invalid(format!("the registry has no {called}")))?;
        found.push(Named { schema: parse_schema(&called, &registered.schema)?, name: called });
    }
    if found.is_empty() {
        return Err(Error::invalid(format!("{name} is no file, no committed record and no subject of the registry")));
    }
    Ok(found)
}

fn committed(args: &DiffArgs, name: &str, version: Option<u32>) -> Result<Vec<Named>> {
    let record = args.folder.records()?.into_iter().find(|record| record.name == name);
    let named = |version: CommittedVersion| Named { name: version.file.display().to_string(), schema: version.schema };
    let mut versions: Vec<Named> = record.into_iter().flat_map(|record| record.versions).map(named).collect();
    let Some(version) = version else { return Ok(versions) };
    let index = usize::try_from(version).unwrap_or(usize::MAX) - 1;
    if index >= versions.len() {
        return Err(Error::invalid(format!("{name} has {} versions, not {version}", versions.len())));
    }
    Ok(vec![versions.swap_remove(index)])
}
