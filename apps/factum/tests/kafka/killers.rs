//! Records that end the process: by an abort, by memory that is not to be had, by a loop without an
//! end. A supervisor starts it again, as an orchestrator does.
//!
//! The processes are this test program, run with one test and a few variables.

use crate::{
    books::Books,
    process::{DEADLINE, Process, until},
    site::{BANK, Site, environment},
    traffic::{Order, Traffic, accounts, send, send_aside},
};
use factum::{
    Aggregate, Database,
    host::{AggregateHost, HandlerOptions, Running, STUCK_EXIT_CODE, Stop, Typed, TypedView, ViewHost, ViewMember},
    schemas::{AvroSchema, Schema},
    view::{Recorded, Scope, View},
    wire::AnswerCode,
};
use factum_bank::{Account, Balance, Balances, Command, Event, Refusal};
use serde_json::Value;
use std::{
    env,
    time::{Duration, Instant},
};

/// Which processor the child is.
const CHILD: &str = "FACTUM_TEST_KILLED";
/// A batch takes milliseconds.
const LOOP_DEADLINE: Duration = Duration::from_secs(4);
/// The child's address space, in KiB: more than it needs, less than the machine has.
const MEMORY_KIB: &str = "8000000";
/// What a deposit of so many cents does.
const KILLERS: [(&str, i64); 3] = [("abort", 1_000_001), ("memory", 1_000_002), ("loop", 1_000_003)];
/// What a deposit of so many cents panics at.
const PANIC: i64 = 1_000_004;
/// `core/src/{view,handler}/careful.rs`: one behind a batch, one in a batch, three alone.
const MAX_DEATHS: usize = 5;
/// A handler needs five as a rule too; six have been seen.
const MAX_DEATHS_OF_HANDLER: usize = 10;

fn meet(cents: i64) {
    match cents {
        1_000_001 => std::process::abort(),
        1_000_002 => {
            let mut taken = Vec::new();
            loop {
                taken.push(vec![0_u8; 256 << 20]);
            }
        }
        1_000_003 => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        PANIC => panic!("nobody can decide that"),
        _ => {}
    }
}

/// An account that decides about some deposits in a way of its own.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct DeadlyAccount(Account);

impl AvroSchema for DeadlyAccount {
    fn get_schema() -> Schema {
        Account::get_schema()
    }
}

impl Aggregate for DeadlyAccount {
    const TYPE: &'static str = Account::TYPE;
    const FOLD_VERSION: u32 = Account::FOLD_VERSION;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        if let Command::Deposit(deposit) = &command {
            meet(deposit.cents);
        }
        self.0.decide(command)
    }

    fn evolve(&mut self, event: &Event) {
        self.0.evolve(event);
    }
}

/// The balances, folded in a way of their own.
#[derive(Debug)]
struct DeadlyBalances;

impl View for DeadlyBalances {
    const NAME: &'static str = Balances::NAME;
    const VERSION: u32 = Balances::VERSION;
    const INPUTS: &'static [&'static str] = Balances::INPUTS;
    const SCOPE: Scope = Balances::SCOPE;
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        Balances::keys(event)
    }

    fn fold(key: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        meet(event.event.change_cents());
        Balances::fold(key, row, event)
    }
}

/// Without its variable this is no test, and says nothing.
#[test]
fn processor_that_is_killed() {
    let Ok(processor) = env::var(CHILD) else { return };
    let [kafka, prefix, views] = ["FACTUM_KAFKA", "FACTUM_PREFIX", "FACTUM_VIEWS"].map(|name| env::var(name).unwrap());
    let filter = tracing_subscriber::EnvFilter::from_env("FACTUM_LOG");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (environment, stop) = (environment(&kafka, &prefix), Stop::default());
    // A name of its own: it comes back without waiting for its session's end.
    let instance_id = Some("killed".to_owned());
    let running: Running = if processor == "handler" {
        let options = HandlerOptions { instance_id, deadline: LOOP_DEADLINE, ..HandlerOptions::default() };
        Typed::<DeadlyAccount>::default().start_handler(&environment, options, &stop).unwrap().0
    } else {
        let member = ViewMember { instance_id, deadline: LOOP_DEADLINE, ..ViewMember::default() };
        let database: Database = views.parse().unwrap();
        TypedView::<DeadlyBalances>::default().start_as_member(&environment, &database, &member, &stop).unwrap().0
    };
    // Its parent kills it.
    while running.failure().is_none() {
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}", running.failure());
}

