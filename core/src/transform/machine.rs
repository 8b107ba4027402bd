//! The runtime of a transform: facts in, effects and transactions out.

use super::{
    Totals, Transform,
    claim::Survey,
    output,
    place::{Phase, Place},
};
use crate::{
    CommitOffset, GroupEvent, Membership, MessageCodec, Offset, RecordBatch, RecordRef, Result, Retry, TimestampMs,
    Topic, TopicPartition,
    handler::Plan,
    pulse::Pulse,
    transaction::Outcome,
    view::{
        Focus, PlaceStatus, Stop, StopClass,
        intake::{self, Refused},
    },
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Something for the shell to do. Effects are to be executed in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Look at a partition, the group's offset first, and tell with [`Transformer::claimed`].
    Claim(TopicPartition),
    /// Deliver a partition from this offset on.
    Start(TopicPartition, Offset),
    /// Deliver it no longer.
    Pause(TopicPartition),
    /// Make a schema known to the codec, and tell with [`Transformer::schema_fetched`].
    FetchSchema(u32),
    /// Replace the transactional producer by a new one, which is initialised before the next effect.
    RenewProducer,
    /// Deliver it no longer; it is tried again. For people: why.
    Wait {
        /// Which partition.
        place: TopicPartition,
        /// Why.
        why: String,
    },
    /// Deliver it no longer: it stands still until somebody acts.
    Stop {
        /// Which partition.
        place: TopicPartition,
        /// Why, and what to do.
        stop: Stop,
    },
}

/// One member of a transform's group.
///
/// After each poll the shell calls [`Transformer::polled`] and then, if [`Transformer::plan`] says so, runs
/// the plan as one transaction and calls [`Transformer::finished`], before it polls again: so the member
/// that a plan is fenced by has the partitions that it writes.
pub struct Transformer<T: Transform, I, O> {
    from: I,
    to: O,
    output: Topic,
    pulse: Arc<Pulse>,
    places: Vec<Place<T::From>>,
    plan: Plan,
    totals: Totals,
    /// The source of the record before, which neighbours share.
    source: Arc<str>,
    now: TimestampMs,
}

impl<T: Transform, I: MessageCodec<T::From>, O: MessageCodec<T::To>> Transformer<T, I, O> {
    /// Without partitions yet. It reads with one codec and writes to `output` with the other; the pulse knows
    /// the topic that it reads.
    pub fn new((from, to): (I, O), output: Topic, pulse: Pulse) -> Self {
        Transformer {
            from,
            to,
            output,
            pulse: Arc::new(pulse),
            places: Vec::new(),
            plan: Plan::default(),
            totals: Totals::default(),
            source: Arc::from(""),
            now: TimestampMs::default(),
        }
    }

    /// The topic that it writes.
    pub fn output(&self) -> &Topic {
        &self.output
    }

    /// Which record is under way, for a watchdog.
    pub fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Takes what a poll gave: records that were read before the event.
    pub fn polled(&mut self, event: Option<&GroupEvent>, records: &RecordBatch, now: TimestampMs) -> Vec<Effect> {
        self.now = now;
        let mut effects = Vec::new();
        match event {
            Some(GroupEvent::Assigned(places)) => {
                self.places.retain(|place| !places.contains(&place.at));
                self.places.extend(places.iter().map(|at| Place::new(at.clone(), now)));
            }
            Some(GroupEvent::Revoked(places) | GroupEvent::Lost(places)) => {
                self.places.retain(|place| !places.contains(&place.at));
            }
            None => {}
        }
        self.take_in(records, &mut effects);
        self.due(&mut effects);
        effects
    }

    /// The consumer is of no use any more: a new one joins the group, and nothing is this member's.
    pub fn consumer_lost(&mut self) {
        self.places.clear();
    }

