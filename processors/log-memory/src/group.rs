//! A consumer group's coordinator, as a state machine: time and partition
//! counts come in, steps for the members go out.
//!
//! It follows Kafka's classic protocol with the cooperative-sticky assignor:
//! a rebalance waits until every member has come back, then raises the
//! generation. A member learns its new generation, and what it loses or gets,
//! at its next poll; it joins again after giving something up.
//!
//! In the newer protocol (KIP-848) nobody waits for the others: whoever polls
//! gets the epoch that the group has by then, and is fenced by its own one. An
//! instance id is taken over only from a member that released it.

use crate::assignment::{Candidate, assign};
use crate::offsets::Offsets;
use factum_core::log::{GroupEvent, GroupProtocol, Membership};
use factum_core::{TimestampMs, Topic, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// A group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) offsets: Offsets,
    generation: i32,
    phase: Phase,
    members: BTreeMap<String, Member>,
    /// Partitions of each topic when they were last assigned.
    counts: BTreeMap<Topic, u32>,
    joined: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Stable,
    /// Waits until every member has joined again.
    Preparing,
}

/// How a member joins.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) topics: BTreeSet<Topic>,
    pub(crate) instance_id: Option<String>,
    pub(crate) session_timeout_ms: i64,
    pub(crate) protocol: GroupProtocol,
}

#[derive(Debug)]
struct Member {
    join: Join,
    last_seen: TimestampMs,
    /// In a poll now: alive however long the poll waits.
    polling: bool,
    /// Has joined the rebalance that is being prepared.
    ready: bool,
    /// A static member that went away for a while.
    released: bool,
    /// Gave partitions up and has to join again, so that others get them.
    rejoins: bool,
    /// The generation that it knows; negative before its first.
    generation: i32,
    owned: BTreeSet<TopicPartition>,
    assigned: BTreeSet<TopicPartition>,
}

/// What a poll tells a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) generation: i32,
    pub(crate) event: Option<GroupEvent>,
}

/// Why the coordinator refuses a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The session timed out, or it never joined.
    UnknownMember,
    /// The group has rebalanced since.
    IllegalGeneration,
    /// Another member has its instance id.
    FencedInstance,
    /// Another member has its instance id and has not released it (KIP-848).
    UnreleasedInstance,
}

impl Refusal {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Refusal::UnknownMember => "the group does not know this member",
            Refusal::IllegalGeneration => "the generation is not the group's",
            Refusal::FencedInstance => "another member has this instance id",
            Refusal::UnreleasedInstance => "another member has not released this instance id",
        }
    }
}

impl Group {
    /// Adds a member and returns its id. A static member takes the place of
    /// the one with its instance id, without a rebalance (KIP-345).
    pub(crate) fn join(&mut self, name: &str, join: Join, now: TimestampMs) -> Result<String, Refusal> {
        let predecessor = join.instance_id.as_deref().and_then(|instance| self.instance(instance));
        if join.protocol == GroupProtocol::Consumer
            && predecessor.as_ref().is_some_and(|old| !self.members[old].released)
        {
            return Err(Refusal::UnreleasedInstance);
        }
        self.joined += 1;
        let id = format!("{name}-member-{}", self.joined);
        let same_topics = predecessor.as_ref().is_some_and(|old| self.members[old].join.topics == join.topics);
        let old = predecessor.and_then(|old| self.members.remove(&old));
        // What the predecessor still had to give up is free now: tell the others.
        let rejoins = old.as_ref().is_some_and(|old| old.rejoins || !old.owned.is_subset(&old.assigned));
        let assigned = old.map(|old| old.assigned).unwrap_or_default();
        let member = Member {
            join,
            last_seen: now,
            polling: false,
            ready: true,
            released: false,
            rejoins,
            generation: -1,
            owned: BTreeSet::new(),
            assigned,
        };
        self.members.insert(id.clone(), member);
        if !same_topics {
            self.prepare();
            // Of all members only this one has joined already.
            self.member_mut(&id).ready = true;
        }
        Ok(id)
    }

