//! Records that stand for several events, or for none: they count as records.

use super::rig::*;
use crate::{
    GroupEvent, Offset, Result, Version,
    view::{
        intake::{self, Item},
        *,
    },
    wire::Traces,
};
use expect_test::expect;

fn earlier() -> Records {
    Records::new()
        .event(&accounts(0), 0, "ada", 1, "1:earlier:5:60")
        .part(&accounts(0), 1, "ada", 2, (0, 3), "1:deposited:700")
        .part(&accounts(0), 2, "ada", 3, (1, 3), "1:earlier")
        .part(&accounts(0), 3, "ada", 4, (2, 3), "1:earlier:8000:0:10000")
        .event(&accounts(0), 4, "bob", 1, "1:earlier transfer:3:eve")
}

#[test]
fn all_events_of_a_record_are_folded_and_its_version_counts_once() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(earlier());
    expect!["[ada=18765 bob=0 eve=3]"].assert_eq(&rig.balances());
    let counts = rig.machine.status()[&accounts(0)].counts;
    assert_eq!(counts, Counts { applied: 4, unknown: 1, repeated: 0, parked: 0 });
    let last = rig.last.values().map(|last| last.version).max();
    assert_eq!(last, Some(Version(4)));
    // No version is missing behind it.
    rig.records(Records::new().event(&accounts(0), 5, "ada", 5, "1:deposited:200000"));
    expect!["[ada=218765 bob=0 eve=3]"].assert_eq(&rig.balances());
}

#[test]
fn no_event_of_a_record_is_applied_twice_when_it_is_delivered_again() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(earlier());
    // An operator sets the group back: everything comes once more, and again split into two polls.
    rig.event(GroupEvent::Revoked(vec![accounts(0)]));
    rig.reset(&accounts(0), 1);
    rig.event(GroupEvent::Assigned(vec![accounts(0)]));
    rig.idle();
    assert_eq!(rig.progress[&accounts(0)].position, Offset(1), "the reset was honoured");
    rig.records(earlier());
    expect!["[ada=18765 bob=0 eve=3]"].assert_eq(&rig.balances());
    assert_eq!(rig.machine.status()[&accounts(0)].counts.applied, 0);
    assert_eq!(rig.progress[&accounts(0)].position, Offset(5));
}

#[test]
fn a_record_of_which_one_event_cannot_be_folded_is_parked_with_all_of_them() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .event(&accounts(0), 1, "ada", 2, "1:earlier:60:x:700")
            .event(&accounts(0), 2, "ada", 3, "1:earlier:8000:0")
            .event(&accounts(0), 3, "bob", 1, "1:earlier:1:1"),
    );
    expect!["[ada=5 bob=2]"].assert_eq(&rig.balances());
    expect![[r#"
        ada 2 bank.account.events/0@1 tried 1: balances::fold of row "ada" at bank.account.events/0@1: panicked: cannot digest this
        ada 3 bank.account.events/0@2 tried 0: "#]]
    .assert_eq(&rig.aside());
    let counts = rig.machine.status()[&accounts(0)].counts;
    assert_eq!(counts, Counts { applied: 2, unknown: 0, repeated: 0, parked: 2 });
}

#[test]
fn a_record_with_an_event_whose_keys_cannot_be_had_touches_no_row() {
    let mut rig = Rig::with(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 0, "ada", 1, "1:earlier transfer:3:").event(
        &accounts(0),
        1,
        "bob",
        1,
        "1:earlier:1:1",
    ));
    expect!["[bob=2]"].assert_eq(&rig.balances());
    expect![
        "ada 1 bank.account.events/0@0 tried 1: balances::keys at bank.account.events/0@0: panicked: moved to nobody"
    ]
    .assert_eq(&rig.aside());
}

#[test]
fn a_redrive_with_a_mended_upcaster_applies_every_event_of_each_record_once() {
    let records = |second: &str| {
        Records::new()
            .event(&accounts(0), 0, "ada", 1, "1:deposited:5")
            .part(&accounts(0), 1, "ada", 2, (0, 2), "1:earlier:60:700")
            .part(&accounts(0), 2, "ada", 3, (1, 2), second)
            .event(&accounts(0), 3, "ada", 4, "1:earlier:30000:0:600000")
    };
    let mut rig = Rig::with(&[accounts(0)]);
    // What a panic of an upcaster is to a codec: bytes that are no event, today.
    rig.records(records("an upcaster panicked"));
    expect!["[ada=5]"].assert_eq(&rig.balances());
    assert_eq!(rig.parked.len(), 3);

    let mended = records("1:earlier:1000:1000");
    let redrive = |rig: &mut Rig| -> Result<CommitOutcome> {
        let mut redrive = Redrive::<Balances, _>::new(rig.codec.clone(), rig.parked_of(&accounts(0), "ada"))?;
        for record in mended.batch.iter() {
            assert_eq!(redrive.take(record)?, Refolding::Taken);
        }
        let commit = redrive.fold(rig.load(&redrive.request()), &|_, _| false)?.unwrap();
        Ok(rig.commit(commit))
    };
    assert_eq!(redrive(&mut rig).unwrap(), CommitOutcome::Committed);
    expect!["[ada=632765]"].assert_eq(&rig.balances());
    assert_eq!(rig.aside(), "");
    // Delivered again, and gone on with.
    rig.restart(&[accounts(0)]);
    rig.records(Records::new().event(&accounts(0), 4, "ada", 5, "1:earlier:1000000"));
    expect!["[ada=1632765]"].assert_eq(&rig.balances());
}

#[test]
fn the_events_of_a_record_are_numbered_and_share_everything_else() {
    let records = Records::new().event(&accounts(0), 7, "ada", 9, "1:earlier:5:6").event(
        &accounts(0),
        8,
        "ada",
        10,
        "1:deposited:1",
    );
    let mut found = Vec::new();
    for record in records.batch.iter() {
        let (mut held, codec) = (None, TextCodec::default());
        let (traces, source) = (&mut Traces::default(), &mut "".into());
        assert!(intake::take(&mut held, record, &codec, &Focus::default(), traces, source, None).unwrap());
        let items = held.unwrap().items;
        assert_eq!((items.len(), items[0].version()), (1, Version(found.len().max(1) as u64 + 8)));
        for Recorded { version, index, part, offset, event, .. } in items[0].events() {
            found.push(format!("{version} {index} {part} {offset} {event:?}"));
        }
        assert_eq!(matches!(items[0], Item::Parts(_)), record.offset() == Offset(7));
    }
    assert_eq!(found, ["9 0 0 7 Deposited(5)", "9 0 1 7 Deposited(6)", "10 0 0 8 Deposited(1)"]);
}
