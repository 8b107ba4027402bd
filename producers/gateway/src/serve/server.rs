//! One listener, its connections, and their end.

use super::{guard, paced::Paced, problem};
use crate::{Limits, Stop, overload::Client};
use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, middleware};
use factum_core::{Error, Result};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::{sync::Semaphore, time};
use tower_http::{limit::RequestBodyLimitLayer, timeout::TimeoutLayer};
use tracing::{debug, warn};

/// How long a client may take for a request's head, and be silent between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer's head may take; then it is 503.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// hyper takes no smaller limit.
const MIN_HEAD_BYTES: usize = 8 * 1024;
/// Between looks at the stop.
const LOOK: Duration = Duration::from_millis(25);
/// After an accept that failed for want of something that others hold.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A router that is served on a thread of its own.
///
/// It ends by its [`Stop`]: no connection is taken any more, and requests under
/// way have [`Limits::drain`]. Dropping it leaves it running until then.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Listens on `listen` (port 0 takes a free one) and serves `router` until `stop`, with the default limits.
    ///
    /// # Errors
    /// Those of [`Server::start_with`].
    pub fn start(listen: SocketAddr, router: Router, stop: &Stop) -> Result<Self> {
        Self::start_with(listen, router, Limits::default(), stop)
    }

    /// The same with other limits.
    ///
    /// # Errors
    /// `Invalid` when the address is in use or not this machine's; `Unavailable` when there is no thread.
    pub fn start_with(listen: SocketAddr, router: Router, limits: Limits, stop: &Stop) -> Result<Self> {
        let listener = TcpListener::bind(listen).map_err(|error| refused(listen, &error))?;
        let failed = |error: std::io::Error| Error::unavailable(format!("{listen} cannot be served: {error}"));
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let router = limited(router, &limits, address);
        let stop = stop.clone();
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            // What it holds may block when it goes (a database's connections do), which it must not within the runtime.
            let last = router.clone();
            runtime.block_on(async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => accept(listener, router, &limits, &stop).await,
                    Err(error) => warn!(%error, %address, "HTTP is not served"),
                }
            });
            drop(runtime);
            drop(last);
        });
        Ok(Server { address, thread: thread.map_err(failed)? })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until its stop has ended it.
    ///
    /// # Errors
    /// `Invalid` when its thread panicked.
    pub fn join(self) -> Result<()> {
        self.thread.join().map_err(|_| Error::invalid("the HTTP server panicked; its message is above"))
    }
}

fn refused(listen: SocketAddr, error: &std::io::Error) -> Error {
    Error::invalid(match error.kind() {
        ErrorKind::AddrInUse => format!("{listen} is in use; choose another with --http"),
        ErrorKind::AddrNotAvailable => format!("{listen} is no address of this machine; choose another with --http"),
        ErrorKind::PermissionDenied => format!("{listen} is not permitted; choose a port above 1023 with --http"),
        _ => format!("cannot listen on {listen}: {error}; choose another with --http"),
    })
}

/// Puts the limits around a router.
fn limited(router: Router, limits: &Limits, address: SocketAddr) -> Router {
    let router = router
        // Instead of the limit that axum's extractors have of themselves.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(limits.max_body_bytes))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_TIMEOUT));
    let local = address.ip().is_loopback();
    let router = if local { router.layer(middleware::from_fn(guard::only_local)) } else { router };
    router.layer(middleware::from_fn_with_state(limits.max_body_bytes, problem::as_problem))
}

async fn accept(listener: tokio::net::TcpListener, router: Router, limits: &Limits, stop: &Stop) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        let accepted = async {
            // The semaphore is never closed, so this fails never.
            let permit = permits.clone().acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = stopped(stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "a connection was not accepted");
                time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Client(peer.ip()));
            service.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(limits.max_head_bytes.max(MIN_HEAD_BYTES))
            .serve_connection(TokioIo::new(Paced::new(stream, limits.write_timeout)), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        debug!("requests were still under way at the end");
    }
}

async fn stopped(stop: &Stop) {
    while !stop.is_stopped() {
        time::sleep(LOOK).await;
    }
}
