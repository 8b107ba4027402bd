//! The second release: other events, and upcasters from those of the first.

pub use crate::first::{Deposit, Deposited, Limited, Opened, Paid, Visited};
use factum::{
    Aggregate, Upcast, Upcasted, command, event,
    schemas::Record,
    view::{Recorded, Scope, View},
};
use std::fmt;

/// Set in a program whose upcaster of [`Paid`] has a fault.
pub const FAULTY: &str = "RELEASE_IS_FAULTY";

/// Takes money out.
#[command("till.account")]
pub struct Withdraw {
    /// How much.
    pub cents: i64,
}

/// What may be asked for.
#[command]
pub enum Command {
    /// See there.
    Deposit(Deposit),
    /// See there.
    Withdraw(Withdraw),
}

/// An account began: `Opened` with its field renamed, between the releases.
#[event("till.account")]
pub struct Named {
    /// Whose it is.
    pub holder: String,
}

/// An account began: `Named` with its field renamed again.
#[event("till.account")]
pub struct Registered {
    /// Whose it is.
    pub customer: String,
}

/// Money was taken out.
#[event("till.account")]
pub struct Withdrawn {
    /// How much.
    pub cents: i64,
}

/// Something was paid to the bank.
#[event("till.account")]
pub struct Charged {
    /// How much.
    pub cents: i64,
}

/// The account may be overdrawn.
#[event("till.account")]
pub struct LimitSet {
    /// How far.
    pub cents: i64,
}

/// What happened.
#[event(retired(Opened, Named, Paid, Limited, Visited))]
pub enum Event {
    /// See there.
    Registered(Registered),
    /// See there.
    Deposited(Deposited),
    /// See there.
    Withdrawn(Withdrawn),
    /// See there.
    Charged(Charged),
    /// See there.
    LimitSet(LimitSet),
}

// A renamed field, and a chain of two.
impl Upcast for Opened {
    type Event = Event;
    const INTO: &'static [&'static str] = &[Named::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(Named { holder: self.owner });
    }
}

impl Upcast for Named {
    type Event = Event;
    const INTO: &'static [&'static str] = &[Registered::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(Registered { customer: self.holder });
    }
}

// An event that was split.
impl Upcast for Paid {
    type Event = Event;
    const INTO: &'static [&'static str] = &[Withdrawn::NAME, Charged::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(Withdrawn { cents: self.cents });
        // An upcaster knows its record only; this one stands for a program with a fault.
        assert!(std::env::var_os(FAULTY).is_none(), "the fee is forgotten");
        to.push(Charged { cents: self.fee_cents });
    }
}

// Another unit, under a new name.
impl Upcast for Limited {
    type Event = Event;
    const INTO: &'static [&'static str] = &[LimitSet::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        to.push(LimitSet { cents: self.euros * 100 });
    }
}

// An event that nobody needs.
impl Upcast for Visited {
    type Event = Event;
    const INTO: &'static [&'static str] = &[];

    fn upcast(self, _: &mut Upcasted<Event>) {}
}

/// The limit does not allow it.
#[derive(Debug, serde::Serialize)]
pub struct Insufficient {
    /// What could be taken.
    pub available_cents: i64,
}

impl fmt::Display for Insufficient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} cents", self.available_cents)
    }
}

/// The second release knows more of an account.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
pub struct Account {
    /// Whose it is.
    pub customer: String,
    /// What there is.
    pub cents: i64,
    /// What the bank has had.
    pub charged_cents: i64,
    /// How far it may be overdrawn.
    pub limit_cents: i64,
}

