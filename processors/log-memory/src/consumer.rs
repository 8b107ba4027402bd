//! Reading as a member of a group.

use crate::admin::wait_for_committed;
use crate::broker::Broker;
use crate::fetcher::{Fetched, Fetcher};
use crate::group::{Join, Refusal};
use crate::log::{Shared, millis};
use factum_core::log::{CommitOffset, Committed, GroupConsumer, GroupEvent, GroupOptions, Isolation, Membership};
use factum_core::{Error, Offset, RecordBatch, Result, TimestampMs, TopicPartition};
use std::{collections::BTreeSet, ops::ControlFlow, time::Duration};

/// A group member of the log in memory. Its poll is its heartbeat. Dropped
/// without [`GroupConsumer::close`] it is silent, as a process that was killed.
#[derive(Debug)]
pub(crate) struct MemoryConsumer {
    shared: Shared,
    member: Member,
    fetcher: Fetcher,
}

#[derive(Debug)]
struct Member {
    options: GroupOptions,
    id: String,
    generation: i32,
    owned: BTreeSet<TopicPartition>,
}

impl MemoryConsumer {
    pub(crate) fn new(shared: Shared, options: GroupOptions) -> Result<Self> {
        if options.group.is_empty() || options.topics.is_empty() || options.session_timeout.is_zero() {
            return Err(Error::invalid("a group member needs a group, topics and a session timeout above 0"));
        }
        let member = Member { options, id: String::new(), generation: -1, owned: BTreeSet::new() };
        Ok(MemoryConsumer { shared, member, fetcher: Fetcher::new(Isolation::ReadCommitted) })
    }

    fn owned(&self, place: &TopicPartition) -> Result<()> {
        if self.member.owned.contains(place) {
            return Ok(());
        }
        Err(Error::invalid(format!("{place} is not assigned to this member of {}", self.member.options.group)))
    }

    fn applied(&mut self, event: GroupEvent) -> GroupEvent {
        match &event {
            GroupEvent::Assigned(places) => self.member.owned.extend(places.iter().cloned()),
            GroupEvent::Revoked(places) | GroupEvent::Lost(places) => {
                for place in places {
                    self.member.owned.remove(place);
                    self.fetcher.remove(place);
                }
            }
        }
        event
    }
}

impl GroupConsumer for MemoryConsumer {
    fn poll(&mut self, max_records: usize, timeout: Duration, into: &mut RecordBatch) -> Result<Option<GroupEvent>> {
        let (member, fetcher) = (&mut self.member, &mut self.fetcher);
        let polled = self.shared.wait(timeout, |broker, now| {
            let step = member.poll(broker, now).and_then(|event| match event {
                Some(event) => Ok(ControlFlow::Break(Some(event))),
                None => Ok(match fetcher.fetch(broker, max_records, into)? {
                    Fetched::Nothing => ControlFlow::Continue(()),
                    Fetched::Progress => ControlFlow::Break(None),
                }),
            });
            match step {
                Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
                Ok(ControlFlow::Break(event)) => ControlFlow::Break(Ok(event)),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        });
        self.shared.call(|broker, now| broker.set_polling(&member.options.group, &member.id, false, now));
        let event = polled.unwrap_or(Ok(None))?;
        Ok(event.map(|event| self.applied(event)))
    }

    fn membership(&mut self) -> Result<Membership> {
        Ok(self.member.membership())
    }

    fn start(&mut self, place: &TopicPartition, offset: Offset) -> Result<()> {
        self.owned(place)?;
        self.fetcher.start(place, offset);
        Ok(())
    }

    fn pause(&mut self, place: &TopicPartition) -> Result<()> {
        self.owned(place)?;
        self.fetcher.pause(place);
        Ok(())
    }

    fn position(&mut self, place: &TopicPartition) -> Result<Option<Offset>> {
        Ok(self.fetcher.position(place))
    }

    fn committed(&mut self, places: &[TopicPartition]) -> Result<Vec<Option<Committed>>> {
        wait_for_committed(&self.shared, &self.member.options.group, places)
    }

    fn commit(&mut self, offsets: &[CommitOffset]) -> Result<()> {
        let membership = self.member.membership();
        self.shared.durably(|broker, _| broker.commit_offsets(&membership, offsets))?.map_err(|refusal| {
            Error::fenced(format!(
                "offsets of group {} in generation {}: {}",
                membership.group,
                membership.generation,
                refusal.text()
            ))
        })
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.fetcher.clear();
        let Member { options, id, .. } = &self.member;
        self.shared.call(|broker, _| match options.instance_id {
            None => broker.leave(&options.group, id),
            Some(_) => broker.release(&options.group, id),
        });
        Ok(())
    }
}

impl Member {
    fn poll(&mut self, broker: &mut Broker, now: TimestampMs) -> Result<Option<GroupEvent>> {
        let group = self.options.group.as_str();
        if self.id.is_empty() {
            let join = Join {
                topics: self.options.topics.iter().cloned().collect(),
                instance_id: self.options.instance_id.clone(),
                session_timeout_ms: millis(self.options.session_timeout),
                protocol: self.options.protocol,
            };
            self.id = broker.join(group, join, now).map_err(|refusal| self.refused(refusal))?;
        }
        match broker.poll_member(group, (&self.id, self.options.instance_id.as_deref()), now) {
            Ok(step) => {
                broker.set_polling(group, &self.id, true, now);
                self.generation = step.generation;
                Ok(step.event)
            }
            Err(refusal @ (Refusal::FencedInstance | Refusal::UnreleasedInstance)) => Err(self.refused(refusal)),
            Err(Refusal::UnknownMember | Refusal::IllegalGeneration) => {
                // The session timed out: the next poll joins as somebody new.
                self.id.clear();
                self.generation = -1;
                let lost: Vec<TopicPartition> = self.owned.iter().cloned().collect();
                Ok((!lost.is_empty()).then_some(GroupEvent::Lost(lost)))
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let GroupOptions { group, instance_id, .. } = &self.options;
        Error::fenced(format!("group {group}, {}: {}", instance_id.as_deref().unwrap_or("no id"), refusal.text()))
    }

    fn membership(&self) -> Membership {
        Membership {
            group: self.options.group.clone(),
            member_id: self.id.clone(),
            generation: self.generation,
            instance_id: self.options.instance_id.clone(),
            protocol: self.options.protocol,
        }
    }
}
