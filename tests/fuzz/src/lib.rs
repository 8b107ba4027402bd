//! Bad bytes: inputs that are nearly right, millions of them, at everything
//! that reads bytes from outside.
//!
//! What it is: a [`Target`] reads an input with production code and checks what
//! must hold of it; [`input`] makes the input of a seed, from a valid encoding
//! and some changes; [`Guarded`] runs one and notices a panic, too much memory
//! or too much time; [`Pool`] has child processes do that on all cores, so that
//! an abort is found, too, and names the input.
//!
//! What it is not: guided by coverage. It needs no nightly compiler and no
//! instrumented build, and gets its depth from beginning with valid bytes.
//!
//! Invariant: a target and a seed are the same input for ever, on every machine,
//! as long as the target's examples are the same.
//!
//! ```
//! use factum_fuzz::{Target, input, targets};
//!
//! let mut target = targets::named("tokens").expect("there is such a target");
//! let bytes = input(&*target, 42);
//! assert_eq!(bytes, input(&*target, 42));
//! target.run(&bytes).expect("a token is read or refused");
//! ```

pub mod corpus;
mod draw;
mod guard;
pub mod hex;
mod mutate;
mod pool;
mod target;
pub mod targets;
mod worker;

pub use draw::Draw;
pub use guard::{Guarded, MAX_MEMORY_BYTES, MAX_TIME, MEMORY_FACTOR};
pub use mutate::{MAX_INPUT_BYTES, input};
pub use pool::{Amount, Finding, Pool, Tally};
pub use target::Target;
pub use worker::work;
