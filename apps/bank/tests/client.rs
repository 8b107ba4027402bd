//! The typed client over the log in memory, with the bank's own types.
#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum::{
    ErrorKind, Offset, RecordBatch, Reply, TimestampMs, TypedClient, Version,
    client::ClientConfig,
    environment::Environment,
    handler::Granted,
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed},
    log::Isolation,
    new_trace, to,
    wire::{AnswerCode, CommandHeaders, Token},
};
use factum_bank::{Account, Deposit, EntryKind, RecordEntry, Refusal, Withdraw};
use std::{
    thread,
    time::{Duration, Instant},
};

const BANK: &str = "bank.account";
/// Shorter than anything that succeeds here would need.
const SHORT: Duration = Duration::from_millis(50);
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn environment() -> Environment {
    let environment = Environment::in_memory();
    environment.create_topics(BANK, 6, None).unwrap();
    environment
}

fn client(environment: &Environment, config: ClientConfig) -> TypedClient<Account> {
    TypedClient::connect(&*environment.log, environment.topics(BANK), &environment.schemas, config).unwrap()
}

/// Runs a handler for the time of a test.
fn with_handler(environment: &Environment, test: impl FnOnce()) {
    let stop = Stop::default();
    let options = HandlerOptions { granted: Granted::Only([].into()), ..HandlerOptions::default() };
    let (handler, _): (Running, _) = Typed::<Account>::default().start_handler(environment, options, &stop).unwrap();
    test();
    stop.stop();
    handler.join().unwrap();
}

/// The headers of every command in the log.
fn commands(environment: &Environment) -> Vec<CommandHeaders> {
    records(environment).iter().map(|record| CommandHeaders::read(record).unwrap()).collect()
}

fn records(environment: &Environment) -> RecordBatch {
    let mut admin = environment.log.admin().unwrap();
    let mut reader = environment.log.reader(Isolation::ReadCommitted).unwrap();
    let mut batch = RecordBatch::new();
    for place in admin.partitions(&environment.topics(BANK).commands).unwrap() {
        let end = admin.bounds(&place, Isolation::ReadCommitted).unwrap().end;
        reader.add(&place, Offset(0)).unwrap();
        while reader.position(&place).unwrap().is_none_or(|position| position < end) {
            reader.poll(1_000, Duration::from_millis(1), &mut batch).unwrap();
        }
        reader.remove(&place).unwrap();
    }
    batch
}

#[test]
fn each_reply_has_what_the_requester_needs_next() {
    let environment = environment();
    let client: TypedClient<Account> = environment.client().unwrap();
    with_handler(&environment, || {
        let deposit = to("anna", Deposit { cents: 100 });
        let id = deposit.id();
        let accepted = client.send(deposit.clone()).unwrap().accepted().unwrap();
        assert_eq!((accepted.command, accepted.version, accepted.events), (id, Version(1), 1));
        let token = accepted.token.clone().unwrap();
        assert_eq!(token.place.topic, environment.topics(BANK).events);
        assert_eq!(token.to_string().parse::<Token>().unwrap(), token);
        // A clone is the same command.
        assert_eq!(client.send(deposit).unwrap(), Reply::Accepted(accepted));

        let Reply::Refused(refused) = client.send(to("anna", Withdraw { cents: 130 })).unwrap() else {
            panic!("it is refused");
        };
        assert_eq!(refused.refusal().unwrap(), Refusal::Insufficient { balance_cents: 100, asked_cents: 130 });
        assert_eq!(refused.version, Version(1));

        let late = to("anna", Withdraw { cents: 1 }).expected_version(Version(7));
        let Reply::Conflict(conflict) = client.send(late.clone()).unwrap() else { panic!("it is a conflict") };
        assert_eq!((conflict.command, conflict.actual), (late.id(), Version(1)));
        // An error for a caller who wants nothing but acceptance says what to do next.
        assert_eq!(client.send(late).unwrap().accepted().unwrap_err().kind(), ErrorKind::Conflict);
        let refused = client.send(to("anna", Withdraw { cents: 130 })).unwrap().accepted().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("Insufficient"), "{refused}");

        let entry = RecordEntry { kind: EntryKind::Fee, cents: 1, reason: None };
        let Reply::Undecided(undecided) = client.send(to("anna", entry)).unwrap() else { panic!("it is forbidden") };
        assert_eq!(undecided.code, AnswerCode::Forbidden);
        assert!(undecided.why.contains("import"), "{}", undecided.why);
    });
}

#[test]
fn a_command_is_repeated_under_its_id_until_a_handler_answers() {
    let environment = environment();
    let config = ClientConfig { retry_after_ms: 10, max_retry_after_ms: 20, ..ClientConfig::default() };
    let client = client(&environment, config);
    let deposit = to("anna", Deposit { cents: 1 }).timeout(PATIENCE);
    let id = deposit.id();
    let pending = client.submit(deposit).unwrap();
    let began = Instant::now();
    while commands(&environment).len() < 3 {
        assert!(began.elapsed() < PATIENCE, "it is not repeated");
    }
    with_handler(&environment, || {
        let accepted = pending.wait().unwrap().accepted().unwrap();
        assert_eq!((accepted.command, accepted.version), (id, Version(1)), "decided once");
    });
    assert!(commands(&environment).iter().all(|headers| headers.id == Some(id) && headers.reply_to.is_some()));
}

