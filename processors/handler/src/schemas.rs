//! Fetching schemas beside the hot loop.

use crate::Surroundings;
use factum_core::Result;
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
};

/// Makes the schema of an id known to the codec. Called on a thread of its own; it may take seconds.
///
/// Errors: `Data` when the registry does not have it, `Unavailable` when it cannot be asked.
pub type SchemaFetch = Arc<dyn Fn(u32) -> Result<()> + Send + Sync>;

/// The fetches under way.
pub struct Fetches {
    fetch: SchemaFetch,
    surroundings: Surroundings,
    under_way: BTreeSet<u32>,
    sender: SyncSender<(u32, Result<()>)>,
    receiver: Receiver<(u32, Result<()>)>,
}

/// More than partitions of one worker, each of which waits for one schema at most.
const MAX_UNDER_WAY: usize = 1_024;

impl Fetches {
    /// None yet.
    pub fn new(fetch: SchemaFetch, surroundings: Surroundings) -> Self {
        let (sender, receiver) = sync_channel(MAX_UNDER_WAY);
        Fetches { fetch, surroundings, under_way: BTreeSet::new(), sender, receiver }
    }

    /// Starts to fetch, unless it is under way.
    pub fn start(&mut self, id: u32) {
        if !self.under_way.insert(id) {
            return;
        }
        let (fetch, sender) = (self.fetch.clone(), self.sender.clone());
        let errand = {
            let sender = sender.clone();
            // The worker that asked may be gone; then nobody waits for this.
            Box::new(move || sender.send((id, fetch(id))).unwrap_or_default())
        };
        if let Err(error) = (self.surroundings.spawn)(&format!("schema-{id}"), errand) {
            sender.try_send((id, Err(error))).unwrap_or_default();
        }
    }

    /// What arrived.
    pub fn arrived(&mut self) -> Option<(u32, Result<()>)> {
        match self.receiver.try_recv() {
            Ok((id, result)) => {
                self.under_way.remove(&id);
                Some((id, result))
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
        }
    }

    /// Whether there are some.
    pub fn any(&self) -> bool {
        !self.under_way.is_empty()
    }
}

impl fmt::Debug for Fetches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetches").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}
