//! The command handler's machine, driven through its public interface over a
//! small model of the log.

#[path = "handler/domain.rs"]
mod domain;
#[path = "handler/rig.rs"]
mod rig;

#[path = "handler/commands.rs"]
mod commands;
#[path = "handler/failures.rs"]
mod failures;
#[path = "handler/fence.rs"]
mod fence;
#[path = "handler/protections.rs"]
mod protections;
#[path = "handler/recovery.rs"]
mod recovery;
#[path = "handler/snapshots.rs"]
mod snapshots;
