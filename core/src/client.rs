//! The client's side of a command as a state machine: send, wait, send again
//! under the same command id, give up at the deadline.

use crate::{CommandId, Error, ErrorKind, Retry, TimestampMs, wire::Answer};
use std::collections::{BTreeMap, VecDeque};

/// How a client waits and repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientConfig {
    /// The most commands whose requesters wait; beyond it a new one is refused.
    pub max_in_flight: usize,
    /// The first wait before a command is sent again; it doubles each time.
    pub retry_after_ms: i64,
    /// The longest wait before a command is sent again.
    pub max_retry_after_ms: i64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig { max_in_flight: 10_000, retry_after_ms: 2_000, max_retry_after_ms: 30_000 }
    }
}

/// What a requester waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The handler's answer.
    Answered,
    /// That the log has the command; nobody asks what becomes of it.
    Delivered,
}

/// What became of a command, as far as its requester wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The handler answered.
    Answered(Answer),
    /// The log has it.
    Delivered,
}

/// What the shell is to do.
#[derive(Debug)]
pub enum ClientEffect {
    /// Produce the command's record (again).
    Send(CommandId),
    /// Tell the requester.
    Resolve(CommandId, Result<Fate, Error>),
}

#[derive(Debug)]
struct Waiting {
    until: Until,
    deadline: TimestampMs,
    next_send: TimestampMs,
    wait_ms: i64,
    /// Why the log did not take the record, the last time that it did not.
    failed: Option<Error>,
}

impl Waiting {
    /// Whether time alone is a reason to send it again: an answer can get lost,
    /// while the log always tells what became of a record.
    fn is_to_be_repeated(&self) -> bool {
        self.until == Until::Answered || self.failed.is_some()
    }
}

/// The commands of one client whose requesters wait.
#[derive(Debug)]
pub struct ClientMachine {
    config: ClientConfig,
    waiting: BTreeMap<CommandId, Waiting>,
    effects: VecDeque<ClientEffect>,
}

impl ClientMachine {
    /// A client that waits for nothing.
    pub fn new(config: ClientConfig) -> Self {
        ClientMachine { config, waiting: BTreeMap::new(), effects: VecDeque::new() }
    }

    /// How many requesters wait.
    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a command that is to be answered or delivered by `deadline`.
    ///
    /// # Errors
    /// `Unavailable` (overloaded) when too many wait; `Conflict` when this id waits already.
    pub fn submit(
        &mut self,
        id: CommandId,
        until: Until,
        now: TimestampMs,
        deadline: TimestampMs,
    ) -> Result<(), Error> {
        if self.waiting.len() >= self.config.max_in_flight {
            return Err(Error::unavailable(format!(
                "overloaded: {} commands wait for an answer; try again later",
                self.waiting.len()
            )));
        }
        if self.waiting.contains_key(&id) {
            return Err(Error::new(ErrorKind::Conflict, format!("command {id} waits for its answer already")));
        }
        let wait_ms = self.config.retry_after_ms;
        let next_send = TimestampMs(now.0 + wait_ms);
        self.waiting.insert(id, Waiting { until, deadline, next_send, wait_ms, failed: None });
        self.effects.push_back(ClientEffect::Send(id));
        Ok(())
    }

    /// Takes an answer; one that nobody waits for is passed over.
    pub fn answered(&mut self, answer: Answer) {
        if self.waiting.remove(&answer.command).is_some() {
            self.effects.push_back(ClientEffect::Resolve(answer.command, Ok(Fate::Answered(answer))));
        }
    }

    /// The log has the record.
    pub fn delivered(&mut self, id: CommandId) {
        if self.waiting.get(&id).is_some_and(|waiting| waiting.until == Until::Delivered) {
            self.waiting.remove(&id);
            self.effects.push_back(ClientEffect::Resolve(id, Ok(Fate::Delivered)));
        }
    }

    /// The log did not take the record. What a retry can help with is tried again later.
    pub fn failed(&mut self, id: CommandId, error: Error) {
        if error.kind().retry() != Retry::No {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.failed = Some(error);
            }
        } else if self.waiting.remove(&id).is_some() {
            self.effects.push_back(ClientEffect::Resolve(id, Err(error)));
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: TimestampMs) {
        let late: Vec<CommandId> =
            self.waiting.iter().filter(|(_, waiting)| waiting.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            let Some(waiting) = self.waiting.remove(&id) else { continue };
            let what = match waiting.until {
                Until::Answered => {
                    "no answer came in time: it may have been handled or not; send it again with the same id to learn which"
                }
                Until::Delivered => {
                    "the log did not confirm it in time: it may have taken it or not; send it again with the same id"
                }
            };
            let error = match waiting.failed {
                None => Error::unavailable(what),
                Some(failed) => Error::with_source(ErrorKind::Unavailable, what, failed),
            };
            self.effects.push_back(ClientEffect::Resolve(id, Err(error)));
        }
        for (id, waiting) in &mut self.waiting {
            if waiting.next_send <= now && waiting.is_to_be_repeated() {
                waiting.wait_ms = (waiting.wait_ms * 2).min(self.config.max_retry_after_ms);
                waiting.next_send = TimestampMs(now.0 + waiting.wait_ms);
                if waiting.until == Until::Delivered {
                    waiting.failed = None;
                }
                self.effects.push_back(ClientEffect::Send(*id));
            }
        }
    }

