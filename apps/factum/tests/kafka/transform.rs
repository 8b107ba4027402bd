//! The bank's events in the shape of its first version, while they are written and while those who
//! republish them are killed.

use crate::{
    child::{go_on, pause_once},
    observed::Observed,
    process::{Process, until},
    site::{Site, environment},
    traffic::{ACCOUNTS, Traffic, accounts, send},
};
use factum::{
    AggregateId, DecodeError, MessageCodec, Offset, RecordBatch, RecordRef, Topic, TopicPartition,
    environment::Environment,
    host::{Stop, TransformHost, TransformMember, TypedTransform},
    log::{Admin, Isolation},
    schemas::{AvroMessage, RecordCodec},
    transaction::TxnStep,
    transform::{FROM_HEADER, Transform},
    view::Recorded,
    wire::{AnswerCode, EventHeader, Token},
};
use factum_bank::{CHARGE_PERMISSION, Event, v1, v1::V1};
use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    path::PathBuf,
    process::Command,
    time::Duration,
};

/// The folder through which parent and child talk.
const FOLDER: &str = "FACTUM_TEST_TRANSFORM_FOLDER";
/// A killed member's partitions are others' after so long.
const SESSION_MS: &str = "6000";

/// A deployment with its handler, the topic of the transform, and events of every kind that there is a command for.
struct Bank {
    site: Site,
    _handler: Process,
    environment: Environment,
    admin: Box<dyn Admin>,
    events: Topic,
    output: Topic,
    group: String,
}

/// A republished record: where, of whom, which version, when, made of which offset, and what.
type Line = (u32, String, u64, i64, i64, v1::Event);

impl Bank {
    fn new(partitions: u32) -> Self {
        let site = Site::new(partitions);
        let made = site.run(&["topics", "create", "v1"]);
        let said = format!(".v1: it is as it should be, {partitions} partitions");
        assert!(made.ok && made.stdout.contains(&said), "{made:?}");
        let handler = site.handler(&["--grant", CHARGE_PERMISSION]);
        let environment = site.environment();
        let orders = accounts().flat_map(|account| {
            ["SetOverdraftLimit", "Withdraw", "ChargeOverdraftInterest"].map(|command| (account.clone(), command, 5))
        });
        let tally = send(&environment, &orders.collect::<Vec<_>>()).unwrap();
        assert_eq!(tally.count(AnswerCode::Accepted), 3 * ACCOUNTS as u64, "{tally}: {:?}", tally.samples);
        let transform = TypedTransform::<V1>::default();
        Bank {
            _handler: handler,
            admin: site.admin(),
            events: environment.topics(V1::INPUT).events,
            output: transform.output(&environment.prefix),
            group: transform.group(&environment.prefix),
            environment,
            site,
        }
    }

    fn transformer(&self) -> Process {
        self.site.start(&["transform", "v1", "--session-timeout-ms", SESSION_MS])
    }

    /// Everything committed in a topic; within a partition in its order.
    fn read(&mut self, topic: &Topic) -> RecordBatch {
        let mut reader = self.environment.log.reader(Isolation::ReadCommitted).unwrap();
        let mut batch = RecordBatch::new();
        for place in self.admin.partitions(topic).unwrap() {
            let end = self.admin.bounds(&place, Isolation::ReadCommitted).unwrap().end;
            reader.add(&place, Offset(0)).unwrap();
            until("the end of a partition", || {
                reader.poll(100_000, Duration::from_millis(20), &mut batch).unwrap();
                (end == Offset(0) || reader.position(&place).unwrap() >= Some(end)).then_some(())
            });
            reader.remove(&place).unwrap();
        }
        batch
    }

