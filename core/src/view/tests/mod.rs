//! The view machine, driven by hand.

mod careful;
mod denied;
mod failures;
mod flow;
mod parking;
mod records;
mod redrive;
mod refold;
mod refused;
mod resets;
mod rig;
mod unknown;
mod upcast;
mod written_once;
