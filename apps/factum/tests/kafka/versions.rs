//! The earlier versions of the bank, as they were released: the same aggregate
//! type, commands and events of their time.

use factum::{
    Aggregate, command, event,
    schemas::{AvroSchema, committed},
};
use factum_bank::{
    Deposit, Deposited, EntryKind, InterestCredited, OverdraftInterestAccrued, OverdraftInterestCollected,
    OverdraftLimitChanged, Refusal, SetOverdraftLimit, Withdraw, Withdrawn,
};

/// What did not change from version 1 to 2.
mod kept {
    use super::*;

    #[event("bank.account")]
    pub(crate) struct OverdraftInterestCharged {
        pub(crate) cents: i64,
    }

    #[event("bank.account")]
    pub(crate) struct OverdraftLimitSet {
        pub(crate) cents: i64,
    }

    pub(crate) fn positive(cents: i64) -> Result<i64, Refusal> {
        if cents > 0 { Ok(cents) } else { Err(Refusal::NotPositive { cents }) }
    }
}

/// Everything that one version has for itself: fields of a fee, and events
/// that it reads and does not write.
macro_rules! version {
    ($version:ident, $number:literal, { $($field:ident: $kind:ty),* }, [$($newer:ident),*]) => {
        pub(crate) mod $version {
            use super::{kept::*, *};

            #[command("bank.account")]
            pub(crate) struct RecordEntry {
                pub(crate) kind: EntryKind,
                pub(crate) cents: i64,
                $(pub(crate) $field: $kind,)*
            }

            #[event("bank.account")]
            pub(crate) struct FeeCharged {
                pub(crate) cents: i64,
                $(pub(crate) $field: $kind,)*
            }

            #[command]
            pub(crate) enum Command {
                Deposit(Deposit),
                Withdraw(Withdraw),
                SetOverdraftLimit(SetOverdraftLimit),
                RecordEntry(RecordEntry),
            }

            #[event]
            pub(crate) enum Event {
                Deposited(Deposited),
                Withdrawn(Withdrawn),
                InterestCredited(InterestCredited),
                OverdraftInterestCharged(OverdraftInterestCharged),
                FeeCharged(FeeCharged),
                OverdraftLimitSet(OverdraftLimitSet),
                $($newer($newer),)*
            }

            #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, AvroSchema)]
            #[avro(namespace = "bank.account")]
            pub(crate) struct Account {
                balance_cents: i64,
                overdraft_limit_cents: i64,
            }

            impl Aggregate for Account {
                const TYPE: &'static str = "bank.account";
                const FOLD_VERSION: u32 = 1;
                type Command = Command;
                type Event = Event;
                type Refusal = Refusal;

                fn decide(&self, command: Command) -> Result<Vec<Event>, Refusal> {
                    let event: Event = match command {
                        Command::Deposit(Deposit { cents }) => Deposited { cents: positive(cents)? }.into(),
                        Command::Withdraw(Withdraw { cents }) => {
                            let left = self.balance_cents - positive(cents)?;
                            if left < -self.overdraft_limit_cents {
                                let balance_cents = self.balance_cents;
                                return Err(Refusal::Insufficient { balance_cents, asked_cents: cents });
                            }
                            Withdrawn { cents }.into()
                        }
                        Command::SetOverdraftLimit(SetOverdraftLimit { cents }) => OverdraftLimitSet { cents }.into(),
                        Command::RecordEntry(RecordEntry { kind, cents $(, $field)* }) => {
                            let cents = positive(cents)?;
                            match kind {
                                EntryKind::Deposit => Deposited { cents }.into(),
                                EntryKind::Withdrawal => Withdrawn { cents }.into(),
                                EntryKind::Interest => InterestCredited { cents }.into(),
                                EntryKind::OverdraftInterest => OverdraftInterestCharged { cents }.into(),
                                EntryKind::Fee => FeeCharged { cents $(, $field)* }.into(),
                            }
                        }
                    };
                    Ok(vec![event])
                }

                fn evolve(&mut self, event: &Event) {
                    match event {
                        Event::Deposited(Deposited { cents }) | Event::InterestCredited(InterestCredited { cents }) => {
                            self.balance_cents += cents;
                        }
                        Event::Withdrawn(Withdrawn { cents })
                        | Event::OverdraftInterestCharged(OverdraftInterestCharged { cents })
                        | Event::FeeCharged(FeeCharged { cents, .. }) => self.balance_cents -= cents,
                        Event::OverdraftLimitSet(OverdraftLimitSet { cents }) => self.overdraft_limit_cents = *cents,
                        $(Event::$newer(event) => {
                            let Account { balance_cents, overdraft_limit_cents } = *self;
                            let mut account = factum_bank::Account { balance_cents, overdraft_limit_cents };
                            account.evolve(&event.clone().into());
                            self.balance_cents = account.balance_cents;
                            self.overdraft_limit_cents = account.overdraft_limit_cents;
                        })*
                    }
                }
            }

            #[test]
            fn its_schemas_are_those_that_were_released() {
                super::is_of_version::<Account>($number);
            }
        }
    };
}

version!(one, 1, {}, []);
version!(two, 2, { reason: Option<String> }, []);
// The first of the two releases that lead to version 3 without a stop.
version!(between, 2, { reason: Option<String> }, [
    OverdraftInterestAccrued,
    OverdraftInterestCollected,
    OverdraftLimitChanged
]);

/// Each record has the schema of the version, or the last one before it.
fn is_of_version<A>(number: usize)
where
    A: Aggregate + AvroSchema,
    A::Command: factum::schemas::AvroMessage,
    A::Event: factum::schemas::AvroMessage,
{
    let released = committed(&crate::site::root().join("schemas/avsc")).unwrap();
    let commands = factum::schemas::newest_schemas::<A::Command>().unwrap();
    let events = factum::schemas::newest_schemas::<A::Event>().unwrap();
    for schema in commands.iter().chain(&events).chain(&[A::get_schema()]) {
        let name = schema.name().unwrap().fullname(None);
        let record = released.iter().find(|record| record.name == name).unwrap();
        let version = &record.versions[number.min(record.versions.len()) - 1];
        // Without documentation, which is not on the wire.
        assert_eq!(schema.canonical_form(), version.schema.canonical_form(), "{}", version.file.display());
    }
}

/// The bank as it is, with snapshots of its own: an earlier version that found
/// one need not read the events before it.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Newest(factum_bank::Account);

impl AvroSchema for Newest {
    fn get_schema() -> factum::schemas::Schema {
        factum_bank::Account::get_schema()
    }
}

impl Aggregate for Newest {
    const TYPE: &'static str = factum_bank::Account::TYPE;
    const FOLD_VERSION: u32 = factum_bank::Account::FOLD_VERSION + 1;
    type Command = factum_bank::Command;
    type Event = factum_bank::Event;
    type Refusal = Refusal;

    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Refusal> {
        self.0.decide(command)
    }

    fn evolve(&mut self, event: &Self::Event) {
        self.0.evolve(event);
    }
}