    /// Reads events of any shape; schemas are fetched as they are met.
    fn decode<E: AvroMessage>(&self, records: &RecordBatch) -> Vec<E> {
        let codec = RecordCodec::<E>::for_reading(&self.environment.schemas).unwrap();
        let decode = |record: RecordRef<'_>| loop {
            match codec.decode_one(record.value().unwrap()) {
                Ok(event) => return event,
                Err(DecodeError::UnknownSchema(id)) => self.environment.schemas.fetch(id).unwrap(),
                Err(error) => panic!("{record:?}: {error}"),
            }
        };
        records.iter().map(decode).collect()
    }

    /// What the output should hold, made of the events here and now.
    fn expected(&mut self) -> Vec<Line> {
        let events = self.read(&self.events.clone());
        let mut lines = Vec::new();
        for (record, event) in events.iter().zip(self.decode::<Event>(&events)) {
            let header = EventHeader::read(record).unwrap();
            let aggregate = AggregateId::new(key(record)).unwrap();
            let recorded = Recorded::new(record, &header, aggregate, header.source.into(), (0, event));
            let line = |made| line(record, record.offset(), made);
            lines.extend(V1::transform(&recorded).into_iter().map(line));
        }
        lines
    }

    /// What it holds, as a reader of the first version sees it.
    fn republished(&mut self) -> Vec<Line> {
        let records = self.read(&self.output.clone());
        let lines = records.iter().zip(self.decode::<v1::Event>(&records)).map(|(record, event)| {
            let from: Token = std::str::from_utf8(record.header(FROM_HEADER).unwrap()).unwrap().parse().unwrap();
            assert_eq!(from.place, self.events.partition(record.partition()));
            line(record, from.offset, event)
        });
        lines.collect()
    }

    /// The offsets after everything that is in the log now.
    fn ends(&mut self) -> Vec<(TopicPartition, Offset)> {
        let places = self.admin.partitions(&self.events).unwrap();
        let mut end = |place: &TopicPartition| self.admin.bounds(place, Isolation::ReadCommitted).unwrap().end;
        places.into_iter().map(|place| (place.clone(), end(&place))).collect()
    }

    /// The group's offsets, as Kafka's own tools see them.
    fn committed(&mut self) -> BTreeMap<TopicPartition, Offset> {
        let places = self.admin.partitions(&self.events).unwrap();
        let found = self.admin.group_offsets(&self.group, &places).unwrap();
        found.into_iter().map(|(place, committed)| (place, committed.offset)).collect()
    }

    fn goes_on(&mut self) {
        let sum = |committed: BTreeMap<_, Offset>| committed.into_values().map(|offset| offset.0).sum::<i64>();
        let before = sum(self.committed());
        until("events are republished", || (sum(self.committed()) > before + 40).then_some(()));
    }

    fn comes_to_the_end(&mut self) {
        let ends = self.ends();
        until("everything is republished", || {
            let committed = self.committed();
            let is_there = |(place, end): &(_, Offset)| committed.get(place).is_some_and(|offset| offset >= end);
            ends.iter().all(is_there).then_some(())
        });
    }
}

fn key(record: RecordRef<'_>) -> &str {
    std::str::from_utf8(record.key().unwrap()).unwrap()
}

fn line(record: RecordRef<'_>, from: Offset, event: v1::Event) -> Line {
    let (version, time) = (EventHeader::read(record).unwrap().version.0, record.timestamp().unwrap().0);
    (record.partition().0, key(record).to_owned(), version, time, from.0, event)
}

/// A transformer that stops itself before the commit of a transaction.
fn pausing(site: &Site) -> (Process, PathBuf) {
    let folder = site.path("transform");
    fs::create_dir(&folder).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "transform::transformer_that_pauses", "--nocapture"])
        .envs(site.variables())
        .env(FOLDER, &folder);
    (Process::start(&mut command, &site.file()), folder)
}

/// Without its variable this is no test, and says nothing.
#[test]
fn transformer_that_pauses() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let [kafka, prefix] = ["FACTUM_KAFKA", "FACTUM_PREFIX"].map(|name| env::var(name).unwrap());
    let filter = tracing_subscriber::EnvFilter::from_env("FACTUM_LOG");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let member = TransformMember {
        session_timeout: Duration::from_secs(6),
        pause_point: Some(Box::new(pause_once(&folder, format!("{:?}", TxnStep::Commit)))),
        ..TransformMember::default()
    };
    let (environment, stop) = (environment(&kafka, &prefix), Stop::default());
    let (running, _) = TypedTransform::<V1>::default().start(&environment, member, &stop).unwrap();
    // Its parent kills it.
    while running.failure().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", running.failure());
}

