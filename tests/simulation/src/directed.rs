//! A schedule that chance does not find: it takes a client that does not know
//! its generation for as long as a session's end, the loss of the commands
//! topic and a recovery take.

use crate::{
    bank::Bank,
    handler::{HandlerProcess, PARTITIONS},
    time,
    world::{Actor, SESSION_MS, World},
};
use factum_bank::Deposit;
use factum_core::{
    CommandId, Partition, Protections, RecordBatch, Result, log::Log, partition_of, topics::topic_specs, wire::header,
};
use factum_history::read_events;
use factum_log_memory::MemoryLog;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

const ACCOUNT: &[u8] = b"account-0";
const COMMANDS: u8 = 3;

/// A handler that has commands in its inbox loses its session, and the topic
/// that they came from is lost and created anew, before anything was handled.
/// What is wrong with what comes of it, if anything is: commands of the new
/// topic are to be handled, whatever the inbox had.
///
/// # Errors
/// Only what the model of the log cannot do.
pub fn full_inbox_over_a_recreated_topic(protections: Protections) -> Result<Option<String>> {
    time::begin();
    let log = MemoryLog::stepped(Arc::new(time::now));
    let (bank, topics) = (Bank::new()?, Bank::topics());
    let specs = topic_specs(&topics, PARTITIONS, None);
    log.admin()?.create_topics(&specs)?;
    let world = Arc::new(World::new(log, topics, 0));
    time::belongs_to(&world);
    world.calm();
    let mut process = HandlerProcess::new(0, 0, &bank, protections);
    let mut go_on = |turns: usize| {
        for _ in 0..turns {
            time::pass(10);
            process.step(&world);
        }
    };

    // The process learns the schema from another partition, and has not been
    // there for so long that it would write down the topics' identities.
    let elsewhere = (0..10).map(|number| format!("other-{number}"));
    let elsewhere = elsewhere.filter(|other| of(other.as_bytes()) != of(ACCOUNT));
    for other in elsewhere.take(1) {
        send(&world, &bank, other.as_bytes(), 0)?;
    }
    go_on(60);
    world.unsettle(true);
    send(&world, &bank, ACCOUNT, 1)?;
    go_on(10);
    time::pass(2 * SESSION_MS);
    let mut admin = world.log.admin()?;
    admin.delete_topics(std::slice::from_ref(&world.topics.commands))?;
    admin.create_topics(&specs)?;
    let sent = send(&world, &bank, ACCOUNT, 2)?;
    go_on(100);
    world.unsettle(false);
    go_on(100);

    let decode = |record: factum_core::RecordRef<'_>| Ok(bank.event(record.value().unwrap_or_default())?);
    let events = read_events(&world.log, &world.topics.events, Duration::ZERO, decode)?;
    let handled: BTreeSet<CommandId> = events.iter().map(|event| event.command).collect();
    let lost = sent.iter().filter(|id| !handled.contains(id)).count();
    time::end();
    Ok((lost > 0).then(|| format!("{lost} of {} commands of the new topic were never decided", sent.len())))
}

fn of(account: &[u8]) -> Partition {
    partition_of(account, PARTITIONS)
}

/// Writes commands, and tells their ids.
fn send(world: &World, bank: &Bank, account: &[u8], round: u8) -> Result<Vec<CommandId>> {
    let mut batch = RecordBatch::new();
    let ids: Vec<CommandId> = (0..COMMANDS).map(|number| CommandId([round * 16 + number; 16])).collect();
    for id in &ids {
        let mut record = batch.start(&world.topics.commands, of(account));
        record.key(account);
        record.value_with(|value| bank.command(&Deposit { cents: 100 }.into(), value))?;
        record.header(header::ID, id.to_string().as_bytes());
        record.finish();
    }
    world.log.producer()?.produce(&batch)?;
    Ok(ids)
}
