//! One thread of a client: transfers between its accounts, and what tries the
//! handler's other answers.

use crate::{
    account::{OPENING_CENTS, Remains},
    draw::Draw,
    journal::{Answered, Entry, Journal, Order, Reply, Sent, now_ms},
    reads::Reads,
};
use factum::{CommandId, Envelope, Error, ErrorKind, Result, TypedClient, Version, to};
use factum_bank::{Account, Command, Refusal};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a command waits for its answer before it is sent again by us.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between a command that got no answer and its repetition.
const AGAIN: Duration = Duration::from_millis(200);
/// Commands of one account that are sent without waiting, at most.
const BURST: u32 = 6;

/// What all tellers of a client share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Till<'a> {
    /// Sends.
    pub(crate) client: &'a TypedClient<Account>,
    /// Remembers.
    pub(crate) journal: &'a Journal,
    /// Looks at views.
    pub(crate) reads: &'a Reads,
    /// Nothing new is begun once it is set.
    pub(crate) stop: &'a AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Teller<'a> {
    till: Till<'a>,
    accounts: Vec<String>,
    versions: BTreeMap<String, u64>,
    draw: Draw,
    pace: Duration,
    next: Instant,
    last: Option<Sent>,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(till: Till<'a>, accounts: Vec<String>, seed: u64, number: u64, pace: Duration) -> Self {
        let draw = Draw::new(seed, number);
        Teller { till, accounts, versions: BTreeMap::new(), draw, pace, next: Instant::now(), last: None }
    }

    /// Finishes what is left of earlier processes, and works until it is to stop.
    ///
    /// # Errors
    /// What no retry can help with.
    pub(crate) fn run(mut self, remains: Remains) -> Result<()> {
        self.versions = remains.versions;
        for sent in &remains.half_done {
            self.pay_in(sent)?;
        }
        for sent in remains.unanswered {
            self.finish(sent)?;
        }
        for account in self.accounts.clone() {
            if !self.versions.contains_key(&account) {
                self.send(&account, Order::Open(OPENING_CENTS), None)?;
            }
        }
        while !self.till.stop.load(Ordering::Relaxed) {
            self.work()?;
        }
        Ok(())
    }

    fn work(&mut self) -> Result<()> {
        match self.draw.below(20) {
            0..=4 => self.burst(),
            5 => self.overdraw(),
            6 => self.expect(),
            7 => self.repeat(),
            _ => {
                let (from, to) = self.pair();
                let cents = i64::from(1 + self.draw.below(50));
                self.finish_new(&from, Order::TakeOut(cents, to), None)
            }
        }
    }

    /// Two accounts.
    fn pair(&mut self) -> (String, String) {
        let from = self.draw.index(self.accounts.len());
        let to = (from + 1 + self.draw.index(self.accounts.len() - 1)) % self.accounts.len();
        (self.accounts[from].clone(), self.accounts[to].clone())
    }

    /// Several transfers at once: their commands share a batch of the handler.
    fn burst(&mut self) -> Result<()> {
        let (from, to) = self.pair();
        let halves: Vec<Sent> = (0..2 + self.draw.below(BURST - 1))
            .map(|_| Sent { id: new_id(), account: from.clone(), order: Order::TakeOut(1, to.clone()), expected: None })
            .collect();
        let taken = self.send_together(halves)?;
        self.send_together(taken.iter().filter_map(second_half).collect()).map(drop)
    }

    /// Sends commands without waiting between them; returns those that were accepted.
    fn send_together(&mut self, commands: Vec<Sent>) -> Result<Vec<Sent>> {
        let mut pending = Vec::new();
        for sent in &commands {
            self.pace();
            self.till.journal.write(&Entry::Sent(sent.clone()))?;
            pending.push(self.till.client.submit(envelope(sent)?));
        }
        let mut accepted = Vec::new();
        for (sent, pending) in commands.into_iter().zip(pending) {
            let reply = match pending.and_then(factum::PendingReply::wait) {
                Ok(reply) => self.answered(&sent, reply)?,
                Err(error) => self.try_again(&sent, error)?,
            };
            if matches!(reply, Reply::Accepted { .. }) {
                accepted.push(sent);
            }
        }
        Ok(accepted)
    }

    /// More than there is in the bank.
    fn overdraw(&mut self) -> Result<()> {
        let (from, to) = self.pair();
        self.finish_new(&from, Order::TakeOut(1_000_000_000, to), None)
    }

    /// With an expected version: the account's, or another.
    fn expect(&mut self) -> Result<()> {
        let (from, to) = self.pair();
        let known = self.versions.get(&from).copied().unwrap_or_default();
        let expected = if self.draw.below(2) == 0 { known } else { known + 1_000 };
        self.finish_new(&from, Order::TakeOut(1, to), Some(expected))
    }

    /// The last command once more: its answer is the same.
    fn repeat(&mut self) -> Result<()> {
        let Some(last) = self.last.clone() else { return Ok(()) };
        self.pace();
        self.answer(&last).map(drop)
    }

    fn finish_new(&mut self, account: &str, order: Order, expected: Option<u64>) -> Result<()> {
        let (sent, reply) = self.send(account, order, expected)?;
        self.finish_transfer(&sent, &reply)
    }

    /// Learns what became of a command of an earlier process, and does what follows.
    fn finish(&mut self, sent: Sent) -> Result<()> {
        let reply = self.answer(&sent)?;
        self.finish_transfer(&sent, &reply)
    }

    fn finish_transfer(&mut self, sent: &Sent, reply: &Reply) -> Result<()> {
        match (&sent.order, reply) {
            (Order::TakeOut(..), Reply::Accepted { .. }) => self.pay_in(sent),
            _ => Ok(()),
        }
    }

    /// The second half of a transfer.
    fn pay_in(&mut self, taken: &Sent) -> Result<()> {
        match second_half(taken) {
            Some(half) => self.send_first(half).map(drop),
            None => Ok(()),
        }
    }

    fn send(&mut self, account: &str, order: Order, expected: Option<u64>) -> Result<(Sent, Reply)> {
        self.send_first(Sent { id: new_id(), account: account.to_owned(), order, expected })
    }

    fn send_first(&mut self, sent: Sent) -> Result<(Sent, Reply)> {
        self.pace();
        self.till.journal.write(&Entry::Sent(sent.clone()))?;
        let reply = self.answer(&sent)?;
        Ok((sent, reply))
    }

    /// Sends a command, again and again until there is an answer.
    fn answer(&mut self, sent: &Sent) -> Result<Reply> {
        match self.till.client.send(envelope(sent)?) {
            Ok(reply) => self.answered(sent, reply),
            Err(error) => self.try_again(sent, error),
        }
    }

    fn try_again(&mut self, sent: &Sent, mut error: Error) -> Result<Reply> {
        loop {
            if error.kind() != ErrorKind::Unavailable {
                return Err(error);
            }
            thread::sleep(AGAIN);
            match self.till.client.send(envelope(sent)?) {
                Ok(reply) => return self.answered(sent, reply),
                Err(again) => error = again,
            }
        }
    }

    fn answered(&mut self, sent: &Sent, reply: factum::Reply<Refusal>) -> Result<Reply> {
        let (reply, token) = read(reply);
        let entry = Answered { id: sent.id.clone(), at_ms: now_ms(), reply: reply.clone() };
        self.till.journal.write(&Entry::Answered(entry))?;
        if let Reply::Accepted { version, .. } | Reply::Refused { version, .. } | Reply::Conflict(version) = &reply {
            let known = self.versions.entry(sent.account.clone()).or_default();
            *known = (*known).max(*version);
            if let Some(token) = token.filter(|_| self.draw.below(20) == 0) {
                self.till.reads.ask(&sent.account, *version, token);
            }
        }
        // What an expected version was compared with has changed by now: conflicts are not kept.
        self.last = sent.expected.is_none().then(|| sent.clone());
        Ok(reply)
    }

    /// Waits until the next command may be sent. What was missed in an outage is not made up for.
    fn pace(&mut self) {
        let now = Instant::now();
        self.next = (self.next + self.pace).max(now);
        thread::sleep(self.next - now);
    }
}

