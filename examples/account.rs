//! An account, from nothing to a tested aggregate.

use factum::{Aggregate, command, event};
use std::{fmt, process::ExitCode};

#[command("demo.account")]
struct Deposit {
    cents: i64,
}
#[command("demo.account")]
struct Withdraw {
    cents: i64,
}
#[command]
enum Command {
    Deposit(Deposit),
    Withdraw(Withdraw),
}

#[event("demo.account")]
struct Deposited {
    cents: i64,
}
#[event("demo.account")]
struct Withdrawn {
    cents: i64,
}
#[event]
enum Event {
    Deposited(Deposited),
    Withdrawn(Withdrawn),
}

#[derive(Debug, PartialEq, serde::Serialize)]
struct Insufficient {
    balance: i64,
    asked: i64,
}
impl fmt::Display for Insufficient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cents do not cover {}", self.balance, self.asked)
    }
}

#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, apache_avro::AvroSchema)]
struct Account {
    balance: i64,
}
impl Aggregate for Account {
    const TYPE: &'static str = "demo.account";
    const FOLD_VERSION: u32 = 1; // raise it when `evolve` changes its meaning
    type Command = Command;
    type Event = Event;
    type Refusal = Insufficient;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Insufficient> {
        match command {
            Command::Deposit(Deposit { cents }) => Ok(vec![Deposited { cents }.into()]),
            Command::Withdraw(Withdraw { cents }) if cents > self.balance => {
                Err(Insufficient { balance: self.balance, asked: cents })
            }
            Command::Withdraw(Withdraw { cents }) => Ok(vec![Withdrawn { cents }.into()]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Deposited(Deposited { cents }) => self.balance += cents,
            Event::Withdrawn(Withdrawn { cents }) => self.balance -= cents,
        }
    }
}

fn main() -> ExitCode {
    factum::app("account").aggregate::<Account>().main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use factum::testing::given;

    #[test]
    fn a_withdrawal_is_recorded() {
        given::<Account>([Deposited { cents: 100 }])
            .when(Withdraw { cents: 30 })
            .then([Withdrawn { cents: 30 }])
            .then_state(|account| assert_eq!(account.balance, 70));
    }

    #[test]
    fn a_withdrawal_beyond_the_balance_is_refused() {
        given::<Account>([Deposited { cents: 100 }])
            .when(Withdraw { cents: 130 })
            .then_refused(Insufficient { balance: 100, asked: 130 });
    }
}
