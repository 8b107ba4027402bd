//! The flags of all verbs, with their variables and keys.

use super::VARIABLES;
use clap::{Arg, ArgAction, Command, builder::ValueParser};

/// The verb that shows the configuration has none, and neither has the flag that names the file.
const WITHOUT: &str = "config";
/// A verb that is also a shared key: the file cannot have a table of that name.
const WITHOUT_TABLE: &str = "kafka";

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
    /// Whether it is this one behind those verbs.
    pub(super) fn is(&self, path: &[String], arg: &Arg) -> bool {
        match arg.get_env() {
            Some(variable) => self.path.is_empty() && *variable == *self.variable,
            None => self.path == path && arg.get_long() == Some(&self.long),
        }
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
    if declared.is_none() && path.first().is_some_and(|verb| verb == WITHOUT_TABLE) {
        return None;
    }
    let words = [path, std::slice::from_ref(&long)].concat();
    let (path, key, variable) = match declared {
        // Verbs may have a shorter name for what they share, as `kafka start --data`.
        Some(variable) => {
            let name = variable.strip_prefix(VARIABLES).unwrap_or(&variable);
            (Vec::new(), name.replace('_', "-").to_lowercase(), variable)
        }
        None => {
            let name = words.join("_").replace('-', "_").to_uppercase();
            (path.to_vec(), words.join("."), format!("{VARIABLES}{name}"))
        }
    };
    let default = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    Some(Flag { variable, key, path, long, kind, default, parser: arg.get_value_parser().clone() })
}
