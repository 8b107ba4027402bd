//! The client's side of a command as a state machine: send, wait, send again
//! under the same command id, give up at the deadline.

use crate::{AggregateId, CommandId, Error, ErrorKind, Retry, TimestampMs, handler::RECENT_COMMANDS, wire::Answer};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};

/// How a client waits and repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientConfig {
    /// The most commands whose requesters wait; beyond it a new one is refused.
    pub max_in_flight: usize,
    /// How far commands of one aggregate run ahead of its oldest one without an
    /// answer; later ones are held back. At most what the handler remembers of an
    /// aggregate (`window_commands`): beyond it a command that is sent again
    /// would be decided again.
    pub max_ahead: usize,
    /// The first wait before a command is sent again; it doubles each time.
    pub retry_after_ms: i64,
    /// The longest wait before a command is sent again.
    pub max_retry_after_ms: i64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            max_in_flight: 10_000,
            max_ahead: RECENT_COMMANDS,
            retry_after_ms: 2_000,
            max_retry_after_ms: 30_000,
        }
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
    aggregate: AggregateId,
    until: Until,
    /// Its place among all commands: what is sent again goes in the first order.
    order: u64,
    deadline: TimestampMs,
    /// Whether the commands before it hold it back; it was never sent.
    held: bool,
    next_send: TimestampMs,
    wait_ms: i64,
    /// Why the log did not take the record, the last time that it did not.
    failed: Option<Error>,
}

impl Waiting {
    /// Whether time alone is a reason to send it again: an answer can get lost,
    /// while the log always tells what became of a record.
    fn is_to_be_repeated(&self) -> bool {
        !self.held && (self.until == Until::Answered || self.failed.is_some())
    }
}

/// The commands of one aggregate in their order.
#[derive(Debug, Default)]
struct Line {
    /// From the oldest that waits on; some behind it are resolved.
    sent: VecDeque<CommandId>,
    held: VecDeque<CommandId>,
}

/// The commands of one client whose requesters wait.
///
/// Invariant: between a command that waits and the newest one sent of its
/// aggregate are fewer than [`ClientConfig::max_ahead`]. So the handler still
/// remembers it when it comes again, and answers instead of deciding again.
#[derive(Debug)]
pub struct ClientMachine {
    config: ClientConfig,
    waiting: BTreeMap<CommandId, Waiting>,
    lines: HashMap<AggregateId, Line, FixedState>,
    effects: VecDeque<ClientEffect>,
    submitted: u64,
    now: TimestampMs,
}

impl ClientMachine {
    /// A client that waits for nothing.
    pub fn new(config: ClientConfig) -> Self {
        ClientMachine {
            config,
            waiting: BTreeMap::new(),
            lines: HashMap::default(),
            effects: VecDeque::new(),
            submitted: 0,
            now: TimestampMs(0),
        }
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
        aggregate: &AggregateId,
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
        let waiting = Waiting {
            aggregate: aggregate.clone(),
            until,
            order: self.submitted,
            deadline,
            held: true,
            next_send: now,
            wait_ms,
            failed: None,
        };
        self.waiting.insert(id, waiting);
        self.submitted += 1;
        self.now = now;
        self.lines.entry(aggregate.clone()).or_default().held.push_back(id);
        self.send_held(aggregate);
        Ok(())
    }

    /// Takes an answer; one that nobody waits for is passed over.
    pub fn answered(&mut self, answer: Answer) {
        if self.remove(answer.command).is_some() {
            self.effects.push_back(ClientEffect::Resolve(answer.command, Ok(Fate::Answered(answer))));
        }
    }

    /// The log has the record.
    pub fn delivered(&mut self, id: CommandId) {
        if self.waiting.get(&id).is_some_and(|waiting| waiting.until == Until::Delivered) {
            self.remove(id);
            self.effects.push_back(ClientEffect::Resolve(id, Ok(Fate::Delivered)));
        }
    }

