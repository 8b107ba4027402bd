//! One simulation from its seed to the verdict.

use crate::{
    anew::{self, Restorer},
    auditor::Auditor,
    bank::Bank,
    check::{check, check_parked},
    client::Client,
    fault::{Fault, Struck},
    folds::{Accounts, Totals},
    handler::{HandlerProcess, PARTITIONS},
    keeper::Keeper,
    operator::Operator,
    random::Random,
    skipper::Skipper,
    time,
    views::ViewProcess,
    world::World,
};
use factum_core::{
    AggregateId, Offset, Partition, Protections, Result,
    log::{Isolation, Log},
    topics::topic_specs,
};
use factum_log_memory::MemoryLog;
use factum_views::MemoryDatabase;
use std::{fmt, sync::Arc, time::Duration};

/// How many turns a world may need to come to rest once nothing goes wrong any more.
const MAX_REST: u64 = 6_000;
/// Turns with faults after the topics were made again.
const STEPS_ANEW: u64 = 600;
const HANDLERS: usize = 3;
const CLIENTS: usize = 3;
/// Processes of each view.
const VIEWS: usize = 2;
/// Operators who redrive what is parked.
const KEEPERS: u64 = 2;
const ACCOUNTS: usize = 7;
/// With so few of them, the handler forgets an account's earlier commands.
const FEW_ACCOUNTS: usize = 2;

/// What a simulation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed, which is all that it takes to run it again.
    pub seed: u64,
    /// Turns with faults.
    pub steps: u64,
    /// Turns that the world needed to come to rest afterwards.
    pub rest: u64,
    /// The simulated time, in milliseconds.
    pub took_ms: i64,
    /// How often each fault struck.
    pub struck: Struck,
    /// Commands that clients asked for.
    pub commands: usize,
    /// Answers that came.
    pub answers: usize,
    /// Events in the log.
    pub events: usize,
    /// What the checker found wrong, one line each; none in a good run.
    pub violations: Vec<String>,
    /// The ends of all partitions and the last states: what two runs are compared by.
    pub trace: Vec<String>,
}

/// What came of a world until it had come to rest.
struct Life {
    /// Whether its topics are to be deleted and made again.
    recreates: bool,
    rest: u64,
    events: usize,
    violations: Vec<String>,
}

/// Simulations of one thread, one after the other.
#[derive(Debug)]
pub struct Simulator {
    bank: Bank,
    protections: Protections,
    /// The real time that a turn takes at least.
    turn: Duration,
}

impl Simulator {
    /// Simulations with these protections; production has all of them.
    ///
    /// # Errors
    /// `Invalid` when the bank's types have no usable schema.
    pub fn new(protections: Protections) -> Result<Self> {
        Ok(Simulator { bank: Bank::new()?, protections, turn: Duration::ZERO })
    }

    /// The same on a machine that needs at least so long for each turn, which must not matter.
    #[must_use]
    pub fn slowed(self, turn: Duration) -> Self {
        Simulator { turn, ..self }
    }

    /// Runs one seed for so many steps, and then until everything has settled.
    ///
    /// # Errors
    /// Only what the model of the log cannot do: a bug of the simulation.
    pub fn run(&self, seed: u64, steps: u64) -> Result<Report> {
        time::begin();
        let began = time::now();
        let log = MemoryLog::stepped(Arc::new(time::now));
        let topics = Bank::topics();
        log.admin()?.create_topics(&topic_specs(&topics, PARTITIONS, None))?;
        let world = Arc::new(World::new(log, topics, seed));
        time::belongs_to(&world);
        let database = self.assemble(&world, seed)?;
        let mut life = self.live(&world, &database, steps)?;
        if life.recreates && life.violations.is_empty() && anew::is_possible(&world, &database)? {
            world.count(Fault::Recreated);
            anew::recreate(&world)?;
            let next = self.live(&world, &database, STEPS_ANEW)?;
            life.rest += next.rest;
            life.events += next.events;
            life.violations.extend(next.violations);
        }
        let trace = self.trace(&world)?;
        let (commands, answers) = {
            let commands = &world.notes().history.commands;
            (commands.len(), commands.values().map(|asked| asked.answers.len()).sum())
        };
        let report = Report {
            seed,
            steps,
            rest: life.rest,
            took_ms: time::now().0 - began.0,
            struck: world.struck(),
            commands,
            answers,
            events: life.events,
            violations: life.violations,
            trace,
        };
        world.dismiss_all();
        time::end();
        Ok(report)
    }

