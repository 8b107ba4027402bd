//! States that are kept on the way, so that a past one is folded from near by.

use super::{entry::as_bytes, key};
use crate::host::Fold;
use factum_core::{
    ErrorKind, Fingerprint, Result, TopicId, Version,
    view::{Commit, Compare, Parking, RowShape, Value, ViewTable},
};
use factum_views::{Query, Rows, Sink};
use serde::{Deserialize, Serialize};

/// A state is kept after so many events of an aggregate.
pub(crate) const KEPT_EVERY: u64 = 500;

/// A kept state, by its key: that of the event's row with the fold's fingerprint
/// before the version. They are a cache: what is not there is folded again, and
/// a fold that has changed keeps states of its own, and has those of earlier ones deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptState {
    /// The identity of the events topic: one that was made anew has other events.
    topic_id: String,
    /// In the state's schema.
    #[serde(with = "as_bytes")]
    state: Vec<u8>,
}

/// What is to be written to the kept states.
#[derive(Debug, Default)]
pub(crate) struct Keeping {
    /// By their keys.
    states: Vec<(String, Vec<Value>)>,
    /// The keys of states that another fold of the same aggregates has kept.
    of_other_folds: Vec<String>,
}

/// The most states of other folds that are deleted with those that an aggregate's fold keeps.
const MAX_DELETES: usize = 1_000;

/// The table of the kept states.
pub(crate) fn table() -> Result<ViewTable> {
    ViewTable::new("journal_states", 1, RowShape::<KeptState>::learn()?.columns().to_vec())
}

fn state_key(start: &str, fingerprint: Fingerprint, version: Version) -> String {
    key::key_of(&format!("{start}{fingerprint}/"), version)
}

/// A fold of one aggregate's events that goes on from kept states and keeps more.
pub(crate) struct KeepingFold {
    fold: Box<dyn Fold>,
    start: String,
    topic_id: TopicId,
    /// The version that was gone on from.
    from: Version,
    folded: u64,
    kept: Vec<(String, Vec<Value>)>,
}

impl KeepingFold {
    /// Begins with the latest state that was kept up to a version.
    ///
    /// # Errors
    /// What the database says; `Data` when the state cannot be read.
    pub(crate) fn begin(
        mut fold: Box<dyn Fold>,
        rows: &dyn Rows,
        start: &str,
        topic_id: TopicId,
        up_to: Version,
    ) -> Result<Self> {
        let fingerprint = fold.fingerprint();
        let (low, high) = (state_key(start, fingerprint, Version::NONE), state_key(start, fingerprint, up_to));
        let filter =
            format!("key >= {} and key <= {} and topic_id = '{topic_id}'", key::quoted(&low), key::quoted(&high));
        let query = Query::new(&table()?).filtered(&filter)?.ordered("-key")?.limited(1)?;
        let found = match rows.page(&query) {
            Ok(mut page) => page.rows.pop(),
            // None was ever kept in this database.
            Err(error) if error.kind() == ErrorKind::Invalid => None,
            Err(error) => return Err(error),
        };
        if let Some([Value::Text(key), _, Value::Bytes(state)]) = found.as_deref()
            && let Some(version) = key::version_of(key)
        {
            fold.restore(version, state)?;
        }
        let from = fold.version();
        Ok(KeepingFold { fold, start: start.to_owned(), topic_id, from, folded: 0, kept: Vec::new() })
    }

    /// Takes the next event. Versions may be left out; then no more states are kept.
    ///
    /// # Errors
    /// Those of the fold.
    pub(crate) fn apply(&mut self, version: Version, payload: &[u8]) -> Result<()> {
        self.fold.apply_value(version, payload)?;
        self.folded += 1;
        if version.0.is_multiple_of(KEPT_EVERY) && version == self.from.plus(self.folded) {
            let state = KeptState { topic_id: self.topic_id.to_string(), state: self.fold.save()? };
            let key = state_key(&self.start, self.fold.fingerprint(), version);
            self.kept.push((key, vec![Value::Text(state.topic_id), Value::Bytes(state.state)]));
        }
        Ok(())
    }

    /// Its state so far.
    pub(crate) fn fold(&self) -> &dyn Fold {
        &*self.fold
    }

    /// How many events were folded on top of the state that it began with.
    pub(crate) fn folded(&self) -> u64 {
        self.folded
    }

    /// How many events before the last one were left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.fold.version().0 - self.from.0 - self.folded
    }

    /// The states to be kept, and those of other folds that they take the place of.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn into_kept(self, rows: &dyn Rows) -> Result<Keeping> {
        if self.kept.is_empty() {
            return Ok(Keeping::default());
        }
        let Self { start, fold, .. } = &self;
        let own = format!("{start}{}", fold.fingerprint());
        // `0` is the character after `/`. A fingerprint is hexadecimal digits: no other aggregate is between these.
        let [low, own_low, own_high, high] =
            [format!("{start}0"), format!("{own}/"), format!("{own}0"), format!("{start}g")]
                .map(|key| key::quoted(&key));
        let filter = format!("key >= {low} and key < {own_low} or key >= {own_high} and key < {high}");
        let query = Query::new(&table()?).filtered(&filter)?.projected("key")?.limited(MAX_DELETES)?;
        let found = match rows.page(&query) {
            Ok(page) => page.rows,
            // None was ever kept in this database.
            Err(error) if error.kind() == ErrorKind::Invalid => Vec::new(),
            Err(error) => return Err(error),
        };
        let key = |row: Vec<Value>| match row.into_iter().next() {
            Some(Value::Text(key)) => Some(key),
            _ => None,
        };
        Ok(Keeping { states: self.kept, of_other_folds: found.into_iter().filter_map(key).collect() })
    }
}

impl Keeping {
    /// Adds that of another aggregate.
    pub(crate) fn append(&mut self, mut other: Keeping) {
        self.states.append(&mut other.states);
        self.of_other_folds.append(&mut other.of_other_folds);
    }
}

/// Keeps states. They follow from the log alone, so no progress moves with them.
///
/// # Errors
/// What the database says.
pub(crate) fn keep(sink: &mut dyn Sink, keeping: Keeping) -> Result<()> {
    let Keeping { mut states, mut of_other_folds } = keeping;
    if states.is_empty() {
        return Ok(());
    }
    states.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    of_other_folds.sort_unstable();
    sink.commit(&Commit {
        upserts: states,
        deletes: of_other_folds,
        watermarks: Vec::new(),
        moves: Vec::new(),
        parking: Parking::default(),
        compare: Compare::Nothing,
    })?;
    Ok(())
}

#[cfg(test)]
mod tests;
