//! What a fault is made of: steps that strike, and steps that undo it.

use crate::{
    brokers::BROKERS,
    plan::{Fault, Strike},
    process::Process,
    site::{CLIENTS, HANDLERS, PARTITIONS, Site, VIEWS, handler_node},
};
use factum::{Aggregate, Result, Topics};
use factum_bank::Account;
use std::{fmt, time::Duration};

/// A process of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A handler, from 0.
    Handler(usize),
    /// A view's process, from 0.
    View(usize),
    /// A client, from 0.
    Client(usize),
    /// The schema registry.
    Registry,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Handler(index) => write!(f, "handler-{}", index + 1),
            Who::View(index) => write!(f, "view-{}", index + 1),
            Who::Client(index) => write!(f, "client-{}", index + 1),
            Who::Registry => write!(f, "the registry"),
        }
    }
}

/// Something to do, or to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// kill -9 of a broker (from 1).
    KillBroker(u8),
    /// A broker starts again, stopped in good order first if it runs.
    RestartBroker(u8),
    /// SIGSTOP.
    PauseBroker(u8),
    /// SIGCONT.
    ResumeBroker(u8),
    /// No packet from or to a node of the network.
    Cut(u8),
    /// They pass again.
    Heal(u8),
    /// Every partition gets another leader.
    MoveLeaders,
    /// kill -9.
    Kill(Who),
    /// SIGTERM, and its end.
    Stop(Who),
    /// It is started again.
    Start(Who),
    /// SIGSTOP.
    Pause(Who),
    /// SIGCONT.
    Resume(Who),
    /// PostgreSQL ends as in a crash.
    KillDatabase,
    /// It recovers.
    RestartDatabase,
    /// So much time passes.
    Last(Duration),
    /// Every replica of everything is in sync: the next broker may fail.
    InSync,
}

/// Whom a strike hits, and its steps.
pub(crate) fn steps(strike: &Strike) -> (String, Vec<Step>) {
    let last = Step::Last(strike.lasts);
    let broker = u8::try_from(strike.whom % usize::from(BROKERS)).unwrap_or_default() + 1;
    let handler = strike.whom % usize::from(HANDLERS);
    let view = Who::View(strike.whom % usize::from(VIEWS));
    let client = Who::Client(strike.whom % usize::from(CLIENTS));
    let of_broker = |begin, end| (format!("broker {broker}"), vec![begin, last, end, Step::InSync]);
    let killed = |who: Who| (who.to_string(), vec![Step::Kill(who), last, Step::Start(who)]);
    let paused = |who: Who| (who.to_string(), vec![Step::Pause(who), last, Step::Resume(who)]);
    match strike.fault {
        Fault::BrokerKilled => of_broker(Step::KillBroker(broker), Step::RestartBroker(broker)),
        Fault::BrokerPaused => of_broker(Step::PauseBroker(broker), Step::ResumeBroker(broker)),
        Fault::BrokerCut => of_broker(Step::Cut(broker), Step::Heal(broker)),
        Fault::LeadersMoved => ("every partition".to_owned(), vec![Step::MoveLeaders]),
        Fault::HandlerKilled => killed(Who::Handler(handler)),
        Fault::HandlerStopped => {
            let who = Who::Handler(handler);
            (who.to_string(), vec![Step::Stop(who), last, Step::Start(who)])
        }
        Fault::HandlerPaused => paused(Who::Handler(handler)),
        Fault::HandlerCut => {
            let node = handler_node(u8::try_from(handler + 1).unwrap_or_default());
            (Who::Handler(handler).to_string(), vec![Step::Cut(node), last, Step::Heal(node)])
        }
        Fault::ViewKilled => killed(view),
        Fault::ViewPaused => paused(view),
        Fault::ClientKilled => killed(client),
        Fault::DatabaseRestarted => ("the database".to_owned(), vec![Step::KillDatabase, last, Step::RestartDatabase]),
        Fault::RegistryKilled => killed(Who::Registry),
        Fault::RollingRestart => {
            let brokers = (1..=BROKERS).flat_map(|broker| [Step::InSync, Step::RestartBroker(broker)]);
            let handlers = (0..usize::from(HANDLERS)).map(Who::Handler);
            let others = handlers.chain((0..usize::from(VIEWS)).map(Who::View));
            let others = others.flat_map(|who| [Step::Stop(who), Step::Start(who)]);
            ("everything".to_owned(), brokers.chain([Step::InSync]).chain(others).collect())
        }
    }
}

