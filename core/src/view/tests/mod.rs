//! The view machine, driven by hand.

mod failures;
mod flow;
mod parking;
mod redrive;
mod refold;
mod resets;
mod rig;
mod written_once;
