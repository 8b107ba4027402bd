//! Operators who look after what views have parked: two of them, who do not know of each other.

use crate::{
    bank::Bank,
    fault::Fault,
    folds::{Accounts, Totals},
    log::SimulatedLog,
    poison,
    random::Random,
    sink::SimulatedSink,
    world::{Actor, World, unless_killed},
};
use factum_bank::Event;
use factum_core::{
    Error, ErrorKind, Result,
    view::{Parked, View, ViewTable},
};
use factum_views::{Doing, MemoryDatabase, MemorySink, ParkedFilter, ParkedRecords as _, Redriver, Tally, drop_parked};
use std::sync::Arc;

/// Parked keys that are looked at.
const KEYS: usize = 20;

/// An operator with the verbs of production: `parked list`, `redrive` and `drop`.
pub(crate) struct Keeper {
    bank: Bank,
    database: MemoryDatabase,
    random: Random,
    /// What was found parked, to be acted on at the next turn: others may be faster.
    accounts: Option<Parked>,
    totals: Option<Parked>,
    said: String,
}

impl Keeper {
    pub(crate) fn new(number: u64, seed: u64, bank: &Bank, database: &MemoryDatabase) -> Self {
        let random = Random::named(seed, &format!("keeper {number}"));
        let (bank, database) = (bank.clone(), database.clone());
        Keeper { bank, database, random, accounts: None, totals: None, said: String::new() }
    }

    fn sink<V: View>(&self, world: &Arc<World>) -> Result<SimulatedSink> {
        Ok(SimulatedSink::new(world, MemorySink::open(&self.database, ViewTable::of::<V>()?)?))
    }

    /// Acts on what was found, and else looks for something.
    fn round<V: View<Event = Event>>(&mut self, world: &Arc<World>, found: Option<Parked>) -> Result<Option<Parked>> {
        let mut sink = self.sink::<V>(world)?;
        let Some(first) = found else {
            let mut keys = sink.parked_keys(&ParkedFilter::default(), None, KEYS)?;
            let chosen = self.random.index(keys.len());
            return Ok((!keys.is_empty()).then(|| keys.swap_remove(chosen).first));
        };
        match self.act::<V>(world, &mut sink, &first) {
            Ok(Tally { records, failed }) => {
                world.count(if failed.is_some() { Fault::RedriveFailed } else { Fault::Redriven });
                self.said = format!("{records} records of {} in {}: {failed:?}", first.aggregate, V::NAME);
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                world.count(Fault::RedriveRefused);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn act<V: View<Event = Event>>(
        &mut self,
        world: &Arc<World>,
        sink: &mut SimulatedSink,
        first: &Parked,
    ) -> Result<Tally> {
        let doing = match world.strikes(Fault::GivenUp) {
            true if self.random.chance(50_000) => {
                sink.gives_up();
                let records = drop_parked(sink, first, &|| false, &mut |_| {})?;
                return Ok(Tally { records, failed: None });
            }
            true => {
                sink.gives_up();
                Doing::GiveUpFirst
            }
            false if self.random.chance(10_000) => Doing::Try,
            false => Doing::Apply,
        };
        let codec = self.bank.process();
        let fetch = codec.fetch(world, Fault::RegistryAtView);
        let log = SimulatedLog::new(world, Fault::LogAtView);
        let redriver = Redriver { log: &log, fetch_schema: &|id| fetch(id), is_stopped: &|| false };
        // With the programs that are deployed, be they good or not.
        poison::running(world.release(V::NAME), || {
            redriver.redrive::<V, _>(&|| Ok(codec.clone()), sink, first, doing, &mut |_| {})
        })
    }

    fn turn(&mut self, world: &Arc<World>) -> Result<(), Error> {
        if self.random.chance(50_000) {
            let found = self.accounts.take();
            self.accounts = self.round::<Accounts>(world, found)?;
        } else {
            let found = self.totals.take();
            self.totals = self.round::<Totals>(world, found)?;
        }
        Ok(())
    }
}

impl Actor for Keeper {
    fn step(&mut self, world: &Arc<World>) {
        let works = if world.is_calm() { world.is_redriving() } else { self.random.chance(20_000) };
        if works && let Some(Err(error)) = unless_killed(|| self.turn(world)) {
            self.said = error.to_string();
        }
    }

    fn is_done(&self, world: &World) -> bool {
        let is_free = |table: Result<ViewTable>| {
            let sink = table.and_then(|table| MemorySink::open(&self.database, table));
            sink.and_then(|mut sink| sink.count_parked()).is_ok_and(|counts| counts.is_empty())
        };
        !world.is_redriving() || is_free(ViewTable::of::<Accounts>()) && is_free(ViewTable::of::<Totals>())
    }

    fn describe(&self) -> String {
        format!("a keeper of parked keys: {}", self.said)
    }
}
