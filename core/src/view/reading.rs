//! The machine's part in taking records in: checked and decoded, whole batches become work, and what
//! cannot be decoded yet waits for its schema.

use super::{
    Effect, Stop, StopClass, View, ViewMachine,
    intake::{self, Refused},
    place::{Phase, Place},
    work::Work,
};
use crate::{ErrorKind, MessageCodec, RecordBatch, RecordRef, Result};

impl<V: View, C: MessageCodec<V::Event>> ViewMachine<V, C> {
    /// Takes the answer to [`Effect::FetchSchema`].
    pub fn schema_fetched(&mut self, fetched: u32, outcome: Result<()>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_missing = match &outcome {
            Ok(()) => {
                self.denied.forget(fetched);
                false
            }
            Err(e) => e.kind() == ErrorKind::Data && self.denied.note(fetched, e, self.now),
        };
        for place in &mut self.places {
            let Phase::AwaitingSchema { id, retry_at, what, .. } = &place.phase else { continue };
            if *id != fetched || retry_at.is_some() {
                continue;
            }
            match &outcome {
                Ok(()) => {
                    place.fetched = Some(fetched);
                    place.phase = Phase::Running;
                    effects.push(Effect::Start(place.at.clone(), place.next));
                }
                Err(_) if is_missing => {
                    place.phase = Phase::Running;
                    effects.push(Effect::Start(place.at.clone(), place.next));
                }
                Err(e) => {
                    let (what, why) = (what.clone(), format!("{what}: {e}"));
                    let retry_at = Some(place.retry_at(self.now));
                    place.phase = Phase::AwaitingSchema { id: fetched, retry_at, what, why: why.clone() };
                    effects.push(Effect::Wait { place: place.at.clone(), why });
                }
            }
        }
        effects
    }

    pub(super) fn fetch_due(&mut self, effects: &mut Vec<Effect>) {
        for place in &mut self.places {
            let Phase::AwaitingSchema { id, retry_at, .. } = &mut place.phase else { continue };
            if retry_at.is_some_and(|at| at <= self.now) {
                *retry_at = None;
                let fetch = Effect::FetchSchema(*id);
                if !effects.contains(&fetch) {
                    effects.push(fetch);
                }
            }
        }
    }

    /// Checks and decodes records; whole batches become work.
    pub(super) fn take_in(&mut self, records: &RecordBatch, effects: &mut Vec<Effect>) -> Work<V> {
        let mut work = Work::new();
        let mut last = 0;
        for record in records.iter() {
            // Records of a partition come in runs.
            let is_of =
                |place: &Place<V::Event>| place.at.partition == record.partition() && place.at.topic == *record.topic();
            if !self.places.get(last).is_some_and(is_of) {
                match self.places.iter().position(is_of) {
                    Some(index) => last = index,
                    None => continue,
                }
            }
            let place = &mut self.places[last];
            if !place.is_running() || record.offset() < place.next {
                continue;
            }
            if place.is_open() {
                self.take(last, record, None, &mut work, effects);
            } else {
                place.waiting.push(record);
            }
        }
        work
    }

    /// Takes a record in; with the cause of `killed`, without looking at its value.
    pub(super) fn take(
        &mut self,
        index: usize,
        record: RecordRef<'_>,
        killed: Option<&str>,
        work: &mut Work<V>,
        effects: &mut Vec<Effect>,
    ) {
        let place = &mut self.places[index];
        let start = place.held.as_ref().map_or(record.offset(), |held| held.start());
        let (traces, source) = (&mut self.traces, &mut self.source);
        let mut taken = intake::take(&mut place.held, record, &self.codec, &self.focus, traces, source, killed);
        if let Err(Refused::UnknownSchema(id)) = taken
            && let Some(why) = self.denied.why(id, self.now)
        {
            taken = intake::take(&mut place.held, record, &self.codec, &self.focus, traces, source, Some(&why));
        }
        if taken.is_ok()
            && let Err(stop) = V::UNKNOWN.judge(&mut place.held, record)
        {
            taken = Err(Refused::Stop(stop));
        }
        match taken {
            Ok(false) => place.next = record.offset().next(),
            Ok(true) => {
                let contested = place.held.as_ref().and_then(|batch| place.newest.take(batch, &place.at).err());
                if let Some(why) = contested.filter(|_| self.protections.version_check) {
                    return self.stop(index, Stop::new(StopClass::ForeignRecord, why), effects);
                }
                place.next = record.offset().next();
                place.fetched = None;
                let batch = place.held.take().expect("a whole batch is held");
                work.add(index, &place.at, batch, &self.focus);
            }
            Err(Refused::Stop(stop)) => self.stop(index, stop, effects),
            Err(Refused::UnknownSchema(id)) => {
                // The batch is read again from its start once the schema is known.
                place.held = None;
                place.waiting.clear();
                place.next = start;
                let why = format!("{record:?} has schema {id}, which is not known yet");
                // A schema that was fetched just now and is still unknown is not asked for at once.
                let retry_at = (place.fetched == Some(id)).then(|| place.retry_at(self.now));
                let fetch = Effect::FetchSchema(id);
                match retry_at {
                    Some(_) => effects.push(Effect::Wait { place: place.at.clone(), why: why.clone() }),
                    None => effects.push(Effect::Pause(place.at.clone())),
                }
                if retry_at.is_none() && !effects.contains(&fetch) {
                    effects.push(fetch);
                }
                place.phase = Phase::AwaitingSchema { id, retry_at, what: why.clone(), why };
            }
        }
    }
}
