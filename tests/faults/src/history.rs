//! A run's history from where it lies: journals, topics, tables.

use crate::{
    journal::{Answered, Entry, Journal, Order, Reply, Sent},
    site::PARTITIONS,
};
use factum::{
    Aggregate, CommandId, Error, KafkaConfig, KafkaLog, MessageCodec, RecordRef, Result, Topic, Topics, Version,
    environment::Environment,
    handler::RECENT_COMMANDS,
    log::Isolation,
    schemas::{AnswerCodec, LogRegistry, RecordCodec, SchemaCache},
    view::ViewTable,
    wire::{Answer, AnswerCode, Token},
};
use factum_bank::{Account, Balances, Refusal};
use factum_history::{Asked, History, Look, Row, Rule, Transfer, read_committed, read_events, read_requests};
use postgres::{Client, NoTls};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long one poll of a topic waits.
const POLL: Duration = Duration::from_millis(50);
/// A view that has stood still for so long will not catch up, and a transaction that is open for so long stays so.
const CATCH_UP: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);

/// Where a run's data are.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub(crate) kafka: &'a str,
    pub(crate) views: &'a str,
    pub(crate) journals: Vec<&'a Path>,
}

/// What was found there.
#[derive(Debug)]
pub(crate) struct Found {
    /// The checker's input.
    pub(crate) history: History,
    /// The answers with their times.
    pub(crate) answers: Vec<Answered>,
    /// How many answers the replies topic has.
    pub(crate) replies: usize,
    /// When views were read that had passed the token, milliseconds since 1970.
    pub(crate) looks_ms: Vec<u64>,
    /// Looks that found the view behind.
    pub(crate) behind: Vec<String>,
}

