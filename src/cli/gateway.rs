//! `run gateway`: HTTP for commands, states, histories and views on Kafka.

use super::{connect::LogArgs, limits::LimitArgs, output, stop_on_signal};
use crate::{
    App,
    host::Stop,
    observe::{self, Board},
    service::{self, LocalService},
};
use clap::{Args, value_parser};
use factum_core::Result;
use factum_gateway::Server;
use factum_views::Database;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// Serve commands, states, histories and views over HTTP.
///
/// It holds nothing: any number of them serve the same log and the same views, which `run handler`
/// and `run view` keep. It only reads the views' database: a role that may SELECT there is enough.
/// /openapi.json lists everything, and /docs shows it; /metrics, /healthz and /readyz tell of the
/// process. It has no TLS and no logins: put a proxy before it that has.
///
/// On a loopback address it answers only requests that name this machine.
///
/// Examples:
///   factum run gateway --kafka localhost:9092
///   factum run gateway --http 0.0.0.0:8710 --views postgres://factum@db/bank --kafka kafka:9092
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct GatewayArgs {
    /// Where to serve; port 0 takes a free one.
    #[arg(long, env = "FACTUM_HTTP", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8710")]
    http: SocketAddr,
    /// Where the views' tables are: a SQLite file or postgres://USER@HOST/DATABASE. The password may be in the
    /// environment as PGPASSWORD; ?sslmode=verify-full&sslrootcert=FILE encrypts.
    #[arg(long, env = "FACTUM_VIEWS", value_name = "FILE|URL", default_value = "factum-views.sqlite")]
    views: Database,
    #[command(flatten)]
    limits: LimitArgs,
    /// Seconds that requests under way have at the end.
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = value_parser!(u64).range(0..=600), help_heading = "Limits")]
    drain: u64,
    #[command(flatten)]
    log: LogArgs,
}

/// Between two looks at the signal.
const LOOK: Duration = Duration::from_millis(50);

pub(super) fn gateway(app: &Arc<App>, args: &GatewayArgs) -> Result<()> {
    let stop = stop_on_signal()?;
    let environment = args.log.cluster("run gateway")?;
    let board = Board::without_processors(&environment, &stop);
    let limits = args.limits.limits(Duration::from_secs(args.drain))?;
    let service = Arc::new(LocalService::new(app.clone(), environment, args.views.clone()).reading_only());
    let catalog = service::catalog(app)?;
    let serving = Stop::default();
    let router = service::router(service, catalog, &limits, &serving).merge(observe::router(board));
    let server = Server::start_with(args.http, router, limits, &serving)?;
    output::note(&format!("serving at http://{}", server.address()));
    output::note("ready; Ctrl-C ends");
    while !stop.is_stopped() {
        std::thread::sleep(LOOK);
    }
    output::note(&format!("ending: requests under way have {} s", args.drain));
    serving.stop();
    server.join()
}
