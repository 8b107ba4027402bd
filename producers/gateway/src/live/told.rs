//! Updates as server-sent events.

use crate::token::opaque;
use axum::body::Bytes;
use serde_json::{Value, json};

/// One update.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What it is: `event` or `change`.
    pub name: &'static str,
    /// What is new.
    pub data: Value,
    /// From where a stream goes on behind it; none where others follow from the same records.
    pub position: Option<String>,
}

/// What is told to a stream: text that is made once, however many streams get it. Positions are given as they
/// are and told in their opaque form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told(pub(super) Bytes);

impl Told {
    /// The first words: from here a client goes on that is cut off before the first update.
    pub fn begin(position: &str) -> Self {
        Told(format!("retry: 1000\nid: {}\n\n", opaque(position)).into())
    }

    /// That the stream lives, and how far it is.
    pub fn alive(position: &str) -> Self {
        Told(format!(":\nid: {}\n\n", opaque(position)).into())
    }

    /// Updates, in their order.
    pub fn updates(updates: &[Update]) -> Self {
        let mut text = String::new();
        for Update { name, data, position } in updates {
            if let Some(position) = position {
                text += &format!("id: {}\n", opaque(position));
            }
            // JSON has no line break outside of its strings, and there it is escaped.
            text += &format!("event: {name}\ndata: {data}\n\n");
        }
        Told(text.into())
    }

    /// How long it is.
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }

    /// Why nothing follows.
    pub(super) fn end(why: &str) -> Self {
        let problem = json!({ "title": "the stream ends", "detail": why });
        Told(format!("event: problem\ndata: {problem}\n\n").into())
    }
}
