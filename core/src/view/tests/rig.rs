//! A bank's view, a codec of plain text, and a sink of three maps that writes down what it is told.

pub(super) use super::records::Records;
use crate::{
    AggregateId, CommitOffset, DecodeError, Decoded, Error, GroupEvent, Message, MessageCodec, Offset, Partition,
    Protections, RecordBatch, TimestampMs, Topic, TopicId, TopicPartition,
    log::{Bounds, Committed},
    view::*,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

#[derive(Debug, Clone)]
pub(super) enum Event {
    Deposited(u64),
    Moved { to: String, cents: u64 },
    Closed,
    Poison,
}

impl Message for Event {
    const RECORDS: &'static [&'static str] = &["Deposited", "Moved", "Closed", "Poison"];
    fn record(&self) -> usize {
        match self {
            Event::Deposited(_) => 0,
            Event::Moved { .. } => 1,
            Event::Closed => 2,
            Event::Poison => 3,
        }
    }
}

/// `<schema>:<record>:<arguments>`.
#[derive(Debug, Clone, Default)]
pub(super) struct TextCodec {
    known: Arc<Mutex<BTreeSet<u32>>>,
}

impl TextCodec {
    pub(super) fn learn(&self, schema: u32) {
        self.known.lock().unwrap().insert(schema);
    }
}

impl MessageCodec<Event> for TextCodec {
    fn encode(&self, _: &Event, _: &mut Vec<u8>) -> Result<(), Error> {
        Err(Error::invalid("only read here"))
    }

