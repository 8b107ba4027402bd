//! Fetching schemas beside the loop, which goes on with other partitions.

use factum_core::{Error, Result};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

/// Makes the schema of an id known to the codec. Called on a thread of its own; it may take seconds.
///
/// Errors: `Data` when the registry does not have it, `Unavailable` when it cannot be asked; the view asks again
/// with a backoff after any.
pub type SchemaFetch = Arc<dyn Fn(u32) -> Result<()> + Send + Sync>;

/// Does something beside the loop, under this name.
///
/// Errors: `Unavailable` when it cannot be begun now.
pub type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> Result<()>;

/// Does it on a thread of its own.
pub(crate) fn spawn_thread(name: &str, errand: Box<dyn FnOnce() + Send>) -> Result<()> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(errand);
    spawned.map(drop).map_err(|error| Error::unavailable(format!("no thread {name}: {error}")))
}

/// The fetches under way.
pub(crate) struct Fetches {
    fetch: SchemaFetch,
    spawn: Spawn,
    under_way: BTreeSet<u32>,
    sender: SyncSender<(u32, Result<()>)>,
    receiver: Receiver<(u32, Result<()>)>,
}

/// More than partitions of one instance, each of which waits for one schema at most.
const MAX_UNDER_WAY: usize = 1_024;

impl Fetches {
    pub(crate) fn new(fetch: SchemaFetch, spawn: Spawn) -> Self {
        let (sender, receiver) = sync_channel(MAX_UNDER_WAY);
        Fetches { fetch, spawn, under_way: BTreeSet::new(), sender, receiver }
    }

    /// Starts to fetch, unless it is under way.
    pub(crate) fn start(&mut self, id: u32) {
        if !self.under_way.insert(id) {
            return;
        }
        let (fetch, sender) = (self.fetch.clone(), self.sender.clone());
        // The view that asked may be gone; then nobody waits for this.
        let errand = move || sender.send((id, fetch(id))).unwrap_or_default();
        if let Err(error) = (self.spawn)(&format!("view-schema-{id}"), Box::new(errand)) {
            self.sender.try_send((id, Err(error))).unwrap_or_default();
        }
    }

    /// What arrived.
    pub(crate) fn next(&mut self) -> Option<(u32, Result<()>)> {
        let (id, result) = self.receiver.try_recv().ok()?;
        self.under_way.remove(&id);
        Some((id, result))
    }
}

impl fmt::Debug for Fetches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetches").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}
