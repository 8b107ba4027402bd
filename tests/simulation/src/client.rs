//! Clients that move money: the production machine of the client over the
//! simulated log.

use crate::{
    bank::Bank,
    fault::Fault,
    handler::PARTITIONS,
    log::SimulatedLog,
    time,
    world::{Actor, World, unless_killed},
};
use factum_bank::{Command, Deposit, Withdraw};
use factum_core::{
    AggregateId, CommandId, DecodeError, Error, Partition, RecordBatch, Result, TimestampMs, Version,
    client::{ClientConfig, ClientEffect, ClientMachine, Fate, Until},
    log::{Isolation, Log, Producer, Reader},
    partition_of,
    wire::{Answer, AnswerCode, header},
};
use factum_history::Rule;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// How many transfers of one client are under way.
const MAX_TRANSFERS: usize = 3;
/// How many answered commands a client still knows.
const ANSWERED: usize = 8;
/// How long a command's requester waits before it asks again under the same id.
const PATIENCE_MS: i64 = 3_000;

type Decode = Box<dyn Fn(&[u8]) -> Result<Answer, DecodeError> + Send>;

/// A command that a client wrote down before it sent it.
#[derive(Debug, Clone)]
struct Order {
    account: AggregateId,
    command: Command,
    expected: Option<Version>,
    deadline: Option<TimestampMs>,
    /// What follows when it is accepted.
    then: Option<(AggregateId, i64, CommandId)>,
}

/// A client with a book of orders that outlives its process.
pub(crate) struct Client {
    name: String,
    bank: Bank,
    accounts: Vec<AggregateId>,
    /// Whether it opens the accounts.
    funds: bool,
    replies: Partition,
    book: BTreeMap<CommandId, Order>,
    answered: VecDeque<(CommandId, Order)>,
    versions: BTreeMap<AggregateId, Version>,
    process: Option<Process>,
}

/// What is gone when the process is killed.
struct Process {
    machine: ClientMachine,
    producer: Box<dyn Producer>,
    reader: Box<dyn Reader>,
    decode: Decode,
}

impl Client {
    pub(crate) fn new(number: usize, bank: &Bank, accounts: &[AggregateId]) -> Self {
        Client {
            name: format!("client-{number}"),
            bank: bank.clone(),
            accounts: accounts.to_vec(),
            funds: number == 0,
            replies: Partition(u32::try_from(number).unwrap_or(0) % PARTITIONS),
            book: BTreeMap::new(),
            answered: VecDeque::new(),
            versions: BTreeMap::new(),
            process: None,
        }
    }

    /// Opens an account with money in it.
    pub(crate) fn fund(&mut self, world: &World, account: &AggregateId, cents: i64) {
        let id = world.draw(command_id);
        let order = Order {
            account: account.clone(),
            command: Deposit { cents }.into(),
            expected: None,
            deadline: None,
            then: None,
        };
        self.write_down(world, id, order);
    }

    fn write_down(&mut self, world: &World, id: CommandId, order: Order) {
        world.notes().asks(id, &order.account, &order.command, order.expected, order.deadline);
        self.book.insert(id, order);
    }

    fn start(&self, world: &Arc<World>) -> Result<Process> {
        let log = SimulatedLog::new(world, Fault::LogAtClient);
        let place = world.topics.replies.partition(self.replies);
        let mut reader = log.reader(Isolation::ReadUncommitted)?;
        let end = log.admin()?.bounds(&place, Isolation::ReadUncommitted)?.end;
        reader.add(&place, end)?;
        let config = ClientConfig { max_in_flight: 32, max_ahead: 8, retry_after_ms: 250, max_retry_after_ms: 1_000 };
        Ok(Process {
            machine: ClientMachine::new(config),
            producer: log.producer()?,
            reader,
            decode: Box::new(self.bank.answer_decoder()?),
        })
    }

    /// Begins a transfer: a withdrawal, after which a deposit follows.
    fn transfer(&mut self, world: &World) {
        let (from, to, cents, withdrawal, deposit) = world.draw(|random| {
            let from = random.index(self.accounts.len());
            let to = (from + 1 + random.index(self.accounts.len() - 1)) % self.accounts.len();
            (from, to, random.between(1, 400), command_id(random), command_id(random))
        });
        let (account, to) = (self.accounts[from].clone(), self.accounts[to].clone());
        let known = self.versions.get(&account).copied().filter(|_| world.strikes(Fault::Expectation));
        let deadline = world
            .strikes(Fault::Deadline)
            .then(|| TimestampMs(time::now().0 + world.draw(|random| random.between(20, 1_500))));
        world.notes().transfers(withdrawal, deposit, cents);
        let order = Order {
            account,
            command: Withdraw { cents }.into(),
            expected: known,
            deadline,
            then: Some((to, cents, deposit)),
        };
        self.write_down(world, withdrawal, order);
    }

