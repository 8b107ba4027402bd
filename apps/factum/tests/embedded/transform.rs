//! Transforms on the embedded log: `transform`, and `up`, which runs them beside everything else.

use crate::{
    process::{Process, until},
    site::{BANK, Site, Up},
};
use factum::{
    Offset, RecordBatch, Topic, TopicPartition,
    environment::Environment,
    host::{STUCK_EXIT_CODE, Stop, TransformHost, TransformMember, TypedTransform},
    log::Isolation,
    transform::{FROM_HEADER, Transform},
    view::Recorded,
    wire::Token,
};
use factum_bank::{Event, v1, v1::V1};
use std::{env, path::PathBuf, time::Duration};

const TRANSFORM: [&str; 3] = ["transform", "v1", "--until-end"];
/// The folder of the log that a child republishes.
const FOLDER: &str = "FACTUM_TEST_TRANSFORM_DATA";
/// An event takes microseconds.
const LOOP_DEADLINE: Duration = Duration::from_secs(4);
/// With a deposit of so many cents a transform does not come to an end.
const ENDLESS: i64 = 1_000_003;

#[test]
fn what_was_republished_is_not_republished_again_and_a_new_start_goes_on_behind_it() {
    let site = Site::new();
    for cents in [100, 20, 3] {
        site.deposit("anna", cents);
    }
    // Two events today, and one of the first version.
    charge(&site);
    let said = |line: &str| {
        let ran = site.run(&TRANSFORM);
        assert!(ran.ok && ran.stdout == format!("v1: {line}, 0 were left out\n"), "{ran:?}");
    };
    said("5 events became 4 records");
    said("0 events became 0 records");
    site.deposit("carl", 7);
    said("1 events became 1 records");
}

#[test]
fn it_needs_the_log_and_a_transform_that_exists() {
    let site = Site::new();
    site.run(&TRANSFORM).refused_with(&["there is no log in factum-data", "--data"]);
    site.run(&["transform", "v0"]).refused_with(&["there is no transform \"v0\" here; there is v1"]);
    let mut up = site.serve();
    site.run(&TRANSFORM).refused_with(&["runs everything on it", "then run `transform` again", "nothing was changed"]);
    up.process.stop();
    assert!(site.run(&TRANSFORM).ok);
}

