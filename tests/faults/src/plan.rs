//! Which fault comes when, whom it strikes, and for how long.

use crate::draw::Draw;
use clap::ValueEnum;
use std::{fmt, time::Duration};

/// What can happen to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Fault {
    /// kill -9 of a broker, which comes back after a while.
    BrokerKilled,
    /// SIGSTOP of a broker past its session with the controller, then SIGCONT.
    BrokerPaused,
    /// No packet from or to a broker.
    BrokerCut,
    /// Every partition gets another leader.
    LeadersMoved,
    /// kill -9 of a handler.
    HandlerKilled,
    /// SIGTERM of a handler, which comes back after a while.
    HandlerStopped,
    /// SIGSTOP of a handler past its session with its group, then SIGCONT.
    HandlerPaused,
    /// No packet from or to a handler, past its session.
    HandlerCut,
    /// kill -9 of a view.
    ViewKilled,
    /// SIGSTOP of a view past its session with its group, then SIGCONT.
    ViewPaused,
    /// kill -9 of a client, which goes on from its journal.
    ClientKilled,
    /// PostgreSQL ends as in a crash, and recovers.
    DatabaseRestarted,
    /// kill -9 of the schema registry, which comes back after a while.
    RegistryKilled,
    /// One after another, every broker, handler and view, in good order.
    RollingRestart,
}

impl Fault {
    /// All of them.
    pub(crate) fn all() -> &'static [Fault] {
        Fault::value_variants()
    }

    /// What it strikes.
    pub(crate) fn lane(self) -> Lane {
        match self {
            Fault::ViewKilled
            | Fault::ViewPaused
            | Fault::ClientKilled
            | Fault::DatabaseRestarted
            | Fault::RegistryKilled => Lane::Beside,
            _ => Lane::Path,
        }
    }

    /// Whether nothing else may be struck meanwhile: what it stops in good order must not be paused.
    pub(crate) fn alone(self) -> bool {
        self == Fault::RollingRestart
    }

    /// Whether it needs networks of our own.
    pub(crate) fn cuts(self) -> bool {
        matches!(self, Fault::BrokerCut | Fault::HandlerCut)
    }

    /// For how long it lasts, in seconds: the least and the most.
    fn seconds(self) -> (u32, u32) {
        match self {
            Fault::BrokerKilled => (1, 6),
            // The controller gives a silent broker 6 s.
            Fault::BrokerPaused | Fault::BrokerCut => (8, 12),
            // The group gives a silent member 6 s.
            Fault::HandlerPaused | Fault::HandlerCut | Fault::ViewPaused => (8, 12),
            Fault::HandlerKilled | Fault::HandlerStopped | Fault::ViewKilled | Fault::ClientKilled => (0, 4),
            Fault::DatabaseRestarted | Fault::RegistryKilled => (0, 5),
            Fault::LeadersMoved | Fault::RollingRestart => (0, 0),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// Faults of one lane come one after another; those of two lanes strike at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// What commands pass through: brokers and handlers.
    Path,
    /// What stands beside: views, their database, clients, the registry.
    Beside,
}

impl Lane {
    /// Both.
    pub(crate) const ALL: [Lane; 2] = [Lane::Path, Lane::Beside];
}

/// A fault that is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Strike {
    /// Which.
    pub(crate) fault: Fault,
    /// Chooses among those that it can strike: any number.
    pub(crate) whom: usize,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// The pause before it.
    pub(crate) after: Duration,
    /// Whether the next one strikes while partitions still recover from it.
    pub(crate) hurried: bool,
}

/// A lane's faults of a seed, without end: round after round, of which each has
/// every type once, in another order.
#[derive(Debug)]
pub(crate) struct Plan {
    draw: Draw,
    faults: Vec<Fault>,
    round: Vec<Fault>,
}

impl Plan {
    /// Of those of these types that belong to the lane.
    pub(crate) fn new(seed: u64, lane: Lane, faults: &[Fault]) -> Self {
        let faults = faults.iter().copied().filter(|fault| fault.lane() == lane).collect();
        // Stream 1 is the site's.
        let stream = if lane == Lane::Path { 0 } else { 2 };
        Plan { draw: Draw::new(seed, stream), faults, round: Vec::new() }
    }
}

impl Iterator for Plan {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        if self.faults.is_empty() {
            return None;
        }
        if self.round.is_empty() {
            self.round.clone_from(&self.faults);
        }
        let fault = self.round.remove(self.draw.index(self.round.len()));
        let (least, most) = fault.seconds();
        Some(Strike {
            fault,
            whom: self.draw.index(60),
            lasts: Duration::from_millis(u64::from(least * 1_000 + self.draw.below((most - least) * 1_000 + 1))),
            after: Duration::from_millis(u64::from(500 + self.draw.below(1_500))),
            hurried: self.draw.below(4) == 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn strikes(seed: u64, lane: Lane, count: usize) -> Vec<Strike> {
        Plan::new(seed, lane, Fault::all()).take(count).collect()
    }

    #[test]
    fn a_seed_has_one_plan_and_another_seed_another() {
        for lane in Lane::ALL {
            assert_eq!(strikes(1, lane, 100), strikes(1, lane, 100));
            assert_ne!(strikes(1, lane, 100), strikes(2, lane, 100));
        }
    }

    #[test]
    fn every_round_has_every_type_of_its_lane_once() {
        let mut all = BTreeSet::new();
        for lane in Lane::ALL {
            let types = Fault::all().iter().filter(|fault| fault.lane() == lane).count();
            for round in strikes(3, lane, 5 * types).chunks(types) {
                let struck: BTreeSet<Fault> = round.iter().map(|strike| strike.fault).collect();
                assert_eq!(struck.len(), types);
                all.extend(struck);
            }
        }
        assert_eq!(all.len(), Fault::all().len());
        assert_eq!(Plan::new(3, Lane::Beside, &[Fault::BrokerCut]).next(), None);
    }

    #[test]
    fn who_is_paused_is_silent_for_longer_than_its_session() {
        for strike in strikes(4, Lane::Path, 200).into_iter().filter(|strike| strike.fault == Fault::HandlerPaused) {
            assert!(strike.lasts > Duration::from_secs(6), "{strike:?}");
        }
    }
}
