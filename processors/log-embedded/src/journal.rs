//! Group commit: whoever waits for a frame writes it, and with it everything
//! that others recorded meanwhile.

use crate::codec::encode;
use crate::frame::{FRAME_HEAD_BYTES, seal};
use crate::owner::Lock;
use crate::segments::{Failure, Frame, Segments};
use factum_core::{Error, ErrorKind, Result};
use factum_log_memory::journal::{Effect, Journal};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A frame is closed when it has this many bytes.
const FRAME_BYTES: usize = 4 << 20;

/// Writers wait while so much is recorded and not written.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// The journal on disk. A frame is a group; its number is the group's.
#[derive(Debug)]
pub(crate) struct DiskJournal {
    state: Mutex<State>,
    /// Somebody has written a frame, or failed to.
    turned: Condvar,
    durable: AtomicU64,
    /// The bytes of all files.
    file_bytes: AtomicU64,
    /// Held until the last client is gone; the process that ends lets go of it, too.
    lock: Option<Lock>,
}

#[derive(Debug)]
struct State {
    /// Takes effects; its head is filled in when it is sealed.
    filling: Frame,
    /// In the order in which they are to be written.
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
    /// Away while somebody writes.
    segments: Option<Segments>,
    spare: Vec<u8>,
    trouble: Trouble,
    wrote: bool,
}

#[derive(Debug)]
enum Trouble {
    None,
    /// The frame in front could not be written; it is tried again.
    Waiting,
    /// Nothing is written any more.
    Broken(ErrorKind, String),
}

impl DiskJournal {
    /// A journal whose next frame has the number `next`.
    pub(crate) fn new(segments: Segments, next: u64, file_bytes: u64, lock: Option<Lock>) -> Self {
        let state = State {
            filling: Frame { number: next, bytes: vec![0; FRAME_HEAD_BYTES], first_of_file: false },
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            segments: Some(segments),
            spare: Vec::new(),
            trouble: Trouble::None,
            wrote: false,
        };
        DiskJournal {
            state: Mutex::new(state),
            turned: Condvar::new(),
            durable: AtomicU64::new(next - 1),
            file_bytes: AtomicU64::new(file_bytes),
            lock,
        }
    }

    /// Ends the frame that is being filled; the next one begins a file, and
    /// its number is returned.
    pub(crate) fn cut(&self) -> u64 {
        let mut state = self.state();
        if !state.filling.is_empty() {
            state.seal();
        }
        state.filling.first_of_file = true;
        state.filling.number
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Files were added and removed.
    pub(crate) fn add_file_bytes(&self, added: u64, removed: u64) {
        self.file_bytes.fetch_add(added, Ordering::Relaxed);
        self.file_bytes.fetch_sub(removed, Ordering::Relaxed);
    }

    pub(crate) fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, state: &mut State, frame: Frame, written: Result<u64, Failure>) -> Result<()> {
        match written {
            Ok(bytes) => {
                if matches!(state.trouble, Trouble::Waiting) {
                    tracing::info!("the log is written again");
                    state.trouble = Trouble::None;
                }
                state.wrote = true;
                state.waiting_bytes -= frame.bytes.len();
                self.durable.store(frame.number, Ordering::Release);
                self.file_bytes.fetch_add(bytes, Ordering::Relaxed);
                state.spare = frame.bytes;
                Ok(())
            }
            Err(Failure::Unchanged(error)) => {
                if matches!(state.trouble, Trouble::None) {
                    tracing::warn!(%error, "the log cannot be written, every write tries again");
                    state.trouble = Trouble::Waiting;
                }
                state.waiting.push_front(frame);
                Err(error)
            }
            Err(Failure::Unknown(error)) => {
                tracing::error!(%error, "the log takes no more writes: start the process again");
                let error = error.context("the log takes no more writes until its process is started again");
                state.trouble = Trouble::Broken(ErrorKind::Unavailable, error.to_string());
                (state.waiting, state.waiting_bytes) = (VecDeque::new(), 0);
                Err(Error::unavailable(error.to_string()))
            }
        }
    }
}

impl Journal for DiskJournal {
    fn record(&self, effect: &Effect<'_>) -> u64 {
        let mut state = self.state();
        // What cannot become durable any more needs no memory.
        if !matches!(state.trouble, Trouble::Broken(..)) {
            if state.filling.bytes.len() >= FRAME_BYTES {
                state.seal();
            }
            encode(effect, &mut state.filling.bytes);
        }
        state.filling.number
    }

    fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    fn sync(&self, group: u64) -> Result<()> {
        let mut state = self.state();
        loop {
            if self.durable() >= group {
                return Ok(());
            }
            if let Trouble::Broken(kind, text) = &state.trouble {
                return Err(Error::new(*kind, text.clone()));
            }
            let Some(mut segments) = state.segments.take() else {
                state = self.turned.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if state.waiting.is_empty() {
                state.seal();
            }
            let Some(mut frame) = state.waiting.pop_front() else { continue };
            drop(state);
            let written = match seal(&mut frame.bytes, frame.number) {
                Ok(()) => segments.append(&frame),
                Err(error) => Err(Failure::Unknown(error)),
            };
            state = self.state();
            state.segments = Some(segments);
            let turned = self.turn(&mut state, frame, written);
            self.turned.notify_all();
            turned?;
        }
    }

    fn admit(&self) -> Result<()> {
        let state = self.state();
        let full = state.waiting_bytes + state.filling.bytes.len() > WAITING_BYTES_MAX;
        let last = if state.filling.is_empty() { state.filling.number - 1 } else { state.filling.number };
        match &state.trouble {
            Trouble::Broken(kind, text) => return Err(Error::new(*kind, text.clone())),
            Trouble::None if !full => return Ok(()),
            Trouble::None | Trouble::Waiting => drop(state),
        }
        self.sync(last)
    }
}

impl Drop for DiskJournal {
    /// Writes what nobody waited for, and an empty frame behind the last one,
    /// so that damage of that one cannot be taken for a torn tail.
    fn drop(&mut self) {
        let last = {
            let mut state = self.state();
            if state.filling.is_empty() && !state.wrote {
                return;
            }
            if !state.filling.is_empty() {
                state.seal();
            }
            state.filling.number
        };
        if let Err(error) = self.sync(last) {
            tracing::warn!(%error, "the end of the log was not written");
        }
    }
}

impl State {
    /// Lets the frame that is being filled wait to be written, and begins another.
    fn seal(&mut self) {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.resize(FRAME_HEAD_BYTES, 0);
        let next = Frame { number: self.filling.number + 1, bytes, first_of_file: false };
        let sealed = std::mem::replace(&mut self.filling, next);
        self.waiting_bytes += sealed.bytes.len();
        self.waiting.push_back(sealed);
    }
}

impl Frame {
    fn is_empty(&self) -> bool {
        self.bytes.len() == FRAME_HEAD_BYTES
    }
}