    fn decode(&self, value: &[u8]) -> Result<Decoded<Event>, DecodeError> {
        let text = String::from_utf8_lossy(value);
        let parts: Vec<&str> = text.split(':').collect();
        let malformed = || DecodeError::Malformed(format!("{text:?} is no event"));
        let schema: u32 = parts[0].parse().map_err(|_| malformed())?;
        if schema > 1 && !self.known.lock().unwrap().contains(&schema) {
            return Err(DecodeError::UnknownSchema(schema));
        }
        match parts[1..] {
            ["deposited", cents] => Ok(Decoded::One(Event::Deposited(cents.parse().unwrap()))),
            ["moved", to, cents] => Ok(Decoded::One(Event::Moved { to: to.into(), cents: cents.parse().unwrap() })),
            ["closed"] => Ok(Decoded::One(Event::Closed)),
            ["poison"] => Ok(Decoded::One(Event::Poison)),
            // A retired record: a deposit of each amount, and poison where there is a word.
            ["earlier", ref amounts @ ..] => {
                let event = |amount: &&str| amount.parse().map_or(Event::Poison, Event::Deposited);
                Ok(Decoded::Upcast(amounts.iter().map(event).collect()))
            }
            ["earlier transfer", cents, to] => {
                let moved = Event::Moved { to: to.into(), cents: cents.parse().unwrap() };
                Ok(Decoded::Upcast(vec![Event::Deposited(cents.parse().unwrap()), moved]))
            }
            ["renamed"] => Err(DecodeError::UnknownRecord("Renamed".into())),
            _ => Err(malformed()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Balance {
    pub(super) cents: u64,
}

#[derive(Debug)]
pub(super) struct Balances;

impl View for Balances {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account", "bank.card"];
    const SCOPE: Scope = Scope::Shared;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        match &event.event {
            Event::Moved { to, .. } if to.is_empty() => panic!("moved to nobody"),
            Event::Moved { to, .. } => vec![event.aggregate.to_string(), to.clone()],
            _ => vec![event.aggregate.to_string()],
        }
    }

    fn fold(key: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        let cents = row.map_or(0, |row| row.cents);
        match &event.event {
            Event::Deposited(more) => Some(Balance { cents: cents + more }),
            Event::Moved { to, cents: moved } if key == to => Some(Balance { cents: cents + moved }),
            Event::Moved { cents: moved, .. } => Some(Balance { cents: cents - moved }),
            Event::Closed => None,
            Event::Poison => panic!("cannot digest this"),
        }
    }
}

pub(super) fn place(topic: &str, partition: u32) -> TopicPartition {
    Topic::from(topic).partition(Partition(partition))
}

pub(super) fn accounts(partition: u32) -> TopicPartition {
    place("bank.account.events", partition)
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) topic_id: TopicId,
    pub(super) epoch: u64,
    pub(super) position: Offset,
}

pub(super) const TOPIC_ID: TopicId = TopicId([7; 16]);

pub(super) struct Rig {
    pub(super) machine: ViewMachine<Balances, TextCodec>,
    pub(super) codec: TextCodec,
    pub(super) now: i64,
    pub(super) rows: BTreeMap<String, Vec<Value>>,
    pub(super) last: BTreeMap<(Topic, AggregateId), LastEvent>,
    pub(super) progress: BTreeMap<TopicPartition, Stored>,
    /// What is left aside, by topic, key and offset.
    pub(super) parked: BTreeMap<(Topic, AggregateId, Offset), Parked>,
    /// What was begun and from where, and how often.
    pub(super) in_hand: BTreeMap<TopicPartition, (Offset, u32)>,
    /// What the group has committed.
    pub(super) group: BTreeMap<TopicPartition, Committed>,
    /// All partitions of the view's topics: these are reviewed.
    pub(super) all: Vec<TopicPartition>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) fold_version: u32,
    /// Errors that the next marks get.
    pub(super) fail_marks: VecDeque<Error>,
    pub(super) bounds: Bounds,
    pub(super) schemas_in_registry: BTreeSet<u32>,
    /// What the registry says of another schema.
    pub(super) registry_says: fn() -> Error,
    /// Outcomes that the next commits get instead of a real one.
    pub(super) fail_commits: VecDeque<Result<CommitOutcome, Error>>,
    /// Outcomes that the next marks get instead of a real one.
    pub(super) fail_marks_in_hand: VecDeque<Result<Vec<TopicPartition>, Error>>,
    /// Rows that the database does not take.
    pub(super) refuses: Vec<&'static str>,
    /// Ends the process in the fold of an event of this aggregate.
    pub(super) dies_on: Option<&'static str>,
    /// It has.
    pub(super) died: bool,
    pub(super) marks_in_hand: usize,
    pub(super) trace: Vec<String>,
}

impl Rig {
    pub(super) fn new(protections: Protections) -> Self {
        let codec = TextCodec::default();
        Rig {
            machine: ViewMachine::new(codec.clone(), "db", protections).unwrap(),
            codec,
            now: 0,
            rows: BTreeMap::new(),
            last: BTreeMap::new(),
            progress: BTreeMap::new(),
            parked: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            fail_marks_in_hand: VecDeque::new(),
            dies_on: None,
            died: false,
            marks_in_hand: 0,
            group: BTreeMap::new(),
            all: vec![accounts(0), accounts(1)],
            skipped: Vec::new(),
            fold_version: Balances::FOLD_VERSION,
            fail_marks: VecDeque::new(),
            bounds: Bounds { start: Offset(0), end: Offset(1_000) },
            schemas_in_registry: BTreeSet::new(),
            registry_says: || Error::unavailable("the registry is away"),
            fail_commits: VecDeque::new(),
            refuses: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// With these partitions assigned and claimed.
    pub(super) fn with(places: &[TopicPartition]) -> Self {
        Self::protected(Protections::ALL, places)
    }

    pub(super) fn protected(protections: Protections, places: &[TopicPartition]) -> Self {
        let mut rig = Rig::new(protections);
        rig.event(GroupEvent::Assigned(places.to_vec()));
        rig.idle();
        rig.trace.clear();
        rig
    }

    /// With these partitions, of which nothing was in the log when they were claimed.
    pub(super) fn caught_up(places: &[TopicPartition]) -> Self {
        let mut rig = Rig::new(Protections::ALL);
        let bounds = std::mem::replace(&mut rig.bounds, Bounds { start: Offset(0), end: Offset(0) });
        rig.event(GroupEvent::Assigned(places.to_vec()));
        rig.idle();
        rig.bounds = bounds;
        rig.trace.clear();
        rig
    }

    pub(super) fn event(&mut self, event: GroupEvent) {
        self.poll(&RecordBatch::new(), Some(&event), &[]);
    }

    pub(super) fn idle(&mut self) {
        self.poll(&RecordBatch::new(), None, &[]);
    }

    /// Looks at the database between two transactions.
    pub(super) fn look(&mut self) {
        let effects = self.machine.looked(&self.standing());
        self.follow(effects);
    }

    pub(super) fn records(&mut self, records: Records) {
        self.poll(&records.batch, None, &[]);
    }

    /// Polls and does everything that the poll leads to.
    pub(super) fn poll(
        &mut self,
        records: &RecordBatch,
        event: Option<&GroupEvent>,
        positions: &[(TopicPartition, Offset)],
    ) {
        if self.died {
            return; // nobody polls
        }
        self.now += 1;
        let poll = Polled { now: TimestampMs(self.now), records, event, positions };
        let effects = self.machine.polled(&poll);
        self.follow(effects);
    }

    fn follow(&mut self, effects: Vec<Effect>) {
        let mut todo: VecDeque<Effect> = effects.into();
        while let Some(effect) = todo.pop_front() {
            if let (Effect::Load(request), Some(killer)) = (&effect, self.dies_on)
                && request.keys.iter().any(|key| key == killer)
            {
                // It would be folded next.
                self.died = true;
                return;
            }
            let led_to = self.execute(effect);
            // What an effect leads to comes before the effects after it.
            led_to.into_iter().rev().for_each(|effect| todo.push_front(effect));
        }
    }

    fn execute(&mut self, effect: Effect) -> Vec<Effect> {
        match effect {
            Effect::Claim(place) => {
                let fresh = Stored { topic_id: TOPIC_ID, epoch: 0, position: Offset(0) };
                let row = self.progress.entry(place.clone()).or_insert(fresh);
                row.epoch += 1;
                let (position, marked) = (row.position, self.in_hand.get(&place));
                let tries = marked.filter(|(at, _)| *at == position).map_or(0, |(_, tries)| *tries);
                let claim = Claim { topic_id: row.topic_id, epoch: row.epoch, position, tries };
                self.trace.push(format!("claim {place}: epoch {}, position {}", claim.epoch, claim.position));
                self.machine.claimed(
                    &place,
                    Ok(Claimed { topic_id: TOPIC_ID, bounds: self.bounds, claim, parked: self.parked_keys(&place) }),
                )
            }
            Effect::Review => {
                let reviewed = Reviewed { standing: self.standing(), group: self.group_places() };
                self.machine.reviewed(Ok(reviewed))
            }
            Effect::Honour(plan) => {
                plan.told.iter().for_each(|told| self.trace.push(format!("honour {told}")));
                self.record(&plan);
                if let Some(error) = self.fail_marks.pop_front() {
                    return self.machine.honoured(Err(ClaimFailed { awaited: Awaited::Log, error }));
                }
                self.mark(plan.marks);
                self.machine.honoured(Ok(()))
            }
            Effect::Load(request) => {
                self.trace.push(format!("load {:?} {:?}", request.keys, request.locking));
                let loaded = self.load(&request);
                self.machine.loaded(Ok(loaded))
            }
            Effect::Commit(commit) => {
                let moves: Vec<String> = commit
                    .moves
                    .iter()
                    .map(|m| format!("{} {}..{} epoch {}", m.place, m.from, m.to, m.epoch))
                    .collect();
                self.trace.push(format!("commit {} -{:?} {}", rows(&commit.upserts), commit.deletes, moves.join(", ")));
                let refused = commit.upserts.iter().any(|(key, _)| self.refuses.contains(&key.as_str()));
                let outcome = match self.fail_commits.pop_front() {
                    Some(outcome) => outcome,
                    None if refused => Err(Error::data("a constraint of the table")),
                    None => Ok(self.commit(commit)),
                };
                self.trace
                    .push(format!("  {}", outcome.as_ref().map_or_else(ToString::to_string, |o| format!("{o:?}"))));
                self.machine.committed(outcome)
            }
            Effect::Mark(marks) => {
                self.marks_in_hand += 1;
                let outcome = self.fail_marks_in_hand.pop_front().unwrap_or_else(|| Ok(self.mark_in_hand(&marks)));
                self.machine.marked(outcome)
            }
            Effect::Unmark(marks) => {
                self.mark_in_hand(&marks);
                Vec::new()
            }
            Effect::FetchSchema(id) => {
                self.trace.push(format!("fetch schema {id}"));
                let found = self.schemas_in_registry.contains(&id);
                if found {
                    self.codec.known.lock().unwrap().insert(id);
                }
                self.machine.schema_fetched(id, found.then_some(()).ok_or_else(self.registry_says))
            }
            Effect::CommitGroupOffsets(offsets) => {
                self.mark(offsets);
                Vec::new()
            }
            Effect::Start(place, offset) => self.note(format!("start {place}@{offset}")),
            Effect::Pause(place) => self.note(format!("pause {place}")),
            Effect::Wait { place, why } => self.note(format!("wait {place}: {why}")),
            Effect::Stop { place, stop } => self.note(format!("stop {place}: {stop}")),
            Effect::Rollback => self.note("rollback".into()),
        }
    }

    pub(super) fn load(&self, request: &LoadRequest) -> Loaded {
        let is_parked = |number: &usize| self.is_parked(&request.aggregates[*number]);
        let last = request.aggregates.iter().map(|aggregate| self.last.get(aggregate).copied().unwrap_or_default());
        Loaded {
            rows: request.keys.iter().map(|key| self.rows.get(key).cloned()).collect(),
            last: last.collect(),
            parked: request.may_be_parked.iter().copied().filter(is_parked).collect(),
        }
    }

    fn is_parked(&self, (topic, id): &(Topic, AggregateId)) -> bool {
        self.parked.keys().any(|(of, aggregate, _)| of == topic && aggregate == id)
    }

    fn parked_keys(&self, place: &TopicPartition) -> u64 {
        self.parked.values().filter(|record| record.place == *place && !record.cause.is_empty()).count() as u64
    }

    /// The records of a key that are left aside.
    pub(super) fn parked_of(&self, place: &TopicPartition, id: &str) -> Vec<Parked> {
        let records = self.parked.values();
        records.filter(|record| record.place == *place && record.aggregate.as_str() == id).cloned().collect()
    }

    /// What is left aside, a line for each record.
    pub(super) fn aside(&self) -> String {
        let line = |record: &Parked| {
            let Parked { place, aggregate, offset, version, cause, attempts, .. } = record;
            format!("{aggregate} {version} {place}@{offset} tried {attempts}: {cause}")
        };
        self.parked.values().map(line).collect::<Vec<_>>().join("\n")
    }

    fn note(&mut self, line: String) -> Vec<Effect> {
        self.trace.push(line);
        Vec::new()
    }

    fn mark(&mut self, offsets: Vec<CommitOffset>) {
        for CommitOffset { place, offset, metadata } in offsets {
            self.trace.push(format!("group {place} {offset} {metadata:?}"));
            self.group.insert(place, Committed { offset, metadata });
        }
    }

    /// What an operator's tool does.
    pub(super) fn reset(&mut self, place: &TopicPartition, offset: i64) {
        self.group.insert(place.clone(), Committed { offset: Offset(offset), metadata: String::new() });
    }

    /// The process is no more, and another one has these partitions.
    pub(super) fn start_anew(&mut self, places: &[TopicPartition]) {
        self.died = false;
        self.machine = ViewMachine::new(self.codec.clone(), "db", Protections::ALL).unwrap();
        self.event(GroupEvent::Assigned(places.to_vec()));
        self.idle();
    }

    /// The view goes down and comes back with these partitions.
    pub(super) fn restart(&mut self, places: &[TopicPartition]) {
        self.event(GroupEvent::Revoked(self.all.clone()));
        self.trace.clear();
        self.event(GroupEvent::Assigned(places.to_vec()));
        self.idle();
    }

    pub(super) fn standing(&self) -> Standing {
        let row = |(place, row): (&TopicPartition, &Stored)| ProgressRow {
            place: place.clone(),
            topic_id: row.topic_id,
            position: row.position,
        };
        Standing {
            rows: self.progress.iter().map(row).collect(),
            skipped: self.skipped.clone(),
            fold_version: self.fold_version,
        }
    }

    fn mark_in_hand(&mut self, marks: &[InHand]) -> Vec<TopicPartition> {
        let mut lost = Vec::new();
        for InHand { place, epoch, position, tries } in marks {
            match self.progress[place].epoch == *epoch {
                true => drop(self.in_hand.insert(place.clone(), (*position, *tries))),
                false => lost.push(place.clone()),
            }
        }
        lost
    }

    fn group_places(&self) -> Vec<GroupPlace> {
        let place = |place: &TopicPartition| GroupPlace {
            place: place.clone(),
            topic_id: TOPIC_ID,
            committed: self.group.get(place).cloned(),
            bounds: self.bounds,
        };
        self.all.iter().map(place).collect()
    }

    fn record(&mut self, plan: &ResetPlan) {
        if plan.extent == Extent::Whole {
            (self.rows, self.last, self.skipped) = Default::default();
            self.fold_version = Balances::FOLD_VERSION;
        }
        for PlaceReset { row, skipped } in &plan.places {
            let epoch = self.progress.get(&row.place).map_or(0, |stored| stored.epoch) + 1;
            let stored = Stored { topic_id: row.topic_id, epoch, position: row.position };
            self.progress.insert(row.place.clone(), stored);
            self.skipped.retain(|old| old.place != row.place);
            self.skipped.extend(skipped.iter().map(|r| Skipped { place: row.place.clone(), offsets: r.clone() }));
        }
    }

    pub(super) fn commit(&mut self, commit: Commit) -> CommitOutcome {
        let lost: Vec<TopicPartition> = commit
            .moves
            .iter()
            .filter(|m| {
                let row = &self.progress[&m.place];
                commit.compare == Compare::EpochAndPosition && (row.epoch != m.epoch || row.position != m.from)
            })
            .map(|m| m.place.clone())
            .collect();
        if !lost.is_empty() {
            return CommitOutcome::ClaimLost(lost);
        }
        if !commit.parking.still.iter().all(|key| self.is_parked(key)) || !self.redrive(commit.parking.redriven) {
            return CommitOutcome::RowsChanged;
        }
        for record in commit.parking.aside {
            let key = (record.place.topic.clone(), record.aggregate.clone(), record.offset);
            self.parked.entry(key).or_insert(record);
        }
        for m in commit.moves {
            let row = self.progress.get_mut(&m.place).unwrap();
            (row.position, row.topic_id) = (m.to, m.topic_id);
        }
        self.rows.extend(commit.upserts);
        commit.deletes.iter().for_each(|key| drop(self.rows.remove(key)));
        self.last.extend(commit.watermarks.into_iter().map(|w| ((w.topic, w.aggregate), w.last)));
        CommitOutcome::Committed
    }

    /// Whether the key was as it was read.
    fn redrive(&mut self, redriven: Option<Redriven>) -> bool {
        let Some(Redriven { place, aggregate, expected, done, next, owner }) = redriven else { return true };
        let records = self.parked_of(&place, aggregate.as_str());
        if !records.iter().map(|record| record.offset).take(expected.len()).eq(expected.iter().copied()) {
            return false;
        }
        for offset in &expected[..done] {
            self.parked.remove(&(place.topic.clone(), aggregate.clone(), *offset));
        }
        if let Some(record) = records.get(done) {
            let key = (place.topic.clone(), aggregate, record.offset);
            let head = Parked { cause: next.cause, attempts: next.attempts, ..record.clone() };
            self.parked.insert(key, head);
        }
        if owner == Owner::ClaimsAgain {
            self.progress.get_mut(&place).unwrap().epoch += 1;
        }
        true
    }

    pub(super) fn balances(&self) -> String {
        rows(self.rows.iter())
    }

    pub(super) fn state(&self, place: &TopicPartition) -> PlaceState {
        self.machine.status()[place].state.clone()
    }

    pub(super) fn stop_class(&self, place: &TopicPartition) -> Option<StopClass> {
        match self.state(place) {
            PlaceState::Stopped(stop) => Some(stop.class),
            _ => None,
        }
    }

    pub(super) fn trace(&mut self) -> String {
        std::mem::take(&mut self.trace).join("\n")
    }
}

fn rows<R: Pair>(rows: impl IntoIterator<Item = R>) -> String {
    let rows: Vec<String> = rows.into_iter().map(|row| row.show()).collect();
    format!("[{}]", rows.join(" "))
}

/// A key and its values, from a list or from a map.
trait Pair {
    fn show(&self) -> String;
}

impl Pair for &(String, Vec<Value>) {
    fn show(&self) -> String {
        format!("{}={}", self.0, self.1[0])
    }
}

impl Pair for (&String, &Vec<Value>) {
    fn show(&self) -> String {
        format!("{}={}", self.0, self.1[0])
    }
}
