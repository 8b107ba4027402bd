//! Records of types that a view has not.

use super::rig::{Records, TextCodec, accounts};
use crate::{
    view::{Focus, StopClass, UnknownRecords, intake},
    wire::Traces,
};
use expect_test::expect;

/// What is held after two records of one command, of which the view has not the second.
fn taken(policy: UnknownRecords) -> Result<String, (StopClass, String)> {
    let records = Records::new().part(&accounts(0), 4, "ada", 1, (0, 2), "1:deposited:5").part(
        &accounts(0),
        5,
        "ada",
        2,
        (1, 2),
        "1:renamed",
    );
    let (mut held, focus, mut traces) = (None, Focus::default(), Traces::default());
    for record in records.batch.iter() {
        intake::take(&mut held, record, &TextCodec::default(), &focus, &mut traces, &mut "".into(), None).unwrap();
        policy.judge(&mut held, record).map_err(|stop| (stop.class, stop.reason))?;
    }
    let told = |item: &intake::Item<_>| match item {
        intake::Item::Known(_) | intake::Item::Parts(_) => "known".to_owned(),
        intake::Item::Unknown { .. } => format!("unknown, version {}", item.version()),
        intake::Item::Bad { why, .. } => why.clone(),
    };
    Ok(held.unwrap().items.iter().map(told).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_record_of_another_type_is_skipped_or_parks_its_aggregate_or_stops_its_partition() {
    assert_eq!(UnknownRecords::default(), UnknownRecords::Skip);
    assert_eq!(taken(UnknownRecords::Skip).unwrap(), "known\nunknown, version 2");
    let (class, reason) = taken(UnknownRecords::Stop).unwrap_err();
    assert_eq!(class, StopClass::UnknownRecord);
    let parked = taken(UnknownRecords::Park).unwrap();
    assert_eq!(parked, format!("known\n{reason}"));
    expect!["bank.account.events/0@5 has record type Renamed, which this version of the view does not know: deploy one that does"].assert_eq(&reason);
}
