//! Snapshots that are made before a roll-out, while the first release's handler runs, in memory and on Kafka.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum::{
    Aggregate, KafkaConfig, Reply, TypedClient,
    environment::Environment,
    handler::{Activity, HandlerStats},
    host::{AggregateHost, HandlerOptions, SnapshotTally, Stop, Typed, WorkerStatus},
    to,
};
use factum_test_broker::{bootstrap, unique};
use factum_test_releases::{first, second};
use serde_json::Value;
use std::{
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 3;
/// Long enough for a busy machine; a test that needs it has failed.
const DEADLINE: Duration = Duration::from_secs(120);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The second release's snapshots, made now.
fn prepare(environment: &Environment) -> factum::Result<SnapshotTally> {
    Typed::<second::Account>::default().prepare_snapshots(environment, &Stop::default(), &mut |_| {})
}

/// Does something while a handler has recovered and runs, and looks at it; what it counted until its end.
fn handled<H: AggregateHost>(
    handler: &H,
    environment: &Environment,
    work: impl FnOnce(&Mutex<WorkerStatus>),
) -> HandlerStats {
    // A checkpoint comes as soon as it may.
    let options = HandlerOptions { checkpoint_every_events: Some(1), ..HandlerOptions::default() };
    let stop = Stop::default();
    let (running, status) = handler.start_handler(environment, options, &stop).unwrap();
    until("the handler has recovered", || {
        let partitions = &status.lock().unwrap().partitions;
        partitions.len() == PARTITIONS as usize && partitions.iter().all(|it| it.activity == Activity::Ready)
    });
    work(&status);
    stop.stop();
    running.join().unwrap();
    status.lock().unwrap().stats
}

#[track_caller]
fn accepted<A: Aggregate>(reply: factum::Result<Reply<A::Refusal>>) -> u64 {
    reply.unwrap().accepted().unwrap().version.0
}

#[test]
fn the_second_release_begins_with_snapshots_that_were_made_while_the_first_went_on() {
    let environment = Environment::in_memory();
    environment.create_topics(second::Account::TYPE, PARTITIONS, None).unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("account-{number}")).collect();
    handled(&Typed::<first::Account>::default(), &environment, |_| {
        let client: TypedClient<first::Account> = environment.client().unwrap();
        for name in &names {
            accepted::<first::Account>(client.send(to(name, first::Deposit { cents: 1_000 })));
            accepted::<first::Account>(client.send(to(name, first::Pay { cents: 300 })));
        }
        let tally = prepare(&environment).unwrap();
        assert_eq!(tally, SnapshotTally { partitions: PARTITIONS, aggregates: 20, events: 40, snapshots: 20 });
        // The first one still has its partitions, and decides.
        assert_eq!(accepted::<first::Account>(client.send(to("account-7", first::Limit { euros: 2 }))), 3);
        assert_eq!(accepted::<first::Account>(client.send(to("account-7", first::Visit {}))), 4);
    });

    let second = Typed::<second::Account>::default();
    let folded = handled(&second, &environment, |_| {
        let client: TypedClient<second::Account> = environment.client().unwrap();
        // 699 cents, and a limit of 200 that was set after the snapshots were made.
        let refused = client.send(to("account-7", second::Withdraw { cents: 900 })).unwrap();
        assert!(matches!(refused, Reply::Refused(_)), "{refused:?}");
        assert_eq!(accepted::<second::Account>(client.send(to("account-7", second::Withdraw { cents: 899 }))), 5);
        assert_eq!(accepted::<second::Account>(client.send(to("account-8", second::Withdraw { cents: 699 }))), 3);
    });
    assert_eq!(folded.recovered_events, 2, "what came after the snapshots");

    // Once more, with what the second release wrote; its own snapshots stay good beside these.
    assert_eq!(prepare(&environment).unwrap().events, 44);
    let folded = handled(&second, &environment, |_| {
        let client: TypedClient<second::Account> = environment.client().unwrap();
        assert_eq!(accepted::<second::Account>(client.send(to("account-8", second::Deposit { cents: 1 }))), 4);
    });
    assert_eq!(folded.recovered_events, 0);
}

/// The second release as its users run it: a process with the same cluster.
fn prepare_by_command(environment: &Environment) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_releases"));
    // What the developer has set is not part of the test.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FACTUM_")) {
        command.env_remove(name);
    }
    let output = command
        .env("RELEASE", "2")
        .args(["snapshots", "prepare", second::Account::TYPE, "--json"])
        .args(["--kafka", bootstrap(), "--prefix", &environment.prefix])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["prepared"].take()
}

