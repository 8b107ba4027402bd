//! Live updates as server-sent events.
//!
//! A stream is a thread that reads the log and a client that takes what it
//! reads. Nothing but [`BUFFERED_CHUNKS`] lies between them, and a client that
//! takes nothing for a while loses its connection (see
//! [`Limits::write_timeout`](crate::Limits::write_timeout)), so it can come
//! again with `Last-Event-ID`, also to another instance.

use super::{
    Gateway, Refusal, blocking,
    headers::{aggregate_id, text},
    parameters,
};
use crate::{Feed, FollowRequest, Followed, Stop, Update, chunks::Chunks};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use factum_core::{Error, Result};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tracing::debug;

/// The most chunks that wait for a client.
const BUFFERED_CHUNKS: usize = 8;
/// A chunk is sent when it has so many bytes; one update may have more.
const CHUNK_BYTES: usize = 64 * 1024;
/// A stream without updates tells its position so often, and that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Between two looks at whether the client is there.
const LOOK: Duration = Duration::from_millis(200);
/// Between two tries to hand a chunk over.
const FULL: Duration = Duration::from_millis(10);

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StreamQuery {
    after: Option<String>,
}

pub(super) async fn events(
    State(gateway): State<Gateway>,
    Path((context, aggregate, id)): Path<(String, String, String)>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let aggregate_type = gateway.aggregate_type(&context, &aggregate)?;
    let what = Followed::Aggregate { aggregate_type, id: aggregate_id(id)? };
    stream(gateway, FollowRequest { what, from: from(&headers, query)? }).await
}

pub(super) async fn changes(
    State(gateway): State<Gateway>,
    Path(view): Path<String>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Refusal> {
    let what = Followed::View(gateway.view(&view)?);
    stream(gateway, FollowRequest { what, from: from(&headers, query)? }).await
}

/// A browser names what it saw last in the header, and keeps the parameter from before.
fn from(headers: &HeaderMap, query: Result<Query<StreamQuery>, QueryRejection>) -> Result<Option<String>> {
    let after = parameters(query)?.after;
    Ok(text(headers, "last-event-id")?.map(str::to_owned).or(after).filter(|from| !from.is_empty()))
}

async fn stream(gateway: Gateway, request: FollowRequest) -> Result<Response, Refusal> {
    let permit = gateway.streams.take("streams")?;
    let service = gateway.service.clone();
    let feed = blocking(move || service.follow(&request)).await?;
    let (chunks, receiver) = mpsc::channel(BUFFERED_CHUNKS);
    let stop = gateway.stop.clone();
    std::thread::Builder::new()
        .name("stream".to_owned())
        .spawn(move || pump(feed, &chunks, &stop, permit))
        .map_err(|error| Error::unavailable(format!("no thread for a stream: {error}")))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(Chunks(receiver))).into_response())
}

/// Writes what the feed gives until the client is gone, the process ends or the feed fails.
fn pump(mut feed: Box<dyn Feed>, chunks: &mpsc::Sender<Bytes>, stop: &Stop, permit: OwnedSemaphorePermit) {
    let mut said = Instant::now();
    // A client that is cut off before the first update comes back to here.
    let mut text = format!("retry: 1000\nid: {}\n\n", feed.position());
    while offer(chunks, &mut text, stop) {
        match feed.next(LOOK) {
            Ok(updates) if updates.is_empty() => {
                if said.elapsed() >= HEARTBEAT {
                    text = format!(":\nid: {}\n\n", feed.position());
                }
            }
            Ok(updates) => {
                for update in &updates {
                    write(update, &mut text);
                    if text.len() >= CHUNK_BYTES && !offer(chunks, &mut text, stop) {
                        return;
                    }
                }
            }
            Err(error) => {
                debug!(%error, "a stream ends");
                let problem = json!({ "title": "the stream ends", "detail": error.to_string() });
                text = format!("event: problem\ndata: {problem}\n\n");
                offer(chunks, &mut text, stop);
                break;
            }
        }
        if !text.is_empty() {
            said = Instant::now();
        }
    }
    drop(permit);
}

fn write(update: &Update, text: &mut String) {
    if let Some(position) = &update.position {
        *text += &format!("id: {position}\n");
    }
    // JSON has no line break outside of its strings, and there it is escaped.
    *text += &format!("event: {}\ndata: {}\n\n", update.name, update.data);
}

/// Hands the text over, waiting for room; whether the stream goes on.
fn offer(chunks: &mpsc::Sender<Bytes>, text: &mut String, stop: &Stop) -> bool {
    let mut chunk = Bytes::from(std::mem::take(text));
    loop {
        if stop.is_stopped() || chunks.is_closed() {
            return false;
        }
        if chunk.is_empty() {
            return true;
        }
        match chunks.try_send(chunk) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Full(back)) => chunk = back,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
        }
        std::thread::sleep(FULL);
    }
}
