//! Processes with a worker of the command handler: the production shell and
//! machine, started, killed and started again.

use crate::{
    bank::{Bank, ProcessCodec},
    fault::Fault,
    joining::Joining,
    log::SimulatedLog,
    time,
    world::{Actor, SESSION_MS, World, unless_killed},
};
use factum_bank::Account;
use factum_core::{
    Aggregate, Partition, Protections, Result, TimestampMs, Topics, Version,
    handler::{Activity, Handler, HandlerConfig},
    log::{GroupOptions, TransactionOptions},
};
use factum_handler::{Worker, WorkerOptions};
use std::{sync::Arc, time::Duration};

/// What every topic of the bank has.
pub(crate) const PARTITIONS: u32 = 3;
/// How many commands of an account the handler remembers.
pub(crate) const WINDOW: usize = 64;
/// After so long the log aborts a transaction that was left open.
const TRANSACTION_MS: u64 = 2_500;

type BankWorker = Worker<Account, ProcessCodec>;

/// A process that runs a worker.
pub(crate) struct HandlerProcess {
    name: String,
    bank: Bank,
    protections: Protections,
    joining: Joining,
    worker: Option<BankWorker>,
    /// One that runs beside its replacement, until then.
    former: Option<(BankWorker, TimestampMs)>,
    start_at: TimestampMs,
    starts: u64,
    /// Why it ended by itself, the last time that it did.
    failed: Option<String>,
}

impl HandlerProcess {
    pub(crate) fn new(seed: u64, number: usize, bank: &Bank, protections: Protections) -> Self {
        let name = format!("handler-{number}");
        HandlerProcess {
            joining: Joining::draw(seed, "handlers", &name),
            name,
            bank: bank.clone(),
            protections,
            worker: None,
            former: None,
            start_at: time::now(),
            starts: 0,
            failed: None,
        }
    }

    fn start(&self, world: &Arc<World>) -> Result<BankWorker> {
        let topics = Bank::topics();
        let group = Topics::handler_group(Account::TYPE);
        let codec = self.bank.process();
        let mut config = HandlerConfig::new(topics.clone(), PARTITIONS);
        config.source = format!("handler/{}/{}", self.name, self.starts);
        config.snapshot_every_events = 7;
        config.checkpoint_every_events = 25;
        config.checkpoint_every_ms = 1_500;
        config.checkpoint_chunk = 2;
        config.window_commands = WINDOW;
        // The crasher strikes in the midst of the same command over and over, and it deserves nothing.
        config.max_deaths = u32::MAX;
        config.recovery_stall_ms = 800;
        config.retry_ms = 60;
        config.max_batch_commands = 40;
        let options = WorkerOptions {
            group: GroupOptions {
                group: group.clone(),
                topics: vec![topics.commands.clone()],
                instance_id: self.joining.instance_id.clone(),
                session_timeout: Duration::from_millis(SESSION_MS.unsigned_abs()),
                protocol: self.joining.protocol,
            },
            transaction: TransactionOptions {
                transactional_id: format!("{group}-{}-{}", self.name, world.draw(|random| random.below(2))),
                timeout: Duration::from_millis(TRANSACTION_MS),
            },
            fetch_schema: codec.fetch(world, Fault::RegistryAtHandler),
            encode_answer: self.bank.answer_encoder()?,
            surroundings: time::SURROUNDINGS,
            throttle: factum_core::Throttle::default(),
            pause_point: None,
        };
        self.joining.joins(world);
        let handler = Handler::with_protections(config, codec, self.protections);
        Worker::start(Arc::new(SimulatedLog::new(world, Fault::LogAtHandler)), handler, options)
    }

    /// Starts a second process with the same instance id: somebody takes the first one for dead.
    fn replace(&mut self, world: &Arc<World>, worker: BankWorker) {
        let until = time::now().0 + world.draw_for(Fault::Twin, |random| random.between(50, 2 * SESSION_MS));
        self.former = Some((worker, TimestampMs(until)));
    }

    /// A turn of the replaced process, if there is one and it is its turn.
    fn step_former(&mut self, world: &Arc<World>) -> bool {
        let Some((mut former, until)) = self.former.take() else { return false };
        if time::now() >= until || world.is_calm() || world.are_handlers_held() {
            return false;
        }
        let its_turn = world.draw_for(Fault::Twin, |random| random.chance(50_000));
        if !its_turn {
            self.former = Some((former, until));
            return false;
        }
        if let Some((Ok(()), former)) = unless_killed(|| (former.step(Duration::ZERO), former)) {
            self.former = Some((former, until));
        }
        true
    }

    /// Leaves the group in good order and is away for a while.
    fn leave(&mut self, world: &World, worker: BankWorker) {
        // What fails here leaves the group to the session's timeout.
        unless_killed(|| worker.close().is_ok());
        self.down_for(world.draw(|random| random.between(10, SESSION_MS)));
    }

    fn down_for(&mut self, ms: i64) {
        self.start_at = TimestampMs(time::now().0 + ms);
    }
}

impl Actor for HandlerProcess {
    fn step(&mut self, world: &Arc<World>) {
        if self.step_former(world) {
            return;
        }
        let Some(mut worker) = self.worker.take() else {
            if time::now() < self.start_at || world.are_handlers_held() {
                return;
            }
            self.starts += 1;
            match unless_killed(|| self.start(world)) {
                Some(Ok(worker)) => self.worker = Some(worker),
                Some(Err(error)) => {
                    self.failed = Some(error.to_string());
                    self.down_for(100);
                }
                None => self.down_for(world.draw(|random| random.between(10, 2 * SESSION_MS))),
            }
            return;
        };
        if world.are_handlers_held() || world.strikes(Fault::Rebalance) {
            return self.leave(world, worker);
        }
        if self.joining.is_static() && self.former.is_none() && world.strikes(Fault::Twin) {
            self.replace(world, worker);
            return;
        }
        match unless_killed(|| (worker.step(Duration::ZERO), worker)) {
            Some((Ok(()), worker)) => {
                world.notes().stats(worker.handler().stats());
                match world.takes_leave() {
                    true => self.leave(world, worker),
                    false => self.worker = Some(worker),
                }
            }
            Some((Err(error), _)) => {
                world.notes().ended(&self.name, &error);
                self.failed = Some(error.to_string());
                self.down_for(100);
            }
            None => self.down_for(world.draw(|random| random.between(10, 2 * SESSION_MS))),
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        let Some(worker) = &self.worker else { return false };
        let handler = worker.handler();
        handler.health().iter().all(|health| health.activity == Activity::Ready) && !handler.has_duties(time::now())
    }

    fn describe(&self) -> String {
        match &self.worker {
            None => format!("{} is down: {:?}", self.name, self.failed),
            Some(worker) => {
                let health: Vec<_> =
                    worker.handler().health().into_iter().map(|health| (health.partition.0, health.activity)).collect();
                format!("{}: {health:?}", self.name)
            }
        }
    }

    fn partitions(&self) -> Vec<Partition> {
        let health = self.worker.iter().flat_map(|worker| worker.handler().health());
        health.filter(|health| health.activity == Activity::Ready).map(|health| health.partition).collect()
    }

    fn state(&self, account: &str) -> Option<(Account, Version)> {
        let (state, version) = self.worker.as_ref()?.handler().state(account)?;
        Some((state.clone(), version))
    }
}
