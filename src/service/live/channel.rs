//! One reader whose updates many streams get.
//!
//! A channel keeps what it read last, so that a stream which comes back soon is
//! served from memory. Streams are put in and updates are handed out under one
//! lock: what is in the channel's past when a stream is put in, it is told then,
//! and what follows, it is told when it is read. So nothing is missed or told twice.

use super::{
    positions::Positions,
    source::{Origin, Source, Step},
};
use factum_core::{Error, Result};
use factum_gateway::{Offered, Outlet, Stop, Told};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tracing::debug;

/// A stream without updates tells its position so often, and that it lives.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// Between two looks at who is there.
pub(super) const LOOK: Duration = Duration::from_millis(200);
/// A channel that nobody follows ends after so long.
const LINGER: Duration = Duration::from_secs(15);
/// The most steps that are kept.
const KEPT_STEPS: usize = 1_000;
/// The most bytes that they take; one step is always kept.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A stream and where it is.
#[derive(Debug)]
pub(super) struct Live {
    /// Whose updates it gets; empty for all.
    pub(super) key: Vec<u8>,
    /// The next records that it is to be told.
    pub(super) at: Positions,
    pub(super) outlet: Outlet,
    pub(super) heard: Instant,
}

/// Why a stream cannot be put in yet.
pub(super) enum NotYet {
    /// It has to read what the channel does not remember.
    TooOld(Live),
    /// It has to take what it was told before.
    Full(Live),
    /// The channel has ended.
    Ended(Live),
}

/// What a thread reads for many streams.
pub(super) struct Channel {
    pub(super) origin: Arc<dyn Origin>,
    state: Mutex<State>,
}

struct State {
    /// Behind what was read.
    positions: Positions,
    /// Everything behind these positions is kept.
    oldest: Positions,
    kept: VecDeque<Arc<Step>>,
    kept_bytes: usize,
    streams: HashMap<Vec<u8>, Vec<Live>>,
    /// Streams that are read up to here elsewhere.
    coming: usize,
    is_ended: bool,
}

impl Channel {
    /// From these positions on.
    pub(super) fn new(origin: Arc<dyn Origin>, positions: Positions) -> Self {
        Channel {
            origin,
            state: Mutex::new(State {
                oldest: positions.clone(),
                positions,
                kept: VecDeque::new(),
                kept_bytes: 0,
                streams: HashMap::new(),
                coming: 0,
                is_ended: false,
            }),
        }
    }

    /// Puts a stream in, and tells it what it lacks; one that cannot be told is ended.
    pub(super) fn join(&self, mut live: Live) -> Result<(), NotYet> {
        let mut state = self.lock();
        if state.is_ended {
            return Err(NotYet::Ended(live));
        }
        if !live.at.reach(&state.oldest) {
            return Err(NotYet::TooOld(live));
        }
        for step in &state.kept {
            match live.tell(&*self.origin, step) {
                Ok(Offered::Taken) => {}
                Ok(Offered::Full) => return Err(NotYet::Full(live)),
                Ok(Offered::Gone) => return Ok(()),
                Err(error) => {
                    gone(&error, live);
                    return Ok(());
                }
            }
        }
        live.at.go_on(&state.positions);
        state.streams.entry(live.key.clone()).or_default().push(live);
        Ok(())
    }

    /// Announces a stream, so that the channel waits for it.
    pub(super) fn expect(&self) {
        self.lock().coming += 1;
    }

    /// An announced stream has come or is gone.
    pub(super) fn expected(&self) {
        self.lock().coming -= 1;
    }

    /// Whether it takes no stream any more.
    pub(super) fn is_ended(&self) -> bool {
        self.lock().is_ended
    }

    /// Reads and hands out until nobody has followed for a while, or the process ends.
    pub(super) fn run(&self, source: Box<dyn Source>, stop: &Stop) {
        if let Err(error) = self.read(source, stop) {
            debug!(%error, "streams end");
            let mut state = self.lock();
            state.is_ended = true;
            let streams = std::mem::take(&mut state.streams);
            drop(state);
            streams.into_values().flatten().for_each(|live| live.outlet.end(&error.to_string()));
        }
    }

