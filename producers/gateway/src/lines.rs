//! An answer that is written line by line while its work goes on.

use crate::chunks::Chunks;
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use factum_core::{Error, Result};
use tokio::sync::mpsc;

/// The most lines that wait for a client.
const BUFFERED_LINES: usize = 16;

/// Where the work writes what it has to tell: one JSON value a line.
#[derive(Debug)]
pub struct Lines(mpsc::Sender<Bytes>);

impl Lines {
    /// Writes a line, unless too many wait for the client already: for what a later line says again.
    pub fn offer(&self, line: &str) {
        // What finds no room is left out, and a client that is gone is asked for below.
        self.0.try_send(terminated(line)).unwrap_or_default();
    }

    /// Writes a line, and waits for room; a client that is gone gets nothing.
    pub fn send(&self, line: &str) {
        self.0.blocking_send(terminated(line)).unwrap_or_default();
    }

    /// Whether nobody reads any more.
    pub fn are_unread(&self) -> bool {
        self.0.is_closed()
    }
}

/// An answer whose lines `work` writes, on a thread of that name.
///
/// # Errors
/// `Unavailable` when there is no thread.
pub fn in_lines(name: &str, work: impl FnOnce(&Lines) + Send + 'static) -> Result<Response> {
    let (sender, receiver) = mpsc::channel(BUFFERED_LINES);
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || work(&Lines(sender)))
        .map_err(|error| Error::unavailable(format!("no thread for {name}: {error}")))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(Chunks(receiver))).into_response())
}

fn terminated(line: &str) -> Bytes {
    Bytes::from(format!("{line}\n"))
}