    /// The next thing to do.
    pub fn next_effect(&mut self) -> Option<ClientEffect> {
        self.effects.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Version, wire::AnswerCode};

    fn id(n: u8) -> CommandId {
        CommandId([n; 16])
    }

    fn answer(n: u8) -> Answer {
        Answer { command: id(n), code: AnswerCode::Accepted, version: Version(1), events: 1, token: None, detail: None }
    }

    fn effects(machine: &mut ClientMachine) -> Vec<String> {
        std::iter::from_fn(|| machine.next_effect())
            .map(|effect| match effect {
                ClientEffect::Send(id) => format!("send {}", id.0[0]),
                ClientEffect::Resolve(id, Ok(Fate::Answered(_))) => format!("answer {}", id.0[0]),
                ClientEffect::Resolve(id, Ok(Fate::Delivered)) => format!("delivered {}", id.0[0]),
                ClientEffect::Resolve(id, Err(e)) => format!("error {} {:?}", id.0[0], e.kind()),
            })
            .collect()
    }

    #[test]
    fn a_command_without_answer_is_sent_again_under_its_id_until_its_deadline() {
        let config = ClientConfig { retry_after_ms: 100, max_retry_after_ms: 300, ..ClientConfig::default() };
        let mut machine = ClientMachine::new(config);
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        assert_eq!(effects(&mut machine), ["send 1"]);
        let mut sent = Vec::new();
        for now in (10..=1_000).step_by(10) {
            machine.tick(TimestampMs(now));
            sent.extend(effects(&mut machine).into_iter().map(|effect| (now, effect)));
        }
        let expected =
            [(100, "send 1"), (300, "send 1"), (600, "send 1"), (900, "send 1"), (1_000, "error 1 Unavailable")];
        assert_eq!(sent, expected.map(|(at, what)| (at, what.to_owned())));
        assert_eq!(machine.in_flight(), 0);
    }

    #[test]
    fn an_answer_resolves_once_and_a_second_one_is_passed_over() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.answered(answer(1));
        machine.answered(answer(1));
        machine.answered(answer(2));
        assert_eq!(effects(&mut machine), ["send 1", "answer 1"]);
    }

    #[test]
    fn only_what_no_retry_helps_with_is_told_at_once() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.submit(id(2), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.failed(id(1), Error::unavailable("broker away"));
        machine.failed(id(2), Error::invalid("record too large"));
        assert_eq!(effects(&mut machine), ["send 1", "send 2", "error 2 Invalid"]);
    }

    #[test]
    fn a_command_that_waits_for_its_delivery_is_repeated_only_when_the_log_did_not_take_it() {
        let config = ClientConfig { retry_after_ms: 100, max_retry_after_ms: 100, ..ClientConfig::default() };
        let mut machine = ClientMachine::new(config);
        for n in 1..=3 {
            machine.submit(id(n), Until::Delivered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        }
        machine.tick(TimestampMs(500));
        assert_eq!(effects(&mut machine), ["send 1", "send 2", "send 3"]);
        machine.failed(id(1), Error::unavailable("broker away"));
        machine.tick(TimestampMs(600));
        machine.tick(TimestampMs(700));
        machine.delivered(id(1));
        machine.delivered(id(2));
        assert_eq!(effects(&mut machine), ["send 1", "delivered 1", "delivered 2"]);
        machine.tick(TimestampMs(1_000));
        assert_eq!(effects(&mut machine), ["error 3 Unavailable"]);
    }

    #[test]
    fn the_delivery_of_a_command_that_waits_for_its_answer_is_passed_over() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.delivered(id(1));
        assert_eq!(effects(&mut machine), ["send 1"]);
        assert_eq!(machine.in_flight(), 1);
    }

    #[test]
    fn what_the_log_said_last_is_told_with_the_deadline() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.failed(id(1), Error::unavailable("broker away"));
        machine.tick(TimestampMs(1_000));
        let told = std::iter::from_fn(|| machine.next_effect()).find_map(|effect| match effect {
            ClientEffect::Resolve(_, Err(error)) => Some(error.to_string()),
            _ => None,
        });
        assert!(told.is_some_and(|told| told.ends_with("to learn which: broker away")));
    }

    #[test]
    fn beyond_the_limit_a_command_is_refused_and_fits_again_after_an_answer() {
        let mut machine = ClientMachine::new(ClientConfig { max_in_flight: 1, ..ClientConfig::default() });
        machine.submit(id(1), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        let refused = machine.submit(id(2), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap_err();
        assert_eq!(refused.to_string(), "overloaded: 1 commands wait for an answer; try again later");
        machine.answered(answer(1));
        machine.submit(id(2), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
    }
}
