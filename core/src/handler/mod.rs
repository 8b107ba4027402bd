//! The command handler of one worker, as a state machine (DESIGN §§3, 4).
//!
//! A shell polls the group consumer into [`Handler::inbox`], tells
//! [`Handler::polled`], executes [`Handler::next_effect`], and, when
//! [`Handler::plan`] says so, runs the plan as one
//! [`Transaction`](crate::transaction::Transaction) and tells
//! [`Handler::finished`]. Nothing here waits, reads a clock or knows Kafka.
//!
//! Invariants:
//! - Between two plans the memory is what the log holds, for every partition that is ready.
//! - A command is decided only under the tenure in which it was polled, and a
//!   transaction is sent only as the member that the tenures belong to.
//! - After a commit whose outcome is unknown nothing of the memory is used.

mod aggregates;
mod answering;
mod batch;
mod careful;
mod checkpoint;
mod config;
mod decide;
mod effect;
mod foreign;
mod outcome;
mod planning;
mod recovering;
mod recovery;
mod tenure;
pub mod window;

pub use crate::careful::MAX_DEATHS;
pub use config::{AcceptLost, Granted, HandlerConfig, RECENT_COMMANDS, Snapshots};
pub use effect::{Activity, Effect, HandlerStats, Notice, Outcomes, PartitionHealth, Plan, Reply, Survey};

use crate::{
    Aggregate, AggregateCodec, GroupEvent, Offset, Partition, Protections, RecordBatch, TimestampMs, TopicPartition,
    Version,
};
use batch::Batch;
use careful::{Mark, Turn};
use recovering::MissingSchema;
use std::collections::{BTreeMap, VecDeque};
use tenure::{Phase, Reading, Tenure};

/// How long a position that moved without a command waits for one before it is written.
const IDLE_POSITION_MS: i64 = 1_000;

/// The handler of one worker.
#[derive(Debug)]
pub struct Handler<A: Aggregate, C> {
    config: HandlerConfig,
    protections: Protections,
    codec: C,
    tenures: BTreeMap<Partition, Tenure<A>>,
    tenures_begun: u64,
    /// The member that the tenures belong to.
    member_id: Option<String>,
    inbox: RecordBatch,
    /// The tenure in which each record of the inbox was polled; 0 for none.
    stamps: Vec<u64>,
    /// The commands of careful partitions are out of the inbox up to here.
    set_aside: usize,
    /// What the plan is about.
    turn: Turn,
    /// Whether a careful partition has the next turn, though the inbox is not empty.
    careful_next: bool,
    /// What this process wrote down last of each partition.
    marks: BTreeMap<Partition, Mark>,
    effects: VecDeque<Effect>,
    plan: Plan,
    batch: Batch<A>,
    /// Schemas that the registry does not have.
    missing_schemas: BTreeMap<u32, MissingSchema>,
    replies: Vec<Reply>,
    stats: HandlerStats,
}

impl<A: Aggregate, C: AggregateCodec<A>> Handler<A, C> {
    /// A handler with every protection.
    pub fn new(config: HandlerConfig, codec: C) -> Self {
        Self::with_protections(config, codec, Protections::ALL)
    }

    /// For the test kit: a handler without some of its protections.
    #[doc(hidden)]
    pub fn with_protections(config: HandlerConfig, codec: C, protections: Protections) -> Self {
        Handler {
            config,
            protections,
            codec,
            tenures: BTreeMap::new(),
            tenures_begun: 0,
            member_id: None,
            inbox: RecordBatch::new(),
            stamps: Vec::new(),
            set_aside: 0,
            turn: Turn::Inbox,
            careful_next: false,
            marks: BTreeMap::new(),
            effects: VecDeque::new(),
            plan: Plan::default(),
            batch: Batch::new(),
            missing_schemas: BTreeMap::new(),
            replies: Vec::new(),
            stats: HandlerStats::default(),
        }
    }

    /// The settings.
    pub fn config(&self) -> &HandlerConfig {
        &self.config
    }

    /// Counts since the handler was made. What a transaction did counts once it is committed.
    pub fn stats(&self) -> HandlerStats {
        self.stats
    }

    /// How each partition is doing.
    pub fn health(&self) -> Vec<PartitionHealth> {
        self.tenures.iter().map(|(partition, tenure)| tenure.health(*partition)).collect()
    }

    /// The state and version of an aggregate in memory; none if it has no events or its partition is not ready here.
    pub fn state(&self, id: &str) -> Option<(&A, Version)> {
        let partition = crate::partition_of(id.as_bytes(), self.config.partitions);
        let tenure = self.tenures.get(&partition).filter(|tenure| tenure.is_ready())?;
        let slot = tenure.aggregates.get(tenure.aggregates.find(id.as_bytes())?);
        (slot.version > Version::NONE).then_some((&slot.state, slot.version))
    }

    /// How many more commands a poll may bring before the next plan.
    pub fn room(&self) -> usize {
        if self.inbox.size_bytes() >= self.config.max_batch_bytes {
            return 0;
        }
        self.config.max_batch_commands.saturating_sub(self.inbox.len())
    }

    /// Where polls put commands.
    pub fn inbox(&mut self) -> &mut RecordBatch {
        &mut self.inbox
    }