#[test]
fn on_kafka_a_release_is_prepared_while_the_one_before_takes_commands_and_each_goes_on_from_its_own_snapshots() {
    let mut environment = Environment::on_kafka(KafkaConfig::bootstrap(bootstrap())).unwrap();
    environment.prefix = format!("{}.", unique("prepare"));
    environment.create_topics(second::Account::TYPE, PARTITIONS, None).unwrap();
    let (first, second) = (Typed::<first::Account>::default(), Typed::<second::Account>::default());
    let client: TypedClient<second::Account> = environment.client().unwrap();
    let old_client: TypedClient<first::Account> = environment.client().unwrap();

    let (mut events, mut prepared) = (0, Value::Null);
    handled(&first, &environment, |status| {
        for number in 0..20 {
            let name = format!("account-{number}");
            accepted::<first::Account>(old_client.send(to(&name, first::Deposit { cents: 1_000 })));
            accepted::<first::Account>(old_client.send(to(&name, first::Pay { cents: 300 })));
        }
        let (deposits, enough) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                let deadline = Instant::now() + 2 * DEADLINE;
                while !enough.load(Ordering::Relaxed) && Instant::now() < deadline {
                    let version = accepted::<first::Account>(old_client.send(to("busy", first::Deposit { cents: 1 })));
                    deposits.store(version, Ordering::Relaxed);
                }
            });
            let goes_on = || {
                let before = deposits.load(Ordering::Relaxed);
                until("commands are handled", || deposits.load(Ordering::Relaxed) > before + 1);
                before
            };
            let before = goes_on();
            prepared = prepare_by_command(&environment);
            let after = goes_on();
            enough.store(true, Ordering::Relaxed);
            // One may be committed whose answer is still on its way.
            let between = 40 + before..=41 + after;
            assert!(between.contains(&prepared["events"].as_u64().unwrap()), "{prepared}: {between:?}");
        });
        accepted::<first::Account>(old_client.send(to("account-7", first::Limit { euros: 2 })));
        events = 41 + deposits.load(Ordering::Relaxed);
        until("each partition has a checkpoint", || status.lock().unwrap().stats.checkpoints >= u64::from(PARTITIONS));
    });
    let counts = ["partitions", "aggregates", "snapshots"].map(|name| prepared[name].as_u64().unwrap());
    assert_eq!(counts, [u64::from(PARTITIONS), 21, 21], "{prepared}");
    let folded = prepared["events"].as_u64().unwrap();

    // The roll-out: the snapshots, what came after them, and the right state.
    let refused = |cents, available_cents| {
        let reply = client.send(to("account-7", second::Withdraw { cents })).unwrap();
        let Reply::Refused(refused) = reply else { panic!("{reply:?}") };
        assert_eq!(refused.json, format!("{{\"available_cents\":{available_cents}}}"));
    };
    let stats = handled(&second, &environment, |_| {
        refused(900, 899);
        assert_eq!(accepted::<second::Account>(client.send(to("account-7", second::Deposit { cents: 1 }))), 4);
    });
    assert_eq!(stats.recovered_events, events - folded, "{stats:?}");
    assert!(stats.recovered_snapshots >= 21, "{stats:?}");

    // The roll-back: the first release has its own snapshots still.
    let stats = handled(&first, &environment, |_| {
        assert_eq!(accepted::<first::Account>(old_client.send(to("account-7", first::Pay { cents: 10 }))), 5);
    });
    assert!(stats.recovered_snapshots > 0 && stats.recovered_events < events, "{stats:?}");

    // And the roll-out again, of which nothing was lost: nobody prepares a second time.
    let stats = handled(&second, &environment, |_| {
        refused(890, 889);
        assert_eq!(accepted::<second::Account>(client.send(to("account-7", second::Withdraw { cents: 889 }))), 6);
    });
    assert!(stats.recovered_events <= events + 2 - folded, "{stats:?}");
    assert!(stats.recovered_snapshots >= 21, "{stats:?}");
}

#[test]
fn without_topics_it_says_what_to_do() {
    let error = prepare(&Environment::in_memory()).unwrap_err().to_string();
    assert!(error.contains("topics create till.account"), "{error}");
}
