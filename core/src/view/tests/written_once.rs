//! Rows that are written once.

use super::super::{
    intake,
    work::{Folded, Rules, Work},
};
use super::rig::*;
use crate::{Topic, view::*, wire::Traces};
use std::sync::Arc;

/// One row for each event.
#[derive(Debug)]
struct Journal;

impl View for Journal {
    const NAME: &'static str = "journal";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["bank.account"];
    const ROW_LIFE: RowLife = RowLife::WrittenOnce;
    const INDEXES: &'static [&'static [&'static str]] = &[&["cents"]];
    type Event = Event;
    type Row = Balance;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        vec![format!("{}/{}/{}/{}", event.topic, event.aggregate, event.version, event.source)]
    }

    fn fold(_: &str, row: Option<Balance>, event: &Recorded<Event>) -> Option<Balance> {
        assert_eq!(row, None);
        let Event::Deposited(cents) = event.event else { return None };
        Some(Balance { cents })
    }
}

#[test]
fn rows_that_are_written_once_are_not_loaded() {
    let at = accounts(0);
    let records = Records::new().event(&at, 0, "ada", 1, "1:deposited:5").event(&at, 1, "ada", 2, "1:deposited:7");
    let mut work = Work::<Journal>::new();
    let (mut held, mut source): (_, Arc<str>) = (None, "".into());
    for record in records.batch.iter() {
        let codec = TextCodec::default();
        let whole =
            intake::take(&mut held, record, &codec, &Focus::default(), &mut Traces::default(), &mut source, None);
        assert!(whole.unwrap());
        work.add(0, &at, held.take().unwrap(), &Focus::default());
    }
    let request = work.request(|_| at.clone(), |_| false, RowLocking::Unlocked);
    assert_eq!((request.keys.len(), request.aggregates.len()), (0, 1));
    let loaded = Loaded { rows: Vec::new(), last: vec![LastEvent::NONE], ..Loaded::default() };
    let shape = RowShape::learn().unwrap();
    let rules = Rules { versions: true, ordered: true, at: &|_| at.clone(), was_skipped: &|_, _, _| false };
    let folded = work.fold(&shape, loaded, &rules, &mut Vec::new()).unwrap();
    let Folded::Done(changes) = folded else { panic!("there is nothing to fold again") };
    let topic = Topic::from("bank.account.events");
    let row = |version: u64, cents| (format!("{topic}/ada/{version}/test"), vec![Value::Integer(cents)]);
    assert_eq!(changes.upserts, [row(1, 5), row(2, 7)]);
    assert_eq!(ViewTable::of::<Journal>().unwrap().indexes(), [["cents"]]);
}