impl Sources<'_> {
    /// Reads everything; waits until the view has applied what is in the log.
    ///
    /// # Errors
    /// `Unavailable` when topics or tables cannot be read.
    pub(crate) fn read(&self) -> Result<Found> {
        let log = Arc::new(KafkaLog::new(KafkaConfig::bootstrap(self.kafka))?);
        let schemas = Arc::new(SchemaCache::in_memory(Arc::new(LogRegistry::open(log.clone(), None)?)));
        let environment = Environment { log, schemas, prefix: String::new() };
        let topics = environment.topics(Account::TYPE);
        let mut found = Found::new();
        for path in &self.journals {
            found.note(Journal::open(path)?.1, &topics)?;
        }
        for topic in [&topics.events, &topics.commands, &topics.dead_letters] {
            no_open_transaction(&environment, topic)?;
        }
        let history = &mut found.history;
        let codec = RecordCodec::<factum_bank::Event>::for_reading(&environment.schemas)?;
        let decode = |record: RecordRef<'_>| {
            let value = record.value().unwrap_or_default();
            let event = environment.schemas.with_schema(|| codec.decode_one(value));
            event.map_err(|error| Error::data(format!("{record:?}: {error}")))
        };
        history.events = read_events(&*environment.log, &topics.events, POLL, decode)?;
        history.requests = read_requests(&*environment.log, &topics.commands, POLL)?;
        history.dead_letters = read_committed(&*environment.log, &topics.dead_letters, POLL)?.len();
        history.balances = self.rows(history.events.len())?;
        found.replies(&environment, &topics.replies)?;
        Ok(found)
    }

    /// The view's rows, once it has as many entries as the log has events or stands still.
    fn rows(&self, events: usize) -> Result<BTreeMap<String, Row>> {
        let failed = |error: postgres::Error| Error::unavailable(format!("the view's table cannot be read: {error}"));
        let mut client = Client::connect(self.views, NoTls).map_err(failed)?;
        let sql = format!("SELECT key, balance, entries FROM {}", ViewTable::of::<Balances>()?.name());
        let (mut moved, mut last) = (Instant::now(), -1);
        loop {
            let rows = client.query(&sql, &[]).map_err(failed)?;
            let rows: BTreeMap<String, Row> =
                rows.iter().map(|row| (row.get(0), Row { balance_cents: row.get(1), entries: row.get(2) })).collect();
            let entries: i64 = rows.values().map(|row| row.entries).sum();
            if usize::try_from(entries).is_ok_and(|entries| entries >= events) || moved.elapsed() > CATCH_UP {
                return Ok(rows);
            }
            if entries != last {
                (moved, last) = (Instant::now(), entries);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Found {
    fn new() -> Self {
        let history = History::new(PARTITIONS, RECENT_COMMANDS);
        Found { history, answers: Vec::new(), replies: 0, looks_ms: Vec::new(), behind: Vec::new() }
    }

    /// How many commands their clients heard an answer to.
    pub(crate) fn acknowledged(&self) -> usize {
        self.answers.iter().map(|answered| answered.id.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// The replies topic: what is in it is judged like what clients heard, and they heard nothing else.
    fn replies(&mut self, environment: &Environment, topic: &Topic) -> Result<()> {
        let (codec, history) = (AnswerCodec::for_reading(&environment.schemas)?, &mut self.history);
        let mut heard = Vec::new();
        for (id, asked) in &history.commands {
            if asked.answers.is_empty() {
                heard.push((Rule::AllAnswered, format!("no client heard of command {id}, {asked:?}")));
            }
        }
        let mut written: BTreeMap<CommandId, Vec<Answer>> = BTreeMap::new();
        for record in read_committed(&*environment.log, topic, POLL)?.iter() {
            let value = record.value().unwrap_or_default();
            let answer = environment.schemas.with_schema(|| codec.decode(value));
            let answer = answer.map_err(|error| Error::data(format!("{record:?}: {error}")))?;
            written.entry(answer.command).or_default().push(answer);
            self.replies += 1;
        }
        for (id, asked) in &history.commands {
            let same = |told: &Answer| {
                let told = comparable(told);
                written.get(id).is_some_and(|written| written.iter().any(|written| comparable(written) == told))
            };
            for told in asked.answers.iter().filter(|told| !same(told)) {
                heard.push((
                    Rule::AnswersMatch,
                    format!("a client was told {told:?}, and the topic has {:?}", written.get(id)),
                ));
            }
        }
        heard.into_iter().for_each(|(rule, what)| history.saw(rule, what));
        written.into_values().flatten().for_each(|answer| history.answered(answer));
        Ok(())
    }

    /// What a client wrote down.
    fn note(&mut self, entries: Vec<Entry>, topics: &Topics) -> Result<()> {
        let mut sent_by_id: BTreeMap<String, Sent> = BTreeMap::new();
        for entry in entries {
            match entry {
                Entry::Sent(sent) => {
                    self.sent(&sent)?;
                    sent_by_id.insert(sent.id.clone(), sent);
                }
                Entry::Answered(answered) => {
                    let sent = sent_by_id.get(&answered.id);
                    match sent.map(|sent| answer(sent, &answered.reply, &topics.events)).transpose()?.flatten() {
                        Some(answer) => self.history.answered(answer),
                        None => self.history.saw(Rule::AnswersMatch, format!("{sent:?} was told {answered:?}")),
                    }
                    self.answers.push(answered);
                }
                Entry::Looked(look) => {
                    let (version, entries) = (Version(look.version), look.entries);
                    self.looks_ms.push(look.at_ms);
                    self.history.looks.push(Look { account: look.account, version, entries });
                }
                Entry::Behind(why) => self.behind.push(why),
            }
        }
        Ok(())
    }

    fn sent(&mut self, sent: &Sent) -> Result<()> {
        let id: CommandId = sent.id.parse()?;
        let transfers = &mut self.history.transfers;
        match &sent.order {
            Order::Open(_) => {}
            Order::TakeOut(cents, _) => {
                transfers.push(Transfer { withdrawal: id, deposit: None, cents: *cents });
            }
            Order::PayIn(_, taken) => {
                let withdrawal: CommandId = taken.parse()?;
                // The halves of a transfer are of one client, and soon after one another.
                if let Some(transfer) = transfers.iter_mut().rev().find(|one| one.withdrawal == withdrawal) {
                    transfer.deposit = Some(id);
                }
            }
        }
        let (account, command) = (sent.account.clone(), sent.order.command());
        let expected = sent.expected.map(Version);
        self.history.commands.insert(id, Asked { account, command, expected, deadline: None, answers: Vec::new() });
        Ok(())
    }
}

/// What clients write down of an answer.
fn comparable(answer: &Answer) -> (AnswerCode, Version, u32, Option<(u32, i64)>) {
    // Of a refusal's token nothing follows, and it is not written down.
    let accepted = answer.token.as_ref().filter(|_| answer.code == AnswerCode::Accepted);
    let token = accepted.map(|token| (token.place.partition.0, token.offset.0));
    (answer.code, answer.version, answer.events, token)
}

/// The answer that a client wrote down; none if it is one that no command deserves.
fn answer(sent: &Sent, reply: &Reply, events_topic: &Topic) -> Result<Option<Answer>> {
    let none = Answer {
        command: sent.id.parse()?,
        code: AnswerCode::Conflict,
        version: Version::NONE,
        events: 0,
        token: None,
        detail: None,
    };
    Ok(match reply {
        Reply::Accepted { version, events, token } => {
            let token = token.map(|(partition, offset)| Token {
                place: events_topic.partition(factum::Partition(partition)),
                offset: factum::Offset(offset),
                topic_id: None,
            });
            let (version, events) = (Version(*version), *events);
            Some(Answer { code: AnswerCode::Accepted, version, events, token, ..none })
        }
        Reply::Refused { version, balance_cents } => {
            let (balance_cents, asked_cents) = (*balance_cents, -sent.order.change_cents());
            let detail = serde_json::to_string(&Refusal::Insufficient { balance_cents, asked_cents }).ok();
            Some(Answer { code: AnswerCode::Refused, version: Version(*version), detail, ..none })
        }
        Reply::Conflict(actual) => Some(Answer { version: Version(*actual), ..none }),
        Reply::Other(_) => None,
    })
}

/// Waits until no transaction is open, which nobody could read beyond: the broker
/// ends one that a killed handler left.
fn no_open_transaction(environment: &Environment, topic: &Topic) -> Result<()> {
    let mut admin = environment.log.admin()?;
    let begun = Instant::now();
    for place in admin.partitions(topic)? {
        loop {
            let (committed, all) =
                (admin.bounds(&place, Isolation::ReadCommitted)?, admin.bounds(&place, Isolation::ReadUncommitted)?);
            if committed.end == all.end {
                break;
            }
            if begun.elapsed() > CATCH_UP {
                return Err(Error::unavailable(format!(
                    "{place} has an open transaction at {}: its end is {}",
                    committed.end, all.end
                )));
            }
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}
