//! The codecs that the state machines are given.

mod aggregate;
mod answer;
mod record;

pub use aggregate::Codec;
pub use answer::AnswerCodec;
pub use record::RecordCodec;