    /// The log did not take the record. What a retry can help with is tried again later.
    pub fn failed(&mut self, id: CommandId, error: Error) {
        if error.kind().retry() != Retry::No {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.failed = Some(error);
            }
        } else if self.remove(id).is_some() {
            self.effects.push_back(ClientEffect::Resolve(id, Err(error)));
        }
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: TimestampMs) {
        self.now = now;
        let late: Vec<CommandId> =
            self.waiting.iter().filter(|(_, waiting)| waiting.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            let Some(waiting) = self.remove(id) else { continue };
            let what = match waiting.until {
                _ if waiting.held => {
                    "it was not sent: too many commands of its aggregate before it got no answer; is a handler running?"
                }
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
        let mut again: Vec<(u64, CommandId)> = Vec::new();
        for (id, waiting) in &mut self.waiting {
            if waiting.next_send <= now && waiting.is_to_be_repeated() {
                waiting.wait_ms = (waiting.wait_ms * 2).min(self.config.max_retry_after_ms);
                waiting.next_send = TimestampMs(now.0 + waiting.wait_ms);
                if waiting.until == Until::Delivered {
                    waiting.failed = None;
                }
                again.push((waiting.order, *id));
            }
        }
        again.sort_unstable();
        self.effects.extend(again.into_iter().map(|(_, id)| ClientEffect::Send(id)));
    }

    /// Takes a command out, and sends what it held back.
    fn remove(&mut self, id: CommandId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&id)?;
        self.send_held(&waiting.aggregate);
        Some(waiting)
    }

    fn send_held(&mut self, aggregate: &AggregateId) {
        let Some(line) = self.lines.get_mut(aggregate) else { return };
        while line.sent.front().is_some_and(|id| !self.waiting.contains_key(id)) {
            line.sent.pop_front();
        }
        while line.sent.len() < self.config.max_ahead {
            let Some(id) = line.held.pop_front() else { break };
            // One whose deadline passed is gone.
            let Some(waiting) = self.waiting.get_mut(&id) else { continue };
            (waiting.held, waiting.next_send) = (false, TimestampMs(self.now.0 + waiting.wait_ms));
            line.sent.push_back(id);
            self.effects.push_back(ClientEffect::Send(id));
        }
        if line.sent.is_empty() && line.held.is_empty() {
            self.lines.remove(aggregate);
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

    fn anna() -> AggregateId {
        AggregateId::new("anna").unwrap()
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
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
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
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.answered(answer(1));
        machine.answered(answer(1));
        machine.answered(answer(2));
        assert_eq!(effects(&mut machine), ["send 1", "answer 1"]);
    }

    #[test]
    fn only_what_no_retry_helps_with_is_told_at_once() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.submit(id(2), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.failed(id(1), Error::unavailable("broker away"));
        machine.failed(id(2), Error::invalid("record too large"));
        assert_eq!(effects(&mut machine), ["send 1", "send 2", "error 2 Invalid"]);
    }

    #[test]
    fn a_command_that_waits_for_its_delivery_is_repeated_only_when_the_log_did_not_take_it() {
        let config = ClientConfig { retry_after_ms: 100, max_retry_after_ms: 100, ..ClientConfig::default() };
        let mut machine = ClientMachine::new(config);
        for n in 1..=3 {
            machine.submit(id(n), &anna(), Until::Delivered, TimestampMs(0), TimestampMs(1_000)).unwrap();
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
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.delivered(id(1));
        assert_eq!(effects(&mut machine), ["send 1"]);
        assert_eq!(machine.in_flight(), 1);
    }

    #[test]
    fn what_the_log_said_last_is_told_with_the_deadline() {
        let mut machine = ClientMachine::new(ClientConfig::default());
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
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
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        let refused = machine.submit(id(2), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap_err();
        assert_eq!(refused.to_string(), "overloaded: 1 commands wait for an answer; try again later");
        machine.answered(answer(1));
        machine.submit(id(2), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
    }

    #[test]
    fn an_aggregates_commands_run_ahead_of_its_oldest_one_only_as_far_as_the_handler_remembers() {
        let config = ClientConfig { max_ahead: 2, retry_after_ms: 100, max_retry_after_ms: 100, ..Default::default() };
        let mut machine = ClientMachine::new(config);
        // Ids against the order, which is what counts.
        for n in [9, 8, 7, 6] {
            machine.submit(id(n), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        }
        let bert = AggregateId::new("bert").unwrap();
        machine.submit(id(1), &bert, Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        assert_eq!(effects(&mut machine), ["send 9", "send 8", "send 1"]);
        machine.tick(TimestampMs(100));
        assert_eq!(effects(&mut machine), ["send 9", "send 8", "send 1"], "again in the first order");
        machine.answered(answer(8));
        assert_eq!(effects(&mut machine), ["answer 8"], "the oldest one still waits");
        machine.answered(answer(9));
        assert_eq!(effects(&mut machine), ["send 7", "send 6", "answer 9"]);
        machine.answered(answer(7));
        machine.answered(answer(6));
        machine.answered(answer(1));
        assert_eq!(effects(&mut machine), ["answer 7", "answer 6", "answer 1"]);
        assert!(machine.lines.is_empty());
    }

    #[test]
    fn a_command_that_was_held_back_until_its_deadline_was_not_sent() {
        let mut machine = ClientMachine::new(ClientConfig { max_ahead: 1, ..ClientConfig::default() });
        machine.submit(id(1), &anna(), Until::Answered, TimestampMs(0), TimestampMs(2_000)).unwrap();
        machine.submit(id(2), &anna(), Until::Answered, TimestampMs(0), TimestampMs(1_000)).unwrap();
        machine.tick(TimestampMs(1_000));
        let told = std::iter::from_fn(|| machine.next_effect()).find_map(|effect| match effect {
            ClientEffect::Resolve(_, Err(error)) => Some(error.to_string()),
            _ => None,
        });
        let why = "it was not sent: too many commands of its aggregate before it got no answer; is a handler running?";
        assert_eq!(told.as_deref(), Some(why));
        machine.answered(answer(1));
        machine.submit(id(2), &anna(), Until::Answered, TimestampMs(0), TimestampMs(3_000)).unwrap();
        assert_eq!(effects(&mut machine), ["answer 1", "send 2"]);
    }
}
