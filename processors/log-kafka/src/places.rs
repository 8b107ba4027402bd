//! Partitions and offsets as librdkafka takes them.

use factum_core::{CommitOffset, Error, Partition, Result, Topic, TopicPartition};
use rdkafka::{Offset, TopicPartitionList};

/// The number of a partition as Kafka has it.
pub(crate) fn number(place: &TopicPartition) -> Result<i32> {
    i32::try_from(place.partition.0)
        .map_err(|_| Error::invalid(format!("{place} is no partition: the number is too large")))
}

/// A place from librdkafka's name and number.
pub(crate) fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: Topic::from(topic), partition: Partition(u32::try_from(partition).unwrap_or(u32::MAX)) }
}

/// A list of places, all with the same offset.
pub(crate) fn list<'a>(
    places: impl IntoIterator<Item = &'a TopicPartition>,
    offset: Offset,
) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for place in places {
        add(&mut list, place, offset)?;
    }
    Ok(list)
}

/// A list of offsets to commit.
pub(crate) fn commit_list(offsets: &[CommitOffset]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for commit in offsets {
        add(&mut list, &commit.place, Offset::Offset(commit.offset.0))?;
        if !commit.metadata.is_empty() {
            let number = number(&commit.place)?;
            if let Some(mut entry) = list.find_partition(commit.place.topic.as_str(), number) {
                entry.set_metadata(&commit.metadata);
            }
        }
    }
    Ok(list)
}

fn add(list: &mut TopicPartitionList, place: &TopicPartition, offset: Offset) -> Result<()> {
    let topic = place.topic.as_str();
    // rdkafka panics on a NUL.
    if topic.is_empty() || topic.contains('\0') {
        return Err(Error::invalid(format!("{topic:?} is not the name of a topic")));
    }
    list.add_partition_offset(topic, number(place)?, offset)
        .map_err(|_| Error::invalid(format!("{place}: {offset:?} is not an offset")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_an_offset_that_the_library_would_not_take_is_refused() {
        let bad_name = place("a\0b", 0);
        assert!(list([&bad_name], Offset::End).is_err());
        let commit = CommitOffset { place: place("a", 0), offset: factum_core::Offset(-1), metadata: String::new() };
        assert!(commit_list(&[commit]).is_err());
    }

    #[test]
    fn metadata_is_kept_with_its_offset() {
        let commit = |partition, metadata: &str| CommitOffset {
            place: place("a", partition),
            offset: factum_core::Offset(7),
            metadata: metadata.to_owned(),
        };
        let list = commit_list(&[commit(0, ""), commit(1, "mark")]).unwrap();
        let read = crate::sys::entries(&list).unwrap();
        assert_eq!(
            read.iter().map(|e| (e.partition, e.offset, e.metadata.as_str())).collect::<Vec<_>>(),
            [(0, 7, ""), (1, 7, "mark")]
        );
    }
}
