//! A schema registry for the serializers of other languages: the API of
//! Confluent's, served over the registry in the log.
//!
//! What it is not: it holds no rules. Those are in [`factum_schemas::rules`],
//! the same for the processes that use the log directly. It serves Avro alone,
//! without references between subjects, and has neither users nor TLS of its
//! own: it listens where its owner lets it.
//!
//! Invariant: what the API answers was read from the log after the request
//! came (a schema's id never changes, so it may come from memory); what it
//! confirms is in the log.
//!
//! ```
//! use factum_log_memory::MemoryLog;
//! use factum_schemas::{Access, LogRegistry, RegistryClient};
//! use std::sync::Arc;
//!
//! let registry = LogRegistry::open(Arc::new(MemoryLog::with_system_clock()), None)?;
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let url = format!("http://{}", listener.local_addr()?);
//! listener.set_nonblocking(true)?;
//! std::thread::spawn(move || {
//!     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//!     runtime.block_on(async {
//!         let listener = tokio::net::TcpListener::from_std(listener).unwrap();
//!         axum::serve(listener, factum_registry::router(Arc::new(registry))).await
//!     })
//! });
//! let client = RegistryClient::new(&url, &Access::default())?;
//! assert_eq!(client.register("numbers", "\"long\"")?, 1);
//! assert_eq!(client.subjects()?, ["numbers"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod server;

pub use server::router;
