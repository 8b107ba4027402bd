//! Reading a journal: effects in, a log's state out.

use crate::broker::Broker;
use crate::journal::{Effect, Ending, Journal, Recorder};
use crate::partition::TxnNumber;
use crate::topic::Target;
use crate::transactions::Open;
use factum_core::log::{CommitOffset, TopicSpec};
use factum_core::{Error, Offset, Partition, Result, TimestampMs, Topic};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A log's state while its journal is read.
#[derive(Debug, Default)]
pub struct Restore {
    broker: Broker,
    names: HashMap<u64, Topic>,
    open: BTreeMap<u64, Open>,
    /// The last compaction of each partition; it makes those before it needless.
    compactions: BTreeMap<(u64, Partition), (Offset, TimestampMs)>,
}

impl Restore {
    /// An empty log. Topics to be created get ids that depend on `salt`, so
    /// that the topics of another log have others.
    pub fn new(salt: (u64, u64)) -> Self {
        let mut restore = Restore::default();
        restore.broker.topics.set_salt(salt);
        restore
    }

    /// Does again what an effect tells.
    ///
    /// # Errors
    /// `Data` when the effect does not fit those before it.
    pub fn apply(&mut self, effect: &Effect<'_>) -> Result<()> {
        match effect {
            Effect::TopicCreated { topic, id, name, partitions, replication, settings } => {
                let spec = TopicSpec {
                    topic: name.clone(),
                    partitions: *partitions,
                    replication: Some(*replication),
                    settings: settings.clone().into_owned(),
                };
                self.broker.topics.restore(&spec, *topic, *id)?;
                self.names.insert(*topic, name.clone());
            }
            Effect::TopicDeleted { topic } => {
                let name = self.names.remove(topic).ok_or_else(|| unknown(*topic))?;
                self.broker.delete_topic(&name);
            }
            Effect::TopicAltered { topic, settings } => {
                let name = self.names.get(topic).ok_or_else(|| unknown(*topic))?;
                self.broker.alter_topic(name, settings)?;
            }
            Effect::PartitionsAdded { topic, partitions } => {
                let name = self.names.get(topic).ok_or_else(|| unknown(*topic))?;
                self.broker.add_partitions(name, *partitions)?;
            }
            Effect::Appended { topic, record, offset, timestamp, transaction } => {
                let partition = record.partition();
                let name = self.names.get(topic).ok_or_else(|| unknown(*topic))?.clone();
                let Target { rules, log, .. } = self.broker.topics.target(&name, partition)?;
                if !log.skip_to(*offset) {
                    return Err(Error::data(format!("{name}/{partition} has a record at {offset} already")));
                }
                let owner = transaction.map(TxnNumber);
                log.append((&name, partition), *record, *timestamp, owner, rules.segment);
                if let Some(number) = transaction {
                    self.open(*number).places.insert(name.partition(partition));
                }
            }
            Effect::OffsetsHeld { transaction, group, offsets } => {
                self.open(*transaction).groups.insert((*group).to_owned());
                let group = self.broker.groups.entry((*group).to_owned()).or_default();
                group.offsets.hold(TxnNumber(*transaction), offsets);
            }
            Effect::TransactionEnded { transaction, ending } => {
                // A snapshot leaves out records that were deleted, and with them perhaps all of it.
                if let Some(open) = self.open.remove(transaction) {
                    self.broker.end(&open, *ending);
                }
            }
            Effect::OffsetsCommitted { group, offsets } => self.commit(group, offsets),
            Effect::RecordsDeleted { topic, partition, before } => {
                self.target(*topic, *partition)?.log.delete_before(*before);
            }
            Effect::Compacted { topic, partition, below, tombstones_before } => {
                self.compactions.insert((*topic, *partition), (*below, *tombstones_before));
            }
            Effect::PartitionState { topic, partition, start, end, open } => {
                let target = self.target(*topic, *partition)?;
                if !target.log.skip_to(*end) {
                    return Err(Error::data(format!("topic number {topic} has records beyond its end at {end}")));
                }
                target.log.delete_before(*start);
                target.log.set_open(open.iter().map(|(number, first)| (TxnNumber(*number), *first)));
                let name = self.names.get(topic).ok_or_else(|| unknown(*topic))?.clone();
                for (number, _) in open.iter() {
                    self.open(*number).places.insert(name.partition(*partition));
                }
            }
            Effect::Numbers { topics, transactions } => {
                self.broker.topics.set_created(*topics);
                self.broker.transactions.set_begun(*transactions);
            }
        }
        Ok(())
    }

    /// The state, with a journal for what comes; and how many transactions
    /// were still open and are aborted now.
    pub(crate) fn finish(mut self, journal: Arc<dyn Journal>) -> (Broker, usize) {
        for ((topic, partition), (below, tombstones_before)) in std::mem::take(&mut self.compactions) {
            // Its topic may have been deleted since.
            if let Ok(Target { rules, log, .. }) = self.target(topic, partition) {
                log.compact(below, tombstones_before, rules.segment);
            }
        }
        let mut broker = self.broker;
        broker.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(|log| log.settle());
        broker.recorder = Recorder::new(journal);
        for open in self.open.values() {
            broker.end(open, Ending::Abort);
        }
        (broker, self.open.len())
    }

    fn target(&mut self, topic: u64, partition: Partition) -> Result<Target<'_>> {
        let name = self.names.get(&topic).ok_or_else(|| unknown(topic))?;
        self.broker.topics.target(name, partition)
    }

    fn open(&mut self, number: u64) -> &mut Open {
        self.broker.transactions.set_begun(number);
        self.open.entry(number).or_insert_with(|| Open::orphan(TxnNumber(number)))
    }

    fn commit(&mut self, group: &str, offsets: &[CommitOffset]) {
        self.broker.groups.entry(group.to_owned()).or_default().offsets.commit(offsets);
    }
}

fn unknown(topic: u64) -> Error {
    Error::data(format!("topic number {topic} was never created"))
}
