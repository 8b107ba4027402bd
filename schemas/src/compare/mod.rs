//! Two schemas, and what lies between them in words for people.

mod changes;
mod problems;
mod rollout;
mod types;

pub use changes::changes;
pub(crate) use problems::problems;
pub use rollout::Rollout;
pub(crate) use types::{Base, Names, base, words};
