//! The flags of all verbs, with their variables and keys.

use clap::{Arg, ArgAction, Command, builder::ValueParser};

/// The verb that shows the configuration has none, and neither has the flag that names the file.
const WITHOUT: &str = "config";

/// The default of a shared flag that has another behind each verb.
const BY_VERB: &str = "(by verb)";

/// A long flag of a verb, or one that several verbs share.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// The verbs that it stands behind, for example `run`, `handler`; empty for one that is shared.
    pub(crate) path: Vec<String>,
    /// Its name without dashes.
    pub(crate) long: String,
    /// Its environment variable.
    pub(crate) variable: String,
    /// Its key in the file, for example `run.handler.workers`.
    pub(crate) key: String,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What it is when nobody says anything; nothing for a flag that is absent then.
    pub(crate) default: Vec<String>,
    /// Checks one value.
    pub(crate) parser: ValueParser,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value: it is given or not.
    Switch,
    /// One value.
    One,
    /// Several values.
    Many,
}

/// The flags of a command and the verbs below it: first the shared ones.
///
/// A flag that is declared with a variable is shared: it means the same behind
/// every verb. The others have variables and keys that begin with their verbs.
pub(crate) fn flags(command: &Command) -> Vec<Flag> {
    let mut found = Vec::new();
    walk(command, &[], &mut found);
    found.sort_by_key(|flag| !flag.path.is_empty());
    found
}

impl Flag {
    /// Whether it is the flag of that name behind those verbs.
    pub(super) fn is(&self, path: &[String], long: &str) -> bool {
        self.long == long && (self.path.is_empty() || self.path == path)
    }

    /// Whether its value must not be shown.
    pub(crate) fn is_secret(&self) -> bool {
        const WORDS: &[&str] = &["credential", "credentials", "key", "passphrase", "password", "secret", "token"];
        self.long.split('-').any(|word| WORDS.contains(&word))
    }
}

fn walk(command: &Command, path: &[String], found: &mut Vec<Flag>) {
    for arg in command.get_arguments() {
        if let Some(flag) = flag(arg, path) {
            match found.iter_mut().find(|known| known.key == flag.key) {
                Some(known) if known.default == flag.default => {}
                Some(known) => known.default = vec![BY_VERB.to_owned()],
                None => found.push(flag),
            }
        }
    }
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != WITHOUT) {
        walk(verb, &[path, &[verb.get_name().to_owned()]].concat(), found);
    }
}

fn flag(arg: &Arg, path: &[String]) -> Option<Flag> {
    let long = arg.get_long()?.to_owned();
    let kind = match arg.get_action() {
        ArgAction::Set => Kind::One,
        ArgAction::Append => Kind::Many,
        ArgAction::SetTrue => Kind::Switch,
        _ => return None,
    };
    if long == WITHOUT {
        return None;
    }
    let declared = arg.get_env().and_then(|name| name.to_str()).map(str::to_owned);
    let path = if declared.is_some() { Vec::new() } else { path.to_vec() };
    let words = [&path[..], std::slice::from_ref(&long)].concat();
    let variable = format!("FACTUM_{}", words.join("_").replace('-', "_").to_uppercase());
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    Some(Flag {
        variable: declared.unwrap_or(variable),
        key: words.join("."),
        path,
        long,
        kind,
        default,
        parser: arg.get_value_parser().clone(),
    })
}
