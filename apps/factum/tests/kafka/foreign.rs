//! Records that somebody else writes straight into an events topic: every reader names them, and goes on when
//! it is told to.

use crate::{
    process::{Process, Ran, until},
    site::{BANK, Site},
};
use factum::{
    CommandId, Offset, Partition, RecordBatch, TopicPartition, Version,
    log::{Isolation, TransactionOptions},
    wire::EventHeader,
};
use std::time::Duration;

/// How a stranger writes.
#[derive(Debug, Clone, Copy)]
enum Writes {
    Plainly,
    InATransaction,
}

/// A deployment of one partition in which `anna` has version 2, by a handler that runs.
struct Forged {
    handler: Process,
    site: Site,
    place: TopicPartition,
    /// An event of `anna`'s account, as the handler wrote it.
    model: RecordBatch,
}

impl Forged {
    fn new() -> Self {
        let site = Site::new(1);
        let handler = site.handler(&[]);
        assert_eq!((site.deposit("anna", 100), site.deposit("anna", 10)), (1, 2));
        let place = site.topics().events.partition(Partition(0));
        let mut reader = site.environment().log.reader(Isolation::ReadCommitted).unwrap();
        reader.add(&place, Offset(0)).unwrap();
        let mut model = RecordBatch::new();
        until("the events", || {
            reader.poll(100, Duration::from_millis(20), &mut model).unwrap();
            (model.len() == 2).then_some(())
        });
        Forged { site, handler, place, model }
    }

    /// Writes a record with the value of a real event of `anna`; returns its name.
    fn write(&self, how: Writes, header: impl FnOnce(EventHeader<'_>, &mut factum::RecordBuilder<'_>)) -> String {
        let environment = self.site.environment();
        let mut batch = RecordBatch::new();
        let mut record = batch.start(&self.place.topic, self.place.partition);
        record.key(b"anna");
        record.value(self.model.get(1).value().unwrap());
        header(EventHeader::read(self.model.get(1)).unwrap(), &mut record);
        record.finish();
        let offset = match how {
            Writes::Plainly => {
                let mut producer = environment.log.producer().unwrap();
                producer.produce(&batch).unwrap();
                let mut told = Vec::new();
                until("it is written", || {
                    producer.poll(Duration::from_millis(20), &mut told).unwrap();
                    told.pop().map(|delivery| delivery.result.unwrap())
                })
            }
            Writes::InATransaction => {
                let options = TransactionOptions {
                    transactional_id: factum_test_broker::unique("stranger"),
                    timeout: Duration::from_secs(60),
                };
                let mut producer = environment.log.transactional_producer(&options).unwrap();
                producer.init().unwrap();
                producer.begin().unwrap();
                producer.produce(&batch).unwrap();
                let mut offsets = Vec::new();
                producer.deliver(&mut offsets).unwrap();
                producer.commit().unwrap();
                offsets[0]
            }
        };
        format!("{}@{offset}", self.place)
    }

    fn view(&self, arguments: &[&str]) -> Process {
        self.site.start(&[&["run", "view", "balances"], arguments].concat())
    }

    /// Runs a verb that reads, without and with the record.
    fn names(&self, record: &str, verb: &[&str]) -> Ran {
        self.site.run(verb).refused_with(&[record, "--pass-over"]);
        let ran = self.site.run(&[verb, &["--pass-over", record]].concat());
        assert!(ran.ok, "{ran:?}");
        ran
    }
}

fn command(id: u8) -> CommandId {
    CommandId([id; 16])
}

