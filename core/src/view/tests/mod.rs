//! The view machine, driven by hand.

mod failures;
mod flow;
mod resets;
mod rig;
