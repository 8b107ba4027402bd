//! A member of a consumer group.

mod departure;

use crate::{
    KafkaConfig,
    config::invalid_property,
    context::ClientState,
    errors, places,
    reader::wait_ms,
    slots::{Fetch, Slots},
    sys::{self, ConsumerEvent, RawConsumer},
    watch::Watch,
};
use factum_core::{
    CommitOffset, Error, ErrorKind, GroupEvent, Membership, Offset, RecordBatch, Result, TopicPartition,
    log::{Committed, GroupConsumer, GroupOptions, GroupProtocol},
};
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest that a seek, or a request for committed offsets, may take in all.
const MAX_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A member of a consumer group.
pub(crate) struct KafkaGroupConsumer {
    consumer: RawConsumer,
    slots: Slots,
    state: Arc<ClientState>,
    options: GroupOptions,
    /// The member id at the last assignment.
    member_id: String,
    /// Over the group, where the coordinator needs it.
    watch: Option<Watch>,
    config: KafkaConfig,
}

impl KafkaGroupConsumer {
    pub(crate) fn new(config: &KafkaConfig, options: &GroupOptions) -> Result<Self> {
        let state = ClientState::new(config.servers());
        let consumer = subscribed(config, options, &state)?;
        let watch = (options.protocol == GroupProtocol::Classic)
            .then(|| Watch::new(config, &options.group, &options.topics, options.session_timeout));
        Ok(KafkaGroupConsumer {
            consumer,
            slots: Slots::default(),
            state,
            options: options.clone(),
            member_id: String::new(),
            watch,
            config: config.clone(),
        })
    }

    /// How long one call may wait. A call that outlasts the session would cost
    /// the membership, and the next one would begin where this one did.
    fn call_timeout(&self) -> Duration {
        MAX_CALL_TIMEOUT.min(self.options.session_timeout / 3)
    }

    /// Takes an assignment over. librdkafka is given the partitions one by one
    /// by `start`, with the offset, and until then knows of none: handing them
    /// over paused at the log's end would lose records, because its own query
    /// for that end may be answered after a seek and then wins over it.
    fn assigned(&mut self, partitions: Vec<(String, i32)>) -> Result<Option<GroupEvent>> {
        self.moved();
        self.member_id = self.consumer.membership().0;
        self.change(&TopicPartitionList::new(), Change::Assign)?;
        let places: Vec<_> = partitions.iter().map(|(topic, number)| places::place(topic, *number)).collect();
        for place in &places {
            self.slots.insert(place.clone(), Fetch::Held, -1);
        }
        Ok((!places.is_empty()).then_some(GroupEvent::Assigned(places)))
    }

    /// Gives partitions up: these, or all if this member is none any more.
    fn revoked(&mut self, partitions: &[(String, i32)]) -> Result<Option<GroupEvent>> {
        self.moved();
        // Asked first: giving partitions up resets it.
        let lost = self.is_lost();
        let mut places: Vec<_> = partitions.iter().map(|(topic, number)| places::place(topic, *number)).collect();
        if lost {
            let all = self.slots.places();
            if self.options.protocol == GroupProtocol::Classic && all.iter().any(|place| !places.contains(place)) {
                // librdkafka keeps the others, and would never speak of them again.
                return self.join_anew("the membership ended while some of its partitions were taken from it");
            }
            places = all;
        }
        let known = self.forget(&places)?;
        self.change(&places::list(&known, rdkafka::Offset::Invalid)?, Change::Unassign)?;
        Ok(match (places.is_empty(), lost) {
            (true, _) => None,
            (false, true) => Some(GroupEvent::Lost(places)),
            (false, false) => Some(GroupEvent::Revoked(places)),
        })
    }

    /// Stops delivering these; returns those that librdkafka knows of.
    fn forget(&mut self, places: &[TopicPartition]) -> Result<Vec<TopicPartition>> {
        let mut known = Vec::new();
        let mut paused = Vec::new();
        for place in places {
            match self.slots.find(place).map(|slot| slot.fetch) {
                None | Some(Fetch::Held) => {}
                Some(Fetch::Running) => known.push(place.clone()),
                Some(Fetch::Paused | Fetch::Stopped) => {
                    known.push(place.clone());
                    paused.push(place.clone());
                }
            }
            self.slots.remove(place);
        }
        self.resume(&paused)?;
        Ok(known)
    }

