//! PostgreSQL's errors by what the caller does next.

use super::tls::advice;
use factum_core::{Error, ErrorKind};
use std::{error::Error as _, io};
use tokio_postgres::error::SqlState;

/// The kind of an SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
pub(super) fn kind_of_state(state: &SqlState) -> ErrorKind {
    let code = state.code();
    match code {
        // Waiting for a lock, a statement that was cancelled, a transaction that was open and idle for too
        // long, a server that is a standby now, a table that is being altered.
        "55P03" | "57014" | "25P03" | "25006" | "55006" => ErrorKind::Unavailable,
        _ => kind_of_class(&code[..2]),
    }
}

/// The kind of a class of SQLSTATEs, their first two characters.
fn kind_of_class(class: &str) -> ErrorKind {
    match class {
        // Connection lost; serialization and deadlock; out of disk, memory or connections; a server that
        // stops, starts or crashed; its disk or system failed.
        "08" | "40" | "53" | "57" | "58" => ErrorKind::Unavailable,
        // A value that does not fit; a constraint, or a trigger's own error (`RAISE` gives P0001), about a row.
        "22" | "23" | "44" | "P0" => ErrorKind::Data,
        // Statements, rights, names, settings; a server that is damaged.
        _ => ErrorKind::Invalid,
    }
}

/// What the caller does next.
fn kind_of(error: &tokio_postgres::Error) -> ErrorKind {
    if let Some(state) = error.code() {
        return kind_of_state(state);
    }
    if error.is_closed() || is_of_io(error) { ErrorKind::Unavailable } else { ErrorKind::Invalid }
}

/// Whether the network, or a file, is at the bottom of it.
fn is_of_io(error: &tokio_postgres::Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Whether a statement named a table that there is not.
pub(super) fn is_no_table(error: &Error) -> bool {
    error.to_string().contains("(SQLSTATE 42P01)")
}

/// An error of the database `name`, which is a URL without its password.
pub(super) fn failed(name: &str, doing: &str, error: tokio_postgres::Error) -> Error {
    let why = match error.as_db_error() {
        // Not its detail, which quotes rows.
        Some(of_server) => {
            let hint = of_server.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{} (SQLSTATE {}){hint}", of_server.message(), of_server.code().code())
        }
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    };
    let advice = advice(&why).map(|advice| format!("; {advice}")).unwrap_or_default();
    Error::new(kind_of(&error), format!("postgresql database {name}: {doing}: {why}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::ErrorClass;

    /// Every class of the appendix, with what becomes of its states.
    #[test]
    fn every_class_of_states_is_classified_on_purpose() {
        let classes = [
            (ErrorClass::Transient, "08 40 53 57 58"),
            (ErrorClass::Poison, "22 23 44 P0"),
            (
                ErrorClass::Fatal,
                "00 01 02 03 09 0A 0B 0F 0L 0P 0Z 20 21 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 42 54 55 72 F0 HV XX",
            ),
        ];
        for (expected, classes) in classes {
            for class in classes.split(' ') {
                assert_eq!(kind_of_class(class).class(), expected, "class {class}");
            }
        }
    }

    #[test]
    fn states_say_whether_to_try_again() {
        let kind = |code| kind_of_state(&SqlState::from_code(code));
        let again = [
            ("40001", "serialization failure"),
            ("40P01", "deadlock"),
            ("57P01", "admin shutdown"),
            ("57P02", "crash shutdown"),
            ("57P03", "cannot connect now"),
            ("53300", "too many connections"),
            ("53100", "disk full"),
            ("53200", "out of memory"),
            ("58030", "i/o error"),
            ("08006", "connection failure"),
            ("55P03", "lock not available"),
            ("57014", "query cancelled"),
            ("25P03", "idle in transaction for too long"),
            ("25006", "read only"),
        ];
        for (code, what) in again {
            assert_eq!(kind(code), ErrorKind::Unavailable, "{what}");
        }
        let of_a_row = [
            ("22021", "not in the repertoire"),
            ("22003", "out of range"),
            ("23502", "not null"),
            ("23514", "check"),
            ("P0001", "raised by a trigger"),
        ];
        for (code, what) in of_a_row {
            assert_eq!(kind(code), ErrorKind::Data, "{what}");
        }
        let refused = [
            ("42703", "no such column"),
            ("42P01", "no such table"),
            ("28P01", "wrong password"),
            ("3D000", "no such database"),
            ("XX001", "corrupted"),
            ("0A000", "a cached plan's type changed"),
        ];
        for (code, what) in refused {
            assert_eq!(kind(code), ErrorKind::Invalid, "{what}");
        }
    }
}
