//! Limits on how much comes a second: of each client, and for each aggregate type.
//!
//! [`Buckets`] gives every client a rate of its own; [`FairShare`] parts one
//! rate among those who ask for it. Both are told the time, and know no more
//! clients than are in debt to them, at most [`MAX_CLIENTS`].

mod buckets;
mod fair;

use crate::{
    Limits,
    overload::Client,
    routes::{Refusal, problem},
};
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use buckets::Buckets;
use fair::FairShare;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The most clients that a limit remembers.
const MAX_CLIENTS: usize = 65_536;

/// Why something was not let through.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refused {
    /// It may be after this time.
    Later {
        wait: Duration,
        /// How much the client may have at once.
        share: f64,
    },
    /// It is more than is ever let through at once.
    Never { at_once: f64 },
}

/// The rates of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    clients: Option<Arc<Limited<Buckets<Option<Client>>>>>,
    types: Arc<BTreeMap<String, Limited<FairShare<Option<Client>>>>>,
    begin: Instant,
}

#[derive(Debug)]
struct Limited<T> {
    per_second: f64,
    state: Mutex<T>,
}

impl Rates {
    /// The limits on these aggregate types.
    pub(crate) fn new<'a>(limits: &Limits, types: impl Iterator<Item = &'a str>) -> Self {
        let burst = |per_second: f64| per_second * limits.burst.as_secs_f64();
        let clients = limits.requests_per_second_per_client.map(|per_second| {
            let per_second = f64::from(per_second.get());
            Arc::new(Limited { per_second, state: Mutex::new(Buckets::new(per_second, burst(per_second))) })
        });
        let types = types.filter_map(|name| {
            let per_second = f64::from(limits.commands_per_second_of(name)?.get());
            let state = Mutex::new(FairShare::new(per_second, burst(per_second)));
            Some((name.to_owned(), Limited { per_second, state }))
        });
        Rates { clients, types: Arc::new(types.collect()), begin: Instant::now() }
    }

    /// Counts a request; 429 beyond the client's rate.
    pub(crate) async fn guard(State(rates): State<Self>, request: Request, next: Next) -> Result<Response, Refusal> {
        rates.client(request.extensions().get().copied(), 1)?;
        Ok(next.run(request).await)
    }

    /// Counts commands of one request, which is counted itself; 429 beyond the client's or the aggregate
    /// type's rate, 413 where they are more than either lets through at once.
    pub(crate) fn commands(&self, client: Option<Client>, aggregate_type: &str, count: usize) -> Result<(), Refusal> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.client(client, count.saturating_sub(1))?;
        let Some(limited) = self.types.get(aggregate_type) else { return Ok(()) };
        let taken = limited.take(|fair| fair.take(client, count, self.begin.elapsed()));
        let of = format!("commands a second for {aggregate_type}, of which each client has an equal share");
        taken.map_err(|refused| answer(refused, "aggregate-type", limited.per_second, &of))
    }

    fn client(&self, client: Option<Client>, cost: u32) -> Result<(), Refusal> {
        let Some(limited) = self.clients.as_ref().filter(|_| cost > 0) else { return Ok(()) };
        let taken = limited.take(|buckets| buckets.take(client, cost, self.begin.elapsed()));
        let of = "requests a second of one client, where each of many commands counts";
        taken.map_err(|refused| answer(refused, "client", limited.per_second, of))
    }
}

impl<T> Limited<T> {
    fn take(&self, take: impl FnOnce(&mut T) -> Result<(), Refused>) -> Result<(), Refused> {
        take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The answer names the limit, and says when to come again.
fn answer(refused: Refused, limit: &str, per_second: f64, of: &str) -> Refusal {
    let (status, title, at_once, what) = match refused {
        Refused::Later { share, .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "too many requests", share, "come again after Retry-After")
        }
        Refused::Never { at_once } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too many commands at once", at_once, "send fewer in one request")
        }
    };
    let at_once = at_once.floor();
    let detail = format!("the limit is {per_second} {of}, {at_once} at once for this one; {what}");
    let members = json!({ "limit": limit, "per_second": per_second, "at_once": at_once });
    let mut response = problem(status, title, &detail, members);
    if let Refused::Later { wait, .. } = refused {
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.into()
}

#[cfg(test)]
mod tests {
    /// Numbers that a seed gives (SplitMix64, Steele, Lea and Flood 2014).
    pub(super) struct Draw(u64);

    impl Draw {
        pub(super) fn new(seed: u64) -> Self {
            Draw(seed)
        }

        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        pub(super) fn below(&mut self, end: u64) -> u64 {
            self.next() % end.max(1)
        }

        /// From 0 to 1.
        pub(super) fn part(&mut self) -> f64 {
            (self.next() >> 11) as f64 / (1u64 << 53) as f64
        }
    }
}
