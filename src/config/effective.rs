//! What holds now, and who said so.

use super::{Flag, Settings};
use clap::{
    ArgMatches,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use std::{env, fmt};

/// A flag's value and where it is from.
#[derive(Debug)]
pub(crate) struct Effective<'a> {
    /// The flag.
    pub(crate) flag: &'a Flag,
    /// Its value for people, masked if it is secret; none when it is absent.
    pub(crate) value: Option<String>,
    /// Who said so.
    pub(crate) origin: Origin,
}

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// The flag's variable.
    Environment,
    /// That line of the file.
    File(usize),
    /// Nobody.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment => f.write_str("environment"),
            Origin::File(line) => write!(f, "file, line {line}"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What holds for each flag when none of its verb is given. `matches` are those
/// of the command line in use, which may name the flags that all verbs share.
pub(crate) fn effective<'a>(flags: &'a [Flag], settings: &Settings, matches: &ArgMatches) -> Vec<Effective<'a>> {
    flags.iter().map(|flag| one(flag, settings, matches)).collect()
}

fn one<'a>(flag: &'a Flag, settings: &Settings, matches: &ArgMatches) -> Effective<'a> {
    let (values, origin) = if let Some(given) = given(flag, matches) {
        (given, Origin::Flag)
    } else if let Some(value) = env::var_os(&flag.variable) {
        (vec![value.to_string_lossy().into_owned()], Origin::Environment)
    } else if let Some(setting) = settings.get(&flag.key) {
        (setting.values.clone(), Origin::File(setting.line))
    } else {
        (flag.default.clone(), Origin::Default)
    };
    let value = values.join(",");
    let value =
        (!values.is_empty()).then(|| if flag.is_secret() { "***".to_owned() } else { without_userinfo(&value) });
    Effective { flag, value, origin }
}

/// What stands on the command line of a flag that every verb takes.
fn given(flag: &Flag, matches: &ArgMatches) -> Option<Vec<String>> {
    let id = flag.long.replace('-', "_");
    let known = flag.path.is_empty() && matches.try_contains_id(&id).is_ok();
    if !known || matches.value_source(&id) != Some(ValueSource::CommandLine) {
        return None;
    }
    Some(matches.get_raw(&id)?.map(|value| value.to_string_lossy().into_owned()).collect())
}

/// The text without what stands before the `@` of a URL: it may be a password.
fn without_userinfo(text: &str) -> String {
    let hide = |url: &str| match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://***@{host}{path}"),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    };
    text.split(',').map(hide).collect::<Vec<_>>().join(",")
}

/// An error of the command line without a value that may hold a password: what is
/// wrong with a URL can be where it ends, so such a value is not shown at all.
pub(crate) fn without_secrets(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && (value.contains('@') || value.contains("://") && value.contains('?'))
    {
        error.insert(ContextKind::InvalidValue, ContextValue::String("***".to_owned()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        let urls = "https://anna:pw@one:8081/a@b,http://two";
        assert_eq!(without_userinfo(urls), "https://***@one:8081/a@b,http://two");
        assert_eq!(without_userinfo("localhost:9092"), "localhost:9092");
    }

    #[test]
    fn a_value_that_may_hold_a_password_is_not_quoted_by_an_error() {
        let told = |value: &str| {
            let port = clap::Arg::new("to").long("to").value_parser(clap::value_parser!(u16));
            let error = clap::Command::new("check").arg(port).try_get_matches_from(["check", "--to", value]);
            without_secrets(error.unwrap_err()).to_string().lines().next().unwrap().to_owned()
        };
        let hidden = "error: invalid value '***' for '--to <to>': invalid digit found in string";
        for value in ["postgres://ada:s3cret@db/x", "postgres:ada:s3/cret@db", "postgres://db/x?password=s3cret"] {
            assert_eq!(told(value), hidden);
        }
        assert_eq!(told("db:5432"), hidden.replace("***", "db:5432"));
    }
}
