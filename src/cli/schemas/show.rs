//! `schemas list` and `schemas show`.

use super::Where;
use crate::cli::output;
use clap::Args;
use factum_core::{Error, Result};
use factum_schemas::{Schema, pretty};

pub(super) const LIST_HELP: &str = "\
Examples:
  factum schemas list --registry http://localhost:8081
  factum schemas list --kafka localhost:9092 --json";

pub(super) const HELP: &str = "\
Examples:
  factum schemas show bank.account.events-bank.account.Deposited --registry http://localhost:8081
  factum schemas show bank.account.events-bank.account.Deposited --version 1 --kafka localhost:9092
  factum schemas show --id 7 --registry http://localhost:8081";

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Subjects whose names begin so.
    #[arg(default_value = "", hide_default_value = true)]
    begin: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The subject.
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    subject: Option<String>,
    /// Which version; without it the latest.
    #[arg(long, value_name = "N", conflicts_with = "id")]
    version: Option<u32>,
    /// The schema of this id instead, whatever its subject.
    #[arg(long, value_name = "ID")]
    id: Option<u32>,
    #[command(flatten)]
    place: Where,
}

pub(super) fn list(args: &ListArgs) -> Result<()> {
    let registry = args.place.registry("list")?;
    let mut rows = Vec::new();
    for subject in registry.subjects()?.into_iter().filter(|subject| subject.starts_with(&args.begin)) {
        // One that was deleted in between is left out.
        let Some(latest) = registry.version(&subject, None)? else { continue };
        let level = registry.level(&subject)?;
        if args.place.format.json {
            let value = serde_json::json!({
                "subject": subject, "version": latest.version, "id": latest.id, "compatibility": level.name(),
            });
            output::line(&value.to_string());
        } else {
            rows.push(vec![subject, latest.version.to_string(), latest.id.to_string(), level.to_string()]);
        }
    }
    if !args.place.format.json {
        output::table(&["subject", "latest", "id", "compatibility"].map(str::to_owned), &rows);
    }
    Ok(())
}

pub(super) fn show(args: &ShowArgs) -> Result<()> {
    let registry = args.place.registry("show")?;
    let text = match (args.id, &args.subject) {
        (Some(id), _) => registry.schema(id)?,
        (None, Some(subject)) => match registry.version(subject, args.version)? {
            Some(found) => {
                if !args.place.format.json {
                    output::note(&format!("{subject}, version {}, id {}", found.version, found.id));
                }
                found.schema
            }
            None => {
                let which = args.version.map_or(String::new(), |version| format!(" with a version {version}"));
                return Err(Error::invalid(format!(
                    "the registry has no subject {subject}{which}: `schemas list` shows those it has"
                )));
            }
        },
        (None, None) => return Err(Error::invalid("name a subject, or an id with --id")),
    };
    // Another registry may keep what is not Avro: shown as it is.
    match Schema::parse_str(&text) {
        Ok(schema) if !args.place.format.json => output::line(pretty(&schema).trim_end()),
        _ => output::line(&text),
    }
    Ok(())
}