    /// Lets everything go wrong for so many turns, and then nothing, and has the checker look at it.
    fn live(&self, world: &Arc<World>, database: &MemoryDatabase, steps: u64) -> Result<Life> {
        let end = world.turns() + steps;
        while world.turns() < end {
            world.turn();
            if !self.turn.is_zero() {
                std::thread::sleep(self.turn);
            }
        }
        let recreates = world.may_strike(Fault::Recreated);
        world.calm();
        let begin_rest = world.turns();
        let mut violations = Vec::new();
        let mut settled = Self::settles(world);
        if settled {
            violations.extend(check_parked(world, &self.bank, database)?);
            world.redrive_all();
            settled = Self::settles(world);
        }
        if !settled {
            let mut doing = Vec::new();
            world.each(|actor| {
                if !actor.is_done(world) {
                    doing.push(actor.describe());
                }
            });
            let owned = Self::owned(world);
            violations
                .push(format!("it does not come to rest ({owned} partitions have an owner): {}", doing.join("; ")));
        }
        let (wrong, events) = check(world, &self.bank, database)?;
        violations.extend(wrong);
        Ok(Life { recreates, rest: world.turns() - begin_rest, events, violations })
    }

    fn assemble(&self, world: &Arc<World>, seed: u64) -> Result<MemoryDatabase> {
        let few = Random::named(seed, "accounts").below(4) == 0;
        let number_of_accounts = if few { FEW_ACCOUNTS } else { ACCOUNTS };
        let accounts: Vec<AggregateId> = (0..number_of_accounts)
            .map(|number| AggregateId::new(format!("account-{number}")))
            .collect::<Result<_>>()?;
        for number in 0..HANDLERS {
            world.add(Box::new(HandlerProcess::new(world.seed, number, &self.bank, self.protections)));
        }
        for number in 0..CLIENTS {
            let mut client = Client::new(number, &self.bank, &accounts);
            if number == 0 {
                accounts.iter().for_each(|account| client.fund(world, account, 1_000));
            }
            world.add(Box::new(client));
        }
        let database = MemoryDatabase::new("simulated");
        for number in 0..VIEWS {
            world.add(Box::new(ViewProcess::<Accounts>::new(
                world.seed,
                number,
                &self.bank,
                &database,
                self.protections,
            )));
            world.add(Box::new(ViewProcess::<Totals>::new(
                world.seed,
                number,
                &self.bank,
                &database,
                self.protections,
            )));
        }
        world.add(Box::new(Auditor::new(&database)));
        world.add(Box::new(Operator::default()));
        world.add(Box::new(Restorer::new(&database)));
        world.add(Box::new(Skipper::new(&database)));
        for number in 0..KEEPERS {
            world.add(Box::new(Keeper::new(number, seed, &self.bank, &database)));
        }
        Ok(database)
    }

    /// Lets everybody go on until there is nothing left to do; false if that does not come.
    fn settles(world: &Arc<World>) -> bool {
        let begin = world.turns();
        while !Self::has_settled(world) {
            if world.turns() - begin >= MAX_REST {
                return false;
            }
            (0..50).for_each(|_| world.turn());
        }
        true
    }

    /// Whether everybody is done and no command waits.
    fn has_settled(world: &World) -> bool {
        let mut done = true;
        world.each(|actor| done &= actor.is_done(world));
        // The handlers may not have agreed yet on who has what.
        done && Self::owned(world) == usize::try_from(PARTITIONS).unwrap_or(usize::MAX)
    }

    /// How many partitions of the handler somebody has, each counted as often as somebody has it.
    fn owned(world: &World) -> usize {
        let mut owned = 0;
        world.each(|actor| owned += actor.partitions().len());
        owned
    }

    fn trace(&self, world: &World) -> Result<Vec<String>> {
        let mut admin = world.log.admin()?;
        let topics = &world.topics;
        let mut trace = Vec::new();
        for topic in [&topics.commands, &topics.events, &topics.snapshots, &topics.replies, &topics.dead_letters] {
            for partition in (0..PARTITIONS).map(Partition) {
                let place = topic.partition(partition);
                let end: Offset = admin.bounds(&place, Isolation::ReadUncommitted)?.end;
                trace.push(format!("{place}@{end}"));
            }
        }
        for (id, asked) in &world.notes().history.commands {
            let answers: Vec<_> = asked.answers.iter().map(|a| format!("{} v{}", a.code, a.version)).collect();
            trace.push(format!("{id} of {}: {answers:?}", asked.account));
        }
        Ok(trace)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, steps, rest, took_ms, commands, answers, events, .. } = self;
        writeln!(
            f,
            "seed {seed}: {steps} steps and {rest} to come to rest, {:.1} s simulated; {commands} commands, {answers} answers, {events} events",
            f64::from(i32::try_from(*took_ms).unwrap_or(i32::MAX)) / 1_000.0
        )?;
        match self.violations.is_empty() {
            true => writeln!(f, "the history is right"),
            false => self.violations.iter().try_for_each(|violation| writeln!(f, "WRONG: {violation}")),
        }
    }
}
