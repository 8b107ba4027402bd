//! A shell for one handler over a model of its topics: offsets taken by
//! control and aborted records, transactions left open, and a reader of what
//! is committed.

use crate::domain::{Counter, TextCodec};
pub(crate) use crate::model::{Cmd, Kept, Part, anonymous, cmd, copy, event_header, key_in};
use factum_core::{
    CommitOffset, Error, GroupEvent, Membership, Offset, Partition, Protections, RecordBatch, RecordRef, TimestampMs,
    Topic, TopicId, TopicPartition, Topics,
    handler::{Effect, Handler, HandlerConfig, HandlerStats, Notice, Reply, Survey},
    log::{Bounds, Committed, GroupProtocol, Isolation},
    transaction::Outcome,
    wire::{Begun, EventHeader, Progress, SnapshotHead, SnapshotKey},
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Rig {
    pub(crate) handler: Handler<Counter, TextCodec>,
    pub(crate) config: HandlerConfig,
    pub(crate) codec: TextCodec,
    pub(crate) protections: Protections,
    pub(crate) topics: Topics,
    pub(crate) parts: BTreeMap<(Topic, u32), Part>,
    pub(crate) committed: BTreeMap<u32, Committed>,
    /// Commands partitions that deliver, and from where.
    pub(crate) started: BTreeMap<u32, i64>,
    /// What the reader reads, and from where.
    pub(crate) reading: BTreeMap<TopicPartition, i64>,
    pub(crate) now: i64,
    pub(crate) member: Membership,
    pub(crate) commands_id: TopicId,
    pub(crate) events_id: TopicId,
    pub(crate) partition_count: u32,
    /// The answer to the next surveys, if they fail.
    pub(crate) survey_error: Option<Error>,
    /// Schemas that were asked for.
    pub(crate) wanted: Vec<u32>,
    pub(crate) renewed: usize,
    /// Effects in the order in which they were executed.
    pub(crate) done: Vec<String>,
    notices: Vec<Notice>,
    replies: Vec<Reply>,
    pub(crate) stats_before_restart: HandlerStats,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Rig::with(1, |_| {}, Protections::ALL)
    }

    pub(crate) fn configured(change: impl FnOnce(&mut HandlerConfig)) -> Self {
        Rig::with(1, change, Protections::ALL)
    }

    /// A rig that owns all of its partitions.
    pub(crate) fn with(partitions: u32, change: impl FnOnce(&mut HandlerConfig), protections: Protections) -> Self {
        let topics = Topics::of("test.counter");
        let mut config = HandlerConfig::new(topics.clone(), partitions);
        config.source = "test/0/1.0".into();
        change(&mut config);
        let codec = TextCodec::default();
        let mut rig = Rig {
            handler: Handler::with_protections(config.clone(), codec.clone(), protections),
            config,
            codec,
            protections,
            topics,
            parts: BTreeMap::new(),
            committed: BTreeMap::new(),
            started: BTreeMap::new(),
            reading: BTreeMap::new(),
            now: 1_000_000,
            member: Membership {
                group: "test.counter.handler".into(),
                member_id: "m-1".into(),
                generation: 1,
                instance_id: None,
                protocol: GroupProtocol::Classic,
            },
            commands_id: TopicId([0xc0; 16]),
            events_id: TopicId([0xe0; 16]),
            partition_count: partitions,
            survey_error: None,
            wanted: Vec::new(),
            renewed: 0,
            done: Vec::new(),
            notices: Vec::new(),
            replies: Vec::new(),
            stats_before_restart: HandlerStats::default(),
        };
        rig.assign_all();
        rig
    }

    pub(crate) fn part(&mut self, topic: &Topic, partition: u32) -> &mut Part {
        self.parts.entry((topic.clone(), partition)).or_default()
    }

    pub(crate) fn events(&mut self) -> &mut Part {
        let topic = self.topics.events.clone();
        self.part(&topic, 0)
    }

    pub(crate) fn snapshots(&mut self) -> &mut Part {
        let topic = self.topics.snapshots.clone();
        self.part(&topic, 0)
    }

    pub(crate) fn commands(&mut self) -> &mut Part {
        let topic = self.topics.commands.clone();
        self.part(&topic, 0)
    }

    pub(crate) fn place(&self, partition: u32) -> TopicPartition {
        self.topics.commands.partition(Partition(partition))
    }

    pub(crate) fn assign_all(&mut self) {
        let places = (0..self.config.partitions).map(|p| self.place(p)).collect();
        self.event(GroupEvent::Assigned(places));
    }

    /// A poll that brings nothing but an event.
    pub(crate) fn event(&mut self, event: GroupEvent) {
        if let GroupEvent::Revoked(places) | GroupEvent::Lost(places) = &event {
            places.iter().for_each(|place| {
                self.started.remove(&place.partition.0);
            });
        }
        self.handler.polled(Some(&event), TimestampMs(self.now));
        self.run_effects();
    }

    /// Another process with other code or settings takes over.
    pub(crate) fn restart(&mut self) {
        self.restart_with(self.protections);
    }

    pub(crate) fn restart_with(&mut self, protections: Protections) {
        self.stats_before_restart = self.handler.stats();
        self.handler = Handler::with_protections(self.config.clone(), self.codec.clone(), protections);
        self.started.clear();
        self.reading.clear();
        self.done.clear();
        self.assign_all();
    }

    pub(crate) fn send(&mut self, commands: impl IntoIterator<Item = Cmd>) {
        for command in commands {
            let right = factum_core::partition_of(&command.key, self.config.partitions).0;
            let partition = command.partition.unwrap_or(right);
            let (topic, now) = (self.topics.commands.clone(), self.now);
            self.part(&topic.clone(), partition).push(Kept::Committed, |batch, offset| {
                let mut record = batch.start(&topic, Partition(partition));
                record.offset(offset);
                record.timestamp(TimestampMs(now));
                record.key(&command.key);
                record.value(&command.value);
                command.headers.iter().for_each(|(name, value)| record.header(name, value));
                record.finish();
            });
        }
    }

    /// Delivers what the started partitions have, with an event behind it.
    pub(crate) fn poll_with(&mut self, event: Option<GroupEvent>) {
        let topic = self.topics.commands.clone();
        for (partition, from) in &mut self.started {
            let Some(part) = self.parts.get(&(topic.clone(), *partition)) else { continue };
            for (at, record) in part.committed_from(*from) {
                if self.handler.room() == 0 {
                    break;
                }
                self.handler.inbox().push(record);
                *from = at + 1;
            }
        }
        match event {
            Some(event) => self.event(event),
            None => {
                self.handler.polled(None, TimestampMs(self.now));
                self.run_effects();
            }
        }
    }

    pub(crate) fn poll(&mut self) {
        self.poll_with(None);
    }

    pub(crate) fn plan(&mut self) -> bool {
        let mut planned = self.handler.plan(&self.member, TimestampMs(self.now));
        // Marks of what is begun go before, and say nothing to most tests.
        while planned && self.is_mark() {
            self.commit();
            planned = self.handler.plan(&self.member, TimestampMs(self.now));
        }
        if !planned {
            self.after();
        }
        planned
    }

    /// Whether the plan only writes down what is begun.
    pub(crate) fn is_mark(&self) -> bool {
        let records = &self.handler.current_plan().records;
        let begun = |record: RecordRef<'_>| record.key().and_then(SnapshotKey::read) == Some(SnapshotKey::Begun);
        !records.is_empty() && records.iter().all(begun)
    }

    /// Sends, polls, plans and commits; what was there before comes first.
    pub(crate) fn handle(&mut self, commands: impl IntoIterator<Item = Cmd>) {
        self.send(commands);
        self.poll();
        if self.plan() {
            self.commit();
        }
    }

    /// Appends the plan's records and returns their offsets.
    pub(crate) fn append(&mut self, kept: Kept) -> Vec<Offset> {
        let mut offsets = Vec::new();
        let mut written = BTreeSet::new();
        let records = self.handler.current_plan().records.clone();
        for record in records.iter() {
            let place = (record.topic().clone(), record.partition().0);
            written.insert(place.clone());
            let at = self.parts.entry(place).or_default().push(kept, |batch, offset| copy(record, offset, batch));
            offsets.push(Offset(at));
        }
        if kept != Kept::Open {
            for place in written {
                self.parts.entry(place).or_default().push(Kept::Hidden, |_, _| {});
            }
        }
        offsets
    }

    /// Decides a transaction that was left open.
    pub(crate) fn resolve(&mut self, kept: Kept) {
        for part in self.parts.values_mut() {
            let mut any = false;
            for (state, _) in &mut part.records {
                if *state == Kept::Open {
                    *state = kept;
                    any = true;
                }
            }
            if any {
                part.push(Kept::Hidden, |_, _| {});
            }
        }
    }

    fn take_offsets(&mut self) {
        for CommitOffset { place, offset, metadata } in &self.handler.current_plan().offsets {
            self.committed.insert(place.partition.0, Committed { offset: *offset, metadata: metadata.clone() });
        }
    }

    pub(crate) fn commit(&mut self) {
        let offsets = self.append(Kept::Committed);
        self.take_offsets();
        self.finish(Outcome::Committed, &offsets);
    }

    pub(crate) fn abort(&mut self) {
        self.append(Kept::Hidden);
        self.finish(Outcome::Aborted, &[]);
    }

    /// The commit's answer was lost; `truth` is what the log did.
    pub(crate) fn unknown(&mut self, truth: Kept) {
        self.append(truth);
        if truth == Kept::Committed {
            self.take_offsets();
        }
        self.finish(Outcome::Unknown, &[]);
    }

    pub(crate) fn finish(&mut self, outcome: Outcome, offsets: &[Offset]) {
        self.handler.finished(outcome, offsets, TimestampMs(self.now));
        self.after();
    }

    fn after(&mut self) {
        self.replies.extend(self.handler.take_replies());
        self.run_effects();
    }

    /// Lets time pass, with a poll that brings nothing new.
    pub(crate) fn wait(&mut self, ms: i64) {
        self.now += ms;
        self.poll();
    }

    /// Executes effects and reads, until nothing more comes of it.
    pub(crate) fn run_effects(&mut self) {
        loop {
            while let Some(effect) = self.handler.next_effect() {
                self.execute(effect);
            }
            if !self.read_once() {
                return;
            }
        }
    }

    fn execute(&mut self, effect: Effect) {
        let now = TimestampMs(self.now);
        match effect {
            Effect::Tell(notice) => self.notices.push(notice),
            Effect::Survey(partition, isolation) => {
                self.done.push(format!("survey {partition}"));
                let survey = match self.survey_error.take() {
                    Some(error) => Err(error),
                    None => Ok(self.survey(partition, isolation)),
                };
                self.handler.surveyed(partition, survey, now);
            }
            Effect::Read(place, from) => {
                self.done.push(format!("read {place} from {from}"));
                self.reading.insert(place, from.0);
            }
            Effect::StopReading(place) => {
                self.done.push(format!("stop reading {place}"));
                assert!(self.reading.remove(&place).is_some(), "{place} was not read");
            }
            Effect::Start(place, from) => {
                self.done.push(format!("start {place} at {from}"));
                self.started.insert(place.partition.0, from.0);
            }
            Effect::Pause(place) => {
                self.done.push(format!("pause {place}"));
                self.started.remove(&place.partition.0);
            }
            Effect::FetchSchema(id) => {
                self.done.push(format!("fetch schema {id}"));
                self.wanted.push(id);
            }
            Effect::RenewProducer => {
                self.done.push("renew producer".into());
                self.renewed += 1;
            }
        }
    }

    pub(crate) fn survey(&mut self, partition: Partition, isolation: Isolation) -> Survey {
        let topics = self.topics.clone();
        let bounds = |part: &Part| Bounds {
            start: Offset(part.start),
            end: Offset(match isolation {
                Isolation::ReadCommitted => part.stable_end(),
                Isolation::ReadUncommitted => part.end(),
            }),
        };
        let count = self.partition_count;
        Survey {
            commands: bounds(self.part(&topics.commands, partition.0)),
            events: bounds(self.part(&topics.events, partition.0)),
            snapshots: bounds(self.part(&topics.snapshots, partition.0)),
            committed: self.committed.get(&partition.0).cloned(),
            commands_id: self.commands_id,
            events_id: self.events_id,
            partitions: [&topics.commands, &topics.events].map(|topic| (topic.to_string(), count)).into(),
        }
    }

    /// Reads everything that is committed; false when nothing moved.
    pub(crate) fn read_once(&mut self) -> bool {
        let mut batch = RecordBatch::new();
        let mut moved = false;
        for (place, from) in &mut self.reading {
            let part = self.parts.entry((place.topic.clone(), place.partition.0)).or_default();
            part.committed_from(*from).for_each(|(_, record)| batch.push(record));
            moved |= part.stable_end() > *from;
            *from = part.stable_end().max(*from);
        }
        if moved {
            let positions: Vec<_> = self.reading.iter().map(|(place, at)| (place.clone(), Offset(*at))).collect();
            self.handler.read(&batch, &positions, TimestampMs(self.now));
        }
        moved
    }

    /// The registry's answer about a schema.
    pub(crate) fn schema(&mut self, id: u8, result: Result<(), Error>) {
        if result.is_ok() {
            self.codec.known.lock().unwrap().insert(id);
        }
        self.handler.schema_fetched(id.into(), result, TimestampMs(self.now));
        self.run_effects();
    }

    pub(crate) fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Why partitions stopped.
    pub(crate) fn stopped(&mut self) -> Vec<String> {
        self.notices()
            .into_iter()
            .filter_map(|notice| match notice {
                Notice::Stopped { reason, .. } => Some(reason),
                _ => None,
            })
            .collect()
    }

    /// The answers since the last call: `1 accepted v2 +1 @7`, perhaps with a detail.
    pub(crate) fn answers(&mut self) -> Vec<String> {
        let topic = self.topics.events.clone();
        std::mem::take(&mut self.replies)
            .into_iter()
            .map(|Reply { answer, .. }| {
                let token = answer.token.as_ref().map_or("-".into(), |token| {
                    assert_eq!((&token.place.topic, token.topic_id), (&topic, Some(self.events_id)));
                    format!("@{}", token.offset)
                });
                let detail = answer.detail.map(|detail| format!(" {detail}")).unwrap_or_default();
                format!(
                    "{} {} v{} +{} {token}{detail}",
                    answer.command.0[0], answer.code, answer.version, answer.events
                )
            })
            .collect()
    }

    pub(crate) fn state(&self, id: &str) -> Option<(i64, u64)> {
        self.handler.state(id).map(|(state, version)| (state.total, version.0))
    }

    /// The committed events of all partitions: `a1 added 5`.
    pub(crate) fn event_lines(&self) -> Vec<String> {
        self.lines(&self.topics.events, |record| {
            let header = EventHeader::read(record).unwrap();
            let key = String::from_utf8_lossy(record.key().unwrap());
            format!("{key}{} {}", header.version, String::from_utf8_lossy(&record.value().unwrap()[1..]))
        })
    }

    /// The committed records of the snapshots topic: `snapshot a v3`, `window a v3 2`, `marker …`, `position …`.
    pub(crate) fn snapshot_lines(&self) -> Vec<String> {
        let mut lines = self.all_snapshot_lines();
        lines.retain(|line| !line.starts_with("begun"));
        lines
    }

    /// What was written down before it was begun: `begun 7 1`.
    pub(crate) fn begun_lines(&self) -> Vec<String> {
        let mut lines = self.all_snapshot_lines();
        lines.retain(|line| line.starts_with("begun"));
        lines
    }

    /// Whether everything that the started partitions have was delivered.
    pub(crate) fn is_at_the_end(&self) -> bool {
        let end = |partition: &u32| self.parts.get(&(self.topics.commands.clone(), *partition)).map_or(0, Part::end);
        self.started.len() == self.config.partitions as usize
            && self.started.iter().all(|(partition, from)| *from >= end(partition))
    }

    fn all_snapshot_lines(&self) -> Vec<String> {
        self.lines(&self.topics.snapshots, |record| {
            let value = record.value();
            let head = |value: &[u8]| {
                let (head, _) = SnapshotHead::read(value, 1_000).unwrap();
                format!("v{} window {}", head.version, head.window.len())
            };
            let progress = |value: &[u8]| {
                let progress = Progress::read(value).unwrap();
                format!("events {} next {}", progress.events, progress.next_command)
            };
            match (SnapshotKey::read(record.key().unwrap()).unwrap(), value) {
                (SnapshotKey::Snapshot(_, id), Some(v)) => {
                    format!("snapshot {} {}", String::from_utf8_lossy(id), head(v))
                }
                (SnapshotKey::Window(id), Some(v)) => format!("window {} {}", String::from_utf8_lossy(id), head(v)),
                (SnapshotKey::Window(id), None) => format!("window {} deleted", String::from_utf8_lossy(id)),
                (SnapshotKey::Marker(_), Some(v)) => format!("marker {}", progress(v)),
                (SnapshotKey::Begun, Some(v)) => {
                    let begun = Begun::read(v).unwrap();
                    format!("begun {} {}", begun.command, begun.tries)
                }
                (SnapshotKey::Convicted, Some(_)) => "convicted".to_owned(),
                (SnapshotKey::Prepared(_, id), Some(v)) => {
                    format!("prepared {} {}", String::from_utf8_lossy(id), head(v))
                }
                (SnapshotKey::PreparedMarker(_), Some(v)) => format!("prepared marker {}", progress(v)),
                (SnapshotKey::Position, Some(v)) => format!("position {}", progress(v)),
                (key, None) => format!("{key:?} deleted"),
            }
        })
    }

    /// Dead letters: `code cause topic/partition@offset value`.
    pub(crate) fn dead_letters(&self) -> Vec<String> {
        self.lines(&self.topics.dead_letters, |record| {
            let text = |name: &str| String::from_utf8_lossy(record.header(name).unwrap()).into_owned();
            format!(
                "{} {}/{}@{}: {}",
                text("dead-letter-code"),
                text("dead-letter-topic"),
                text("dead-letter-partition"),
                text("dead-letter-offset"),
                text("dead-letter-cause")
            )
        })
    }

    fn lines(&self, topic: &Topic, line: impl Fn(RecordRef<'_>) -> String) -> Vec<String> {
        let parts = self.parts.iter().filter(|((other, _), _)| other == topic);
        parts.flat_map(|(_, part)| part.committed_from(part.start)).map(|(_, record)| line(record)).collect()
    }

    /// Writes an event as a handler would, and more.
    pub(crate) fn write_event(&mut self, key: &str, header: Option<EventHeader<'_>>, text: &str) {
        let topic = self.topics.events.clone();
        self.events().push(Kept::Committed, |batch, offset| {
            let mut record = batch.start(&topic, Partition(0));
            record.offset(offset);
            record.key(key.as_bytes());
            record.value(&[&[1], text.as_bytes()].concat());
            if let Some(header) = header {
                header.write(&mut record);
            }
            record.finish();
        });
    }
}
