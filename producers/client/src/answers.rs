//! Answers to many commands, in their order.

use crate::{Client, Pending, Request};
use factum_core::{AggregateId, ErrorKind, Result, wire::Answer};
use std::{collections::VecDeque, iter::Fuse};

/// The most commands of one batch in flight: enough to keep a handler busy,
/// and few enough that a long batch does not take a shared client for itself.
const WINDOW: usize = 2_000;

/// The answers to the commands of a batch, in the order of the commands; see
/// [`Client::send_all`]. A request that is an error comes out as that error, in
/// its place.
///
/// Dropping it forgets the answers to commands that are in flight; they are
/// handled all the same.
#[derive(Debug)]
#[must_use = "nothing is sent before an answer is asked for"]
pub struct Answers<'c, I: Iterator> {
    client: &'c Client,
    requests: Fuse<I>,
    /// Sent, or failed before it was.
    waiting: VecDeque<Result<Pending>>,
    /// Came when the client was full; the next to be sent.
    postponed: Option<Request>,
    window: usize,
}

impl<'c, I: Iterator<Item = Result<Request>>> Answers<'c, I> {
    pub(crate) fn new(client: &'c Client, requests: I) -> Self {
        let window = client.max_in_flight().min(WINDOW);
        Answers { client, requests: requests.fuse(), waiting: VecDeque::new(), postponed: None, window }
    }

    /// Sends until the window is full or nothing is left.
    fn fill(&mut self) {
        while self.waiting.len() < self.window {
            let next = self.postponed.take().map(Ok).or_else(|| self.requests.next());
            let Some(request) = next else { return };
            let submitted = request.and_then(|request| {
                self.client.submit(request.clone()).inspect_err(|error| {
                    // Others fill the client: an answer of ours makes room, if there is one to come.
                    if error.kind() == ErrorKind::Unavailable && !self.waiting.is_empty() {
                        self.postponed = Some(request);
                    }
                })
            });
            if self.postponed.is_some() {
                return;
            }
            self.waiting.push_back(submitted);
        }
    }
}

impl<I: Iterator<Item = Result<Request>>> Iterator for Answers<'_, I> {
    type Item = Result<(AggregateId, Answer)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        let pending = self.waiting.pop_front()?;
        Some(pending.and_then(|pending| {
            let aggregate = pending.aggregate().clone();
            pending.wait().map(|answer| (aggregate, answer))
        }))
    }
}