#[test]
fn readers_of_the_first_version_see_every_event_once_after_two_kills_of_the_transformer() {
    let mut bank = Bank::new(3);
    let (mut first, folder) = pausing(&bank.site);
    let traffic = Traffic::start(&bank.site);
    bank.goes_on();
    // It is killed with a transaction open, of which everything is in the log but the end.
    File::create(folder.join("arm")).unwrap();
    until("it stops within a transaction", || folder.join("paused").exists().then_some(()));
    first.kill();
    let mut second = bank.transformer();
    bank.goes_on();
    second.kill();
    let verb = ["transform", "v1", "--session-timeout-ms", SESSION_MS];
    let mut third = Observed::start(&bank.site, &verb);
    bank.goes_on();
    let deposits = traffic.end();
    bank.comes_to_the_end();

    let (expected, republished) = (bank.expected(), bank.republished());
    // Of interest that was accrued the first version knows nothing.
    assert_eq!(expected.len(), ACCOUNTS * (3 + usize::try_from(deposits).unwrap()));
    assert!(republished == expected, "{} records, expected {}", republished.len(), expected.len());
    let of_transform = |name: &str, label: &str| third.metric(name, &[label, "\"v1\""]);
    until("the third is ready, and nothing is behind", || {
        (third.is_ready() && of_transform("factum_lag_records", "processor=\"transform\"") == Some(0.0)).then_some(())
    });
    assert!(of_transform("factum_transform_events_total", "outcome=\"written\"") > Some(40.0));
    third.process.stop();

    // The verb that comes to the end of what is there finds nothing to do, and says so.
    let again = bank.site.run(&["transform", "v1", "--until-end", "--session-timeout-ms", SESSION_MS]);
    assert!(again.ok && again.stdout == "v1: 0 events became 0 records, 0 were left out\n", "{again:?}");
    let checked = bank.site.run(&["topics", "check", "v1"]);
    assert!(checked.ok && checked.stdout.contains("it is as it should be, 3 partitions"), "{checked:?}");
    assert_eq!(bank.republished().len(), expected.len());
}

#[test]
fn a_transformer_that_was_stopped_past_its_session_commits_nothing_that_another_took_over() {
    let mut bank = Bank::new(2);
    let (mut zombie, folder) = pausing(&bank.site);
    let traffic = Traffic::start(&bank.site);
    bank.goes_on();
    File::create(folder.join("arm")).unwrap();
    until("it stops within a transaction", || folder.join("paused").exists().then_some(()));
    let mut other = bank.transformer();
    bank.goes_on();
    let before = zombie.stderr().matches("Assigned(").count();
    go_on(&zombie, &folder);
    zombie.says("Assigned(", before + 1);
    bank.goes_on();
    traffic.end();
    bank.comes_to_the_end();
    let (expected, republished) = (bank.expected(), bank.republished());
    assert!(republished == expected, "{} records, expected {}", republished.len(), expected.len());
    other.stop();
    zombie.kill();
}

#[test]
fn a_transform_refuses_topics_that_are_not_as_they_should_be() {
    let site = Site::new(2);
    site.run(&["transform", "v1"]).refused_with(&["does not exist; fix: factum topics create v1 --prefix"]);
    site.run(&["transform", "v9"]).refused_with(&["there is no transform \"v9\" here; there is v1"]);
    assert!(site.run(&["topics", "create", "v1"]).ok);
    let output = TypedTransform::<V1>::default().output(&site.environment().prefix);
    site.alter(&output, "retention.ms", "1000");
    site.run(&["transform", "v1"]).refused_with(&["retention.ms is 1000; fix: kafka-configs --alter"]);
    site.alter(&output, "retention.ms", "-1");
    assert!(site.run(&["transform", "v1", "--until-end"]).ok);
    site.run(&["topics", "adopt", "v1"]).refused_with(&["v1 is a transform: it has no commands topic"]);
}
