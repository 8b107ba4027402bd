//! Whether the partitions of a group all have an owner that works on them.
//!
//! The classic protocol can leave some without one, for ever. Partitions move
//! in two rebalances (KIP-429): the first takes them from their owner, who then
//! joins again, so that the second can give them away. A static member (KIP-345)
//! that ends between the two comes back without a rebalance, to what the first
//! one left it, and has nothing to give up any more: the second never comes.
//! So a while after each rebalance every member asks the coordinator what it
//! has written down; who finds partitions without an owner twice leaves the
//! group, which makes the others rebalance, and joins anew. Under KIP-848 the
//! coordinator knows what its members still have, and needs no such help.

use crate::{KafkaConfig, config::invalid_property, errors};
use factum_core::{Error, Result, Topic};
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    groups::GroupList,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// How long the coordinator's answer may take.
const ANSWER: Duration = Duration::from_secs(5);

/// Partitions by topic and number.
pub(crate) type Places = BTreeSet<(String, i32)>;

/// A member's watch over its group.
#[derive(Debug)]
pub(crate) struct Watch {
    config: KafkaConfig,
    group: String,
    topics: Vec<Topic>,
    /// From a rebalance to the first look, and from one look to the next.
    pause: Duration,
    /// When to look; none when all was well since the last rebalance.
    due: Option<Instant>,
    look: Option<Receiver<Result<Written>>>,
    /// What the last look found.
    found: Option<String>,
}

/// What the coordinator has written down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    state: String,
    /// What each member has, by member id.
    members: BTreeMap<String, Places>,
    /// What there is to have.
    all: Places,
}

/// What a look comes to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything has an owner, and this member what is its own.
    Well,
    /// It cannot be told, or somebody else is to act: look again.
    Again,
    /// This member is to leave, because of that.
    Ill(String),
}

impl Watch {
    /// One over a group of these topics. `session`: after so long without a sign a member is given up.
    pub(crate) fn new(config: &KafkaConfig, group: &str, topics: &[Topic], session: Duration) -> Self {
        // Whoever hangs is found out before the second look.
        let pause = session * 2 / 3;
        Watch {
            config: config.clone(),
            group: group.to_owned(),
            topics: topics.to_vec(),
            pause,
            due: Some(Instant::now() + pause),
            look: None,
            found: None,
        }
    }

    /// There was a rebalance.
    pub(crate) fn moved(&mut self) {
        (self.due, self.look, self.found) = (Some(Instant::now() + self.pause), None, None);
    }

    /// Looks when it is time; returns why this member is to leave its group. Never waits.
    /// `member` is its id and what it works on.
    pub(crate) fn tend(&mut self, member: impl FnOnce() -> (String, Places)) -> Option<String> {
        let due = self.due?;
        let Some(look) = &self.look else {
            if Instant::now() >= due {
                self.look = self.begin();
                self.due = Some(Instant::now() + self.pause);
            }
            return None;
        };
        let verdict = match look.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Verdict::Again,
            Ok(Err(error)) => {
                tracing::debug!(group = self.group, %error, "the coordinator does not say who owns what");
                Verdict::Again
            }
            Ok(Ok(written)) => {
                let (id, works_on) = member();
                written.judge(&id, &works_on)
            }
        };
        (self.look, self.due) = (None, Some(Instant::now() + self.pause));
        match verdict {
            Verdict::Well => (self.due, self.found) = (None, None),
            Verdict::Again => self.found = None,
            Verdict::Ill(why) if self.found.as_ref() == Some(&why) => return Some(why),
            Verdict::Ill(why) => self.found = Some(why),
        }
        None
    }

    /// Asks in a thread of its own, which ends by itself.
    fn begin(&self) -> Option<Receiver<Result<Written>>> {
        let (send, receive) = sync_channel(1);
        let (config, group, topics) = (self.config.clone(), self.group.clone(), self.topics.clone());
        let ask = move || {
            // Nobody waits for an answer to a question from before a rebalance.
            send.send(ask(&config, &group, &topics)).unwrap_or_default();
        };
        thread::Builder::new().name("kafka-watch".to_owned()).spawn(ask).ok()?;
        Some(receive)
    }
}

fn ask(config: &KafkaConfig, group: &str, topics: &[Topic]) -> Result<Written> {
    let client: BaseConsumer = config.admin().create().map_err(|error| invalid_property(&error))?;
    let failed = |error: rdkafka::error::KafkaError| {
        let kind = error.rdkafka_error_code().map_or(factum_core::ErrorKind::Unavailable, errors::kind);
        Error::new(kind, format!("group {group}: {error}"))
    };
    let mut all = Places::new();
    for topic in topics {
        let metadata = client.fetch_metadata(Some(topic.as_str()), ANSWER).map_err(failed)?;
        for found in metadata.topics() {
            all.extend(found.partitions().iter().map(|partition| (found.name().to_owned(), partition.id())));
        }
    }
    let groups = client.fetch_group_list(Some(group), ANSWER).map_err(failed)?;
    written(&groups, group, all).ok_or_else(|| Error::unavailable(format!("group {group} is not known")))
}

