//! Limits on what is worked on at a time: of everybody, and of each client.

use crate::routes::{RETRY_AFTER, Refusal, broken, problem};
use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::Response,
};
use serde_json::json;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

/// Who asks: the other end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Client(pub(crate) IpAddr);

/// So many of something at a time; who comes later is told to try again, and does not wait here.
#[derive(Debug, Clone)]
pub(crate) struct Overload {
    /// What they are, for messages.
    what: &'static str,
    permits: Arc<Semaphore>,
    max: usize,
    shares: Arc<Shares>,
}

/// How many of them each client has.
#[derive(Debug)]
struct Shares {
    max: usize,
    taken: Mutex<HashMap<Client, usize>>,
}

/// One of them, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

#[derive(Debug)]
struct Share {
    shares: Arc<Shares>,
    client: Client,
}

impl Overload {
    pub(crate) fn new(what: &'static str, max: usize, max_per_client: usize) -> Self {
        let shares = Shares { max: max_per_client, taken: Mutex::default() };
        Overload { what, permits: Arc::new(Semaphore::new(max)), max, shares: Arc::new(shares) }
    }

    /// One of them; or, with `Retry-After`, a 429 where the client has its share and a 503 where all are taken.
    pub(crate) fn take(&self, client: Option<Client>) -> Result<Permit, Refusal> {
        let what = self.what;
        let share = client.map(|client| {
            Share::take(&self.shares, client).ok_or_else(|| {
                let max = self.shares.max;
                let detail =
                    format!("{max} {what} of this client are under way, which is its share; wait for one of them");
                later(StatusCode::TOO_MANY_REQUESTS, "too many requests", &detail)
            })
        });
        let share = share.transpose()?;
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{} {what} are under way, which is the limit; try again later", self.max);
            later(StatusCode::SERVICE_UNAVAILABLE, "overloaded", &detail)
        })?;
        Ok(Permit { _permit: permit, _share: share })
    }

    /// Lets a request through while there is room.
    pub(crate) async fn guard(
        State(overload): State<Overload>,
        request: Request,
        next: Next,
    ) -> Result<Response, Refusal> {
        let permit = overload.take(request.extensions().get().copied())?;
        // A task of its own: a client that goes away leaves its work behind, which still takes room.
        let work = async move {
            let response = next.run(request).await;
            drop(permit);
            response
        };
        Ok(tokio::spawn(work.in_current_span()).await.unwrap_or_else(|_| broken()))
    }
}

fn later(status: StatusCode, title: &str, detail: &str) -> Refusal {
    let mut response = problem(status, title, detail, json!({}));
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response.into()
}

impl Shares {
    fn lock(&self) -> MutexGuard<'_, HashMap<Client, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    fn take(shares: &Arc<Shares>, client: Client) -> Option<Self> {
        let mut taken = shares.lock();
        let count = taken.entry(client).or_default();
        if *count >= shares.max {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Share { shares: shares.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        match taken.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;

    #[test]
    fn a_client_with_its_share_is_429_while_others_are_served_and_all_together_are_503() {
        let overload = Overload::new("requests", 3, 2);
        let client = |last| Some(Client(IpAddr::from([10, 0, 0, last])));
        let status = |taken: Result<Permit, Refusal>| taken.map_err(|refusal| refusal.into_response().status());
        let kept = [overload.take(client(1)).unwrap(), overload.take(client(1)).unwrap()];
        assert_eq!(status(overload.take(client(1))).unwrap_err(), StatusCode::TOO_MANY_REQUESTS);
        let other = overload.take(client(2)).unwrap();
        assert_eq!(status(overload.take(client(2))).unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
        drop(kept);
        // What was refused took nothing.
        let again = [overload.take(client(2)).unwrap(), overload.take(client(1)).unwrap()];
        assert_eq!(status(overload.take(client(2))).unwrap_err(), StatusCode::TOO_MANY_REQUESTS);
        drop((other, again));
        assert!(overload.shares.lock().is_empty());
    }
}
