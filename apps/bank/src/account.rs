//! The account: what it knows and what it decides.

use crate::{
    ChargeOverdraftInterest, Command, Deposit, Deposited, EntryKind, Event, FeeCharged, InterestCredited,
    OverdraftInterestAccrued, OverdraftInterestCollected, OverdraftLimitChanged, RecordEntry, SetOverdraftLimit,
    Withdraw, Withdrawn,
};
use factum::Aggregate;
use std::fmt;

/// The permission that [`RecordEntry`] needs: it passes over the limit.
pub const IMPORT_PERMISSION: &str = "import";

/// The permission that [`ChargeOverdraftInterest`] needs: so does that.
pub const CHARGE_PERMISSION: &str = "charge";

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
#[avro(namespace = "bank.account")]
pub struct Account {
    /// The balance, in cents.
    pub balance_cents: i64,
    /// How far below zero an ordinary withdrawal may take it, in cents.
    pub overdraft_limit_cents: i64,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    /// The amount is not more than zero.
    NotPositive {
        /// The amount asked for, in cents.
        cents: i64,
    },
    /// The balance and the limit do not cover the amount.
    Insufficient {
        /// The balance, in cents.
        balance_cents: i64,
        /// The amount asked for, in cents.
        asked_cents: i64,
    },
    /// The balance would not fit 64 bits.
    Overflow,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotPositive { cents } => write!(f, "an amount is more than 0, not {cents} cents"),
            Refusal::Insufficient { balance_cents, asked_cents } => {
                write!(f, "a balance of {balance_cents} cents does not cover {asked_cents} cents")
            }
            Refusal::Overflow => f.write_str("the balance would not fit 64 bits"),
        }
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "bank.account";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
        let mut events = Vec::new();
        let event: Event = match command {
            Command::Deposit(Deposit { cents }) => Deposited { cents: positive(cents)? }.into(),
            Command::Withdraw(Withdraw { cents }) => {
                let left = self.balance_cents.checked_sub(positive(cents)?);
                if left.is_none_or(|left| left < -self.overdraft_limit_cents) {
                    return Err(Refusal::Insufficient { balance_cents: self.balance_cents, asked_cents: cents });
                }
                Withdrawn { cents }.into()
            }
            Command::SetOverdraftLimit(SetOverdraftLimit { cents }) if cents < 0 => {
                return Err(Refusal::NotPositive { cents });
            }
            Command::SetOverdraftLimit(SetOverdraftLimit { cents }) => {
                OverdraftLimitChanged { limit_cents: cents }.into()
            }
            Command::RecordEntry(RecordEntry { kind, cents, reason }) => {
                let cents = positive(cents)?;
                match kind {
                    EntryKind::Deposit => Deposited { cents }.into(),
                    EntryKind::Withdrawal => Withdrawn { cents }.into(),
                    EntryKind::Interest => InterestCredited { cents }.into(),
                    // What is booked is what was collected; that it was owed is told where it arose.
                    EntryKind::OverdraftInterest => OverdraftInterestCollected { cents }.into(),
                    EntryKind::Fee => FeeCharged { cents, reason }.into(),
                }
            }
            Command::ChargeOverdraftInterest(ChargeOverdraftInterest { cents }) => {
                events.push(OverdraftInterestAccrued { cents: positive(cents)? }.into());
                OverdraftInterestCollected { cents }.into()
            }
        };
        self.balance_cents.checked_add(event.change_cents()).ok_or(Refusal::Overflow)?;
        events.push(event);
        Ok(events)
    }

    fn evolve(&mut self, event: &Event) {
        self.balance_cents += event.change_cents();
        if let Event::OverdraftLimitChanged(OverdraftLimitChanged { limit_cents }) = event {
            self.overdraft_limit_cents = *limit_cents;
        }
    }

    fn permission(command: &Command) -> Option<&'static str> {
        match command {
            Command::RecordEntry(_) => Some(IMPORT_PERMISSION),
            Command::ChargeOverdraftInterest(_) => Some(CHARGE_PERMISSION),
            _ => None,
        }
    }
}

fn positive(cents: i64) -> Result<i64, Refusal> {
    if cents > 0 { Ok(cents) } else { Err(Refusal::NotPositive { cents }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum::testing::given;

    #[test]
    fn a_deposit_is_recorded_and_adds_to_the_balance() {
        given::<Account>([Deposited { cents: 100 }])
            .when(Deposit { cents: 50 })
            .then([Deposited { cents: 50 }])
            .then_state(|account| assert_eq!(account.balance_cents, 150));
    }

    #[test]
    fn a_withdrawal_beyond_the_balance_is_refused() {
        given::<Account>([Deposited { cents: 100 }])
            .when(Withdraw { cents: 130 })
            .then_refused(Refusal::Insufficient { balance_cents: 100, asked_cents: 130 });
    }

    #[test]
    fn a_withdrawal_within_the_overdraft_limit_is_accepted() {
        given::<Account>([OverdraftLimitChanged { limit_cents: 50 }])
            .and([Deposited { cents: 100 }])
            .when(Withdraw { cents: 150 })
            .then([Withdrawn { cents: 150 }]);
    }

    #[test]
    fn an_amount_that_is_not_positive_is_refused() {
        for cents in [0, -1, i64::MIN] {
            given::<Account>([Deposited { cents: 1 }])
                .when(Deposit { cents })
                .then_refused(Refusal::NotPositive { cents });
        }
    }

    #[test]
    fn an_amount_that_overflows_the_balance_is_refused() {
        given::<Account>([Deposited { cents: i64::MAX }]).when(Deposit { cents: 1 }).then_refused(Refusal::Overflow);
    }

    #[test]
    fn an_imported_entry_may_overdraw_and_is_an_event_of_its_own_type() {
        given::<Account>([Deposited { cents: 100 }])
            .when(RecordEntry { kind: EntryKind::OverdraftInterest, cents: 130, reason: None })
            .then([OverdraftInterestCollected { cents: 130 }])
            .then_state(|account| assert_eq!(account.balance_cents, -30));
    }

    #[test]
    fn an_imported_fee_keeps_its_reason() {
        let reason = || Some("statement".to_owned());
        given::<Account>([Deposited { cents: 100 }])
            .when(RecordEntry { kind: EntryKind::Fee, cents: 3, reason: reason() })
            .then([FeeCharged { cents: 3, reason: reason() }])
            .then_state(|account| assert_eq!(account.balance_cents, 97));
    }

    #[test]
    fn interest_on_an_overdraft_is_owed_and_collected_also_beyond_the_limit() {
        given::<Account>([Deposited { cents: 10 }])
            .when(ChargeOverdraftInterest { cents: 30 })
            .then([
                Event::from(OverdraftInterestAccrued { cents: 30 }),
                OverdraftInterestCollected { cents: 30 }.into(),
            ])
            .then_state(|account| assert_eq!(account.balance_cents, -20));
        given::<Account>([Deposited { cents: 10 }])
            .when(ChargeOverdraftInterest { cents: 0 })
            .then_refused(Refusal::NotPositive { cents: 0 });
    }

    #[test]
    fn what_passes_over_the_limit_needs_a_permission() {
        let charge = ChargeOverdraftInterest { cents: 1 };
        assert_eq!(Account::permission(&charge.into()), Some(CHARGE_PERMISSION));
        let entry = RecordEntry { kind: EntryKind::Fee, cents: 1, reason: None };
        assert_eq!(Account::permission(&entry.into()), Some(IMPORT_PERMISSION));
        assert_eq!(Account::permission(&Withdraw { cents: 1 }.into()), None);
    }
}