/// A processor that is started again whenever it has ended.
struct Supervised<'a> {
    site: &'a Site,
    processor: &'static str,
    process: Process,
    restarts: usize,
    exit_codes: Vec<Option<i32>>,
}

impl<'a> Supervised<'a> {
    fn start(site: &'a Site, processor: &'static str) -> Self {
        let process = Self::spawn(site, processor);
        Supervised { site, processor, process, restarts: 0, exit_codes: Vec::new() }
    }

    fn spawn(site: &Site, processor: &str) -> Process {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("ulimit -c 0; ulimit -v {MEMORY_KIB}; exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "killers::processor_that_is_killed", "--nocapture"])
            .envs(site.variables())
            .env(CHILD, processor);
        Process::start(&mut command, &site.file())
    }

    /// Until this is so.
    fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done() {
            if !self.process.is_running() {
                let code = self.process.finish().code();
                // One that could not start on a busy machine had nothing in hand.
                let said = self.process.stderr();
                if said.contains("recovered") || said.contains("starts") {
                    self.exit_codes.push(code);
                    self.restarts += 1;
                }
                assert!(self.restarts <= MAX_DEATHS_OF_HANDLER, "{what}: it dies for ever: {}", self.process.stderr());
                self.process = Self::spawn(self.site, self.processor);
            }
            assert!(Instant::now() < deadline, "not in time: {what}: {}", self.process.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As an operator who has no patience.
    fn kill(&mut self) {
        self.process.kill();
        self.process = Self::spawn(self.site, self.processor);
    }
}

/// Deposits to all accounts, one of which kills in the midst, and deposits to all accounts.
fn orders(killer: &str, cents: i64) -> Vec<Order> {
    let deposits = || accounts().map(|account| (account, "Deposit", 1));
    deposits().chain([(format!("killer-{killer}"), "Deposit", cents)]).chain(deposits()).collect()
}

fn letters(site: &Site) -> Vec<Value> {
    let list = site.run(&["dead-letters", "list", BANK, "--json"]);
    list.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_command_whose_decision_panics_is_dead_lettered_and_answered_and_the_process_goes_on() {
    let site = Site::new(2);
    let mut handler = Supervised::start(&site, "handler");
    let sender = send_aside(&site, orders("panic", PANIC));
    handler.until("panic", || sender.is_finished());
    let tally = sender.join().unwrap().unwrap();
    let counts = [AnswerCode::Accepted, AnswerCode::Failed].map(|code| tally.count(code));
    assert_eq!((counts, handler.restarts), ([40, 1], 0), "{tally}: {:?}", tally.samples);
    let letters = letters(&site);
    // Who waited long for its answer, as of a handler that was still starting, sent the command twice.
    assert!(!letters.is_empty());
    for letter in &letters {
        let text = |name: &str| letter[name].as_str().unwrap_or_default();
        assert!(text("cause").contains("nobody can decide that"), "{letters:?}");
        assert_eq!((text("key"), text("code")), ("killer-panic", "failed"));
        assert!(text("command").starts_with(site.topics().commands.as_str()), "{letters:?}");
    }
}

#[test]
fn a_command_that_kills_the_handler_is_dead_lettered_and_answered_after_a_few_restarts() {
    let site = Site::new(2);
    let mut handler = Supervised::start(&site, "handler");
    let traffic = Traffic::start(&site);
    for _ in 0..4 {
        traffic.goes_on();
        handler.kill();
    }
    traffic.goes_on();
    let mut deposits = traffic.end();
    assert_eq!(letters(&site), [Value::Null; 0], "no healthy command is convicted");

    for (killer, cents) in KILLERS {
        (handler.restarts, handler.exit_codes) = (0, Vec::new());
        let sender = send_aside(&site, orders(killer, cents));
        handler.until(killer, || sender.is_finished());
        let tally = sender.join().unwrap().unwrap();
        let counts = [AnswerCode::Accepted, AnswerCode::Failed].map(|code| tally.count(code));
        assert_eq!(counts, [40, 1], "{killer}: {tally}: {:?}", tally.samples);
        assert!((3..=MAX_DEATHS_OF_HANDLER).contains(&handler.restarts), "{killer}: {:?}", handler.exit_codes);
        if killer == "loop" {
            assert_eq!(handler.exit_codes, vec![Some(STUCK_EXIT_CODE); handler.restarts]);
        }
        deposits += 2;
        // Whoever waited for the answer repeated the command, and each repeat is dead-lettered at once.
        let letters = letters(&site);
        let text = |letter: &Value, name: &str| letter[name].as_str().unwrap().to_owned();
        let found =
            |letter: &&Value| text(letter, "cause").contains("the process ended 3 times while this command was");
        let of_killer = letters.iter().filter(|letter| text(letter, "key") == format!("killer-{killer}"));
        assert_eq!(of_killer.filter(found).count(), 1, "{letters:?}");
        let healthy = letters.iter().filter(|letter| !text(letter, "key").starts_with("killer-"));
        assert_eq!(healthy.count(), 0, "{letters:?}");
    }

    let balances = Books::read(&site).balances();
    for account in accounts() {
        assert_eq!(balances[&account].cents, deposits, "{account}");
    }
    assert_eq!(balances.len(), accounts().count());
}

#[test]
fn an_event_that_kills_the_view_parks_its_account_after_a_few_restarts() {
    let site = Site::new(2);
    let _handler = site.handler(&[]);
    let mut view = Supervised::start(&site, "view");
    let read = |sql: &str| -> i64 {
        let file = rusqlite::Connection::open(site.path("views.sqlite")).unwrap();
        file.busy_timeout(Duration::from_secs(10)).unwrap();
        // Nothing while the tables are not made yet.
        file.query_row(sql, [], |row| row.get(0)).unwrap_or(0)
    };
    let entries = || read("SELECT coalesce(sum(entries), 0) FROM balances_v1 WHERE key LIKE 'account-%'");
    let parked = || read("SELECT count(*) FROM factum_parked WHERE cause <> ''");
    let traffic = Traffic::start(&site);
    for _ in 0..4 {
        let before = entries();
        until("the view goes on", || (entries() > before + 20).then_some(()));
        view.kill();
    }
    let mut deposits = traffic.end();
    view.until("healthy", || entries() == deposits * 20);
    assert_eq!(parked(), 0, "no healthy event is convicted");

    for (number, (killer, cents)) in (1..).zip(KILLERS) {
        (view.restarts, view.exit_codes) = (0, Vec::new());
        let tally = send(&site.environment(), &orders(killer, cents)).unwrap();
        assert_eq!(tally.count(AnswerCode::Accepted), 41);
        deposits += 2;
        view.until(killer, || entries() == deposits * 20 && parked() == number);
        assert!((3..=MAX_DEATHS).contains(&view.restarts), "{killer}: {} restarts", view.restarts);
        if killer == "loop" {
            assert_eq!(view.exit_codes, vec![Some(STUCK_EXIT_CODE); view.restarts]);
        }
    }
    let uneven = format!("SELECT count(*) FROM balances_v1 WHERE key LIKE 'account-%' AND entries <> {deposits}");
    assert_eq!(read(&uneven), 0, "nothing is applied twice");
    let list = site.run(&["parked", "list", "balances"]);
    assert_eq!(list.stdout.matches("the process ended 3 times").count(), 3, "{list:?}");
    // Batches again, and nobody dies of them.
    view.restarts = 0;
    send(&site.environment(), &orders("none", 1)).unwrap();
    view.until("batches", || entries() == (deposits + 2) * 20);
    assert_eq!(view.restarts, 0);
}