/// Does a step; a step that waits does nothing here.
///
/// # Errors
/// `Unavailable` when a tool or a script fails, or when a process that was
/// asked to end in good order does not.
pub(crate) fn carry_out(site: &mut Site, step: Step) -> Result<()> {
    match step {
        Step::KillBroker(broker) => site.brokers.kill(broker),
        Step::RestartBroker(broker) => site.brokers.restart(broker),
        Step::PauseBroker(broker) => site.brokers.signal(broker, "STOP"),
        Step::ResumeBroker(broker) => site.brokers.signal(broker, "CONT"),
        Step::Cut(node) => site.network.cut(node),
        Step::Heal(node) => site.network.heal(node),
        Step::MoveLeaders => site.brokers.move_leaders(&topics()),
        Step::Kill(who) => {
            process(site, who).kill();
            Ok(())
        }
        Step::Stop(who) => process(site, who).stop(),
        Step::Start(who) => process(site, who).start(),
        Step::Pause(who) => process(site, who).signal("STOP"),
        Step::Resume(who) => process(site, who).signal("CONT"),
        Step::KillDatabase => site.database.kill(),
        Step::RestartDatabase => site.database.restart(),
        Step::Last(_) | Step::InSync => Ok(()),
    }
}

fn process(site: &mut Site, who: Who) -> &mut Process {
    match who {
        Who::Handler(index) => &mut site.handlers[index],
        Who::View(index) => &mut site.views[index],
        Who::Client(index) => &mut site.clients[index],
        Who::Registry => &mut site.registry,
    }
}

/// Those whose leaders matter, with their partitions: Kafka's own two decide about groups and transactions.
fn topics() -> Vec<(String, u32)> {
    let topics = Topics::of(Account::TYPE);
    // The brokers' settings (broker.properties) give Kafka's own as many.
    let own = ["__consumer_offsets", "__transaction_state"].map(|name| (name.to_owned(), 6));
    topics.all().into_iter().map(|topic| (topic.to_string(), PARTITIONS)).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Lane, Plan};

    #[test]
    fn whatever_a_fault_breaks_it_mends() {
        for strike in Lane::ALL.into_iter().flat_map(|lane| Plan::new(9, lane, Fault::all()).take(200)) {
            let (whom, steps) = steps(&strike);
            let mended = |step: &Step| match *step {
                Step::KillBroker(broker) => Some(Step::RestartBroker(broker)),
                Step::PauseBroker(broker) => Some(Step::ResumeBroker(broker)),
                Step::Cut(node) => Some(Step::Heal(node)),
                Step::Kill(who) | Step::Stop(who) => Some(Step::Start(who)),
                Step::Pause(who) => Some(Step::Resume(who)),
                Step::KillDatabase => Some(Step::RestartDatabase),
                _ => None,
            };
            for (index, step) in steps.iter().enumerate() {
                let Some(mended) = mended(step) else { continue };
                assert!(steps[index..].contains(&mended), "{whom}: {steps:?}");
            }
        }
    }

    #[test]
    fn no_broker_fails_before_the_last_ones_replicas_are_in_sync() {
        for strike in Plan::new(9, Lane::Path, Fault::all()).take(200) {
            let steps = steps(&strike).1;
            let of_broker =
                |step: &Step| matches!(step, Step::RestartBroker(_) | Step::ResumeBroker(_) | Step::Heal(1..=BROKERS));
            for (index, _) in steps.iter().enumerate().filter(|(_, step)| of_broker(step)) {
                assert_eq!(steps.get(index + 1), Some(&Step::InSync), "{steps:?}");
            }
        }
    }
}
