//! The router on a port of its own, and a client that shows status and body.
#![allow(dead_code)] // each test file uses a part

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::IntoResponse,
};
use factum_core::log::Log;
use factum_log_memory::MemoryLog;
use factum_schemas::LogRegistry;
use reqwest::{Method, blocking::Client};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, thread};
use tokio::sync::oneshot;

pub(crate) const ONE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#;
pub(crate) const MORE: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long","default":0}]}"#;
pub(crate) const BREAKING: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long"}]}"#;

/// A served registry; it is away when this is dropped.
pub(crate) struct Site {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    client: Client,
}

/// A log in memory.
pub(crate) fn log() -> Arc<dyn Log> {
    Arc::new(MemoryLog::with_system_clock())
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::over(&log(), "127.0.0.1:0")
    }

    /// Serves the registry of a log at an address.
    pub(crate) fn over(log: &Arc<dyn Log>, address: &str) -> Self {
        let registry = Arc::new(LogRegistry::open(log.clone(), None).unwrap());
        Self::serve(factum_registry::router(registry), address)
    }

    /// One that answers only who has this header `authorization`.
    pub(crate) fn guarded(wanted: &'static str) -> Self {
        let registry = Arc::new(LogRegistry::open(log(), None).unwrap());
        let guard = move |request: Request, next: Next| async move {
            if request.headers().get("authorization").is_some_and(|given| given == wanted) {
                next.run(request).await
            } else {
                (StatusCode::UNAUTHORIZED, "<html>Who are you?</html>").into_response()
            }
        };
        Self::serve(factum_registry::router(registry).layer(middleware::from_fn(guard)), "127.0.0.1:0")
    }

    fn serve(router: Router, address: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
            // Ends with the message, or with the sender.
            runtime.block_on(stopped).ok();
        });
        Site { address, stop: Some(stop), thread: Some(thread), client: Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Posts a body that is too large. The server answers before it has read all of it, and hangs up: whether the
    /// client still sees the answer, or only that, is a matter of time. Nothing else may come by that connection.
    pub(crate) fn refuses_to_read(&self, path: &str, body: &str) {
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        match client.post(format!("{}{path}", self.url())).body(body.to_owned()).send() {
            Ok(response) => assert_eq!(response.status().as_u16(), 413),
            Err(error) => assert!(error.is_request(), "{error:?}"),
        }
    }

    /// Status and body of a call.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url()));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().unwrap();
        assert_eq!(
            response.headers().get("content-type").map(|kind| kind.to_str().unwrap()),
            Some("application/vnd.schemaregistry.v1+json"),
            "{path}"
        );
        let status = response.status().as_u16();
        let text = response.text().unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}")))
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.call("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, schema: &str) -> (u16, Value) {
        self.call("POST", path, Some(json!({ "schema": schema })))
    }

    pub(crate) fn put(&self, path: &str, key: &str, value: &str) -> (u16, Value) {
        self.call("PUT", path, Some(json!({ key: value })))
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        self.call("DELETE", path, None)
    }

    /// The error code of an answer whose status goes with it.
    #[track_caller]
    pub(crate) fn refused(&self, answer: (u16, Value)) -> (u64, String) {
        let (status, body) = answer;
        let code = body["error_code"].as_u64().unwrap_or_else(|| panic!("no error: {body}"));
        assert_eq!(u64::from(status), if code < 1_000 { code } else { code / 100 }, "{body}");
        (code, body["message"].as_str().unwrap().to_owned())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
