//! Who is in a simulation, whose turn it is, and what goes wrong.

use crate::{
    fault::{Fault, Profile, Struck},
    handler::{PARTITIONS, WINDOW},
    notes::Notes,
    poison::Code,
    random::Random,
    time,
};
use factum_bank::Account;
use factum_core::{
    Error, Offset, Partition, Result, TimestampMs, Topic, TopicPartition, Topics, Version,
    log::{Isolation, Log as _},
};
use factum_log_memory::MemoryLog;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many processes hang in the middle of a call at once, each within the time of the one before it.
const MAX_DEPTH: usize = 3;
/// The longest that one turn takes, in milliseconds.
const TURN_MS: i64 = 20;

/// The silent members of a group are removed after so many milliseconds.
pub(crate) const SESSION_MS: i64 = 1_000;

/// A process, or somebody at a keyboard.
pub(crate) trait Actor: Send {
    /// One turn.
    fn step(&mut self, world: &Arc<World>);

    /// Whether it has nothing left to do; said when nothing goes wrong any more.
    fn is_done(&self, world: &World) -> bool;

    /// What it is doing, for a run that does not come to its end.
    fn describe(&self) -> String;

    /// The partitions of the handler that it has and that are ready.
    fn partitions(&self) -> Vec<Partition> {
        Vec::new()
    }

    /// Whether it is a view's process that runs.
    fn is_view(&self) -> bool {
        false
    }

    /// All that was written is gone, and what it knew of it.
    fn begins_anew(&mut self, _world: &World) {}

    /// An account in its memory.
    fn state(&self, _account: &str) -> Option<(Account, Version)> {
        None
    }
}

/// A simulation's world.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) log: MemoryLog,
    pub(crate) topics: Topics,
    state: Mutex<State>,
    cast: Mutex<Vec<Option<Box<dyn Actor>>>>,
    notes: Mutex<Notes>,
}

struct State {
    random: Random,
    /// Each fault's own chance.
    dice: BTreeMap<Fault, Random>,
    profile: Profile,
    struck: Struck,
    chaos: bool,
    depth: usize,
    turns: u64,
    log_back: TimestampMs,
    registry_back: TimestampMs,
    database_back: TimestampMs,
    /// No client knows its generation.
    unsettled: bool,
    /// The process whose turn it is was told that it is no member.
    nameless: bool,
    /// Whoever has its turn is about to leave its group.
    leaves: bool,
    /// An operator has all handlers stopped.
    handlers_held: bool,
    /// An operator has all views stopped.
    views_held: bool,
    /// What each view's programs do from their next start on.
    releases: BTreeMap<&'static str, Code>,
    /// An operator has left records of a view out, and is going to build it anew.
    skipping: bool,
    /// Whatever is parked is to be redriven now.
    redriving: bool,
}

/// A process was killed: unwinds to its actor.
pub(crate) struct Killed;