    /// Takes the answer to [`Effect::Claim`].
    ///
    /// # Errors
    /// The survey's own, where no retry can help.
    pub fn claimed(&mut self, at: &TopicPartition, survey: Result<Survey>) -> Result<Vec<Effect>> {
        let output = self.output.partition(at.partition);
        let now = self.now;
        let Some(place) = self.places.iter_mut().find(|place| place.at == *at) else { return Ok(Vec::new()) };
        let survey = match survey {
            Ok(survey) => survey,
            Err(error) if error.kind().retry() == Retry::No => return Err(error),
            Err(error) => {
                let why = error.to_string();
                place.rewind(Some(why.clone()), now);
                return Ok(vec![Effect::Wait { place: at.clone(), why }]);
            }
        };
        Ok(match survey.position(at, &output) {
            Ok(position) => {
                place.begin(&survey, position);
                vec![Effect::Start(at.clone(), position)]
            }
            Err(stop) => stopped(place, stop),
        })
    }

    /// Takes the answer to [`Effect::FetchSchema`].
    pub fn schema_fetched(&mut self, fetched: u32, outcome: &Result<()>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for place in &mut self.places {
            let Phase::AwaitingSchema { id, retry_at: None, why } = &place.phase else { continue };
            if *id != fetched {
                continue;
            }
            match outcome {
                Ok(()) => {
                    place.fetched = Some(fetched);
                    place.phase = Phase::Running;
                    effects.push(Effect::Start(place.at.clone(), place.next));
                }
                Err(error) => {
                    let why = format!("{why}: {error}");
                    let retry_at = Some(place.retry_at(self.now));
                    place.phase = Phase::AwaitingSchema { id: fetched, retry_at, why: why.clone() };
                    effects.push(Effect::Wait { place: place.at.clone(), why });
                }
            }
        }
        effects
    }

    /// The partitions whose positions are worth asking for: [`Transformer::positioned`].
    pub fn running(&self) -> impl Iterator<Item = &TopicPartition> {
        self.places.iter().filter(|place| place.is_running()).map(|place| &place.at)
    }

    /// Takes the consumer's position of a running partition, asked after the last poll: beyond its records
    /// there may be others that are nobody's, as the ends of transactions.
    pub fn positioned(&mut self, at: &TopicPartition, position: Offset) {
        let Some(place) = self.places.iter_mut().find(|place| place.at == *at) else { return };
        if place.is_running() && place.held.is_none() {
            place.next = place.next.max(position);
            if place.committed.is_none_or(|committed| committed < place.next) {
                place.add(place.next, Totals::default());
            }
        }
    }

    /// The transaction that is to be run now, on behalf of the member that polled last; none if there is
    /// nothing to commit. One that is not in its group commits nothing, and its partitions are looked up again.
    pub fn plan(&mut self, member: &Membership) -> Option<&Plan> {
        let offsets: Vec<CommitOffset> = self.places.iter().filter_map(Place::offset).collect();
        if offsets.is_empty() || !member.is_joined() {
            return None;
        }
        self.plan.offsets = offsets;
        self.plan.member = Some(member.clone());
        Some(&self.plan)
    }

    /// Takes what became of the plan. A plan that was not begun is as one that is stale.
    pub fn finished(&mut self, outcome: Outcome) -> Vec<Effect> {
        self.plan.records.clear();
        self.plan.offsets.clear();
        let mut effects = Vec::new();
        if matches!(outcome, Outcome::Aborted | Outcome::Unknown | Outcome::Broken) {
            effects.push(Effect::RenewProducer);
        }
        for place in self.places.iter_mut().filter(|place| place.pending.is_some()) {
            if outcome == Outcome::Committed {
                self.totals += place.committed();
            } else if matches!(place.phase, Phase::Stopped(_)) {
                // It stops again when it comes there again.
                place.rewind(None, self.now);
            } else {
                place.rewind(None, self.now);
                effects.push(Effect::Pause(place.at.clone()));
            }
        }
        effects
    }

    /// How each partition is.
    pub fn status(&self) -> BTreeMap<TopicPartition, PlaceStatus> {
        self.places.iter().map(|place| (place.at.clone(), place.status())).collect()
    }