fn written(groups: &GroupList, group: &str, all: Places) -> Option<Written> {
    let found = groups.groups().iter().find(|found| found.name() == group)?;
    let members = found.members().iter();
    let members = members.map(|member| Some((member.id().to_owned(), assignment(member.assignment()?)?)));
    Some(Written { state: found.state().to_owned(), members: members.collect::<Option<_>>()?, all })
}

impl Written {
    fn judge(&self, member: &str, works_on: &Places) -> Verdict {
        let Some(of_member) = self.members.get(member).filter(|_| self.state == "Stable") else {
            return Verdict::Again;
        };
        let idle: Places = of_member.difference(works_on).cloned().collect();
        if !idle.is_empty() {
            return Verdict::Ill(format!(
                "the group has given {} to this member, which does not work on them",
                names(&idle)
            ));
        }
        let owned: Places = self.members.values().flatten().cloned().collect();
        let unowned: Places = self.all.difference(&owned).cloned().collect();
        if unowned.is_empty() {
            return Verdict::Well;
        }
        // One is enough; it costs least if the one has least to give up.
        let chosen = self.members.iter().min_by_key(|(id, places)| (places.len(), id.as_str()));
        match chosen.is_some_and(|(id, _)| id == member) {
            true => Verdict::Ill(format!("nobody owns {}", names(&unowned))),
            false => Verdict::Again,
        }
    }
}

fn names(places: &Places) -> String {
    places.iter().map(|(topic, number)| format!("{topic}/{number}")).collect::<Vec<_>>().join(", ")
}

/// A member's partitions as the consumer protocol writes them (version, topics, user data).
fn assignment(bytes: &[u8]) -> Option<Places> {
    let mut places = Places::new();
    if bytes.is_empty() {
        return Some(places);
    }
    let mut rest = bytes;
    number::<2>(&mut rest)?;
    for _ in 0..number::<4>(&mut rest)? {
        let length = usize::try_from(number::<2>(&mut rest)?).ok()?;
        let topic = rest.split_off(..length)?;
        let topic = std::str::from_utf8(topic).ok()?;
        for _ in 0..number::<4>(&mut rest)? {
            places.insert((topic.to_owned(), number::<4>(&mut rest)?));
        }
    }
    Some(places)
}

/// A big-endian number of two or four bytes.
fn number<const BYTES: usize>(rest: &mut &[u8]) -> Option<i32> {
    let bytes = rest.split_off(..BYTES)?;
    Some(match *bytes {
        [a, b] => i32::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => i32::from_be_bytes([a, b, c, d]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[i32]) -> Places {
        numbers.iter().map(|number| ("t".to_owned(), *number)).collect()
    }

    fn stable(members: &[(&str, &[i32])]) -> Written {
        let members = members.iter().map(|(id, numbers)| ((*id).to_owned(), places(numbers))).collect();
        Written { state: "Stable".to_owned(), members, all: places(&[0, 1, 2, 3]) }
    }

    #[test]
    fn a_group_whose_partitions_are_all_owned_is_well() {
        let written = stable(&[("a", &[0, 1]), ("b", &[2, 3]), ("c", &[])]);
        assert_eq!(written.judge("a", &places(&[0, 1])), Verdict::Well);
        assert_eq!(written.judge("c", &places(&[])), Verdict::Well);
    }

    #[test]
    fn one_member_acts_for_partitions_without_an_owner_and_it_is_the_one_with_least() {
        let written = stable(&[("a", &[0, 1]), ("c", &[]), ("b", &[])]);
        assert!(matches!(written.judge("b", &places(&[])), Verdict::Ill(why) if why.contains("2")));
        assert_eq!(written.judge("c", &places(&[])), Verdict::Again);
        assert_eq!(written.judge("a", &places(&[0, 1])), Verdict::Again);
    }

    #[test]
    fn who_does_not_work_on_what_it_was_given_acts() {
        let written = stable(&[("a", &[0, 1]), ("b", &[2, 3])]);
        assert!(matches!(written.judge("a", &places(&[1])), Verdict::Ill(why) if why.contains("0")));
    }

    #[test]
    fn nothing_is_said_of_a_group_that_is_rebalancing_or_of_a_stranger() {
        let mut written = stable(&[("a", &[0])]);
        assert_eq!(written.judge("z", &places(&[])), Verdict::Again);
        written.state = "PreparingRebalance".to_owned();
        assert_eq!(written.judge("a", &places(&[])), Verdict::Again);
    }

    #[test]
    fn an_assignment_is_read_and_what_is_none_is_not() {
        let bytes = [&[0, 1, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3][..], &[255; 4]].concat();
        assert_eq!(assignment(&bytes), Some(places(&[0, 3])));
        assert_eq!(assignment(&[]), Some(Places::new()));
        for cut in 1..bytes.len() - 4 {
            assert_eq!(assignment(&bytes[..cut]), None, "{cut}");
        }
        // A count beyond the bytes that follow ends the reading, and takes no memory.
        assert_eq!(assignment(&[0, 1, 127, 255, 255, 255]), None);
    }
}
