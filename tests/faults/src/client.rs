//! A client's process: tellers that send commands at a steady rate, each to
//! accounts of its own.

use crate::{
    account::{Remains, names},
    journal::{Entry, Journal, now_ms},
    options::ClientArgs,
    reads::Reads,
    report::say,
    teller::{Teller, Till},
};
use factum::{
    Error, KafkaConfig, KafkaLog, Result, TypedClient,
    environment::Environment,
    schemas::{HttpRegistry, SchemaCache},
};
use factum_bank::Account;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Tellers of one client.
pub(crate) const TELLERS: usize = 36;
/// Between two attempts to begin.
const AGAIN: Duration = Duration::from_millis(300);

/// Runs until SIGTERM, and then until nothing is half done.
///
/// # Errors
/// What no retry can help with.
pub(crate) fn run(args: &ClientArgs) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    ctrlc::set_handler({
        let stop = stop.clone();
        move || stop.store(true, Ordering::Relaxed)
    })
    .map_err(|error| Error::invalid(format!("signals cannot be handled: {error}")))?;
    let (journal, before) = Journal::open(&args.folder.join("journal"))?;
    say(&format!("{} goes on after {} entries", args.name, before.len()));
    let client = loop {
        match connect(args) {
            Ok(client) => break client,
            Err(error) => say(&format!("not yet: {error}")),
        }
        thread::sleep(AGAIN);
    };
    let (reads, reader) = Reads::start(&args.views)?;
    let till = Till { client: &client, journal: &journal, reads: &reads, stop: &stop };
    let pace = Duration::from_secs_f64(TELLERS as f64 / f64::from(args.rate));
    let worked = thread::scope(|scope| {
        let tellers = (0..TELLERS).map(|number| {
            let accounts = names(&args.name, number);
            let remains = Remains::of(&before, &accounts);
            // Another process of the same client draws other numbers.
            let seed = args.seed.wrapping_mul(1_000_003).wrapping_add(now_ms());
            let teller = Teller::new(till, accounts, seed, number as u64, pace);
            scope.spawn(move || teller.run(remains))
        });
        let tellers: Vec<_> = tellers.collect();
        let looks = scope.spawn(|| reader.run(|looked| journal.write(&looked)));
        let ended =
            tellers.into_iter().map(|teller| teller.join().map_err(|_| Error::unavailable("a teller panicked"))?);
        let ended: Result<Vec<()>> = ended.collect();
        reads.end();
        let looked = looks.join().map_err(|_| Error::unavailable("the reader panicked"))?;
        ended.and(looked)
    });
    if let Err(error) = &worked {
        journal.write(&Entry::Behind(format!("the client failed: {error}")))?;
    }
    worked
}

fn connect(args: &ClientArgs) -> Result<TypedClient<Account>> {
    let log = Arc::new(KafkaLog::new(KafkaConfig::bootstrap(&args.kafka))?);
    let registry = Arc::new(HttpRegistry::new(&[&args.registry])?);
    let schemas = Arc::new(SchemaCache::on_disk(registry, &args.folder.join("schemas"))?);
    Environment { log, schemas, prefix: String::new() }.client()
}
