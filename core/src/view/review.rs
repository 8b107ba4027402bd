//! The machine's part in resets of the group's offsets: before it claims, it
//! looks at all partitions of the view, and has recorded what is honoured.

use super::{Awaited, ClaimFailed, Effect, GroupPlace, Review, Standing, Verdict, View, ViewMachine, place::Phase};
use crate::MessageCodec;

/// What the shell learned for a [`Effect::Review`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// What the database has, read under the view's lock, before the group's offsets.
    pub standing: Standing,
    /// Every partition of the view's topics.
    pub group: Vec<GroupPlace>,
}

impl<V: View, C: MessageCodec<V::Event>> ViewMachine<V, C> {
    /// Takes the answer to [`Effect::Review`].
    pub fn reviewed(&mut self, outcome: Result<Reviewed, ClaimFailed>) -> Vec<Effect> {
        let Reviewed { standing, group } = match outcome {
            Ok(reviewed) => reviewed,
            Err(failed) => return self.not_reviewed(&failed),
        };
        let review = Review {
            view: V::NAME,
            database: &self.database,
            fold_version: V::FOLD_VERSION,
            standing: &standing,
            group: &group,
        };
        let Verdict { plan, stops } = review.verdict();
        for place in &mut self.places {
            let reset = plan.iter().flat_map(|plan| &plan.places).find(|reset| reset.row.place == place.at);
            place.skipped = reset.map_or_else(|| standing.skipped_of(&place.at), |reset| reset.skipped.clone());
        }
        let mut effects = Vec::new();
        for (at, stop) in stops {
            let mut places = self.places.iter();
            if let Some(index) = places.position(|place| place.at == at && place.phase == Phase::Claiming) {
                self.stop(index, stop, &mut effects);
            }
        }
        match plan {
            Some(plan) => effects.push(Effect::Honour(plan)),
            None => {
                effects.push(Effect::Rollback);
                self.claims(&mut effects);
            }
        }
        effects
    }

    /// Takes the answer to [`Effect::Honour`].
    pub fn honoured(&mut self, outcome: Result<(), ClaimFailed>) -> Vec<Effect> {
        let mut effects = Vec::new();
        match outcome {
            Ok(()) => self.claims(&mut effects),
            Err(failed) => return self.not_reviewed(&failed),
        }
        effects
    }

    /// Takes a look at the database between two transactions. A partition whose position is not what was committed
    /// last, be it that the view's tables changed places or that another instance has it, is claimed again: a
    /// partition without new events would notice it at no commit.
    pub fn looked(&mut self, standing: &Standing) -> Vec<Effect> {
        let mut effects = Vec::new();
        for index in 0..self.places.len() {
            let place = &self.places[index];
            let (found, known) = (standing.position(&place.at), place.stored);
            let is_ours = !self.protections.progress_compare_and_set || known.is_none_or(|known| known == found);
            if is_ours || !place.is_running() {
                continue;
            }
            let why = format!(
                "view {} has {found} for its position at {} and not what this instance committed last: its tables \
                 changed places, or another instance claimed it; it is claimed again if still ours",
                V::NAME,
                place.at
            );
            self.back_off(index, Awaited::Owner, why, &mut effects);
        }
        effects
    }

    fn not_reviewed(&mut self, failed: &ClaimFailed) -> Vec<Effect> {
        let mut effects = vec![Effect::Rollback];
        for index in 0..self.places.len() {
            if self.places[index].phase == Phase::Claiming {
                self.fail(index, &failed.error, failed.awaited, &mut effects);
            }
        }
        effects
    }

    pub(super) fn claims(&self, effects: &mut Vec<Effect>) {
        let claiming = self.places.iter().filter(|place| place.phase == Phase::Claiming);
        effects.extend(claiming.map(|place| Effect::Claim(place.at.clone())));
    }
}
