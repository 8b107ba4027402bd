//! What every sink does about marks of what was begun.

use super::*;
use factum_core::view::{Extent, InHand, ResetPlan};

fn in_hand(claim: Claim, partition: u32, tries: u32) -> InHand {
    InHand { place: place(partition), epoch: claim.epoch, position: claim.position, tries }
}

pub(super) fn what_was_begun_is_known_to_the_next_claim_until_the_position_moves(database: &dyn Database) {
    let mut sink = database.open();
    let claims = [0, 1].map(|partition| sink.claim(&place(partition), TOPIC_ID).unwrap());
    assert_eq!(claims.map(|claim| claim.tries), [0, 0]);
    assert_eq!(sink.mark(&[in_hand(claims[0], 0, 1), in_hand(claims[1], 1, 2)]).unwrap(), []);
    // The process ends, and so does the next one.
    let mut sink = database.open();
    let claims = [0, 1].map(|partition| sink.claim(&place(partition), TOPIC_ID).unwrap());
    assert_eq!(claims.map(|claim| claim.tries), [1, 2]);
    assert_eq!(sink.mark(&[in_hand(claims[0], 0, 2)]).unwrap(), []);
    let claim = database.open().claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!(claim.tries, 2);
    let moves = commit(vec![moved(claim, 0, 5)], &[]);
    assert_eq!(sink.commit(&moves).unwrap(), CommitOutcome::Committed);
    let claims = [0, 1].map(|partition| sink.claim(&place(partition), TOPIC_ID).unwrap());
    assert_eq!(claims.map(|claim| (claim.position, claim.tries)), [(Offset(5), 0), (Offset(0), 2)]);
}

pub(super) fn a_mark_is_written_only_under_the_epoch_of_the_claim(database: &dyn Database) {
    let (mut before, mut after) = (database.open(), database.open());
    let [old, other] = [0, 1].map(|partition| before.claim(&place(partition), TOPIC_ID).unwrap());
    let new = after.claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!(after.mark(&[in_hand(new, 0, 1)]).unwrap(), []);
    assert_eq!(before.mark(&[in_hand(old, 0, 7), in_hand(other, 1, 3)]).unwrap(), [place(0)]);
    assert_eq!(before.mark(&[in_hand(old, 9, 7)]).unwrap(), [place(9)], "nobody has claimed it");
    let claims = [0, 1].map(|partition| after.claim(&place(partition), TOPIC_ID).unwrap());
    assert_eq!(claims.map(|claim| claim.tries), [1, 3]);
}

pub(super) fn a_mark_that_is_taken_back_says_nothing(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    for tries in [1, 0] {
        assert_eq!(sink.mark(&[in_hand(claim, 0, tries)]).unwrap(), []);
    }
    assert_eq!(sink.claim(&place(0), TOPIC_ID).unwrap().tries, 0);
}

pub(super) fn a_reset_of_the_whole_view_forgets_what_was_begun(database: &dyn Database) {
    let mut sink = database.open();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!(sink.mark(&[in_hand(claim, 0, 2)]).unwrap(), []);
    sink.review().unwrap();
    let plan = ResetPlan { extent: Extent::Whole, places: Vec::new(), marks: Vec::new(), told: Vec::new() };
    sink.record(&plan).unwrap();
    assert_eq!(sink.claim(&place(0), TOPIC_ID).unwrap().tries, 0);
}

pub(super) fn marks_are_each_view_s_own(database: &dyn Database) {
    let mut sink = database.open();
    let mut other = database.try_open(ViewTable::new("other", 1, table().columns().to_vec()).unwrap()).unwrap();
    let claim = sink.claim(&place(0), TOPIC_ID).unwrap();
    other.claim(&place(0), TOPIC_ID).unwrap();
    assert_eq!(sink.mark(&[in_hand(claim, 0, 2)]).unwrap(), []);
    assert_eq!(other.claim(&place(0), TOPIC_ID).unwrap().tries, 0);
}
