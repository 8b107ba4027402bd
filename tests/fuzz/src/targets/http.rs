//! Requests in an input, and how a router gets them without a socket.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// A router with what it needs to run.
pub(super) struct Routed {
    runtime: Runtime,
    router: TowerToHyperService<Router>,
}

impl Routed {
    pub(super) fn new(router: Router) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        Routed { runtime: runtime.expect("a runtime of one thread"), router: TowerToHyperService::new(router) }
    }

    /// What a request is answered with.
    ///
    /// # Errors
    /// The answer has no end, or says that the server is at fault.
    pub(super) fn answer(&self, request: Request<Body>) -> Result<(StatusCode, Vec<u8>), String> {
        self.runtime.block_on(async {
            let answer = self.router.call(request).await.unwrap_or_else(|never| match never {});
            let status = answer.status();
            let body = to_bytes(answer.into_body(), MAX_ANSWER_BYTES).await.map_err(|error| error.to_string())?;
            if status == StatusCode::INTERNAL_SERVER_ERROR {
                return Err(format!("500: {}", String::from_utf8_lossy(&body)));
            }
            Ok((status, body.into()))
        })
    }
}

/// A request of an input: `METHOD path`, headers in a line each, an empty line,
/// the body. None for what no HTTP server would let through.
pub(super) fn request(input: &[u8]) -> Option<Request<Body>> {
    let end = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let body = input.get(end + 2..).unwrap_or_default();
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut builder = Request::builder().method(&first[..space]).uri(&first[space + 1..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].strip_prefix(b" ").unwrap_or(&line[colon + 1..]);
        builder = builder.header(&line[..colon], value);
    }
    builder.body(Body::from(body.to_vec())).ok()
}