/// The other half of a transfer whose first one was accepted.
fn second_half(taken: &Sent) -> Option<Sent> {
    let Order::TakeOut(cents, to) = &taken.order else { return None };
    let order = Order::PayIn(*cents, taken.id.clone());
    Some(Sent { id: new_id(), account: to.clone(), order, expected: None })
}

fn read(reply: factum::Reply<Refusal>) -> (Reply, Option<factum::wire::Token>) {
    match reply {
        factum::Reply::Accepted(accepted) => {
            let token = accepted.token.as_ref().map(|token| (token.place.partition.0, token.offset.0));
            (Reply::Accepted { version: accepted.version.0, events: accepted.events, token }, accepted.token)
        }
        factum::Reply::Refused(refused) => match refused.refusal() {
            Ok(Refusal::Insufficient { balance_cents, .. }) => {
                (Reply::Refused { version: refused.version.0, balance_cents }, None)
            }
            _ => (Reply::Other(refused.json), None),
        },
        factum::Reply::Conflict(conflict) => (Reply::Conflict(conflict.actual.0), None),
        factum::Reply::Undecided(undecided) => (Reply::Other(format!("{}: {}", undecided.code, undecided.why)), None),
    }
}

fn envelope(sent: &Sent) -> Result<Envelope<Command>> {
    let id: CommandId = sent.id.parse()?;
    let envelope = to(&sent.account, sent.order.command()).command_id(id).timeout(PATIENCE);
    Ok(match sent.expected {
        Some(version) => envelope.expected_version(Version(version)),
        None => envelope,
    })
}

fn new_id() -> String {
    CommandId(*uuid::Uuid::new_v4().as_bytes()).to_string()
}
