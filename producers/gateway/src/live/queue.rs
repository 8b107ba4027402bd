//! A queue with a limit on its bytes, from a thread that tells to a connection that takes.

use super::Told;
use crate::Stop;
use axum::body::Bytes;
use futures_core::Stream;
use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The most bytes that wait for a client; one text may have more where nothing waits.
pub const QUEUE_BYTES: usize = 256 * 1024;

/// What became of what was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The client will get it.
    Taken,
    /// The client has not taken what came before, and will not get it.
    Full,
    /// Nobody is there any more.
    Gone,
}

/// A queue for one stream, which ends with whatever goes first: either of its ends, or the process by `stop`.
/// `hold` is kept as long as the client's end.
pub fn queue<H: Send + 'static>(stop: &Stop, hold: H) -> (Outlet, Inlet) {
    let queue = Queue::default();
    (Outlet { queue: queue.clone(), stop: stop.clone() }, Inlet { queue, _hold: Box::new(hold) })
}

/// Where updates are put in. Dropping it ends the stream behind what was put in.
pub struct Outlet {
    queue: Queue,
    stop: Stop,
}

/// Where they come out: the body of a response.
pub struct Inlet {
    queue: Queue,
    _hold: Box<dyn Send>,
}

#[derive(Clone, Default)]
struct Queue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    texts: VecDeque<Bytes>,
    bytes: usize,
    reader: Option<Waker>,
    /// Nothing follows what is there.
    is_ended: bool,
    /// Nobody takes anything any more.
    is_gone: bool,
}

impl Outlet {
    /// Offers a text, and never waits.
    pub fn offer(&self, told: &Told) -> Offered {
        if !self.is_open() {
            return Offered::Gone;
        }
        let mut state = self.queue.lock();
        if state.bytes > 0 && state.bytes + told.0.len() > QUEUE_BYTES {
            return Offered::Full;
        }
        state.push(told);
        Offered::Taken
    }

    /// Whether anybody is there.
    pub fn is_open(&self) -> bool {
        let mut state = self.queue.lock();
        if self.stop.is_stopped() {
            state.end();
        }
        !state.is_ended && !state.is_gone
    }

    /// Ends the stream with a reason, which the client gets behind everything that waits for it.
    pub fn end(self, why: &str) {
        let mut state = self.queue.lock();
        if !state.is_ended {
            state.push(&Told::end(why));
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.queue.lock().end();
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.is_gone = true;
        state.texts.clear();
    }
}

impl Inlet {
    /// The next text; none at the end.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.queue.lock();
        match state.texts.pop_front() {
            Some(text) => {
                state.bytes -= text.len();
                Poll::Ready(Some(text))
            }
            None if state.is_ended => Poll::Ready(None),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for Inlet {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context).map(|text| text.map(Ok))
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, told: &Told) {
        self.bytes += told.0.len();
        self.texts.push_back(told.0.clone());
        self.wake();
    }

    fn end(&mut self) {
        self.is_ended = true;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("waiting_bytes", &self.queue.lock().bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet").field("waiting_bytes", &self.queue.lock().bytes).finish_non_exhaustive()
    }
}