    fn read(&self, mut source: Box<dyn Source>, stop: &Stop) -> Result<()> {
        let (mut looked, mut followed) = (Instant::now(), Instant::now());
        loop {
            if let Some(step) = source.read(LOOK)? {
                self.hand_out(Arc::new(step));
            }
            if looked.elapsed() < LOOK {
                continue;
            }
            looked = Instant::now();
            let mut state = self.lock();
            state.positions.go_on(source.positions());
            state.look();
            if !state.streams.is_empty() || state.coming > 0 {
                followed = Instant::now();
            }
            if stop.is_stopped() || followed.elapsed() > LINGER {
                state.is_ended = true;
                state.streams.clear();
                return Ok(());
            }
        }
    }

    fn hand_out(&self, step: Arc<Step>) {
        let mut state = self.lock();
        let State { streams, positions, .. } = &mut *state;
        let mut done = HashSet::new();
        for key in step.keys() {
            let Some(lives) = streams.get_mut(key).filter(|_| done.insert(key)) else { continue };
            // Made once for all that are where the channel is.
            let common = self.origin.tell(&step, key, positions);
            for mut live in std::mem::take(lives) {
                // One that began behind what was read here is not told what it knows.
                let own = (!positions.reach(&live.at)).then(|| self.origin.tell(&step, key, &live.at));
                match own.as_ref().unwrap_or(&common) {
                    Ok(told) => match told.as_ref().map_or(Offered::Taken, |told| live.offer(told)) {
                        Offered::Taken => lives.push(live),
                        Offered::Full => live.outlet.end(SLOW),
                        Offered::Gone => {}
                    },
                    Err(error) => gone(error, live),
                }
            }
        }
        state.positions.go_on(&step.after);
        state.keep(step);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said to a client that takes less than there is.
pub(super) const SLOW: &str =
    "updates come faster than this client takes them; come back with Last-Event-ID, which goes on behind the last one";

impl State {
    fn keep(&mut self, step: Arc<Step>) {
        self.kept_bytes += step.size_bytes();
        self.kept.push_back(step);
        while self.kept.len() > 1 && (self.kept.len() > KEPT_STEPS || self.kept_bytes > KEPT_BYTES) {
            if let Some(gone) = self.kept.pop_front() {
                self.kept_bytes -= gone.size_bytes();
                self.oldest.go_on(&gone.after);
            }
        }
    }

    /// Forgets who is gone, and tells the others that their streams live.
    fn look(&mut self) {
        let State { streams, positions, .. } = self;
        for lives in streams.values_mut() {
            lives.retain_mut(|live| {
                if live.heard.elapsed() >= HEARTBEAT {
                    live.at.go_on(positions);
                    let told = Told::alive(&live.at.to_string());
                    live.offer(&told);
                }
                live.outlet.is_open()
            });
        }
        streams.retain(|_, lives| !lives.is_empty());
    }
}

impl Live {
    /// Offers it what a step says to it, and goes behind the step if that was taken.
    ///
    /// # Errors
    /// What [`Origin::tell`] says.
    pub(super) fn tell(&mut self, origin: &dyn Origin, step: &Step) -> Result<Offered> {
        let offered = match origin.tell(step, &self.key, &self.at)? {
            Some(told) => self.offer(&told),
            None => Offered::Taken,
        };
        if offered == Offered::Taken {
            self.at.go_on(&step.after);
        }
        Ok(offered)
    }

    pub(super) fn offer(&mut self, told: &Told) -> Offered {
        let offered = self.outlet.offer(told);
        if offered == Offered::Taken {
            self.heard = Instant::now();
        }
        offered
    }
}

/// What ends a stream that cannot be told of.
pub(super) fn gone(error: &Error, live: Live) {
    live.outlet.end(&error.to_string());
}