#[test]
fn a_record_without_a_header_or_with_one_that_is_none_is_named_by_every_reader_and_passed_over_when_told() {
    for header in [None, Some(&b"not a header"[..])] {
        let mut forged = Forged::new();
        let mut view = forged.view(&[]);
        let record = forged.write(Writes::Plainly, |_, record| {
            if let Some(header) = header {
                record.header("factum", header);
            }
        });
        view.says("stands still", 1);
        view.says(&format!("--pass-over {record}"), 1);
        // The running handler finds it with its next transaction, which is whole and answered.
        assert_eq!(forged.site.deposit("bert", 5), 1);
        forged.handler.says("partition stopped", 1);
        forged.handler.says(&format!("--pass-over {record}"), 1);
        forged.names(&record, &["state", BANK, "anna"]);
        forged.names(&record, &["history", BANK, "anna"]);
        view.stop();
        // It stops after a restart, and goes on without the record.
        forged.handler.stop();
        let mut handler = forged.site.handler(&[]);
        handler.says(&format!("--pass-over {record}"), 1);
        handler.stop();
        let mut handler = forged.site.handler(&["--pass-over", &record]);
        assert_eq!(forged.site.deposit("anna", 1), 3);
        handler.stop();
        let mut view = forged.view(&["--pass-over", &record]);
        until("the view has it", || {
            let rows = forged.site.run(&["query", "balances", "--where", "key='anna'", "--pass-over", &record]);
            rows.stdout.contains("111").then_some(())
        });
        view.stop();
    }
}

#[test]
fn a_forged_next_version_is_found_by_the_handler_and_two_commands_of_one_version_by_every_reader() {
    for how in [Writes::Plainly, Writes::InATransaction] {
        let mut forged = Forged::new();
        let mut view = forged.view(&[]);
        let record = forged.write(how, |real, record| {
            EventHeader { version: Version(3), command: command(9), correlation: command(9), ..real }.write(record);
        });
        // No reader can tell by what is in it; the owner of the partition knows where its own records are.
        assert_eq!(forged.site.deposit("bert", 5), 1);
        forged.handler.says("was not written by this partition's handler: version 3 of aggregate anna", 1);
        forged.handler.says(&format!("--pass-over {record}"), 1);
        forged.handler.stop();
        // Without it, the version is free; a reader that goes on with it then sees two.
        let mut handler = forged.site.handler(&["--pass-over", &record]);
        assert_eq!(forged.site.deposit("anna", 1), 3);
        view.says("version 3 of aggregate anna is claimed by command", 1);
        view.says(&command(9).to_string(), 1);
        handler.stop();
        // A handler that is not told reads both.
        let mut handler = forged.site.handler(&[]);
        handler.says("version 3 of aggregate anna is claimed by command", 1);
        handler.says(&command(9).to_string(), 1);
        handler.stop();
        view.stop();
        let history = forged.site.run(&["history", BANK, "anna", "--pass-over", &record]);
        assert!(history.ok && !history.stdout.contains(&command(9).to_string()), "{history:?}");
    }
}

#[test]
fn a_gap_stops_and_a_lower_or_equal_version_is_told_and_applied_nowhere() {
    let mut forged = Forged::new();
    let mut view = forged.view(&[]);
    // As it is: with the command id that the event has already.
    let copy = forged.write(Writes::Plainly, |real, record| real.write(record));
    forged.write(Writes::InATransaction, |_, record| {
        EventHeader::read(forged.model.get(0)).unwrap().write(record);
    });
    assert_eq!(forged.site.deposit("anna", 1), 3);
    forged.handler.says("a record of somebody else", 1);
    forged.handler.says(&copy, 1);
    until("the view has the rest", || {
        forged.site.run(&["query", "balances", "--where", "key='anna'"]).stdout.contains("111").then_some(())
    });
    let record = forged.write(Writes::Plainly, |real, record| {
        EventHeader { version: Version(9), command: command(9), ..real }.write(record);
    });
    view.says("has version 9", 1);
    assert_eq!(forged.site.deposit("bert", 5), 1);
    forged.handler.says(&format!("--pass-over {record}"), 1);
    forged.handler.stop();
    let mut handler = forged.site.handler(&[]);
    handler.says("version 9 of aggregate anna follows version 3", 1);
    handler.stop();
    view.stop();
}

#[test]
fn only_records_of_events_topics_are_passed_over() {
    let site = Site::new(1);
    let topics = site.topics();
    let run = |record: &str| site.run(&["run", "handler", BANK, "--pass-over", record]);
    run(&format!("{}/0@0", topics.commands)).refused_with(&["only records of events topics are passed over"]);
    run("nonsense").refused_with(&["is not a position token"]);
}
