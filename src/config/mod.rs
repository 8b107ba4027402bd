//! Flags, environment and file mirror each other: every long flag of every verb
//! has a variable and a key in `factum.toml`, found by walking the commands.
//!
//! What the file says becomes the flag's default before the command line is
//! parsed, so help, parsing and errors stay those of the command line:
//! flag before environment before file before default.

mod effective;
mod file;
mod flags;

pub(crate) use effective::{Effective, Origin, effective, without_secrets};
pub(crate) use file::Settings;
pub(crate) use flags::{Flag, Kind, flags};

use clap::{Arg, ArgAction, Command, builder::BoolishValueParser};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// The variable that names the file.
pub(crate) const FILE_VARIABLE: &str = "FACTUM_CONFIG";
/// The file that is read when none is named, if it is there.
pub(crate) const FILE: &str = "factum.toml";
/// What all variables begin with.
const VARIABLES: &str = "FACTUM_";
/// Variables that the project's own tests use.
const TEST_VARIABLES: &[&str] = &["FACTUM_REAL_DATA", "FACTUM_TEST_"];

/// The file named by `--config` or else by the variable. The file has to be known before
/// the command line can be parsed.
pub(crate) fn named_file(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(file) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from)
}

/// Gives every flag its variable, and the file's value as its default.
pub(crate) fn apply(command: Command, flags: &[Flag], settings: &Settings) -> Command {
    apply_at(command, &[], flags, settings)
}

fn apply_at(command: Command, path: &[String], flags: &[Flag], settings: &Settings) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match flags.iter().find(|flag| flag.is(path, &arg)) {
        Some(flag) => mirror(arg, flag, settings),
        None => arg,
    });
    verbs.into_iter().fold(command, |command, verb| {
        let path = [path, std::slice::from_ref(&verb)].concat();
        command.mut_subcommand(&verb, |verb| apply_at(verb, &path, flags, settings))
    })
}

fn mirror(arg: Arg, flag: &Flag, settings: &Settings) -> Arg {
    let setting = settings.get(&flag.key);
    let mut arg = match (arg.get_env(), setting) {
        (Some(_), _) => arg,
        // They follow from the flags' names; help would say everything twice.
        (None, _) => arg.env(flag.variable.clone()).hide_env(true),
    };
    let in_environment = arg.get_env().is_some_and(|name| std::env::var_os(name).is_some());
    arg = match flag.kind {
        Kind::Switch if setting.is_some() || in_environment => {
            // What the file or the environment switches on, `--flag=false` switches off.
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .default_value("false")
                .value_parser(BoolishValueParser::new())
        }
        Kind::Many => arg.value_delimiter(','),
        _ => arg,
    };
    match setting {
        Some(setting) => arg.default_values(setting.values.clone()),
        None => arg,
    }
}

/// Variables that look like ours and are none, with the nearest one that is.
pub(crate) fn unknown_variables<'a>(names: impl Iterator<Item = &'a OsStr>, flags: &[Flag]) -> Vec<String> {
    let known: Vec<&str> = flags.iter().map(|flag| flag.variable.as_str()).chain([FILE_VARIABLE]).collect();
    let unknown = names.filter_map(OsStr::to_str).filter(|name| {
        name.starts_with(VARIABLES)
            && !known.contains(name)
            && !TEST_VARIABLES.iter().any(|prefix| name.starts_with(prefix))
    });
    let mut told: Vec<String> = unknown
        .map(|name| format!("warning: the variable {name} is not known{}", did_you_mean(name, known.iter().copied())))
        .collect();
    told.sort();
    told
}

/// ` (did you mean X?)` with the candidate that is nearest.
fn did_you_mean<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let score = |candidate: &str| strsim::normalized_damerau_levenshtein(wrong, candidate);
    let nearest = candidates.max_by(|a, b| score(a).total_cmp(&score(b)));
    nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
