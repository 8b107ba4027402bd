//! Where a stream is.

use factum_core::{
    Error, Offset, Result, TopicId, TopicPartition,
    log::{Admin, Isolation},
    wire::Token,
};
use std::{collections::BTreeMap, fmt};

/// The next record of each partition that a stream reads. As text it is what a client comes back with: of each
/// partition the last offset that is behind it, or `@-1` before the first record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Positions(pub(super) BTreeMap<TopicPartition, Place>);

/// A position in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic_id: TopicId,
    pub(super) next: Offset,
}

impl Positions {
    /// The next record of a partition, where it is one of these.
    pub(super) fn next(&self, place: &TopicPartition) -> Option<Offset> {
        self.0.get(place).map(|at| at.next)
    }

    /// Whether these are at or behind the others on each partition that these have.
    pub(super) fn reach(&self, others: &Positions) -> bool {
        self.0.iter().all(|(place, at)| others.next(place).is_none_or(|other| at.next >= other))
    }

    /// Goes on to the others, where these have the partition; never back.
    pub(super) fn go_on(&mut self, others: &Positions) {
        for (place, at) in &mut self.0 {
            at.next = at.next.max(others.next(place).unwrap_or(at.next));
        }
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (place, at)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{place}@{}#{}", at.next.0 - 1, at.topic_id)?;
        }
        Ok(())
    }
}

/// The positions of these partitions: behind those that the text names, and of the others the end as it is now.
///
/// # Errors
/// `Invalid` for a text that names none, or others, or what the log has not.
pub(super) fn begin(
    admin: &mut dyn Admin,
    partitions: impl IntoIterator<Item = (TopicPartition, TopicId)>,
    from: Option<&str>,
) -> Result<Positions> {
    let mut named = parse(from.unwrap_or_default())?;
    let mut found = BTreeMap::new();
    for (place, topic_id) in partitions {
        let next = start(admin, &place, topic_id, named.remove(&place))?;
        found.insert(place, Place { topic_id, next });
    }
    match named.keys().next() {
        Some(place) => Err(Error::invalid(format!(
            "the position names {place}, which is not followed here; there are {}",
            found.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))),
        None => Ok(Positions(found)),
    }
}

/// The positions of a text: each is a token, or `@-1` before the first record.
fn parse(text: &str) -> Result<BTreeMap<TopicPartition, (Offset, Option<TopicId>)>> {
    let mut positions = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let is_first = part.contains("@-1");
        let token: Token = part.replacen("@-1", "@0", 1).parse()?;
        let next = if is_first { Offset(0) } else { Offset(token.offset.0.saturating_add(1)) };
        positions.insert(token.place, (next, token.topic_id));
    }
    Ok(positions)
}

/// The first record to read of a partition.
fn start(
    admin: &mut dyn Admin,
    place: &TopicPartition,
    topic_id: TopicId,
    from: Option<(Offset, Option<TopicId>)>,
) -> Result<Offset> {
    let bounds = admin.bounds(place, Isolation::ReadCommitted)?;
    let Some((next, id)) = from else { return Ok(bounds.end) };
    if let Some(id) = id.filter(|id| *id != topic_id) {
        return Err(Error::invalid(format!(
            "the position is of another topic {}: its id is {id}, the topic's is {topic_id}; begin without a position",
            place.topic
        )));
    }
    // What was told just now may be beyond the end that this broker knows.
    let end = admin.bounds(place, Isolation::ReadUncommitted)?.end;
    if next < bounds.start || next > end {
        return Err(Error::invalid(format!(
            "{place} has no record before {next}: it has offsets from {} to {end}; begin without a position",
            bounds.start
        )));
    }
    Ok(next)
}
