//! Commands at a rate, and what they were told.

use super::{super::share, memory::Memory};
use crate::send::{Client, Pending, Request};
use factum_core::{AggregateId, CommandId, Error, ErrorKind, Result, partition_of, wire::AnswerCode};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

/// How many commands are under way while the capacity is measured.
const WINDOW: usize = 4_000;
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The least time between two looks at the clock of the schedule.
const TICK: Duration = Duration::from_millis(1);

/// Sends the same command to one aggregate after the other, each under an id
/// that tells its number.
pub(super) struct Load<'a> {
    client: &'a Client,
    value: Vec<u8>,
    aggregates: Vec<AggregateId>,
    partitions: u32,
    /// The first half of all ids.
    run: [u8; 8],
    sent: AtomicU64,
    /// A bit for each number whose command was accepted.
    acknowledged: Mutex<Bits>,
}

/// What commands were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) offered: u64,
    pub(super) accepted: u64,
    /// Refused at once as overloaded.
    pub(super) overloaded: u64,
    /// Without an answer within the time.
    pub(super) expired: u64,
    /// Everything else, by its text; a few of them.
    pub(super) other: BTreeMap<String, u64>,
    /// From the time at which a command was due, in milliseconds.
    latencies: Vec<f64>,
}

/// A set of numbers.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; whether it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = (usize::try_from(number / 64).unwrap_or(usize::MAX), 1 << (number % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// How many of them are not in another set.
    pub(super) fn missing_in(&self, other: &Bits) -> u64 {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(others).map(|(word, other)| u64::from((word & !other).count_ones())).sum()
    }
}

