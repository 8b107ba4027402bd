//! The generated year: the same for ever, in the order of time, and right to the cent.
#![allow(clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod ledger;

use factum::{Aggregate, TimestampMs, send::Outgoing};
use factum_bank::{Account, Command, EntryKind, RecordEntry, Transaction, Year};
use ledger::Ledger;
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// 2025 begins and ends, in milliseconds since 1970.
const BEGIN_MS: i64 = 1_735_689_600_000;
const END_MS: i64 = BEGIN_MS + 365 * 86_400_000;

fn year(seed: u64, accounts: u32, transactions: u64) -> Year {
    Year::new(seed, accounts, transactions, 2025).unwrap()
}

/// A hash of everything that is sent.
fn fingerprint(year: Year) -> String {
    let begin = Uuid::nil();
    let all = year.transactions().map(Outgoing::from).fold(begin, |hash, command| {
        let text = format!(
            "{} {} {:?} {:?} {} {}",
            command.id.unwrap(),
            command.aggregate,
            command.occurred.unwrap(),
            command.expected_version.unwrap(),
            command.record,
            command.fields
        );
        Uuid::new_v5(&hash, text.as_bytes())
    });
    all.to_string()
}

/// The states of all accounts, by the bank's own rules, and how many commands were refused.
fn fold(transactions: impl Iterator<Item = Transaction>) -> (HashMap<String, (i64, i64)>, u64) {
    let mut accounts: HashMap<String, (Account, u64)> = HashMap::new();
    let mut refused = 0;
    for Transaction { account, command, expected_version, .. } in transactions {
        let (state, version) = accounts.entry(account.to_string()).or_default();
        assert_eq!(*version, expected_version.0, "{account}");
        match state.decide(command) {
            Ok(events) => {
                events.iter().for_each(|event| state.evolve(event));
                *version += u64::try_from(events.len()).unwrap();
            }
            Err(_) => refused += 1,
        }
    }
    let plain = |(id, (state, _)): (String, (Account, u64))| (id, (state.balance_cents, state.overdraft_limit_cents));
    (accounts.into_iter().map(plain).collect(), refused)
}

#[test]
fn the_first_year_never_changes() {
    assert_eq!(fingerprint(Year::default()), "09da26f6-fa68-55d8-980f-7538f4d01e22");
    assert_eq!(fingerprint(year(1, 200, 5_000)), fingerprint(Year::default()));
    assert_ne!(fingerprint(year(2, 200, 5_000)), fingerprint(Year::default()));
}

#[test]
fn transactions_come_in_the_order_of_time_and_lie_within_the_year() {
    for year in [Year::default(), year(3, 50, 20_000)] {
        let times: Vec<i64> = year.transactions().map(|transaction| transaction.occurred.0).collect();
        assert!(times.is_sorted());
        assert_eq!(u64::try_from(times.len()).unwrap(), year.count());
        assert!(times[0] == BEGIN_MS && times.iter().all(|time| (BEGIN_MS..END_MS).contains(time)));
        // They are spread over it: every month has a fair part.
        let months = times.iter().fold([0_usize; 12], |mut months, time| {
            months[usize::try_from((time - BEGIN_MS) * 12 / (END_MS - BEGIN_MS)).unwrap()] += 1;
            months
        });
        assert!(months.iter().all(|count| *count > times.len() / 20), "{months:?}");
    }
}

#[test]
fn ids_are_unique_to_a_place_in_a_year() {
    let ids = |year: Year| year.transactions().map(|transaction| transaction.id.to_string()).collect::<HashSet<_>>();
    let first = ids(Year::default());
    assert_eq!(first.len(), 5_000);
    assert_eq!(ids(Year::default()), first);
    assert!(ids(year(2, 200, 5_000)).is_disjoint(&first) && ids(year(1, 200, 6_000)).is_disjoint(&first));
}

