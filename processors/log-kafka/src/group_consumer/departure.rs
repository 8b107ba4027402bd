//! The end of a membership: seen, or made, so that the next one begins in order.

use super::{Change, KafkaGroupConsumer, subscribed};
use crate::{places, reader::wait_ms, sys::ConsumerEvent, watch::Places};
use factum_core::{Error, GroupEvent, Result, log::GroupProtocol};
use rdkafka::consumer::Consumer;
use std::{
    mem, thread,
    time::{Duration, Instant},
};

/// A member that leaves its group to join anew waits so long for its own revocations.
const LEAVING: Duration = Duration::from_secs(5);

impl KafkaGroupConsumer {
    pub(super) fn moved(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.moved();
        }
    }

    /// Puts another client in the place of one that is of no use; what that one had is lost.
    pub(super) fn join_anew(&mut self, why: &str) -> Result<Option<GroupEvent>> {
        tracing::warn!(group = self.options.group, why, "joins its group anew");
        let fresh = subscribed(&self.config, &self.options, &self.state);
        let fresh = fresh.map_err(|error| Error::fenced(format!("group {}: {why}: {error}", self.options.group)))?;
        let useless = mem::replace(&mut self.consumer, fresh);
        // It has left already or has a name; its end can take longer than a session (`sys::closing`).
        // Without a thread the closure, and the client with it, is dropped here.
        let closing = thread::Builder::new().name("kafka-useless".to_owned()).spawn(move || drop(useless));
        closing.map(drop).unwrap_or_default();
        let places = mem::take(&mut self.slots).places();
        self.moved();
        Ok((!places.is_empty()).then_some(GroupEvent::Lost(places)))
    }

    /// This member did not poll in time. As a rule librdkafka has given everything up, and a
    /// revocation follows. It has not where the group was rebalancing: it goes on under another
    /// member id with partitions that may be somebody else's.
    pub(super) fn hung(&mut self) -> Result<Option<GroupEvent>> {
        self.moved();
        let given_up = self.options.protocol == GroupProtocol::Consumer || self.consumer.inner().assignment_lost();
        match given_up || self.slots.places().is_empty() {
            true => Ok(None),
            false => self.join_anew("the application did not poll in time, and the group was rebalancing"),
        }
    }

    /// Leaves a group some of whose partitions would stay without an owner, and joins it anew.
    pub(super) fn tend(&mut self) -> Result<Option<GroupEvent>> {
        let (Some(watch), consumer, slots) = (&mut self.watch, &self.consumer, &self.slots) else { return Ok(None) };
        let member = || {
            let works_on = slots.places().into_iter().filter_map(|place| {
                let number = places::number(&place).ok()?;
                Some((place.topic.as_str().to_owned(), number))
            });
            (consumer.membership().0, works_on.collect::<Places>())
        };
        let Some(why) = watch.tend(member) else { return Ok(None) };
        // Also what is given up in good order on the way out: whoever works on it has to hear of it.
        let had = self.slots.places();
        self.leave();
        self.join_anew(&why)?;
        Ok((!had.is_empty()).then_some(GroupEvent::Lost(had)))
    }

    /// Leaves for good, which a static member does not by closing.
    fn leave(&mut self) {
        self.consumer.inner().unsubscribe();
        let deadline = Instant::now() + LEAVING;
        while Instant::now() < deadline && !self.consumer.membership().0.is_empty() {
            let revoked = match self.consumer.poll(wait_ms(deadline).min(50)) {
                Some(ConsumerEvent::Revoke(partitions)) => partitions,
                _ => continue,
            };
            let places: Vec<_> = revoked.iter().map(|(topic, number)| places::place(topic, *number)).collect();
            let given_up = self
                .forget(&places)
                .and_then(|known| places::list(&known, rdkafka::Offset::Invalid))
                .and_then(|known| self.change(&known, Change::Unassign));
            if let Err(error) = given_up {
                // The session's end does what leaving would have done.
                tracing::debug!(%error, "cannot leave in good order");
            }
        }
    }

    /// Whether the partitions are somebody else's already. librdkafka's flag is
    /// not enough: an orderly revocation may wait in the queue while the
    /// membership ends, and `start` resets it.
    pub(super) fn is_lost(&self) -> bool {
        let (member_id, generation) = self.consumer.membership();
        self.consumer.inner().assignment_lost()
            || member_id.is_empty()
            || member_id != self.member_id
            || (self.options.protocol == GroupProtocol::Consumer && generation <= 0)
    }
}
