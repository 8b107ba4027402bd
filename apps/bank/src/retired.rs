//! Events that were written until version 3 and are read for ever: what each
//! stands for today.

use crate::{Event, OverdraftInterestAccrued, OverdraftInterestCollected, OverdraftLimitChanged};
use factum::{
    event,
    schemas::{Record, Upcast, Upcasted},
};

/// The overdraft limit was set.
#[event("bank.account")]
#[derive(Eq)]
pub struct OverdraftLimitSet {
    /// How far below zero the balance may go, in cents.
    pub cents: i64,
}

/// Its field says what it holds: [`OverdraftLimitChanged`].
impl Upcast for OverdraftLimitSet {
    type Event = Event;
    const INTO: &'static [&'static str] = &[OverdraftLimitChanged::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(OverdraftLimitChanged { limit_cents: self.cents });
    }
}

/// Interest on an overdraft was charged.
#[event("bank.account")]
#[derive(Eq)]
pub struct OverdraftInterestCharged {
    /// How much, in cents.
    pub cents: i64,
}

/// Two things in one: the interest was owed, and it was taken from the balance.
impl Upcast for OverdraftInterestCharged {
    type Event = Event;
    const INTO: &'static [&'static str] = &[OverdraftInterestAccrued::NAME, OverdraftInterestCollected::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(OverdraftInterestAccrued { cents: self.cents });
        to.push(OverdraftInterestCollected { cents: self.cents });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Account;
    use factum::Aggregate;

    #[test]
    fn a_limit_that_was_set_is_one_that_changed() {
        for cents in [0, 50, i64::MAX] {
            let events = Upcasted::of(OverdraftLimitSet { cents }).unwrap();
            assert_eq!(events, [OverdraftLimitChanged { limit_cents: cents }.into()]);
        }
    }

    #[test]
    fn interest_that_was_charged_was_owed_and_collected_and_is_taken_once() {
        let events = Upcasted::of(OverdraftInterestCharged { cents: 30 }).unwrap();
        let expected = [OverdraftInterestAccrued { cents: 30 }.into(), OverdraftInterestCollected { cents: 30 }.into()];
        assert_eq!(events, expected);
        let mut account = Account { balance_cents: 10, overdraft_limit_cents: 100 };
        events.iter().for_each(|event| account.evolve(event));
        assert_eq!(account, Account { balance_cents: -20, overdraft_limit_cents: 100 });
    }
}
