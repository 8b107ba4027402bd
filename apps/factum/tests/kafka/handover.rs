//! How long partitions are silent when their handler is told to end and another goes on.
//!
//! `cargo test -p factum-cli --test kafka handover -- --nocapture` prints a table.

use crate::{
    process::{DEADLINE, Process, until},
    site::Site,
};
use factum::{Partition, partition_of, to};
use factum_bank::{Account, Deposit};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 4;
const ROUNDS: usize = 3;
/// What is promised is 2 s where the machine has time; a test shares it with others.
const BUSY: Duration = Duration::from_secs(30);

/// One deposit after another for an account of each partition.
struct Probe {
    answered: Vec<Arc<Mutex<Vec<Instant>>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    fn start(site: &Site) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut answered, mut threads) = (Vec::new(), Vec::new());
        let client = Arc::new(site.environment().client::<Account>().unwrap());
        for partition in 0..PARTITIONS {
            let fits = |name: &String| partition_of(name.as_bytes(), PARTITIONS) == Partition(partition);
            let account = (0..).map(|number| format!("probe-{number}")).find(fits).unwrap();
            let times = Arc::new(Mutex::new(Vec::new()));
            answered.push(times.clone());
            let (stop, client) = (stop.clone(), client.clone());
            threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.send(to(&account, Deposit { cents: 1 }).timeout(DEADLINE)).unwrap();
                    reply.accepted().unwrap();
                    times.lock().unwrap().push(Instant::now());
                }
            }));
        }
        Probe { answered, stop, threads }
    }

    /// Waits until every partition answers again; returns the longest time without an answer of one since then.
    fn silence(&self, since: Instant) -> Duration {
        let gaps = |times: &Vec<Instant>| {
            let first = times.partition_point(|time| *time < since);
            let times = &times[first.saturating_sub(1)..];
            // The next answer may have been under way.
            (times.len() > 10).then(|| times.windows(2).map(|pair| pair[1] - pair[0]).max())?
        };
        let of_partition = |times: &Arc<Mutex<Vec<Instant>>>| gaps(&times.lock().unwrap());
        until("every partition answers", || self.answered.iter().map(of_partition).collect::<Option<Vec<_>>>())
            .into_iter()
            .max()
            .unwrap()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ends: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        assert!(std::thread::panicking() || ends.iter().all(Result::is_ok), "a deposit failed");
    }
}

fn handler(site: &Site, protocol: &str) -> Process {
    // Nothing here is owed to a session that ended.
    let session = ["--session-timeout-ms", "600000"];
    site.start(&[&["run", "handler", "bank.account", "--group-protocol", protocol], &session[..]].concat())
}

#[test]
fn a_handover_on_sigterm_takes_little_under_both_protocols() {
    eprintln!("| protocol | partitions silent at most, hand-over by hand-over |\n|---|---|");
    for protocol in ["classic", "consumer"] {
        let site = Site::new(PARTITIONS);
        let mut first = handler(&site, protocol);
        let probe = Probe::start(&site);
        probe.silence(Instant::now());
        let mut silences = Vec::new();
        for _ in 0..ROUNDS {
            let mut second = handler(&site, protocol);
            second.says("recovered partition=", 2);
            // Both have work, and the rebalance is over.
            probe.silence(Instant::now());
            let told = Instant::now();
            first.stop();
            silences.push(probe.silence(told));
            first = second;
        }
        let shown: Vec<String> = silences.iter().map(|silence| format!("{:.2} s", silence.as_secs_f64())).collect();
        eprintln!("| {protocol} | {} |", shown.join(", "));
        assert!(silences.iter().all(|silence| *silence < BUSY), "{protocol}: {silences:?}");
        drop(probe);
        first.stop();
    }
}