    /// What became of all events since the start.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Looks after what is to be tried again.
    fn due(&mut self, effects: &mut Vec<Effect>) {
        for place in &mut self.places {
            match &mut place.phase {
                Phase::Claiming { at, .. } if *at <= self.now => effects.push(Effect::Claim(place.at.clone())),
                Phase::AwaitingSchema { id, retry_at, .. } if retry_at.is_some_and(|at| at <= self.now) => {
                    *retry_at = None;
                    let fetch = Effect::FetchSchema(*id);
                    if !effects.contains(&fetch) {
                        effects.push(fetch);
                    }
                }
                _ => {}
            }
        }
    }

    fn take_in(&mut self, records: &RecordBatch, effects: &mut Vec<Effect>) {
        let mut last = 0;
        for record in records.iter() {
            // Records of a partition come in runs.
            let is_of =
                |place: &Place<T::From>| place.at.partition == record.partition() && place.at.topic == *record.topic();
            if !self.places.get(last).is_some_and(is_of) {
                match self.places.iter().position(is_of) {
                    Some(index) => last = index,
                    None => continue,
                }
            }
            let place = &self.places[last];
            if place.is_running() && record.offset() >= place.next {
                self.take(last, record, effects);
            }
        }
    }

    fn take(&mut self, index: usize, record: RecordRef<'_>, effects: &mut Vec<Effect>) {
        let place = &mut self.places[index];
        let start = place.held.as_ref().map_or(record.offset(), |held| held.start());
        let (focus, traces) = (Focus::default(), &mut self.plan.traces);
        // Nothing is told about single commands.
        traces.clear();
        let working = self.pulse.begin(&place.at.topic, place.at.partition, record.offset(), 1);
        let taken = intake::take(&mut place.held, record, &self.from, &focus, traces, &mut self.source, None);
        drop(working);
        match taken {
            Ok(false) => place.next = record.offset().next(),
            Ok(true) => {
                let batch = place.held.take().expect("a whole batch is held");
                let ids = place.ids.expect("a running partition was claimed");
                let contested = place.newest.take(&batch, &place.at);
                let made = contested.map_err(|why| Stop::new(StopClass::ForeignRecord, why)).and_then(|()| {
                    let from = (&place.at, ids.0);
                    let into = &mut self.plan.records;
                    output::append::<T>(&batch, from, &self.pulse, &self.output, &self.to, into)
                });
                match made {
                    Ok(totals) => {
                        place.next = record.offset().next();
                        place.fetched = None;
                        place.add(place.next, totals);
                    }
                    Err(stop) => {
                        place.next = start;
                        effects.extend(stopped(place, stop));
                    }
                }
            }
            Err(Refused::Stop(stop)) => {
                place.next = start;
                effects.extend(stopped(place, stop));
            }
            Err(Refused::UnknownSchema(id)) => {
                // The batch is read again from its start once the schema is known.
                place.held = None;
                place.next = start;
                let why = format!("{record:?} has schema {id}, which is not known yet");
                // A schema that was fetched just now and is still unknown is not asked for at once.
                let retry_at = (place.fetched == Some(id)).then(|| place.retry_at(self.now));
                effects.push(match retry_at {
                    Some(_) => Effect::Wait { place: place.at.clone(), why: why.clone() },
                    None => Effect::Pause(place.at.clone()),
                });
                let fetch = Effect::FetchSchema(id);
                if retry_at.is_none() && !effects.contains(&fetch) {
                    effects.push(fetch);
                }
                place.phase = Phase::AwaitingSchema { id, retry_at, why };
            }
        }
    }
}

fn stopped<E>(place: &mut Place<E>, stop: Stop) -> Vec<Effect> {
    place.held = None;
    place.phase = Phase::Stopped(stop.clone());
    vec![Effect::Stop { place: place.at.clone(), stop }]
}

impl<T: Transform, I, O> fmt::Debug for Transformer<T, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transformer").field("transform", &T::NAME).field("places", &self.places.len()).finish()
    }
}
