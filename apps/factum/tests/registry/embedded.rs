//! The registry that Factum embeds, on a port.

use factum::{MemoryLog, registry::router, schemas::LogRegistry};
use std::{net::TcpListener, sync::Arc, thread};

/// Serves a registry for the rest of the test's process.
pub(crate) fn embedded() -> String {
    embedded_on(Arc::new(MemoryLog::with_system_clock()))
}

/// The same with what is in a log.
pub(crate) fn embedded_on(log: Arc<MemoryLog>) -> String {
    let registry = LogRegistry::open(log, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/registry", listener.local_addr().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let app = axum::Router::new().nest("/registry", router(Arc::new(registry)));
            axum::serve(listener, app).await.unwrap();
        });
    });
    url
}
