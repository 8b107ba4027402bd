//! How much of what comes from outside is taken.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

/// The limits of a server and its routes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes of a request's body; more is answered with 413.
    pub max_body_bytes: usize,
    /// The most bytes of a request's line and headers; more is answered with 431. At least 8192.
    pub max_head_bytes: usize,
    /// The most connections at a time; more of them wait until one is closed.
    pub max_connections: usize,
    /// The most requests that are worked on at a time; more are answered with 503 at once.
    pub max_in_flight: usize,
    /// The most of them for one client, by its address; more are answered with 429 at once.
    pub max_in_flight_per_client: usize,
    /// The most requests of one client, by its address, in a second, where each command of many counts; more
    /// are answered with 429 at once. None for no limit.
    pub requests_per_second_per_client: Option<NonZeroU32>,
    /// The most commands for one aggregate type in a second, where no other limit is given for it; clients
    /// share it fairly, and more are answered with 429 at once. None for no limit.
    pub commands_per_second: Option<NonZeroU32>,
    /// The same for some aggregate types.
    pub commands_per_second_by_type: BTreeMap<String, NonZeroU32>,
    /// So long a time's worth of these rates may come at once.
    pub burst: Duration,
    /// The most streams of live updates at a time; more are answered with 503 at once. Each has a connection.
    pub max_streams: usize,
    /// The most of them for one client, by its address; more are answered with 429 at once.
    pub max_streams_per_client: usize,
    /// A client that takes no byte of an answer for so long is cut off.
    pub write_timeout: Duration,
    /// How long requests under way may take at the end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body_bytes: 4 * 1024 * 1024,
            max_head_bytes: 64 * 1024,
            max_connections: 1_024,
            max_in_flight: 256,
            max_in_flight_per_client: 128,
            requests_per_second_per_client: None,
            commands_per_second: None,
            commands_per_second_by_type: BTreeMap::new(),
            burst: Duration::from_secs(1),
            max_streams: 768,
            max_streams_per_client: 512,
            write_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// The most commands for this aggregate type in a second.
    pub(crate) fn commands_per_second_of(&self, aggregate_type: &str) -> Option<NonZeroU32> {
        self.commands_per_second_by_type.get(aggregate_type).copied().or(self.commands_per_second)
    }
}
