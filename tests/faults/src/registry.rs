//! The schema registry's process: the API of Confluent's over the registry in the log.

use crate::{options::RegistryArgs, report::say};
use factum::{Error, KafkaConfig, KafkaLog, Result, registry::router, schemas::LogRegistry};
use std::{sync::Arc, time::Duration};

/// Serves until it is killed.
///
/// # Errors
/// `Unavailable` when it cannot listen.
pub(crate) fn run(args: &RegistryArgs) -> Result<()> {
    let failed = |error: std::io::Error| Error::unavailable(format!("nothing is served at {}: {error}", args.listen));
    let log = Arc::new(KafkaLog::new(KafkaConfig::bootstrap(&args.kafka))?);
    let registry = loop {
        match LogRegistry::open(log.clone(), None) {
            Ok(registry) => break registry,
            Err(error) => say(&format!("not yet: {error}")),
        }
        std::thread::sleep(Duration::from_millis(300));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await.map_err(failed)?;
        say(&format!("serving at {}", args.listen));
        axum::serve(listener, router(Arc::new(registry))).await.map_err(failed)
    })
}