    /// A member's poll: it joins what is being prepared, learns its
    /// generation, and is told one change of its partitions. Also tells
    /// whether others may have something to learn now.
    pub(crate) fn poll(
        &mut self,
        id: &str,
        instance_id: Option<&str>,
        counts: &dyn Fn(&Topic) -> u32,
        now: TimestampMs,
    ) -> Result<(Step, bool), Refusal> {
        self.validate_member(id, instance_id)?;
        let before = (self.phase, self.generation);
        self.member_mut(id).last_seen = now;
        if self.counts_changed(counts) {
            self.prepare();
        }
        if std::mem::take(&mut self.member_mut(id).rejoins) {
            self.prepare();
        }
        if self.phase == Phase::Preparing {
            self.member_mut(id).ready = true;
            let waits = self.members.values().any(|member| member.join.protocol == GroupProtocol::Classic);
            if !waits || self.members.values().all(|member| member.ready) {
                self.complete(counts);
            }
        }
        let (phase, generation) = (self.phase, self.generation);
        let member = self.member_mut(id);
        if phase == Phase::Stable {
            member.generation = generation;
        }
        let event = if member.generation == generation { member.change() } else { None };
        let step = Step { generation: member.generation, event };
        Ok((step, before != (phase, generation)))
    }

    /// A poll of this member begins or ends; in between it is alive.
    pub(crate) fn set_polling(&mut self, id: &str, polling: bool, now: TimestampMs) {
        if let Some(member) = self.members.get_mut(id) {
            member.polling = polling;
            member.last_seen = now;
        }
    }

    /// A static member goes away and may come back; until its session times out nobody else gets what it has.
    pub(crate) fn release(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.released = true;
        }
    }

    /// Removes a member; its partitions go to the others.
    pub(crate) fn leave(&mut self, id: &str) {
        if self.members.remove(id).is_some() {
            self.prepare();
        }
    }

    /// Removes the members whose session has timed out; true if there were any.
    pub(crate) fn expire(&mut self, now: TimestampMs) -> bool {
        let before = self.members.len();
        self.members.retain(|_, member| member.polling || member.deadline() > now);
        let expired = self.members.len() < before;
        if expired {
            self.prepare();
        }
        expired
    }

    /// When the next session times out.
    pub(crate) fn next_deadline(&self) -> Option<TimestampMs> {
        self.members.values().filter(|member| !member.polling).map(Member::deadline).min()
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty()
    }

    /// Checks who commits offsets, as Kafka's `ClassicGroup.validateOffsetCommit`
    /// (`ConsumerGroup.validateOffsetCommit` has each member's own epoch in the generation's place):
    /// member and generation, never whether the member has the partition. A
    /// negative generation without a member id passes where it should not;
    /// that is Kafka, and keeping it from being sent is the caller's work.
    pub(crate) fn validate_commit(&self, member: &Membership, kind: CommitKind) -> Result<(), Refusal> {
        let (id, instance) = (member.member_id.as_str(), member.instance_id.as_deref());
        if member.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        if member.generation >= 0 || !id.is_empty() || instance.is_some() {
            self.validate_member(id, instance)?;
            let current = match &self.members[id] {
                own if own.join.protocol == GroupProtocol::Consumer => own.generation,
                _ => self.generation,
            };
            return if member.generation == current { Ok(()) } else { Err(Refusal::IllegalGeneration) };
        }
        match kind {
            CommitKind::Transactional => Ok(()),
            CommitKind::Plain => Err(Refusal::UnknownMember),
        }
    }

    fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), Refusal> {
        if let Some(current) = instance_id.and_then(|instance| self.instance(instance))
            && current != id
        {
            return Err(Refusal::FencedInstance);
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(Refusal::UnknownMember) }
    }

    /// The member that has an instance id.
    fn instance(&self, instance: &str) -> Option<String> {
        let has = |member: &Member| member.join.instance_id.as_deref() == Some(instance);
        self.members.iter().find(|(_, member)| has(member)).map(|(id, _)| id.clone())
    }

    /// Begins a rebalance, unless one is being prepared already.
    fn prepare(&mut self) {
        if self.members.is_empty() {
            // Nobody has to come back.
            self.generation += 1;
            self.phase = Phase::Stable;
        } else if self.phase == Phase::Stable {
            self.phase = Phase::Preparing;
            self.members.values_mut().for_each(|member| member.ready = false);
        }
    }

    fn complete(&mut self, counts: &dyn Fn(&Topic) -> u32) {
        self.counts = self.subscribed().map(|topic| (topic.clone(), counts(topic))).collect();
        let candidates = self
            .members
            .iter()
            .map(|(id, member)| {
                let Member { join, owned, assigned, .. } = member;
                (id.as_str(), Candidate { topics: &join.topics, owned, assigned })
            })
            .collect();
        let mut shares = assign(&candidates, &self.counts);
        for (id, member) in &mut self.members {
            member.assigned = shares.remove(id).unwrap_or_default();
        }
        self.generation += 1;
        self.phase = Phase::Stable;
    }

    fn counts_changed(&self, counts: &dyn Fn(&Topic) -> u32) -> bool {
        self.counts.iter().any(|(topic, count)| counts(topic) != *count)
    }

    fn subscribed(&self) -> impl Iterator<Item = &Topic> {
        self.members.values().flat_map(|member| &member.join.topics)
    }

    fn member_mut(&mut self, id: &str) -> &mut Member {
        self.members.get_mut(id).expect("the caller has checked that it is a member")
    }
}

