//! A view that does what another does, slowly.

use factum_core::view::{Recorded, RowLife, Scope, UnknownRecords, View};
use std::{marker::PhantomData, time::Duration};

/// How long each fold takes at least: so long that any other view is faster, on any machine.
pub(crate) const PAUSE: Duration = Duration::from_millis(2);

/// So that it can be stopped within a second.
pub(super) const MAX_RECORDS: usize = 500;

/// Another view with a pause in each fold, as one that waits for something
/// else: what a benchmark puts beside a fast view.
pub(super) struct Slowed<V>(PhantomData<fn() -> V>);

impl<V: View> View for Slowed<V> {
    const NAME: &'static str = "bench_slow";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = V::INPUTS;
    const SCOPE: Scope = V::SCOPE;
    const ROW_LIFE: RowLife = V::ROW_LIFE;
    const INDEXES: &'static [&'static [&'static str]] = V::INDEXES;
    const UNKNOWN: UnknownRecords = V::UNKNOWN;
    type Event = V::Event;
    type Row = V::Row;

    fn keys(event: &Recorded<V::Event>) -> Vec<String> {
        V::keys(event)
    }

    fn fold(key: &str, row: Option<V::Row>, event: &Recorded<V::Event>) -> Option<V::Row> {
        std::thread::sleep(PAUSE);
        V::fold(key, row, event)
    }
}