#[test]
fn up_republishes_what_is_sent_to_it_once_over_a_kill_a_restart_and_a_run_without_transforms() {
    let site = Site::new();
    let mut up = site.serve();
    site.deposit("anna", 100);
    charge(&site);
    republishes(&up, 2);
    let ready = until("everything is ready", || {
        let answer = up.client().get("/readyz");
        (answer.status == 200).then_some(answer.json())
    });
    let members = ready["members"].as_array().unwrap();
    let found = members.iter().find(|member| member["processor"] == "transform").unwrap();
    assert_eq!((&found["name"], found["partitions"].as_array().unwrap().len()), (&"v1".into(), 6), "{ready}");
    let loops = up.client().get("/healthz").json();
    assert!(loops["loops"].to_string().contains(r#""processor":"transform""#), "{loops}");
    up.process.kill();

    let mut up = site.serve();
    site.deposit("bert", 7);
    republishes(&up, 1);
    up.process.stop();
    let said = up.process.stderr();
    assert!(said.contains("transform v1 republishes the events of bank.account in bank.account.events.v1"), "{said}");
    assert!(said.ends_with("v1: 1 events became 1 records, 0 were left out\n"), "{said}");

    let mut without = site.serve_with(&["--no-sample", "--no-transforms"]);
    site.deposit("carl", 9);
    assert!(!without.client().get("/readyz").body.contains("transform"));
    without.process.stop();
    assert!(!without.process.stderr().contains("v1"), "{}", without.process.stderr());

    let caught_up = site.run(&["up", "--until-idle", "--no-sample"]);
    assert!(caught_up.ok && caught_up.stderr.contains("v1: 1 events became 1 records"), "{caught_up:?}");
    let environment = Environment::embedded(&site.path("factum-data")).unwrap();
    let transform = TypedTransform::<V1>::default();
    let (made_of, events) = (sources(&environment, &transform), read(&environment, &environment.topics(BANK).events));
    // The first of the two events of the charge is none of the first version.
    assert_eq!((made_of.len(), events.len()), (4, 5), "{made_of:?}");
}

#[test]
fn an_event_that_a_transform_does_not_come_to_an_end_with_ends_the_process_and_is_named() {
    let site = Site::new();
    site.deposit("anna", 5);
    site.deposit("anna", ENDLESS);
    let data = site.path("factum-data");
    let mut command = std::process::Command::new(env::current_exe().unwrap());
    command.args(["--exact", "transform::transform_without_an_end", "--nocapture"]).env(FOLDER, &data);
    let mut child = Process::start(&mut command, &site.file());
    let (status, said) = (child.finish(), child.stderr());
    assert_eq!(status.code(), Some(STUCK_EXIT_CODE), "{said}");

    let environment = Environment::embedded(&data).unwrap();
    let events = read(&environment, &environment.topics(BANK).events);
    let (place, offset) = events.last().unwrap();
    let named = format!("work=\"the record {place}@{offset}\"");
    for text in ["transform endless", &named, "nothing was left out", "--reset-offsets", "`up --no-transforms`"] {
        assert!(said.contains(text), "{text:?} is not in {said}");
    }

    // A program that can do it goes on, and has it and the one before.
    let (stop, mended) = (Stop::default(), TypedTransform::<Mended>::default());
    let (running, _) = mended.start(&environment, TransformMember::default(), &stop).unwrap();
    until("both are republished", || (sources(&environment, &mended).len() >= events.len()).then_some(()));
    stop.stop();
    running.join().unwrap();
    let made_of = sources(&environment, &mended);
    let made_of: Vec<_> = made_of.iter().map(|from| (from.place.clone(), from.offset)).collect();
    assert_eq!(made_of, events);
}

/// Without its variable this is no test, and says nothing.
#[test]
fn transform_without_an_end() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(std::io::stderr).init();
    let (environment, transform) = (Environment::embedded(&folder).unwrap(), TypedTransform::<Endless>::default());
    environment.create_output(&transform, None).unwrap();
    let member = TransformMember { deadline: LOOP_DEADLINE, ..TransformMember::default() };
    let (running, _) = transform.start(&environment, member, &Stop::default()).unwrap();
    while running.failure().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", running.failure());
}

/// The first version, made by a program with a mistake.
#[derive(Debug)]
struct Endless;

impl Transform for Endless {
    const NAME: &'static str = "endless";
    const INPUT: &'static str = BANK;
    type From = Event;
    type To = v1::Event;

    fn transform(event: &Recorded<Event>) -> Vec<v1::Event> {
        while event.event.change_cents() == ENDLESS {
            std::thread::sleep(Duration::from_millis(50));
        }
        V1::transform(event)
    }
}

/// The same without the mistake.
#[derive(Debug)]
struct Mended;

impl Transform for Mended {
    const NAME: &'static str = Endless::NAME;
    const INPUT: &'static str = BANK;
    type From = Event;
    type To = v1::Event;

    fn transform(event: &Recorded<Event>) -> Vec<v1::Event> {
        V1::transform(event)
    }
}

/// Sends a command that two events come of, one of which the first version has.
fn charge(site: &Site) {
    let charge = site.run(&["publish", BANK, "anna", "ChargeOverdraftInterest", r#"{"cents": 5}"#]);
    assert!(charge.ok, "{charge:?}");
}

/// Waits until this process has republished so many records.
fn republishes(up: &Up, records: usize) {
    let line = format!("factum_transform_events_total{{transform=\"v1\",outcome=\"written\"}} {records}\n");
    until("it is republished", || up.client().get("/metrics").body.contains(&line).then_some(()));
}

/// Where the records of a topic are; within a partition in their order.
fn read(environment: &Environment, topic: &Topic) -> Vec<(TopicPartition, Offset)> {
    records(environment, topic).iter().map(|record| (topic.partition(record.partition()), record.offset())).collect()
}

/// What the records of a transform were made of, each once.
fn sources(environment: &Environment, transform: &dyn TransformHost) -> Vec<Token> {
    let records = records(environment, &transform.output(""));
    let sources = records.iter().map(|record| {
        let from = std::str::from_utf8(record.header(FROM_HEADER).unwrap()).unwrap();
        from.parse::<Token>().unwrap()
    });
    let sources: Vec<_> = sources.collect();
    for (index, source) in sources.iter().enumerate() {
        let is_same = |other: &&Token| (&other.place, other.offset) == (&source.place, source.offset);
        assert_eq!(sources[index..].iter().filter(is_same).count(), 1, "{source} was republished again");
    }
    sources
}

/// Everything committed in a topic.
fn records(environment: &Environment, topic: &Topic) -> RecordBatch {
    let (mut admin, mut records) = (environment.log.admin().unwrap(), RecordBatch::new());
    let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
    for place in admin.partitions(topic).unwrap() {
        let end = admin.bounds(&place, Isolation::ReadCommitted).unwrap().end;
        reader.add(&place, Offset(0)).unwrap();
        until("the end of a partition", || {
            reader.poll(1_000, Duration::from_millis(20), &mut records).unwrap();
            (end == Offset(0) || reader.position(&place).unwrap() >= Some(end)).then_some(())
        });
        reader.remove(&place).unwrap();
    }
    records
}
