//! An account in two releases of one program.
//!
//! What it is: a domain whose second release has renamed a field of an event
//! twice, split an event into two, changed a unit and dropped an event, for
//! tests that read with the second what the first wrote. The binary is the
//! release that the variable `RELEASE` names.

pub mod first;
pub mod second;
