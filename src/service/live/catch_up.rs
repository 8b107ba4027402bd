//! Streams that begin further back than their channel remembers.
//!
//! A few threads read for them, each stream with a reader of its own, in turn, until its channel takes it.

use super::{
    channel::{Channel, HEARTBEAT, LOOK, Live, NotYet, gone},
    positions::Positions,
    source::Source,
};
use factum_core::{Error, Result};
use factum_gateway::{Offered, Stop, Told};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Streams that are read for at the same time.
const THREADS: usize = 4;
/// How long one is read for while others wait.
const TURN: Duration = Duration::from_secs(1);
/// Before one whose client has to read first is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// A stream on its way to its channel.
struct CatchUp {
    channel: Arc<Channel>,
    live: Live,
    /// Open during its turn.
    source: Option<Box<dyn Source>>,
    /// What its client has not taken yet.
    untold: Option<Untold>,
    not_before: Instant,
}

/// Text, and where the stream is behind it.
struct Untold {
    told: Told,
    after: Positions,
}

/// What is left to do after a turn.
enum Turn {
    Done,
    /// It goes on later.
    Later(CatchUp),
}

/// The streams that wait for a turn, and the threads that read.
#[derive(Clone, Default)]
pub(super) struct CatchUps(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    added: Condvar,
    stop: Stop,
}

#[derive(Default)]
struct Waiting {
    streams: VecDeque<CatchUp>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
}

impl CatchUps {
    /// Brings a stream to its channel.
    ///
    /// # Errors
    /// `Unavailable` when there is no thread for it.
    pub(super) fn add(&self, channel: &Arc<Channel>, live: Live) -> Result<()> {
        channel.expect();
        let stream = CatchUp { channel: channel.clone(), live, source: None, untold: None, not_before: Instant::now() };
        let mut waiting = self.0.lock();
        waiting.streams.push_back(stream);
        if waiting.idle == 0 && waiting.threads.len() < THREADS {
            let shared = self.0.clone();
            let thread = std::thread::Builder::new().name("catch-up".to_owned()).spawn(move || shared.run());
            match thread {
                Ok(thread) => waiting.threads.push(thread),
                Err(error) if waiting.threads.is_empty() => {
                    waiting.streams.clear();
                    channel.expected();
                    return Err(Error::unavailable(format!("there is no thread for a stream: {error}")));
                }
                Err(_) => {}
            }
        }
        self.0.added.notify_one();
        Ok(())
    }

    /// Ends the threads, and the streams that wait.
    pub(super) fn end(&self) {
        self.0.stop.stop();
        self.0.added.notify_all();
        let threads = std::mem::take(&mut self.0.lock().threads);
        // What a thread that panicked has to say is in the log.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        self.0.lock().streams.clear();
    }
}

impl Shared {
    fn run(&self) {
        while let Some(stream) = self.next() {
            if let Turn::Later(mut stream) = self.turn(stream) {
                stream.source = None;
                self.lock().streams.push_back(stream);
            }
        }
    }

    /// The next stream whose turn it is; none at the end.
    fn next(&self) -> Option<CatchUp> {
        let mut waiting = self.lock();
        loop {
            if self.stop.is_stopped() {
                return None;
            }
            let now = Instant::now();
            if let Some(index) = waiting.streams.iter().position(|stream| stream.not_before <= now) {
                return waiting.streams.remove(index);
            }
            let pause = if waiting.streams.is_empty() { LOOK } else { PAUSE };
            waiting.idle += 1;
            (waiting, _) = self.added.wait_timeout(waiting, pause).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }

    fn turn(&self, stream: CatchUp) -> Turn {
        let channel = stream.channel.clone();
        let turn = self.read(stream);
        if matches!(turn, Turn::Done) {
            channel.expected();
        }
        turn
    }

    fn read(&self, mut stream: CatchUp) -> Turn {
        let begun = Instant::now();
        loop {
            if self.stop.is_stopped() || !stream.live.outlet.is_open() {
                return Turn::Done;
            }
            // What was read and not taken comes first.
            if let Some(untold) = stream.untold.take() {
                match stream.live.offer(&untold.told) {
                    Offered::Taken => stream.live.at.go_on(&untold.after),
                    Offered::Gone => return Turn::Done,
                    Offered::Full => return Turn::Later(CatchUp { untold: Some(untold), ..stream.paused() }),
                }
            }
            let CatchUp { channel, live, source, .. } = stream;
            let live = match channel.join(live) {
                Ok(()) => return Turn::Done,
                Err(NotYet::Ended(live)) => {
                    live.outlet.end("what is new is not read any more; come back with Last-Event-ID");
                    return Turn::Done;
                }
                Err(NotYet::Full(live)) => return Turn::Later(CatchUp::new(channel, live, source).paused()),
                Err(NotYet::TooOld(live)) => live,
            };
            stream = CatchUp::new(channel, live, source);
            if begun.elapsed() > TURN && !self.lock().streams.is_empty() {
                return Turn::Later(stream);
            }
            if let Err(error) = stream.step() {
                gone(&error, stream.live);
                return Turn::Done;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatchUp {
    fn new(channel: Arc<Channel>, live: Live, source: Option<Box<dyn Source>>) -> Self {
        CatchUp { channel, live, source, untold: None, not_before: Instant::now() }
    }

    fn paused(mut self) -> Self {
        self.not_before = Instant::now() + PAUSE;
        self
    }

    /// Reads what follows.
    fn step(&mut self) -> Result<()> {
        let source = match &mut self.source {
            Some(source) => source,
            closed => closed.insert(self.channel.origin.open(self.live.at.clone())?),
        };
        if let Some(step) = source.read(LOOK)?
            && let Some(told) = self.channel.origin.tell(&step, &self.live.key, &self.live.at)?
        {
            self.untold = Some(Untold { told, after: step.after });
        } else {
            self.live.at.go_on(source.positions());
        }
        // History without anything for this stream can be long.
        if self.live.heard.elapsed() >= HEARTBEAT {
            self.live.offer(&Told::alive(&self.live.at.to_string()));
        }
        Ok(())
    }
}
