//! The command handler's machine, driven through its public interface over a
//! small model of the log.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

#[path = "handler/domain.rs"]
mod domain;
#[path = "handler/model.rs"]
mod model;
#[path = "handler/rig.rs"]
mod rig;

#[path = "handler/careful.rs"]
mod careful;
#[path = "handler/commands.rs"]
mod commands;
#[path = "handler/failures.rs"]
mod failures;
#[path = "handler/fence.rs"]
mod fence;
#[path = "handler/foreign.rs"]
mod foreign;
#[path = "handler/protections.rs"]
mod protections;
#[path = "handler/recovery.rs"]
mod recovery;
#[path = "handler/snapshots.rs"]
mod snapshots;
#[path = "handler/stops.rs"]
mod stops;
