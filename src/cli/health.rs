//! `health`: whether a process is ready.

use super::output;
use clap::Args;
use factum_core::{Error, Result};
use reqwest::blocking::Client;
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// The longest that an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Ask a process whether it is ready; the exit code tells.
///
/// For the health checks of containers, whose image has neither a shell nor another client. An answer
/// is waited for 5 seconds.
///
/// Examples:
///   factum health --http 127.0.0.1:8710
///   factum health --live
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct HealthArgs {
    /// Where it serves; 0.0.0.0, which is every address, is asked at 127.0.0.1.
    #[arg(long, env = "FACTUM_HTTP", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8710")]
    http: SocketAddr,
    /// Ask whether its loops turn (/healthz) and not whether it is ready (/readyz).
    #[arg(long)]
    live: bool,
}

pub(super) fn health(args: &HealthArgs) -> Result<()> {
    let (path, state) = if args.live { ("healthz", "alive") } else { ("readyz", "ready") };
    let url = format!("http://{}/{path}", reachable(args.http));
    let failed = |error: reqwest::Error| Error::unavailable(format!("{url}: {}", error.without_url()));
    let answer = Client::builder().timeout(TIMEOUT).no_proxy().build().and_then(|client| client.get(&url).send());
    let answer = answer.map_err(failed)?;
    let status = answer.status();
    if status.is_success() {
        output::line(state);
        let told = answer.json().unwrap_or_default();
        for partition in partitions(&told) {
            if let (Some(topic), Some(why)) = (partition["topic"].as_str(), partition["reason"].as_str()) {
                output::note(&format!("{topic}/{}: {why}", partition["partition"]));
            }
        }
        let parked: u64 = partitions(&told).filter_map(|partition| partition["parked_aggregates"].as_u64()).sum();
        if parked > 0 {
            output::note(&format!("{parked} aggregates of its views are parked: `factum parked list VIEW` says why"));
        }
        return Ok(());
    }
    let told: Value = answer.json().unwrap_or_default();
    let why = told["reason"].as_str().map_or_else(|| format!("status {}", status.as_u16()), str::to_owned);
    Err(Error::unavailable(format!("not {state}: {why}")))
}

/// The partitions of all members.
fn partitions(told: &Value) -> impl Iterator<Item = &Value> {
    let members = told["members"].as_array().into_iter().flatten();
    members.flat_map(|member| member["partitions"].as_array().into_iter().flatten())
}

/// An address that means every address is this machine's too.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}