impl Aggregate for Account {
    const TYPE: &'static str = "till.account";
    const FOLD_VERSION: u32 = 1;
    type Command = Command;
    type Event = Event;
    type Refusal = Insufficient;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Insufficient> {
        let available_cents = self.cents + self.limit_cents;
        match command {
            Command::Deposit(Deposit { cents }) => Ok(vec![Deposited { cents }.into()]),
            Command::Withdraw(Withdraw { cents }) if cents <= available_cents => Ok(vec![Withdrawn { cents }.into()]),
            Command::Withdraw(_) => Err(Insufficient { available_cents }),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Registered(registered) => self.customer.clone_from(&registered.customer),
            Event::Deposited(deposited) => self.cents += deposited.cents,
            Event::Withdrawn(withdrawn) => self.cents -= withdrawn.cents,
            Event::Charged(charged) => {
                self.cents -= charged.cents;
                self.charged_cents += charged.cents;
            }
            Event::LimitSet(limit) => self.limit_cents = limit.cents,
        }
    }
}

/// A row of [`Accounts`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Row {
    /// Whose it is.
    pub customer: String,
    /// What there is.
    pub cents: i64,
    /// What the bank has had.
    pub charged_cents: i64,
    /// How far it may be overdrawn.
    pub limit_cents: i64,
    /// Its events of today's kinds: version and part of each.
    pub events: String,
}

/// The accounts as they are.
#[derive(Debug)]
pub struct Accounts;

impl View for Accounts {
    const NAME: &'static str = "accounts";
    const VERSION: u32 = 1;
    const INPUTS: &'static [&'static str] = &["till.account"];
    const SCOPE: Scope = Scope::Aggregate;
    type Event = Event;
    type Row = Row;

    fn keys(event: &Recorded<Event>) -> Vec<String> {
        vec![event.aggregate.to_string()]
    }

    fn fold(_: &str, row: Option<Row>, event: &Recorded<Event>) -> Option<Row> {
        let (mut account, mut events) = (Account::default(), String::new());
        if let Some(row) = row {
            account = Account {
                customer: row.customer,
                cents: row.cents,
                charged_cents: row.charged_cents,
                limit_cents: row.limit_cents,
            };
            events = row.events;
        }
        account.evolve(&event.event);
        events.push_str(&format!("{}.{} ", event.version, event.part));
        let Account { customer, cents, charged_cents, limit_cents } = account;
        Some(Row { customer, cents, charged_cents, limit_cents, events })
    }
}

/// What the bank has had, of a view's own enum: it holds one of the events.
pub mod fees {
    use super::{Charged, Paid, Recorded, Scope, View, event};

    /// What the view reads.
    #[event(retired(Paid))]
    pub enum Fee {
        /// See there.
        Charged(Charged),
    }

    /// A row of [`Fees`].
    #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub struct Total {
        /// The sum.
        pub cents: i64,
    }

    /// All fees.
    #[derive(Debug)]
    pub struct Fees;

    impl View for Fees {
        const NAME: &'static str = "fees";
        const VERSION: u32 = 1;
        const INPUTS: &'static [&'static str] = &["till.account"];
        const SCOPE: Scope = Scope::Shared;
        type Event = Fee;
        type Row = Total;

        fn keys(_: &Recorded<Fee>) -> Vec<String> {
            vec!["all".to_owned()]
        }

        fn fold(_: &str, row: Option<Total>, event: &Recorded<Fee>) -> Option<Total> {
            let Fee::Charged(charged) = &event.event;
            Some(Total { cents: row.map_or(0, |row| row.cents) + charged.cents })
        }
    }

    /// What a view reads that was not told of the retired record.
    #[event]
    pub enum NewFee {
        /// See there.
        Charged(Charged),
    }

    /// The fees of today only: no program starts with it.
    #[derive(Debug)]
    pub struct NewFees;

    impl View for NewFees {
        const NAME: &'static str = "new_fees";
        const VERSION: u32 = 1;
        const INPUTS: &'static [&'static str] = &["till.account"];
        const SCOPE: Scope = Scope::Shared;
        type Event = NewFee;
        type Row = Total;

        fn keys(_: &Recorded<NewFee>) -> Vec<String> {
            vec!["all".to_owned()]
        }

        fn fold(_: &str, row: Option<Total>, event: &Recorded<NewFee>) -> Option<Total> {
            let NewFee::Charged(charged) = &event.event;
            Some(Total { cents: row.map_or(0, |row| row.cents) + charged.cents })
        }
    }
}