    fn work(&mut self, world: &Arc<World>, process: &mut Process) {
        if !world.is_calm() && self.book.len() < MAX_TRANSFERS && world.draw(|random| random.chance(40_000)) {
            self.transfer(world);
        }
        // What the machine does not know yet, or gave up, is asked for (again) under its id.
        let now = time::now();
        for (id, order) in &self.book {
            let deadline = TimestampMs(now.0 + PATIENCE_MS);
            // One that waits already is refused, and that is right.
            process.machine.submit(*id, &order.account, Until::Answered, now, deadline).unwrap_or_default();
        }
        process.machine.tick(now);
        self.read(world, process);
        self.execute(world, process);
        let again = self.answered.front().filter(|_| world.strikes(Fault::Repeat));
        if let Some((id, order)) = again {
            self.produce(world, process, &[(*id, order.clone())]).unwrap_or_default();
        }
    }

    fn read(&mut self, world: &World, process: &mut Process) {
        let mut batch = RecordBatch::new();
        process.reader.poll(100, std::time::Duration::ZERO, &mut batch).unwrap_or_default();
        for record in batch.iter() {
            match (process.decode)(record.value().unwrap_or_default()) {
                Ok(answer) => {
                    world.notes().answered(&answer);
                    process.machine.answered(answer);
                }
                Err(error) => {
                    world.notes().history.saw(Rule::AnswersMatch, format!("an answer cannot be read: {error}"))
                }
            }
        }
    }

    fn execute(&mut self, world: &Arc<World>, process: &mut Process) {
        let mut sent = Vec::new();
        while let Some(effect) = process.machine.next_effect() {
            match effect {
                ClientEffect::Send(id) => sent.extend(self.book.get(&id).map(|order| (id, order.clone()))),
                ClientEffect::Resolve(id, Ok(Fate::Answered(answer))) => self.resolved(world, id, &answer),
                // It stays in the book and is asked for again.
                ClientEffect::Resolve(_, _) => {}
            }
        }
        if sent.is_empty() {
            return;
        }
        let ids: Vec<CommandId> = sent.iter().map(|(id, _)| *id).collect();
        if let Err(error) = self.produce(world, process, &sent) {
            let text = error.to_string();
            ids.iter().for_each(|id| process.machine.failed(*id, Error::unavailable(text.as_str())));
        }
        if world.strikes(Fault::Duplicate) {
            // The second copy is lost or not; nobody is told.
            self.produce(world, process, &sent).unwrap_or_default();
        }
    }

    fn produce(&self, world: &World, process: &mut Process, orders: &[(CommandId, Order)]) -> Result<()> {
        let mut batch = RecordBatch::new();
        for (id, order) in orders {
            let key = order.account.as_str().as_bytes();
            let mut partition = partition_of(key, PARTITIONS);
            if world.strikes(Fault::WrongPartition) {
                partition = Partition((partition.0 + 1) % PARTITIONS);
            }
            let mut record = batch.start(&world.topics.commands, partition);
            record.key(key);
            record.value_with(|value| self.bank.command(&order.command, value))?;
            record.header(header::ID, id.to_string().as_bytes());
            record.header(header::REPLY_TO, self.replies.to_string().as_bytes());
            if let Some(version) = order.expected {
                record.header(header::EXPECTED_VERSION, version.to_string().as_bytes());
            }
            if let Some(deadline) = order.deadline.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok()) {
                record.header(header::DEADLINE, deadline.to_string().as_bytes());
            }
            record.finish();
        }
        process.producer.produce(&batch)?;
        process.producer.poll(std::time::Duration::ZERO, &mut Vec::new())
    }

    fn resolved(&mut self, world: &World, id: CommandId, answer: &Answer) {
        match answer.code {
            // Its answer is no longer kept, or this copy went astray: the same id again tells.
            AnswerCode::AlreadyHandled | AnswerCode::WrongPartition => return,
            _ => {}
        }
        let Some(mut order) = self.book.remove(&id) else { return };
        self.versions.insert(order.account.clone(), answer.version);
        if let Some((to, cents, deposit)) = order.then.take().filter(|_| answer.code == AnswerCode::Accepted) {
            let next =
                Order { account: to, command: Deposit { cents }.into(), expected: None, deadline: None, then: None };
            self.write_down(world, deposit, next);
        }
        self.answered.push_back((id, order));
        if self.answered.len() > ANSWERED {
            self.answered.pop_front();
        }
    }
}

impl Actor for Client {
    fn step(&mut self, world: &Arc<World>) {
        if world.strikes(Fault::ClientCrash) {
            self.process = None;
        }
        let Some(mut process) = self.process.take() else {
            self.process = unless_killed(|| self.start(world)).and_then(Result::ok);
            return;
        };
        // What was read and not taken in is lost with the process; what is in the book is not.
        if unless_killed(|| self.work(world, &mut process)).is_some() {
            self.process = Some(process);
        }
    }

    fn is_done(&self, _world: &World) -> bool {
        self.book.is_empty()
    }

    fn begins_anew(&mut self, world: &World) {
        self.book.clear();
        self.answered.clear();
        self.versions.clear();
        self.process = None;
        if self.funds {
            let accounts = self.accounts.clone();
            accounts.iter().for_each(|account| self.fund(world, account, 1_000));
        }
    }

    fn describe(&self) -> String {
        format!("{} waits for {:?}", self.name, self.book)
    }
}

fn command_id(random: &mut crate::random::Random) -> CommandId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next().to_be_bytes());
    id[8..].copy_from_slice(&random.next().to_be_bytes());
    CommandId(id)
}
