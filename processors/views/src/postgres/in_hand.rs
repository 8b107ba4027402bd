//! What was begun, in PostgreSQL.

use super::{PostgresSink, connection::Parameter, value::number};
use crate::InHandMarks;
use factum_core::{Offset, Result, TopicPartition, view::InHand};
use std::collections::HashSet;

/// By partition topic, partition, epoch, position and tries; answers with what was written. The
/// progress rows are held, so that whoever was claimed from meanwhile writes nothing.
const MARK: &str = "INSERT INTO factum_in_hand AS h (view, topic, partition, position, tries) \
    SELECT p.view, p.topic, p.partition, m.position, m.tries FROM factum_progress p \
        JOIN unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[]) \
            AS m(topic, partition, epoch, position, tries) \
        ON p.topic = m.topic AND p.partition = m.partition AND p.epoch = m.epoch \
    WHERE p.view = $1 FOR SHARE OF p \
    ON CONFLICT (view, topic, partition) DO UPDATE SET position = excluded.position, tries = excluded.tries \
    RETURNING h.topic, h.partition";

const TRIES: &str =
    "SELECT tries FROM factum_in_hand WHERE view = $1 AND topic = $2 AND partition = $3 AND position = $4";

impl InHandMarks for PostgresSink {
    fn mark(&mut self, marks: &[InHand]) -> Result<Vec<TopicPartition>> {
        let (view, doing) = (self.table.name(), format!("mark what view {} begins", self.table.view()));
        let topics: Vec<&str> = marks.iter().map(|mark| mark.place.topic.as_str()).collect();
        let partitions: Vec<i32> =
            marks.iter().map(|mark| number(mark.place.partition.0, "partition")).collect::<Result<_>>()?;
        let epochs: Vec<i64> = marks.iter().map(|mark| number(mark.epoch, "epoch")).collect::<Result<_>>()?;
        let positions: Vec<i64> = marks.iter().map(|mark| mark.position.0).collect();
        let tries: Vec<i64> = marks.iter().map(|mark| i64::from(mark.tries)).collect();
        let parameters: [Parameter<'_>; 6] = [&view, &topics, &partitions, &epochs, &positions, &tries];
        let written = self.connection.query(&doing, MARK, &parameters)?;
        let written: HashSet<(String, i32)> = written.iter().map(|row| (row.get(0), row.get(1))).collect();
        let keys = topics.iter().map(|topic| (*topic).to_owned()).zip(partitions);
        let lost = keys.zip(marks).filter(|(key, _)| !written.contains(key));
        Ok(lost.map(|(_, mark)| mark.place.clone()).collect())
    }
}

impl PostgresSink {
    /// How often records from this position on were begun.
    pub(super) fn tries(&mut self, place: &TopicPartition, position: Offset) -> Result<u32> {
        let doing = format!("read what view {} began", self.table.view());
        let partition: i32 = number(place.partition.0, "partition")?;
        let parameters: [Parameter<'_>; 4] = [&self.table.name(), &place.topic.as_str(), &partition, &position.0];
        let rows = self.connection.query(&doing, TRIES, &parameters)?;
        rows.first().map_or(Ok(0), |row| number(row.get::<_, i64>(0), "tries"))
    }
}
