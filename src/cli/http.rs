//! The HTTP server of a processor.

use super::output;
use crate::{
    environment::Environment,
    host::Stop,
    observe::{self, Board},
};
use clap::Args;
use factum_core::Result;
use factum_gateway::Server;
use std::net::SocketAddr;

#[derive(Debug, Clone, Args)]
pub(super) struct HttpArgs {
    /// Serve /metrics, /healthz and /readyz at this address.
    #[arg(long, env = "FACTUM_HTTP", value_name = "ADDRESS:PORT", help_heading = "HTTP")]
    http: Option<SocketAddr>,
    /// How many records a partition may be behind for /readyz to say 200.
    #[arg(long, default_value_t = Board::READY_LAG, value_name = "N", help_heading = "HTTP")]
    ready_lag: u64,
}

/// A server that tells about the process, if one was asked for.
#[derive(Debug)]
pub(super) struct Observed {
    serving: Option<(Board, Server, Stop)>,
}

impl HttpArgs {
    /// Starts the server. `stop` is the processors': from then on the process is not ready.
    pub(super) fn serve(&self, environment: &Environment, stop: &Stop) -> Result<Observed> {
        let Some(listen) = self.http else { return Ok(Observed { serving: None }) };
        let board = Board::start(environment, stop, self.ready_lag)?;
        // It ends after the processors: until then it tells that they are stopping.
        let end = Stop::default();
        let server = Server::start(listen, observe::router(board.clone()), &end)?;
        output::note(&format!("serving http://{}/metrics, /healthz and /readyz", server.address()));
        Ok(Observed { serving: Some((board, server, end)) })
    }
}

impl Observed {
    /// Where processors are added; none when nobody asked for a server.
    pub(super) fn board(&self) -> Option<&Board> {
        self.serving.as_ref().map(|(board, ..)| board)
    }

    /// Ends the server.
    pub(super) fn end(self) -> Result<()> {
        match self.serving {
            Some((_, server, end)) => {
                end.stop();
                server.join()
            }
            None => Ok(()),
        }
    }
}