/// How offsets are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitKind {
    Transactional,
    Plain,
}

impl Member {
    fn deadline(&self) -> TimestampMs {
        TimestampMs(self.last_seen.0.saturating_add(self.join.session_timeout_ms))
    }

    /// The next change to tell: first what it loses, then what it gets.
    fn change(&mut self) -> Option<GroupEvent> {
        let revoked: Vec<_> = self.owned.difference(&self.assigned).cloned().collect();
        if !revoked.is_empty() {
            self.owned.retain(|place| self.assigned.contains(place));
            self.rejoins = true;
            return Some(GroupEvent::Revoked(revoked));
        }
        let gained: Vec<_> = self.assigned.difference(&self.owned).cloned().collect();
        if gained.is_empty() {
            return None;
        }
        self.owned.extend(gained.iter().cloned());
        Some(GroupEvent::Assigned(gained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum_core::Partition;

    const SESSION_MS: i64 = 1_000;

    fn joining(instance: Option<&str>, protocol: GroupProtocol) -> Join {
        Join {
            topics: BTreeSet::from([Topic::from("t")]),
            instance_id: instance.map(str::to_owned),
            session_timeout_ms: SESSION_MS,
            protocol,
        }
    }

    fn join(group: &mut Group, instance: Option<&str>, at: i64) -> String {
        group.join("g", joining(instance, GroupProtocol::Classic), TimestampMs(at)).unwrap()
    }

    fn poll(group: &mut Group, id: &str, instance: Option<&str>) -> Option<GroupEvent> {
        group.poll(id, instance, &|_| 2, TimestampMs(0)).unwrap().0.event
    }

    fn places(numbers: &[u32]) -> Vec<TopicPartition> {
        numbers.iter().map(|number| Topic::from("t").partition(Partition(*number))).collect()
    }

    #[test]
    fn a_member_in_a_poll_is_alive_and_a_silent_one_is_not() {
        let mut group = Group::default();
        let id = join(&mut group, None, 0);
        group.set_polling(&id, true, TimestampMs(0));
        assert!(!group.expire(TimestampMs(50 * SESSION_MS)));
        group.set_polling(&id, false, TimestampMs(50 * SESSION_MS));
        assert!(!group.expire(TimestampMs(51 * SESSION_MS - 1)));
        assert!(group.expire(TimestampMs(51 * SESSION_MS)));
        assert_eq!(
            group.poll(&id, None, &|_| 2, TimestampMs(0)).err(),
            Some(Refusal::UnknownMember),
            "it has to join as somebody new"
        );
    }

    #[test]
    fn a_rebalance_waits_for_every_member() {
        let mut group = Group::default();
        let one = join(&mut group, None, 0);
        assert_eq!(poll(&mut group, &one, None), Some(GroupEvent::Assigned(places(&[0, 1]))));
        let two = join(&mut group, None, 0);
        assert_eq!((poll(&mut group, &two, None), group.generation), (None, 1));
        assert_eq!(poll(&mut group, &one, None), Some(GroupEvent::Revoked(places(&[1]))));
        assert_eq!((poll(&mut group, &two, None), group.generation), (None, 2));
        assert_eq!((poll(&mut group, &one, None), group.generation), (None, 2), "one has joined again");
        assert_eq!(poll(&mut group, &two, None), Some(GroupEvent::Assigned(places(&[1]))));
        assert_eq!(group.generation, 3);
    }

    #[test]
    fn in_the_newer_protocol_nobody_waits_and_each_member_has_its_own_epoch() {
        let mut group = Group::default();
        let newer = |instance| joining(instance, GroupProtocol::Consumer);
        let one = group.join("g", newer(None), TimestampMs(0)).unwrap();
        assert_eq!(poll(&mut group, &one, None), Some(GroupEvent::Assigned(places(&[0, 1]))));
        let membership = |id: &str, generation| Membership {
            group: "g".to_owned(),
            member_id: id.to_owned(),
            generation,
            instance_id: None,
            protocol: GroupProtocol::Consumer,
        };
        let two = group.join("g", newer(Some("two")), TimestampMs(0)).unwrap();
        assert_eq!((poll(&mut group, &two, Some("two")), group.generation), (None, 2), "the first one still has all");
        let taken = |group: &Group, generation| group.validate_commit(&membership(&one, generation), CommitKind::Plain);
        assert_eq!(taken(&group, 1), Ok(()), "it knows no other");
        assert_eq!(poll(&mut group, &one, None), Some(GroupEvent::Revoked(places(&[1]))));
        assert_eq!((taken(&group, 1), taken(&group, 2)), (Err(Refusal::IllegalGeneration), Ok(())));
        assert_eq!(poll(&mut group, &two, Some("two")), None, "the first one has not answered yet");
        poll(&mut group, &one, None);
        assert_eq!(poll(&mut group, &two, Some("two")), Some(GroupEvent::Assigned(places(&[1]))));

        let refused = group.join("g", newer(Some("two")), TimestampMs(0));
        assert_eq!(refused, Err(Refusal::UnreleasedInstance), "the older one is alive as far as anybody knows");
        group.release(&two);
        let again = group.join("g", newer(Some("two")), TimestampMs(0)).unwrap();
        assert_eq!(poll(&mut group, &again, Some("two")), Some(GroupEvent::Assigned(places(&[1]))));
        assert_eq!(poll(&mut group, &one, None), None, "nobody else notices");
    }

    #[test]
    fn what_a_replaced_static_member_had_to_give_up_is_given() {
        let mut group = Group::default();
        let one = join(&mut group, Some("one"), 0);
        assert!(poll(&mut group, &one, Some("one")).is_some());
        let two = join(&mut group, None, 0);
        poll(&mut group, &two, None);
        // Its answer to the rebalance is the last thing that the first one does.
        assert_eq!(poll(&mut group, &one, Some("one")), Some(GroupEvent::Revoked(places(&[1]))));
        let again = join(&mut group, Some("one"), 0);
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(poll(&mut group, &again, Some("one")));
            given.extend(poll(&mut group, &two, None));
        }
        assert_eq!(given, [GroupEvent::Assigned(places(&[1])), GroupEvent::Assigned(places(&[0]))]);
    }
}
