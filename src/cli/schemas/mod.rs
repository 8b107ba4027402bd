//! `schemas`: the contract in files, the registry, and what lies between them.

mod check;
mod deprecated;
mod diff;
mod places;
mod register;
mod registry;
mod rollout;
mod show;

pub(super) use registry::SchemaRegistry;

use super::{FormatArgs, connect::LogArgs};
use crate::App;
use clap::{Args, Subcommand};
use factum_core::{Error, ErrorKind, Result};
use factum_schemas::{CommittedRecord, MAX_SCHEMA_BYTES, Schema, committed, parse_schema};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Check, register, compare and show schemas.
///
/// They are committed as files, one folder for each record, and a registry hands them to other
/// languages.
///
/// Examples:
///   factum schemas check
///   factum schemas register --registry http://localhost:8081
///   factum schemas diff bank.account.Deposited
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum SchemasVerb {
    /// Check that no committed schema breaks history, in the files and against a registry.
    #[command(after_help = check::HELP)]
    Check(check::CheckArgs),
    /// Register the committed schemas, with the rule of their subjects. What is registered already stays.
    #[command(after_help = register::HELP)]
    Register(register::RegisterArgs),
    /// Show what changes from one schema to another: fields added (+), removed (-), changed (~).
    #[command(after_help = diff::HELP)]
    Diff(diff::DiffArgs),
    Deprecated(deprecated::DeprecatedArgs),
    /// List the subjects of a registry.
    #[command(after_help = show::LIST_HELP)]
    List(show::ListArgs),
    /// Show a schema of a registry.
    #[command(after_help = show::HELP)]
    Show(show::ShowArgs),
}

/// Where schemas are.
#[derive(Debug, Args)]
struct Where {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// The folder of the committed schemas.
#[derive(Debug, Args)]
struct Folder {
    /// The folder of the committed schemas, `<full name>/<n>.avsc` in it.
    #[arg(long, env = "FACTUM_SCHEMAS", default_value = "schemas/avsc", value_name = "FOLDER")]
    dir: PathBuf,
}

pub(super) fn schemas(app: &Arc<App>, verb: &SchemasVerb) -> Result<()> {
    match verb {
        SchemasVerb::Check(args) => check::check(app, args),
        SchemasVerb::Register(args) => register::register(app, args),
        SchemasVerb::Diff(args) => diff::diff(args),
        SchemasVerb::Deprecated(args) => deprecated::deprecated(app, args),
        SchemasVerb::List(args) => show::list(args),
        SchemasVerb::Show(args) => show::show(args),
    }
}

/// A schema in a file that a person names.
fn read_file(file: &Path) -> Result<Schema> {
    let called = file.display().to_string();
    let unusable = |e| Error::with_source(ErrorKind::Invalid, format!("{called} cannot be read"), e);
    // A byte more than a schema may have tells that it has too many.
    let mut text = String::new();
    let limit = u64::try_from(MAX_SCHEMA_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text)).map_err(unusable)?;
    parse_schema(&called, &text)
}

impl Where {
    /// The registry, for a verb that needs one.
    fn registry(&self, verb: &str) -> Result<SchemaRegistry> {
        self.log.schema_registry()?.ok_or_else(|| {
            Error::invalid(format!(
                "`schemas {verb}` needs a registry: give --registry URL, --kafka HOST:PORT for the one in its topic, \
                 or --data FOLDER with an embedded log"
            ))
        })
    }
}

impl Folder {
    fn records(&self) -> Result<Vec<CommittedRecord>> {
        if !Path::is_dir(&self.dir) {
            return Err(Error::invalid(format!("there is no folder {}: give --dir FOLDER", self.dir.display())));
        }
        committed(&self.dir)
    }
}