#[test]
fn a_command_tells_its_program_its_client_and_the_version() {
    let environment = environment();
    for _ in 0..2 {
        let client: TypedClient<Account> = environment.client().unwrap();
        client.fire_and_forget(to("anna", Deposit { cents: 1 })).unwrap();
        client.fire_and_forget(to("anna", Deposit { cents: 2 })).unwrap();
    }
    let records = records(&environment);
    let sources: Vec<&str> = records.iter().filter_map(CommandHeaders::source).collect();
    let [first, same, second, _] = sources[..] else { panic!("four are told: {sources:?}") };
    assert!(first == same && first != second, "{sources:?}");
    let parts: Vec<&str> = first.split('/').collect();
    let program = std::env::current_exe().unwrap().file_stem().unwrap().to_string_lossy().into_owned();
    assert!(parts.len() == 3 && program.starts_with(parts[0]) && parts[1].len() == 8, "{first}");
    assert_eq!(parts[2], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_option_is_a_header() {
    let environment = environment();
    let client: TypedClient<Account> = environment.client().unwrap();
    let (id, conversation, trace) = ("7f0c0f5e-52b5-4b1e-9a52-1f6d3c0f9a11", "0a", new_trace());
    let conversation = id.replace("7f", conversation).parse().unwrap();
    let command = to("anna", Deposit { cents: 1 })
        .command_id(id.parse().unwrap())
        .expected_version(Version::NONE)
        .occurred(TimestampMs(1_000))
        .correlation(conversation)
        .trace(trace);
    client.fire_and_forget(command).unwrap();
    let expected = CommandHeaders {
        id: Some(id.parse().unwrap()),
        time: Some(TimestampMs(1_000)),
        // Nobody waits for an answer.
        reply_to: None,
        expected_version: Some(Version::NONE),
        deadline: None,
        correlation: Some(conversation),
        cause: None,
        trace: Some(trace),
    };
    assert_eq!(commands(&environment), [expected]);
}

#[test]
fn errors_name_the_topic_and_the_partition() {
    let environment = environment();
    let client: TypedClient<Account> = environment.client().unwrap();
    // Nobody handles it.
    let silent = client.send(to("anna", Deposit { cents: 1 }).timeout(SHORT)).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::Unavailable);
    let text = silent.to_string();
    assert!(text.contains("for anna at bank.account.commands/") && text.contains("no answer came in time"), "{text}");
    // The log refuses it.
    let commands = environment.topics(BANK).commands;
    environment.log.admin().unwrap().delete_topics(std::slice::from_ref(&commands)).unwrap();
    for refused in [
        client.fire_and_forget(to("anna", Deposit { cents: 1 })).unwrap_err(),
        client.send(to("anna", Deposit { cents: 1 })).unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        assert!(refused.to_string().contains("for anna at bank.account.commands/"), "{refused}");
    }
    // It never comes to the log.
    assert_eq!(client.send(to("", Deposit { cents: 1 })).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_is_in_flight_is_bounded() {
    let environment = environment();
    let client = client(&environment, ClientConfig { max_in_flight: 2, ..ClientConfig::default() });
    let deposit = || to("anna", Deposit { cents: 1 }).timeout(PATIENCE);
    let pending = [client.submit(deposit()).unwrap(), client.submit(deposit()).unwrap()];
    let full = client.submit(deposit()).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Unavailable);
    assert!(full.to_string().contains("overloaded"), "{full}");
    with_handler(&environment, || {
        for pending in pending {
            pending.wait().unwrap().accepted().unwrap();
        }
        client.send(deposit()).unwrap().accepted().unwrap();
    });
}

#[test]
fn a_batch_goes_on_beside_others_that_fill_the_client() {
    let environment = environment();
    let client = client(&environment, ClientConfig { max_in_flight: 3, ..ClientConfig::default() });
    let deposit = || to("anna", Deposit { cents: 1 }).timeout(PATIENCE);
    let others = [client.submit(deposit()).unwrap(), client.submit(deposit()).unwrap()];
    thread::scope(|scope| {
        let batch = scope.spawn(|| client.send_all((0..100).map(|_| deposit())).collect::<Vec<_>>());
        with_handler(&environment, || {
            let replies = batch.join().unwrap();
            assert_eq!(replies.len(), 100);
            for reply in replies {
                reply.unwrap().accepted().unwrap();
            }
        });
    });
    assert!(others.into_iter().all(|pending| pending.wait().is_ok()));
}

#[test]
fn a_batch_is_answered_in_its_order_whatever_becomes_of_each_command() {
    let environment = environment();
    let client = client(&environment, ClientConfig { max_in_flight: 10, ..ClientConfig::default() });
    with_handler(&environment, || {
        let commands = (1..=500_u64).map(|n| match n % 50 {
            0 => to("", Deposit { cents: 1 }),
            _ => to(format!("account-{}", n % 7), Deposit { cents: 1 }),
        });
        let commands: Vec<_> = commands.collect();
        let ids: Vec<_> = commands.iter().map(factum::Envelope::id).collect();
        let replies: Vec<_> = client.send_all(commands).collect();
        assert_eq!(replies.len(), 500);
        for (n, (reply, id)) in (1..).zip(replies.into_iter().zip(ids)) {
            match reply {
                Ok(reply) => assert_eq!(reply.accepted().unwrap().command, id),
                Err(error) => assert_eq!((n % 50, error.kind()), (0, ErrorKind::Invalid), "{error}"),
            }
        }
    });
}
