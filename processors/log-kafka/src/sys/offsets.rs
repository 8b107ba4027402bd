//! Admin requests about offsets and records.

use super::{Event, Requests, c_string, failure, failure_of, requests::elements, text_of};
use crate::errors::Failure;
use factum_core::log::Isolation;
use rdkafka::{Offset, TopicPartitionList, error::RDKafkaErrorCode};
use rdkafka_sys as rd;
use rdkafka_sys::rd_kafka_admin_op_t as Op;
use std::slice;

/// A committed offset of a group.
#[derive(Debug)]
pub(crate) struct GroupOffset {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: String,
}

/// Which offset of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OffsetQuery {
    Start,
    End,
    AtTime(i64),
}

/// The offset of a time that no record is as late as.
const NO_RECORD: i64 = -1;

impl Requests<'_> {
    /// An offset of a partition, asked from its leader; -1 if no record is that late.
    pub(crate) fn offset(
        &mut self,
        topic: &str,
        partition: i32,
        query: OffsetQuery,
        isolation: Isolation,
    ) -> Result<i64, Failure> {
        let asked = match query {
            OffsetQuery::Start => rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64,
            OffsetQuery::End => rd::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64,
            // A negative time would be read as one of the two above.
            OffsetQuery::AtTime(time) => time.max(0),
        };
        let list = one(topic, partition, asked)?;
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_LISTOFFSETS, false, Some(isolation), |client, options, queue| {
            // SAFETY: all are alive during the call, which copies the list.
            unsafe { rd::rd_kafka_ListOffsets(client, list.ptr(), options, queue) }
        })?;
        let mut count = 0;
        // SAFETY: the event is a result of this request and owns everything that is read here.
        unsafe {
            let infos = rd::rd_kafka_ListOffsets_result_infos(event.0, &mut count);
            let Some(&info) = elements(infos, count).first() else {
                return Err(failure(RDKafkaErrorCode::UnknownPartition, "the answer is empty"));
            };
            let answer = &*rd::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
            match answer.err.into() {
                // What librdkafka fills in when the leader went away before it answered.
                RDKafkaErrorCode::NoError if answer.offset < NO_RECORD => {
                    Err(failure(RDKafkaErrorCode::LeaderNotAvailable, "the leader gave no offset"))
                }
                RDKafkaErrorCode::NoError => Ok(answer.offset),
                code => Err(failure(code, "")),
            }
        }
    }

    pub(crate) fn delete_records(&mut self, topic: &str, partition: i32, before: i64) -> Result<(), Failure> {
        let list = one(topic, partition, before)?;
        let event = self.ask(Op::RD_KAFKA_ADMIN_OP_DELETERECORDS, true, None, |client, options, queue| {
            // SAFETY: all are alive during the call, which copies what it needs; the object copies
            // the list and is destroyed once.
            unsafe {
                let mut delete = rd::rd_kafka_DeleteRecords_new(list.ptr());
                rd::rd_kafka_DeleteRecords(client, &mut delete, 1, options, queue);
                rd::rd_kafka_DeleteRecords_destroy(delete);
            }
        })?;
        // SAFETY: the event is a result of this request and owns the list.
        unsafe { read_list(rd::rd_kafka_DeleteRecords_result_offsets(event.0)).map(drop) }
    }

    /// A group's committed offsets; negative where there is none.
    pub(crate) fn group_offsets(
        &mut self,
        group: &str,
        places: &TopicPartitionList,
    ) -> Result<Vec<GroupOffset>, Failure> {
        let group = c_string(group)?;
        let event =
            self.ask(Op::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, false, None, |client, options, queue| {
                // SAFETY: all are alive during the call, which copies what it needs; the object copies
                // group and list and is destroyed once.
                unsafe {
                    let mut list_offsets = rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), places.ptr());
                    rd::rd_kafka_ListConsumerGroupOffsets(client, &mut list_offsets, 1, options, queue);
                    rd::rd_kafka_ListConsumerGroupOffsets_destroy(list_offsets);
                }
            })?;
        // SAFETY: the event is a result of this request.
        unsafe { group_result(&event, rd::rd_kafka_ListConsumerGroupOffsets_result_groups) }
    }

    pub(crate) fn alter_group_offsets(&mut self, group: &str, offsets: &TopicPartitionList) -> Result<(), Failure> {
        let group = c_string(group)?;
        let event =
            self.ask(Op::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, false, None, |client, options, queue| {
                // SAFETY: all are alive during the call, which copies what it needs; the object copies
                // group and list and is destroyed once.
                unsafe {
                    let mut alter = rd::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), offsets.ptr());
                    rd::rd_kafka_AlterConsumerGroupOffsets(client, &mut alter, 1, options, queue);
                    rd::rd_kafka_AlterConsumerGroupOffsets_destroy(alter);
                }
            })?;
        // SAFETY: the event is a result of this request.
        unsafe { group_result(&event, rd::rd_kafka_AlterConsumerGroupOffsets_result_groups).map(drop) }
    }
}

/// A list of one partition.
fn one(topic: &str, partition: i32, offset: i64) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, Offset::from_raw(offset))
        .map_err(|e| failure(RDKafkaErrorCode::InvalidArgument, e.to_string()))?;
    Ok(list)
}

/// The partitions of a request about one group.
///
/// # Safety
/// `get` fits the kind of `event`.
unsafe fn group_result(
    event: &Event,
    get: unsafe extern "C" fn(*const rd::rd_kafka_event_t, *mut usize) -> *mut *const rd::rd_kafka_group_result_t,
) -> Result<Vec<GroupOffset>, Failure> {
    let mut count = 0;
    // SAFETY: the event is alive and owns the results; the caller vouches for `get`.
    unsafe {
        let Some(&group) = elements(get(event.0, &mut count), count).first() else { return Ok(Vec::new()) };
        let error = rd::rd_kafka_group_result_error(group);
        if !error.is_null() {
            return Err(failure_of(error));
        }
        read_list(rd::rd_kafka_group_result_partitions(group))
    }
}

/// The entries of a list, or the first failure among them.
pub(crate) fn entries(list: &TopicPartitionList) -> Result<Vec<GroupOffset>, Failure> {
    // SAFETY: the list is alive during the call.
    unsafe { read_list(list.ptr()) }
}

/// The entries of a list, or the first failure among them.
///
/// # Safety
/// `list` is null or alive.
unsafe fn read_list(list: *const rd::rd_kafka_topic_partition_list_t) -> Result<Vec<GroupOffset>, Failure> {
    // SAFETY: the caller vouches for the list; it has `cnt` elements, each with a name, and
    // `metadata_size` bytes of metadata unless that is null.
    unsafe {
        if list.is_null() || (*list).elems.is_null() {
            return Ok(Vec::new());
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        slice::from_raw_parts((*list).elems, count)
            .iter()
            .map(|element| {
                let code: RDKafkaErrorCode = element.err.into();
                let topic = text_of(element.topic);
                if code != RDKafkaErrorCode::NoError {
                    return Err(failure(code, format!("{topic}/{}", element.partition)));
                }
                let metadata = if element.metadata.is_null() {
                    &[][..]
                } else {
                    slice::from_raw_parts(element.metadata.cast::<u8>(), element.metadata_size)
                };
                Ok(GroupOffset {
                    topic,
                    partition: element.partition,
                    offset: element.offset,
                    metadata: String::from_utf8_lossy(metadata).into_owned(),
                })
            })
            .collect()
    }
}