impl<'a> Load<'a> {
    pub(super) fn new(client: &'a Client, value: Vec<u8>, aggregates: u64, partitions: u32) -> Self {
        let aggregates = (0..aggregates).filter_map(|index| AggregateId::new(format!("account-{index:08}")).ok());
        let mut run = [0; 8];
        run.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..8]);
        Load {
            client,
            value,
            aggregates: aggregates.collect(),
            partitions,
            run,
            sent: AtomicU64::new(0),
            acknowledged: Mutex::default(),
        }
    }

    /// The number of a command of this load.
    pub(super) fn number(&self, command: CommandId) -> Option<u64> {
        let rest = command.0.strip_prefix(&self.run)?;
        Some(u64::from_be_bytes(rest.try_into().ok()?))
    }

    /// The numbers of the commands that were accepted.
    pub(super) fn acknowledged(&self) -> std::sync::MutexGuard<'_, Bits> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self) -> (u64, Result<Pending>) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let index = usize::try_from(number % self.aggregates.len() as u64).unwrap_or_default();
        let mut request = Request::new(self.aggregates[index].clone(), self.value.clone());
        request.id.0[..8].copy_from_slice(&self.run);
        request.id.0[8..].copy_from_slice(&number.to_be_bytes());
        request.timeout = TIMEOUT;
        (number, self.client.submit(request))
    }

    /// One command, and the time until it was accepted.
    ///
    /// # Errors
    /// What it was told instead.
    pub(super) fn probe(&self) -> Result<Duration> {
        let begun = Instant::now();
        let (number, pending) = self.submit();
        match pending?.wait()? {
            answer if answer.code == AnswerCode::Accepted => {
                self.acknowledged().insert(number);
                Ok(begun.elapsed())
            }
            answer => Err(Error::invalid(format!("the command was answered with {}", answer.code))),
        }
    }

    /// Commands a second with many of them under way, of which the first second does not count.
    pub(super) fn closed(&self, time: Duration) -> Result<f64> {
        let window = WINDOW.min(self.client.max_in_flight());
        let mut under_way = std::collections::VecDeque::with_capacity(window);
        let begun = Instant::now();
        let (warm, mut counted_from, mut answered) = (time / 5, None, 0u64);
        loop {
            let now = Instant::now();
            if counted_from.is_none() && now - begun >= warm {
                (counted_from, answered) = (Some(now), 0);
            }
            if now - begun >= time {
                break;
            }
            while under_way.len() < window {
                let (number, pending) = self.submit();
                under_way.push_back((number, pending?));
            }
            // A tenth of what is under way is waited for, and then sent again.
            for (number, pending) in under_way.drain(..window.div_ceil(10)) {
                self.take(number, pending)?;
                answered += 1;
            }
        }
        let seconds = counted_from.unwrap_or(begun).elapsed().as_secs_f64();
        for (number, pending) in under_way {
            self.take(number, pending)?;
        }
        Ok(answered as f64 / seconds.max(f64::EPSILON))
    }

    fn take(&self, number: u64, pending: Pending) -> Result<()> {
        let answer = pending.wait()?;
        if answer.code != AnswerCode::Accepted {
            return Err(Error::invalid(format!("the sample command was answered with {}", answer.code)));
        }
        self.acknowledged().insert(number);
        Ok(())
    }

    /// Sends at a rate, whatever becomes of the commands; the rate that was really offered. At its end,
    /// while what is under way is still answered, `then` goes on.
    ///
    /// # Errors
    /// `Invalid` when a thread panicked.
    pub(super) fn open<T>(
        &self,
        rate: f64,
        time: Duration,
        memory: &Memory,
        then: impl FnOnce() -> T,
    ) -> Result<(f64, (Told, T))> {
        // Answers of a partition come in order, so each partition has its taker; a queue has room for all that
        // can be in flight, so that the sender never waits.
        std::thread::scope(|scope| {
            let (queues, takers): (Vec<_>, Vec<_>) = (0..self.partitions)
                .map(|_| {
                    let (queue, answers) = sync_channel(self.client.max_in_flight() + 1);
                    (queue, scope.spawn(|| self.answers(answers)))
                })
                .unzip();
            let (per_second, mut told) = self.send_at(rate, time, memory, queues);
            let after = then();
            for taker in takers {
                let more = taker.join().map_err(|_| Error::invalid("a thread panicked; its message is above"))?;
                told.add(more);
            }
            told.latencies.sort_by(f64::total_cmp);
            Ok((per_second, (told, after)))
        })
    }

    fn send_at(
        &self,
        rate: f64,
        time: Duration,
        memory: &Memory,
        queues: Vec<SyncSender<(Instant, u64, Pending)>>,
    ) -> (f64, Told) {
        let mut told = Told::default();
        let begun = Instant::now();
        loop {
            let elapsed = begun.elapsed();
            if elapsed >= time {
                return (told.offered as f64 / elapsed.as_secs_f64(), told);
            }
            // Everything that is due by now, each with its own time.
            while told.offered as f64 / rate <= elapsed.as_secs_f64() {
                let due = begun + Duration::from_secs_f64(told.offered as f64 / rate);
                let (number, pending) = self.submit();
                told.offered += 1;
                match pending {
                    Ok(pending) => {
                        let partition = partition_of(pending.aggregate().as_str().as_bytes(), self.partitions).0;
                        let queue = usize::try_from(partition).ok().and_then(|partition| queues.get(partition));
                        if let Some(queue) = queue {
                            queue.send((due, number, pending)).unwrap_or_default();
                        }
                    }
                    Err(error) => told.refused(&error),
                }
            }
            memory.look();
            std::thread::sleep(TICK);
        }
    }

    fn answers(&self, answers: Receiver<(Instant, u64, Pending)>) -> Told {
        let mut told = Told::default();
        for (due, number, pending) in answers {
            match pending.wait() {
                Ok(answer) if answer.code == AnswerCode::Accepted => {
                    self.acknowledged().insert(number);
                    told.accepted += 1;
                    told.latencies.push(due.elapsed().as_secs_f64() * 1_000.0);
                }
                Ok(answer) => *told.other.entry(answer.code.to_string()).or_default() += 1,
                Err(error) => told.refused(&error),
            }
        }
        told
    }
}

impl Told {
    /// The documented answers are those of the client under overload: `Unavailable`, at once as overloaded
    /// (nothing was sent) or after the time-out (the repeat tells).
    fn refused(&mut self, error: &Error) {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::Unavailable if text.starts_with("overloaded") => self.overloaded += 1,
            ErrorKind::Unavailable => self.expired += 1,
            _ => *self.other.entry(text).or_default() += 1,
        }
    }

    fn add(&mut self, more: Told) {
        self.accepted += more.accepted;
        self.overloaded += more.overloaded;
        self.expired += more.expired;
        self.latencies.extend(more.latencies);
        more.other.into_iter().for_each(|(answer, count)| *self.other.entry(answer).or_default() += count);
    }

    /// An answer that is not documented for overload, and how often it came.
    pub(super) fn undocumented(&self) -> Option<(&str, u64)> {
        self.other.iter().next().map(|(answer, count)| (answer.as_str(), *count))
    }

    /// The latency below which that part of the accepted commands was.
    pub(super) fn latency_ms(&self, part: f64) -> f64 {
        share(&self.latencies, part)
    }
}