impl World {
    pub(crate) fn new(log: MemoryLog, topics: Topics, seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            dice: Fault::ALL.iter().map(|fault| (*fault, Random::named(seed, fault.name()))).collect(),
            profile: Profile::draw(seed),
            struck: Struck::default(),
            chaos: true,
            depth: 0,
            turns: 0,
            log_back: TimestampMs(0),
            registry_back: TimestampMs(0),
            database_back: TimestampMs(0),
            unsettled: false,
            nameless: false,
            leaves: false,
            handlers_held: false,
            views_held: false,
            releases: BTreeMap::new(),
            skipping: false,
            redriving: false,
        };
        World {
            seed,
            log,
            topics,
            state: Mutex::new(state),
            cast: Mutex::default(),
            notes: Mutex::new(Notes::new(PARTITIONS, WINDOW)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // One thread has it, and a killed process unwinds.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cast(&self) -> MutexGuard<'_, Vec<Option<Box<dyn Actor>>>> {
        self.cast.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, actor: Box<dyn Actor>) {
        self.cast().push(Some(actor));
    }

    pub(crate) fn dismiss_all(&self) {
        self.cast().clear();
    }

    /// Looks at everybody who is not in the middle of a turn.
    pub(crate) fn each(&self, mut look: impl FnMut(&dyn Actor)) {
        self.cast().iter().flatten().for_each(|actor| look(&**actor));
    }

    /// Everything that was written is gone, and with it what anybody noted about it.
    pub(crate) fn begin_anew(&self) {
        *self.notes() = Notes::new(PARTITIONS, WINDOW);
        let mut cast = std::mem::take(&mut *self.cast());
        cast.iter_mut().flatten().for_each(|actor| actor.begins_anew(self));
        *self.cast() = cast;
        let mut state = self.state();
        (state.chaos, state.redriving) = (true, false);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.state().turns
    }

    pub(crate) fn struck(&self) -> Struck {
        self.state().struck.clone()
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        state.chaos = false;
        (state.log_back, state.registry_back, state.database_back) = (TimestampMs(0), TimestampMs(0), TimestampMs(0));
    }

    pub(crate) fn is_calm(&self) -> bool {
        !self.state().chaos
    }

    /// Ends the code that cannot apply some events, and what is parked is to be redriven.
    pub(crate) fn redrive_all(&self) {
        let mut state = self.state();
        state.releases.clear();
        state.redriving = true;
    }

    pub(crate) fn is_redriving(&self) -> bool {
        self.state().redriving
    }

    /// The programs of a view that are deployed.
    pub(crate) fn release(&self, view: &str) -> Code {
        self.state().releases.get(view).copied().unwrap_or_default()
    }

    pub(crate) fn deploy(&self, view: &'static str, code: Code) {
        self.state().releases.insert(view, code);
    }

    pub(crate) fn set_skipping(&self, skipping: bool) {
        self.state().skipping = skipping;
    }

    pub(crate) fn is_skipping(&self) -> bool {
        self.state().skipping
    }

    /// Whether somebody hangs in the middle of a turn.
    pub(crate) fn does_somebody_hang(&self) -> bool {
        self.state().depth > 0
    }

    /// Lets no client know its generation.
    pub(crate) fn unsettle(&self, unsettled: bool) {
        self.state().unsettled = unsettled;
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.state().unsettled
    }

    /// Whoever commits now leaves its group after its turn.
    pub(crate) fn wants_to_leave(&self) {
        self.state().leaves = true;
    }

    /// Whether whoever had its turn wants to leave.
    pub(crate) fn takes_leave(&self) -> bool {
        std::mem::take(&mut self.state().leaves)
    }

    pub(crate) fn hold_handlers(&self, held: bool) {
        self.state().handlers_held = held;
    }

    pub(crate) fn are_handlers_held(&self) -> bool {
        self.state().handlers_held
    }

    pub(crate) fn hold_views(&self, held: bool) {
        self.state().views_held = held;
    }

    pub(crate) fn are_views_held(&self) -> bool {
        self.state().views_held
    }

    /// Where the partitions of a topic end for committed readers.
    pub(crate) fn ends(&self, topic: &Topic) -> Vec<(TopicPartition, Offset)> {
        let places = (0..PARTITIONS).map(|number| topic.partition(Partition(number)));
        let end = |place: &TopicPartition| {
            let bounds = self.log.admin().and_then(|mut admin| admin.bounds(place, Isolation::ReadCommitted));
            bounds.map_or(Offset(0), |bounds| bounds.end)
        };
        places.map(|place| (place.clone(), end(&place))).collect()
    }

    /// A choice by chance.
    pub(crate) fn draw<T>(&self, choose: impl FnOnce(&mut Random) -> T) -> T {
        choose(&mut self.state().random)
    }

    /// A choice about a fault that strikes.
    pub(crate) fn draw_for<T>(&self, fault: Fault, choose: impl FnOnce(&mut Random) -> T) -> T {
        let mut state = self.state();
        let State { dice, random, .. } = &mut *state;
        choose(dice.get_mut(&fault).unwrap_or(random))
    }

    /// Whether this fault strikes now.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let strikes = self.may_strike(fault);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// Whether this fault is to strike, if it can; it is not counted.
    pub(crate) fn may_strike(&self, fault: Fault) -> bool {
        let mut state = self.state();
        let rate = state.profile.rate(fault);
        if !state.chaos || rate == 0 {
            return false;
        }
        state.dice.get_mut(&fault).is_some_and(|dice| dice.chance(rate))
    }

    /// Counts what followed from a fault, or what did not strike by chance.
    pub(crate) fn count(&self, followed: Fault) {
        self.state().struck.count(followed);
    }

    /// Somebody's turn.
    pub(crate) fn turn(self: &Arc<Self>) {
        let taken = {
            let mut cast = self.cast();
            let present: Vec<usize> = (0..cast.len()).filter(|index| cast[*index].is_some()).collect();
            let mut state = self.state();
            state.turns += 1;
            time::pass(state.random.between(0, TURN_MS));
            if present.is_empty() {
                return;
            }
            let index = present[state.random.index(present.len())];
            cast[index].take().map(|actor| (index, actor))
        };
        if let Some((index, mut actor)) = taken {
            actor.step(self);
            self.cast()[index] = Some(actor);
        }
    }

    /// Lets others have their turns until the time is over.
    pub(crate) fn sleep(self: &Arc<Self>, ms: i64) {
        let until = time::now().0 + ms;
        let deep = {
            let mut state = self.state();
            state.depth += 1;
            state.depth > MAX_DEPTH
        };
        while time::now().0 < until {
            if deep {
                time::pass(until - time::now().0);
            } else {
                self.turn();
            }
        }
        self.state().depth -= 1;
    }

    /// A process before a call: it may be killed here, or hang.
    /// `away` counts the calls that find the log away.
    pub(crate) fn before_call(self: &Arc<Self>, away: Fault) -> Result<()> {
        if self.strikes(Fault::Crash) {
            resume_unwind(Box::new(Killed));
        }
        if self.state().depth < MAX_DEPTH {
            if self.strikes(Fault::ShortPause) {
                self.sleep(self.draw(|random| random.between(1, SESSION_MS)));
            }
            if self.strikes(Fault::LongPause) {
                self.sleep(self.draw(|random| random.between(SESSION_MS, 4 * SESSION_MS)));
            }
        }
        if self.strikes(Fault::Outage) {
            let until = time::now().0 + self.draw(|random| random.between(50, 2 * SESSION_MS));
            self.state().log_back = TimestampMs(until);
        }
        if self.state().log_back > time::now() {
            self.count(away);
            return Err(Error::unavailable("the log is away"));
        }
        if self.strikes(Fault::LostRequest) {
            return Err(Error::unavailable("the request was lost"));
        }
        Ok(())
    }

    /// The same after a call that was executed.
    pub(crate) fn after_call(&self) -> Result<()> {
        match self.strikes(Fault::LostReply) {
            true => Err(Error::unavailable("the reply was lost")),
            false => Ok(()),
        }
    }

    /// A process before a call to its database, which may be away.
    pub(crate) fn ask_database(self: &Arc<Self>) -> Result<()> {
        if self.strikes(Fault::Crash) {
            resume_unwind(Box::new(Killed));
        }
        self.may_hang(Fault::DatabaseHang);
        if self.strikes(Fault::DatabaseOutage) {
            let until = time::now().0 + self.draw(|random| random.between(50, 2 * SESSION_MS));
            self.state().database_back = TimestampMs(until);
        }
        let is_away = self.state().database_back > time::now();
        if is_away {
            self.count(Fault::DatabaseAtView);
            return Err(Error::unavailable("the database is away"));
        }
        Ok(())
    }

    /// A process may hang here for longer than its session.
    pub(crate) fn may_hang(self: &Arc<Self>, fault: Fault) {
        if self.state().depth < MAX_DEPTH && self.strikes(fault) {
            self.sleep(self.draw(|random| random.between(SESSION_MS / 2, 3 * SESSION_MS)));
        }
    }

    /// Whoever is about to write was told that it is no member: what it writes then is what no broker would fence.
    pub(crate) fn is_nameless(&self) {
        self.state().nameless = true;
    }

    /// A process hangs when it has decided already as which member it writes; a nameless one often.
    pub(crate) fn may_hang_before_transaction(self: &Arc<Self>) {
        let nameless = std::mem::take(&mut self.state().nameless);
        if nameless && !self.is_calm() && self.state().depth < MAX_DEPTH {
            if self.draw_for(Fault::HangBeforeTransaction, |random| random.chance(30_000)) {
                self.count(Fault::HangBeforeTransaction);
                self.sleep(self.draw(|random| random.between(SESSION_MS, 3 * SESSION_MS)));
            }
        } else {
            self.may_hang(Fault::HangBeforeTransaction);
        }
    }

    /// Asks the registry, which may be away; `away` counts that.
    pub(crate) fn ask_registry(&self, away: Fault) -> Result<()> {
        if self.strikes(Fault::RegistryOutage) {
            let until = time::now().0 + self.draw(|random| random.between(50, 2 * SESSION_MS));
            self.state().registry_back = TimestampMs(until);
        }
        let is_away = self.state().registry_back > time::now();
        if is_away {
            self.count(away);
            return Err(Error::unavailable("the registry is away"));
        }
        Ok(())
    }
}

/// Runs a piece of a process's work; none when it was killed in it.
pub(crate) fn unless_killed<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<Killed>() => None,
        Err(panic) => resume_unwind(panic),
    }
}
