//! Reading one's own writes: rows of the view, asked for with the token of an answer.

use crate::journal::{Entry, Looked, now_ms};
use factum::{
    Database, Result, Topic,
    view::{Value, ViewTable},
    views::{Query, Rows, Tokens},
    wire::Token,
};
use factum_bank::Balances;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// Looks that wait; more are left out.
const WAITING: usize = 4;
/// A view that is behind for longer says so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where looks are asked for.
#[derive(Debug)]
pub(crate) struct Reads(Mutex<Option<SyncSender<Ask>>>);

#[derive(Debug)]
struct Ask {
    account: String,
    version: u64,
    token: Token,
}

/// Looks.
#[derive(Debug)]
pub(crate) struct Reader {
    asks: Receiver<Ask>,
    rows: Arc<dyn Rows>,
    table: ViewTable,
}

impl Reads {
    /// At the balances in that database.
    ///
    /// # Errors
    /// `Invalid` for a URL that is none.
    pub(crate) fn start(views: &str) -> Result<(Self, Reader)> {
        let (send, asks) = sync_channel(WAITING);
        let reader = Reader { asks, rows: Database::parse(views)?.rows(), table: ViewTable::of::<Balances>()? };
        Ok((Reads(Mutex::new(Some(send))), reader))
    }

    /// Has a look at an account's row once the view has passed the token.
    pub(crate) fn ask(&self, account: &str, version: u64, token: Token) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            // A full queue leaves it out: a look is a sample.
            sender.try_send(Ask { account: account.to_owned(), version, token }).unwrap_or_default();
        }
    }

    /// No more.
    pub(crate) fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Reader {
    /// Looks until nobody asks any more.
    ///
    /// # Errors
    /// What `tell` says.
    pub(crate) fn run(self, tell: impl Fn(Entry) -> Result<()>) -> Result<()> {
        while let Ok(ask) = self.asks.recv() {
            // A database that is away and a view that is behind say so, and promise nothing.
            tell(self.look(&ask).unwrap_or_else(|error| Entry::Behind(error.to_string())))?;
        }
        Ok(())
    }

    fn look(&self, ask: &Ask) -> Result<Entry> {
        let topics: [Topic; 1] = [ask.token.place.topic.clone()];
        let tokens = Tokens { table: &self.table, topics: &topics, tokens: std::slice::from_ref(&ask.token) };
        tokens.wait(&*self.rows, PATIENCE)?;
        let page = self.rows.page(&Query::of_key(&self.table, &ask.account))?;
        let column = page.columns.iter().position(|column| column == "entries");
        let entries = page.rows.first().zip(column).and_then(|(row, column)| row.get(column));
        let entries = match entries {
            Some(Value::Integer(entries)) => *entries,
            // No row is no event.
            _ => 0,
        };
        Ok(Entry::Looked(Looked { at_ms: now_ms(), account: ask.account.clone(), version: ask.version, entries }))
    }
}