    /// How many commands wait for a plan, or are in the one that runs.
    pub fn commands(&self) -> usize {
        match self.turn {
            Turn::Alone(_) => 1,
            Turn::Mark(_) | Turn::Inbox => self.inbox.len(),
        }
    }

    /// How many commands the current plan is about: none where it only writes down what will be begun.
    pub fn planned_commands(&self) -> usize {
        match self.turn {
            Turn::Mark(_) => 0,
            Turn::Alone(_) | Turn::Inbox => self.commands(),
        }
    }

    /// Whether commands wait for a plan.
    pub fn has_commands(&self) -> bool {
        !self.inbox.is_empty() || self.waiting() > 0
    }

    /// Whether a plan would hold something that no command asks for: a
    /// checkpoint, or a position that moved.
    pub fn has_duties(&self, now: TimestampMs) -> bool {
        self.tenures.values().filter(|tenure| tenure.is_ready()).any(|tenure| {
            tenure.checkpoint.is_some()
                || tenure.is_checkpoint_due(&self.config, now)
                || (tenure.is_position_idle(now) && self.config.snapshots != Snapshots::Prepared)
        })
    }

    /// Whether there is work that no command starts: a recovery or a checkpoint.
    pub fn is_busy(&self) -> bool {
        !self.effects.is_empty()
            || self.tenures.values().any(|tenure| {
                tenure.checkpoint.is_some()
                    || matches!(tenure.phase, Phase::Recovering(_, Reading::On) | Phase::Survey { ask_at: None, .. })
            })
    }

    /// The next thing for the shell to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes back an effect that the shell could not execute now: it is the next one again.
    pub fn put_back(&mut self, effect: Effect) {
        self.effects.push_front(effect);
    }

    /// Answers to be sent now, each at most once.
    pub fn take_replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }

    /// Takes what a poll brought: records that are in the inbox by now, then an event.
    pub fn polled(&mut self, event: Option<&GroupEvent>, now: TimestampMs) {
        self.stamp();
        match event {
            Some(GroupEvent::Assigned(places)) => places.iter().for_each(|place| self.assigned(place, now)),
            Some(GroupEvent::Revoked(places) | GroupEvent::Lost(places)) => {
                places.iter().for_each(|place| self.ended(place));
            }
            None => {}
        }
        self.ask_again(now);
    }

    /// Notes under which tenures the new records were polled. They come in
    /// runs of one partition each.
    fn stamp(&mut self) {
        let mut run: Option<(Partition, u64)> = None;
        for index in self.stamps.len()..self.inbox.len() {
            let partition = self.inbox.get(index).partition();
            let number = match run {
                Some((known, number)) if known == partition => number,
                _ => self.tenures.get(&partition).filter(|tenure| tenure.is_ready()).map_or(0, |tenure| tenure.number),
            };
            run = Some((partition, number));
            self.stamps.push(number);
        }
    }

    fn assigned(&mut self, place: &TopicPartition, now: TimestampMs) {
        let number = self.next_number();
        if let Some(kept) = self.tenures.get_mut(&place.partition).filter(|kept| kept.is_ready() && kept.number == 0) {
            // Only without the protection that drops state on revocation.
            kept.number = number;
            self.effects.push_back(Effect::Start(place.clone(), kept.next_command));
            return;
        }
        self.ended(place);
        self.tenures.insert(place.partition, Tenure::new(number, now, &self.config));
    }

    fn next_number(&mut self) -> u64 {
        self.tenures_begun += 1;
        self.tenures_begun
    }

    fn ended(&mut self, place: &TopicPartition) {
        // What was not done yet for the old tenure is not to be done for a new one.
        self.effects.retain(|effect| match effect {
            Effect::Start(other, _) | Effect::Pause(other) => other.partition != place.partition,
            Effect::Survey(partition, _) => *partition != place.partition,
            Effect::Read(other, _) => other.partition != place.partition,
            Effect::StopReading(_) | Effect::FetchSchema(_) | Effect::RenewProducer | Effect::Tell(_) => true,
        });
        self.stop_reading(place.partition);
        if self.protections.state_dropped_on_revocation {
            self.tenures.remove(&place.partition);
            if self.tenures.is_empty() {
                // What comes next may be another member's, and nothing is left of this one.
                self.member_id = None;
            }
        } else if let Some(kept) = self.tenures.get_mut(&place.partition) {
            kept.number = 0;
        }
    }

    /// The consumer was replaced: all tenures ended without a word.
    pub fn consumer_lost(&mut self) {
        let places: Vec<_> = self.tenures.keys().map(|p| self.config.topics.commands.partition(*p)).collect();
        places.iter().for_each(|place| self.ended(place));
        self.tenures.clear();
        self.member_id = None;
        self.batch.clear();
        self.forget_inbox();
    }

    fn forget_inbox(&mut self) {
        self.inbox.clear();
        self.stamps.clear();
        self.set_aside = 0;
    }

    /// Tells that a started partition's consumer stands at `position` with
    /// nothing to deliver: control records may lie behind the last command.
    pub fn idle_at(&mut self, partition: Partition, position: Offset, now: TimestampMs) {
        if !self.inbox.is_empty() {
            return;
        }
        if let Some(tenure) = self.tenures.get_mut(&partition).filter(|tenure| tenure.is_ready())
            && position > tenure.next_command
        {
            tenure.next_command = position;
            tenure.position_due.get_or_insert(now);
        }
    }
}
