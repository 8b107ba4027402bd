//! The events of an account as the bank's first version wrote them, for readers that still are of that
//! version: `factum transform v1` republishes the events of today like this.

use crate::{Deposited, InterestCredited, OverdraftInterestCharged, OverdraftLimitSet, Withdrawn};
use factum::{Aggregate, event, transform::Transform, view::Recorded};

/// A fee was charged.
#[event("bank.account")]
#[derive(Eq)]
pub struct FeeCharged {
    /// How much, in cents.
    pub cents: i64,
}

/// What happened to an account.
#[event]
#[derive(Eq)]
pub enum Event {
    /// Money came in.
    Deposited(Deposited),
    /// Money went out.
    Withdrawn(Withdrawn),
    /// Interest was credited.
    InterestCredited(InterestCredited),
    /// Interest on an overdraft was charged.
    OverdraftInterestCharged(OverdraftInterestCharged),
    /// A fee was charged.
    FeeCharged(FeeCharged),
    /// The overdraft limit was set.
    OverdraftLimitSet(OverdraftLimitSet),
}

/// The events of today in the shape of the first version.
#[derive(Debug)]
pub struct V1;

impl Transform for V1 {
    const NAME: &'static str = "v1";
    const INPUT: &'static str = crate::Account::TYPE;
    type From = crate::Event;
    type To = Event;

    fn transform(event: &Recorded<crate::Event>) -> Vec<Event> {
        use crate::Event as Today;
        let event = match &event.event {
            Today::Deposited(deposited) => Event::Deposited(deposited.clone()),
            Today::Withdrawn(withdrawn) => Event::Withdrawn(withdrawn.clone()),
            Today::InterestCredited(credited) => Event::InterestCredited(credited.clone()),
            // The first version knew of interest when it was taken from the balance.
            Today::OverdraftInterestAccrued(_) => return Vec::new(),
            Today::OverdraftInterestCollected(collected) => {
                Event::OverdraftInterestCharged(OverdraftInterestCharged { cents: collected.cents })
            }
            Today::FeeCharged(charged) => Event::FeeCharged(FeeCharged { cents: charged.cents }),
            Today::OverdraftLimitChanged(changed) => {
                Event::OverdraftLimitSet(OverdraftLimitSet { cents: changed.limit_cents })
            }
        };
        vec![event]
    }
}
