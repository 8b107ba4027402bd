//! Reading one's own writes: a view that has passed the position of a reply.

use crate::Rows;
use factum_core::{Error, Offset, Result, Topic, TopicPartition, view::ViewTable, wire::Token};
use std::{
    fmt, thread,
    time::{Duration, Instant},
};

/// The most tokens of one query.
pub const MAX_TOKENS: usize = 64;
/// Between the first two looks at the progress; it doubles up to [`SLOWEST_LOOK`].
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Between two looks at the progress, in the end.
const SLOWEST_LOOK: Duration = Duration::from_millis(50);

/// A position that a view has not passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// The partition.
    pub place: TopicPartition,
    /// The next record that the view will apply there; 0 where it has not begun.
    pub position: Offset,
    /// The last record that was asked for.
    pub wanted: Offset,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Behind { place, position, wanted } = self;
        write!(f, "at {place} its next record is {position}, and {wanted} was asked for")
    }
}

/// Positions that a view of these topics is to have passed.
#[derive(Debug, Clone, Copy)]
pub struct Tokens<'a> {
    /// The view.
    pub table: &'a ViewTable,
    /// The events topics that it reads.
    pub topics: &'a [Topic],
    /// The positions.
    pub tokens: &'a [Token],
}

impl Tokens<'_> {
    /// Those of them that the view has not passed; its progress is that of all its instances.
    ///
    /// # Errors
    /// `Invalid`: a token is of a topic that the view does not read, or of another topic that had
    /// the same name; there are more than [`MAX_TOKENS`]; or the view was never built.
    pub fn behind(&self, rows: &dyn Rows) -> Result<Vec<Behind>> {
        self.check()?;
        if self.tokens.is_empty() {
            return Ok(Vec::new());
        }
        let progress = rows.progress(self.table)?;
        let mut behind = Vec::new();
        for token in self.tokens {
            let found = progress.iter().find(|progress| progress.place == token.place);
            if let (Some(found), Some(id)) = (found, token.topic_id)
                && found.topic_id != id
            {
                return Err(Error::invalid(format!(
                    "the token {token} is of another topic of that name: view {view} reads the one with the id {own}; ask \
                     without the token",
                    view = self.table.view(),
                    own = found.topic_id
                )));
            }
            let position = found.map_or(Offset(0), |progress| progress.position);
            if position <= token.offset {
                behind.push(Behind { place: token.place.clone(), position, wanted: token.offset });
            }
        }
        Ok(behind)
    }

    /// Waits until the view has passed all of them.
    ///
    /// # Errors
    /// Those of [`Tokens::behind`]; `Unavailable` when it has not after so long, with how far it is.
    pub fn wait(&self, rows: &dyn Rows, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut pause = FIRST_LOOK;
        loop {
            let behind = self.behind(rows)?;
            let Some(first) = behind.first() else { return Ok(()) };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Error::unavailable(format!(
                    "view {} is behind after {:.1} s: {first}; wait longer, ask again later, or ask for stale rows",
                    self.table.view(),
                    patience.as_secs_f64()
                )));
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(SLOWEST_LOOK);
        }
    }

    fn check(&self) -> Result<()> {
        if self.tokens.len() > MAX_TOKENS {
            return Err(Error::invalid(format!("{} position tokens are more than {MAX_TOKENS}", self.tokens.len())));
        }
        match self.tokens.iter().find(|token| !self.topics.contains(&token.place.topic)) {
            Some(token) => {
                let topics: Vec<&str> = self.topics.iter().map(Topic::as_str).collect();
                let view = self.table.view();
                let topics = topics.join(", ");
                Err(Error::invalid(format!(
                    "view {view} does not read the topic of the token {token}: it reads {topics}"
                )))
            }
            None => Ok(()),
        }
    }
}
