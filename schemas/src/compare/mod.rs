//! Two schemas, and what lies between them in words for people.

mod changes;
mod problems;
mod types;

pub use changes::changes;
pub(crate) use problems::problems;
pub(crate) use types::{Names, words};
