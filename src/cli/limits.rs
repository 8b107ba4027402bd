//! How much of what comes over HTTP is taken: for every verb that serves.

use clap::{Args, value_parser};
use factum_core::{Error, Result};
use factum_gateway::Limits;
use std::{num::NonZeroU32, str::FromStr, time::Duration};

#[derive(Debug, Clone, Args)]
pub(super) struct LimitArgs {
    /// The most KiB of a request's body; more is 413.
    #[arg(long, default_value_t = 4096, value_name = "KIB", value_parser = value_parser!(u32).range(1..=65_536), help_heading = "Limits")]
    max_body_kib: u32,
    /// The most KiB of a request's line and headers; more is 431.
    #[arg(long, default_value_t = 64, value_name = "KIB", value_parser = value_parser!(u16).range(8..=1_024), help_heading = "Limits")]
    max_head_kib: u16,
    /// The most connections at a time; more of them wait. Each takes a file descriptor (`ulimit -n`).
    #[arg(long, default_value_t = 1_024, value_name = "N", value_parser = value_parser!(u32).range(1..=65_536), help_heading = "Limits")]
    max_connections: u32,
    /// The most requests that are worked on at a time; more are 503 with Retry-After.
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = value_parser!(u16).range(1..=512), help_heading = "Limits")]
    max_in_flight: u16,
    /// The most of them for one client, by its address; more are 429 with Retry-After. Behind a proxy all
    /// clients are one: give as many as --max-in-flight.
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = value_parser!(u16).range(1..=512), help_heading = "Limits")]
    max_in_flight_per_client: u16,
    /// The most requests of one client, by its address, in a second; more are 429 with Retry-After. Each of many
    /// commands in one request counts. Without it there is no limit. Behind a proxy all clients are one.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    requests_per_second_per_client: Option<NonZeroU32>,
    /// The most commands in a second for each aggregate type, or for one: bank.account=500; more are 429 with
    /// Retry-After. Clients share it fairly: one that sends too much takes nothing from the others. May be
    /// repeated. Without it there is no limit. It counts what comes by this process.
    #[arg(long, value_name = "N|TYPE=N", help_heading = "Limits")]
    commands_per_second: Vec<CommandRate>,
    /// So many seconds' worth of these two rates may come at once after a pause.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=3_600), help_heading = "Limits")]
    burst: u64,
    /// The most streams of live updates at a time; more are 503 with Retry-After. Each has a connection.
    #[arg(long, default_value_t = 768, value_name = "N", value_parser = value_parser!(u32).range(0..=65_536), help_heading = "Limits")]
    max_streams: u32,
    /// The most of them for one client, by its address; more are 429 with Retry-After.
    #[arg(long, default_value_t = 512, value_name = "N", value_parser = value_parser!(u32).range(0..=65_536), help_heading = "Limits")]
    max_streams_per_client: u32,
    /// Seconds after which a client that takes nothing of its answer is cut off.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=600), help_heading = "Limits")]
    write_timeout: u64,
}

/// A rate for one aggregate type, or for those without one of their own.
#[derive(Debug, Clone)]
struct CommandRate {
    aggregate_type: Option<String>,
    per_second: NonZeroU32,
}

impl FromStr for CommandRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (aggregate_type, number) = match text.split_once('=') {
            Some((aggregate_type, number)) => (Some(aggregate_type.to_owned()), number),
            None => (None, text),
        };
        let per_second = number.parse().map_err(|_| {
            format!("{number:?} is no number of commands a second from 1 on; write 500 or bank.account=500")
        })?;
        Ok(CommandRate { aggregate_type, per_second })
    }
}

impl LimitArgs {
    /// The limits, with so long for requests under way at the end.
    pub(super) fn limits(&self, drain: Duration) -> Result<Limits> {
        let size = |number: u32| {
            usize::try_from(number).map_err(|_| Error::invalid(format!("a limit of {number} is too large here")))
        };
        Ok(Limits {
            max_body_bytes: size(self.max_body_kib)? * 1024,
            max_head_bytes: usize::from(self.max_head_kib) * 1024,
            max_connections: size(self.max_connections)?,
            max_in_flight: usize::from(self.max_in_flight),
            max_in_flight_per_client: usize::from(self.max_in_flight_per_client),
            requests_per_second_per_client: self.requests_per_second_per_client,
            commands_per_second: self.commands_per_second.iter().rev().find_map(|rate| match rate.aggregate_type {
                Some(_) => None,
                None => Some(rate.per_second),
            }),
            commands_per_second_by_type: self
                .commands_per_second
                .iter()
                .filter_map(|rate| Some((rate.aggregate_type.clone()?, rate.per_second)))
                .collect(),
            burst: Duration::from_secs(self.burst),
            max_streams: size(self.max_streams)?,
            max_streams_per_client: size(self.max_streams_per_client)?,
            write_timeout: Duration::from_secs(self.write_timeout),
            drain,
        })
    }
}
