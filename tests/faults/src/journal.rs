//! What a client writes down: each command before it is sent, each answer
//! before anything follows from it. A kill loses nothing of it, because the
//! system keeps what a process has written; the next process goes on from it.

use factum::{Error, Result};
use factum_bank::{Command, Deposit, Withdraw};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// A command is about to be sent for the first time.
    Sent(Sent),
    /// A command was answered; a repeated one more than once.
    Answered(Answered),
    /// A view was read after it had passed an answer's token.
    Looked(Looked),
    /// A view had not passed an answer's token in time, and said so.
    Behind(String),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Its id.
    pub(crate) id: String,
    /// Whom it is for.
    pub(crate) account: String,
    /// What it asks.
    pub(crate) order: Order,
    /// The version that the account is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<u64>,
}

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// The account's first money.
    Open(i64),
    /// The second half of a transfer: what that withdrawal took, in cents.
    PayIn(i64, String),
    /// The first half of a transfer: so many cents, for that account.
    TakeOut(i64, String),
}

impl Order {
    /// The bank's command.
    pub(crate) fn command(&self) -> Command {
        match self {
            Order::Open(cents) | Order::PayIn(cents, _) => Deposit { cents: *cents }.into(),
            Order::TakeOut(cents, _) => Withdraw { cents: *cents }.into(),
        }
    }

    /// What it adds to the balance, in cents.
    pub(crate) fn change_cents(&self) -> i64 {
        match self {
            Order::Open(cents) | Order::PayIn(cents, _) => *cents,
            Order::TakeOut(cents, _) => -cents,
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// The command.
    pub(crate) id: String,
    /// When, milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// What it says.
    pub(crate) reply: Reply,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Decided.
    Accepted {
        /// The account's version after it.
        version: u64,
        /// How many events it caused.
        events: u32,
        /// The partition and the offset of the token.
        token: Option<(u32, i64)>,
    },
    /// The account does not have so much.
    Refused {
        /// The account's version.
        version: u64,
        /// What it has, in cents.
        balance_cents: i64,
    },
    /// The account had that other version.
    Conflict(u64),
    /// Something that these commands never deserve.
    Other(String),
}

/// A look at a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Looked {
    /// When, milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// At this account's row.
    pub(crate) account: String,
    /// What the token was for: the account's version.
    pub(crate) version: u64,
    /// How many events the row had in it.
    pub(crate) entries: i64,
}

/// A journal that is written.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<File>);

impl Journal {
    /// Opens it, and returns what is in it.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be used, `Data` when it is no journal.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Entry>)> {
        let failed = |error: std::io::Error| Error::unavailable(format!("{}: {error}", path.display()));
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        let text = fs::read_to_string(path).map_err(failed)?;
        // A line that was cut off was never acted upon.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(failed)?;
        Ok((Journal(Mutex::new(file)), parse(&text[..whole]).map_err(|error| error.context(path.display()))?))
    }

    /// Appends an entry.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written.
    pub(crate) fn write(&self, entry: &Entry) -> Result<()> {
        let failed = |why: String| Error::unavailable(format!("the journal cannot be written: {why}"));
        let mut line = serde_json::to_string(entry).map_err(|error| failed(error.to_string()))?;
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(|error| failed(error.to_string()))
    }
}

/// The entries of whole lines.
///
/// # Errors
/// `Data` for a line that is none.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>> {
    let entry = |line: &str| serde_json::from_str(line).map_err(|error| Error::data(format!("{error}: {line}")));
    text.lines().map(entry).collect()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_reads_what_was_written_and_nothing_of_a_line_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let sent = |id: &str| {
            let order = Order::TakeOut(5, "b".to_owned());
            Entry::Sent(Sent { id: id.to_owned(), account: "a".to_owned(), order, expected: None })
        };
        let (journal, before) = Journal::open(&path).unwrap();
        assert_eq!(before, []);
        journal.write(&sent("1")).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"sent\":{\"id\":\"2").unwrap();
        let (journal, before) = Journal::open(&path).unwrap();
        assert_eq!(before, [sent("1")]);
        journal.write(&sent("3")).unwrap();
        assert_eq!(parse(&fs::read_to_string(&path).unwrap()).unwrap(), [sent("1"), sent("3")]);
    }
}
