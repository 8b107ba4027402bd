//! Snapshots that are made before a roll-out, while the first release's handler runs.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum::{
    Aggregate, Reply, TypedClient,
    environment::Environment,
    host::{AggregateHost, HandlerOptions, SnapshotTally, Stop, Typed},
    to,
};
use factum_test_releases::{first, second};

const PARTITIONS: u32 = 3;

/// The second release's snapshots, made now.
fn prepare(environment: &Environment) -> factum::Result<SnapshotTally> {
    Typed::<second::Account>::default().prepare_snapshots(environment, &Stop::default(), &mut |_| {})
}

/// Does something while a handler runs; how many events it folded before its first command.
fn handled<H: AggregateHost>(handler: &H, environment: &Environment, work: impl FnOnce()) -> u64 {
    let stop = Stop::default();
    let (running, status) = handler.start_handler(environment, HandlerOptions::default(), &stop).unwrap();
    work();
    stop.stop();
    running.join().unwrap();
    let stats = status.lock().unwrap().stats;
    stats.recovered_events
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
    handled(&Typed::<first::Account>::default(), &environment, || {
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
    let folded = handled(&second, &environment, || {
        let client: TypedClient<second::Account> = environment.client().unwrap();
        // 699 cents, and a limit of 200 that was set after the snapshots were made.
        let refused = client.send(to("account-7", second::Withdraw { cents: 900 })).unwrap();
        assert!(matches!(refused, Reply::Refused(_)), "{refused:?}");
        assert_eq!(accepted::<second::Account>(client.send(to("account-7", second::Withdraw { cents: 899 }))), 5);
        assert_eq!(accepted::<second::Account>(client.send(to("account-8", second::Withdraw { cents: 699 }))), 3);
    });
    assert_eq!(folded, 2, "what came after the snapshots");

    // Once more, with what the second release wrote; its own snapshots stay good beside these.
    assert_eq!(prepare(&environment).unwrap().events, 44);
    let folded = handled(&second, &environment, || {
        let client: TypedClient<second::Account> = environment.client().unwrap();
        assert_eq!(accepted::<second::Account>(client.send(to("account-8", second::Deposit { cents: 1 }))), 4);
    });
    assert_eq!(folded, 0);
}

#[test]
fn without_topics_it_says_what_to_do() {
    let error = prepare(&Environment::in_memory()).unwrap_err().to_string();
    assert!(error.contains("topics create till.account"), "{error}");
}
