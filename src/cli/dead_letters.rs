//! `dead-letters`: the commands that a handler could not handle.

use super::{FormatArgs, connect::LogArgs, output};
use crate::{
    App,
    aside::{Letter, LetterLine, ListLetters, ShowLetter},
    host::Stop,
};
use clap::{Args, Subcommand};
use factum_core::{AggregateId, Result};
use serde_json::json;
use std::sync::Arc;

/// Look at the commands that a handler could not handle, and why.
///
/// A command that cannot be decoded, has a bad key or header, lies in a partition that is not its
/// key's, or at which `decide` panics, is answered with its code and kept, as it came, in the topic of
/// dead letters. The commands behind it are handled. It was not applied: mend what the cause says,
/// and send it again with `publish`. Both verbs work beside what runs, also while `up` holds the
/// embedded log.
///
/// Examples:
///   factum dead-letters list bank.account --kafka localhost:9092
///   factum dead-letters show bank.account 3/17 --kafka localhost:9092
#[derive(Debug, Subcommand)]
#[command(verbatim_doc_comment)]
pub(super) enum DeadLettersVerb {
    List(ListArgs),
    Show(ShowArgs),
}

/// List dead letters by partition, oldest first.
///
/// Example: factum dead-letters list bank.account --code undecodable --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ListArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// Only with this code of the answer, for example undecodable or failed.
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Only of this aggregate.
    #[arg(long, value_name = "ID")]
    key: Option<AggregateId>,
    /// The most that are listed of each partition, the last ones; at most 100000.
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Show one dead letter: its headers, and what is in it as far as it can be read.
///
/// Example: factum dead-letters show bank.account 3/17 --kafka localhost:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct ShowArgs {
    /// The aggregate type, for example bank.account.
    aggregate_type: String,
    /// Which one: PARTITION/OFFSET, as `list` says.
    letter: Letter,
    #[command(flatten)]
    log: LogArgs,
}

pub(super) fn dead_letters(app: &Arc<App>, verb: &DeadLettersVerb) -> Result<()> {
    match verb {
        DeadLettersVerb::List(args) => list(app, args),
        DeadLettersVerb::Show(args) => show(app, args),
    }
}

fn list(app: &Arc<App>, args: &ListArgs) -> Result<()> {
    let name = app.aggregate_host(&args.aggregate_type)?.aggregate_type();
    let letters = ListLetters {
        aggregate_type: name.to_owned(),
        code: args.code.clone(),
        key: args.key.as_ref().map(ToString::to_string),
        limit: args.limit,
    };
    let mut rows = Vec::new();
    args.log.doer(app, None)?.run(letters, &Stop::default(), &mut |line| {
        let LetterLine { letter, at, key, code, command, cause } = line;
        if args.format.json {
            let letter = letter.to_string();
            let line =
                json!({ "letter": letter, "at": at, "key": key, "code": code, "command": command, "cause": cause });
            output::line(&line.to_string());
            return;
        }
        rows.push(vec![letter.to_string(), at, key.unwrap_or_default(), code, command, cause]);
    })?;
    if args.format.json {
        return Ok(());
    }
    if rows.is_empty() {
        output::line(&format!("{name}: no dead letters"));
        return Ok(());
    }
    output::table(&["letter", "at", "key", "code", "command", "cause"].map(str::to_owned), &rows);
    Ok(())
}

fn show(app: &Arc<App>, args: &ShowArgs) -> Result<()> {
    let name = app.aggregate_host(&args.aggregate_type)?.aggregate_type();
    let show = ShowLetter { aggregate_type: name.to_owned(), letter: args.letter };
    let letter = args.log.doer(app, None)?.ask(show)?;
    output::line(&format!("{letter:#}"));
    Ok(())
}
