//! The bank's events, without those that were retired.

use crate::event;

macro_rules! amounts {
    ($($name:ident),*) => { $(
        #[event("bank.account")]
        pub(crate) struct $name {
            pub(crate) cents: i64,
        }
    )* };
}

amounts!(Deposited, Withdrawn, InterestCredited, OverdraftInterestCharged, OverdraftLimitSet);

#[event("bank.account")]
pub(crate) struct FeeCharged {
    pub(crate) cents: i64,
    pub(crate) reason: Option<String>,
}

#[event]
pub(crate) enum Event {
    Deposited(Deposited),
    Withdrawn(Withdrawn),
    InterestCredited(InterestCredited),
    OverdraftInterestCharged(OverdraftInterestCharged),
    FeeCharged(FeeCharged),
    OverdraftLimitSet(OverdraftLimitSet),
}