    /// Ends pauses. librdkafka keeps a pause over a partition's removal and
    /// return, where nothing would end it any more; so it ends before the
    /// partition is given up. Not after it was assigned: a resume drops what
    /// was fetched meanwhile.
    fn resume(&self, places: &[TopicPartition]) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let list = places::list(places, rdkafka::Offset::Invalid)?;
        self.consumer.inner().resume(&list).map_err(|e| self.failed(&format!("cannot resume {places:?}"), &e))
    }

    fn change(&self, list: &TopicPartitionList, change: Change) -> Result<()> {
        let consumer = self.consumer.inner();
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        match (change, cooperative) {
            (Change::Assign, true) => consumer.incremental_assign(list),
            (Change::Unassign, true) => consumer.incremental_unassign(list),
            // Nothing but a client that is closing, or was never in a group, gets here.
            (Change::Assign, false) => consumer.assign(list),
            (Change::Unassign, false) => consumer.unassign(),
        }
        .map_err(|e| self.failed("cannot take a rebalance over", &e))
    }

    /// The error that a poll reports; none for what librdkafka mends by itself.
    fn event_error(&mut self, code: Code, place: Option<(String, i32, i64)>, text: &str, fatal: bool) -> Option<Error> {
        if fatal || code == Code::Fatal {
            let (code, text) = self.consumer.inner().client().fatal_error().unwrap_or((code, text.to_owned()));
            return Some(Error::fenced(format!(
                "group {}: the client is of no use: {text} ({code:?})",
                self.options.group
            )));
        }
        let kind = errors::kind(code);
        if let Some((topic, partition, offset)) = place {
            let place = places::place(&topic, partition);
            return match kind {
                ErrorKind::Data => self.slots.stop(&place).then(|| errors::at(code, &place, offset, text)),
                // A subscribed topic that is not there (yet) is looked for again.
                ErrorKind::Invalid if code != Code::UnknownTopicOrPartition => {
                    Some(errors::at(code, &place, offset, text))
                }
                _ => None,
            };
        }
        match kind {
            ErrorKind::Invalid if code == Code::Authentication => self.state.check().err(),
            ErrorKind::Invalid if code != Code::UnknownTopicOrPartition => {
                Some(errors::error(code, format_args!("group {}", self.options.group), text))
            }
            ErrorKind::Fenced if matches!(code, Code::FencedInstanceId | Code::UnreleasedInstanceId) => {
                Some(errors::error(code, format_args!("group {}", self.options.group), text))
            }
            // A lost generation shows as lost partitions, and the client joins again.
            _ => None,
        }
    }

    fn failed(&self, what: &str, error: &KafkaError) -> Error {
        let kind = error.rdkafka_error_code().map_or(ErrorKind::Unavailable, errors::kind);
        Error::new(kind, format!("group {}: {what}: {error}", self.options.group))
    }

    /// Moves a partition. Seeking fails until librdkafka's own thread has started it.
    fn seek(&self, place: &TopicPartition, offset: Offset) -> Result<()> {
        let begun = Instant::now();
        loop {
            let list = places::list([place], rdkafka::Offset::Offset(offset.0))?;
            let error = match self.consumer.inner().seek_partitions(list, self.call_timeout()) {
                Ok(list) => match sys::entries(&list) {
                    Ok(_) => return Ok(()),
                    Err(failure) => errors::at(failure.code, place, offset.0, &failure.text),
                },
                Err(error) => self.failed(&format!("cannot move to {place}@{offset}"), &error),
            };
            if begun.elapsed() > self.call_timeout() {
                return Err(error.context("cannot start"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn assign(&self, place: &TopicPartition, offset: Offset) -> Result<()> {
        let list = places::list([place], rdkafka::Offset::Offset(offset.0))?;
        self.consumer
            .inner()
            .incremental_assign(&list)
            .map_err(|e| self.failed(&format!("cannot start {place}@{offset}"), &e))
    }

    fn unassign(&self, place: &TopicPartition) -> Result<()> {
        let list = places::list([place], rdkafka::Offset::Invalid)?;
        self.consumer.inner().incremental_unassign(&list).map_err(|e| self.failed(&format!("cannot stop {place}"), &e))
    }
}

/// A client that is about to join.
fn subscribed(config: &KafkaConfig, options: &GroupOptions, state: &Arc<ClientState>) -> Result<RawConsumer> {
    let consumer = RawConsumer::new(&config.group(options), state.clone()).map_err(|e| invalid_property(&e))?;
    let topics: Vec<&str> = options.topics.iter().map(|t| t.as_str()).collect();
    consumer
        .inner()
        .subscribe(&topics)
        .map_err(|e| Error::invalid(format!("group {} cannot subscribe to {topics:?}: {e}", options.group)))?;
    Ok(consumer)
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Assign,
    Unassign,
}

impl GroupConsumer for KafkaGroupConsumer {
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        if let Some(lost) = self.tend()? {
            return Ok(Some(lost));
        }
        let deadline = Instant::now() + timeout;
        let mut taken = 0;
        loop {
            if taken >= max_records {
                return Ok(None);
            }
            let wait = if taken == 0 { wait_ms(deadline) } else { 0 };
            let event = match self.consumer.poll(wait) {
                None if taken > 0 || Instant::now() >= deadline => return Ok(None),
                None | Some(ConsumerEvent::Other) => None,
                Some(ConsumerEvent::Message(message)) => {
                    taken += usize::from(self.slots.take(&message, into));
                    None
                }
                Some(ConsumerEvent::End { topic, partition, offset }) => {
                    self.slots.end(&topic, partition, offset);
                    None
                }
                Some(ConsumerEvent::Assign(partitions)) => self.assigned(partitions)?,
                Some(ConsumerEvent::Revoke(partitions)) => self.revoked(&partitions)?,
                Some(ConsumerEvent::Error { code: Code::PollExceeded, .. }) => self.hung()?,
                Some(ConsumerEvent::Error { code, place, text, fatal }) => {
                    match self.event_error(code, place, &text, fatal) {
                        Some(error) => return Err(error),
                        None => None,
                    }
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    fn membership(&mut self) -> Result<Membership> {
        let (member_id, generation) = self.consumer.membership();
        Ok(Membership {
            group: self.options.group.clone(),
            member_id,
            generation,
            instance_id: self.options.instance_id.clone(),
            protocol: self.options.protocol,
        })
    }

    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        let slot =
            self.slots.find(place).ok_or_else(|| Error::invalid(format!("{place} is not assigned to this member")))?;
        match slot.fetch {
            Fetch::Held => self.assign(place, offset)?,
            Fetch::Running => self.seek(place, offset)?,
            Fetch::Paused => {
                self.seek(place, offset)?;
                self.resume(std::slice::from_ref(place))?;
            }
            Fetch::Stopped => {
                // Nothing else starts it again. Not done elsewhere: while a revocation waits in the
                // queue, librdkafka would take this for the answer to it.
                self.resume(std::slice::from_ref(place))?;
                self.unassign(place)?;
                self.assign(place, offset)?;
            }
        }
        self.slots.insert(place.clone(), Fetch::Running, offset.0);
        Ok(())
    }

    fn pause(&mut self, place: &TopicPartition) -> Result<()> {
        let slot =
            self.slots.find(place).ok_or_else(|| Error::invalid(format!("{place} is not assigned to this member")))?;
        if slot.fetch == Fetch::Running {
            slot.fetch = Fetch::Paused;
            let list = places::list([place], rdkafka::Offset::Invalid)?;
            self.consumer.inner().pause(&list).map_err(|e| self.failed(&format!("cannot pause {place}"), &e))?;
        }
        Ok(())
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        Ok(self.slots.position(place))
    }

    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        let list = places::list(places, rdkafka::Offset::Invalid)?;
        let what = format!("committed offsets of group {}", self.options.group);
        // Waits for undecided offsets, since the isolation level is read_committed (KIP-447).
        let list = match self.consumer.inner().committed_offsets(list, self.call_timeout()) {
            Ok(list) => list,
            Err(error) => {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                return Err(match errors::kind(code) {
                    ErrorKind::Unavailable if code == Code::OperationTimedOut => self.state.no_answer(&format!(
                        "{what}: {code} (a transaction that its owner left open hides them until the broker ends it; \
                         if that goes on, see `Known flaws of Kafka` in ARCHITECTURE.md)"
                    )),
                    ErrorKind::Unavailable => self.state.no_answer(&format!("{what}: {code}")),
                    _ => errors::error(code, what, ""),
                });
            }
        };
        let entries = sys::entries(&list).map_err(|f| errors::error(f.code, &what, &f.text))?;
        Ok(entries
            .into_iter()
            .map(|e| (e.offset >= 0).then_some(Committed { offset: Offset(e.offset), metadata: e.metadata }))
            .collect())
    }

    fn commit(&mut self, offsets: &[CommitOffset]) -> Result<()> {
        if offsets.is_empty() {
            // librdkafka would read an empty list as the client's own stored offsets.
            return Ok(());
        }
        let list = places::commit_list(offsets)?;
        let what = format!("commit to group {} from {}@{}", self.options.group, offsets[0].place, offsets[0].offset);
        self.consumer.inner().commit(&list, CommitMode::Sync).map_err(|error| {
            let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
            errors::error(code, &what, "")
        })?;
        sys::entries(&list).map(drop).map_err(|f| errors::error(f.code, &what, &f.text))
    }

    fn close(self: Box<Self>) -> Result<()> {
        // Dropping the client leaves the group (unless it is a static member) and waits for it.
        drop(self);
        Ok(())
    }
}

impl fmt::Debug for KafkaGroupConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaGroupConsumer")
            .field("options", &self.options)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}