#[test]
fn the_balances_are_those_of_a_second_sum() {
    for year in [Year::default(), year(1, 1_000, 100_000), year(2, 200, 100_000), year(77, 5, 3_000)] {
        let (states, refused) = fold(year.transactions());
        let ledger = Ledger::of(year.transactions().map(Outgoing::from));
        assert_eq!(states, ledger.accounts, "{year:?}");
        assert_eq!(refused, ledger.refused, "{year:?}");
        assert_eq!(ledger.total_cents(), ledger.inflow_cents - ledger.outflow_cents, "{year:?}");
        assert!(ledger.accounts.values().all(|(balance, _)| balance.abs() < 1_000_000_000), "{year:?}");
    }
}

#[test]
fn a_second_sum_notices_a_cent() {
    let mut commands: Vec<Outgoing> = Year::default().transactions().map(Outgoing::from).collect();
    let cents = commands[0].fields["cents"].as_i64().unwrap();
    commands[0].fields["cents"] = (cents + 1).into();
    assert_ne!(Ledger::of(commands).accounts, fold(Year::default().transactions()).0);
}

/// How often something happens in a year.
fn count(of: impl Fn(&Transaction) -> bool) -> usize {
    Year::default().transactions().filter(of).count()
}

#[test]
fn the_first_year_is_believable() {
    let ledger = Ledger::of(Year::default().transactions().map(Outgoing::from));
    assert_eq!(ledger.accounts.len(), 200);
    // A few refusals, and some accounts that are overdrawn at the end.
    assert!((10..150).contains(&ledger.refused), "{} were refused", ledger.refused);
    let overdrawn = ledger.accounts.values().filter(|(balance, _)| *balance < 0).count();
    assert!((3..40).contains(&overdrawn), "{overdrawn} are overdrawn");

    let kind = |wanted| move |transaction: &Transaction| matches!(&transaction.command, Command::RecordEntry(RecordEntry { kind, .. }) if *kind == wanted);
    assert!(count(kind(EntryKind::Interest)) > 200);
    assert!(count(kind(EntryKind::OverdraftInterest)) > 10);
    assert!(count(|transaction| matches!(transaction.command, Command::SetOverdraftLimit(_))) > 20);

    // A salary: the same amount at the end of every month.
    let mut deposits: BTreeMap<(String, i64), HashSet<i64>> = BTreeMap::new();
    for Transaction { account, occurred, command, .. } in Year::default().transactions() {
        if let Command::Deposit(deposit) = command {
            let month = (occurred.0 - BEGIN_MS) * 12 / (END_MS - BEGIN_MS);
            deposits.entry((account.to_string(), deposit.cents)).or_default().insert(month);
        }
    }
    let salaries: HashSet<i64> =
        deposits.iter().filter(|(_, months)| months.len() >= 11).map(|((_, cents), _)| *cents).collect();
    assert!(salaries.len() > 60, "{} salaries", salaries.len());

    // Cards rest at night and are busier on Saturdays than on Sundays; 2025-01-01 was a Wednesday.
    let card = |transaction: &Transaction| matches!(transaction.command, Command::Withdraw(_));
    let day = |TimestampMs(ms): TimestampMs| ((ms - BEGIN_MS) / 86_400_000 + 2) % 7;
    assert_eq!(count(|transaction| card(transaction) && transaction.occurred.0 % 86_400_000 < 4 * 3_600_000), 0);
    let (saturdays, sundays) = (
        count(|transaction| card(transaction) && day(transaction.occurred) == 5),
        count(|transaction| card(transaction) && day(transaction.occurred) == 6),
    );
    assert!(saturdays > 2 * sundays, "{saturdays} and {sundays}");
}

#[test]
fn a_year_of_a_million_begins_at_once_and_its_sample_knows_its_length() {
    let year = year(1, 1_000, 1_000_000);
    let sample = year.sample();
    assert_eq!((sample.count(), sample.title()), (1_000_000, "the year 2025 of 1000 accounts"));
    assert_eq!(sample.commands().next().unwrap().record, "bank.account.Deposit");
    assert_eq!(sample.commands().count(), 1_000_000);
}

#[test]
fn a_year_with_few_transactions_ends_early() {
    let transactions: Vec<Transaction> = year(1, 200, 300).transactions().collect();
    assert_eq!(transactions.len(), 300);
    assert!(transactions[299].occurred.0 < BEGIN_MS + 40 * 86_400_000);
}
