//! What a teller knows of its accounts.

use crate::{
    journal::{Entry, Order, Reply, Sent},
    site::PARTITIONS,
};
use factum::partition_of;
use std::collections::{BTreeMap, BTreeSet};

/// Accounts of one teller: nobody else sends commands to them, so that the
/// handler's window of recent commands always holds what is not answered yet.
pub(crate) const ACCOUNTS: usize = 6;
/// What an account begins with, in cents.
pub(crate) const OPENING_CENTS: i64 = 10_000;

/// The accounts' names. Those of three tellers in four are in one partition, so
/// that the tellers of partitions that nothing strikes go on.
pub(crate) fn names(client: &str, teller: usize) -> Vec<String> {
    let names = (0..).map(|number: u32| format!("{client}-{teller}-{number}"));
    let own = teller % PARTITIONS as usize;
    let fits = |name: &String| teller % 4 == 3 || partition_of(name.as_bytes(), PARTITIONS).0 as usize == own;
    names.filter(fits).take(ACCOUNTS).collect()
}

/// What earlier processes left to do for some accounts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remains {
    /// The accounts that have their first money, with their last known version.
    pub(crate) versions: BTreeMap<String, u64>,
    /// Sent and never answered, in their order.
    pub(crate) unanswered: Vec<Sent>,
    /// Transfers' first halves that were accepted and have no second half yet.
    pub(crate) half_done: Vec<Sent>,
}

impl Remains {
    /// Of a journal.
    pub(crate) fn of(entries: &[Entry], accounts: &[String]) -> Self {
        let mut remains = Remains::default();
        let mut taken_out: BTreeMap<&str, &Sent> = BTreeMap::new();
        let mut sent: BTreeMap<&str, &Sent> = BTreeMap::new();
        let mut order: Vec<&str> = Vec::new();
        let mut answered: BTreeSet<&str> = BTreeSet::new();
        for entry in entries {
            match entry {
                Entry::Sent(command) if accounts.contains(&command.account) => {
                    if let Order::PayIn(_, taken) = &command.order {
                        taken_out.remove(taken.as_str());
                    }
                    sent.insert(&command.id, command);
                    order.push(&command.id);
                }
                Entry::Answered(answer) => {
                    let Some(command) = sent.get(answer.id.as_str()) else { continue };
                    let first = answered.insert(&answer.id);
                    let (Reply::Accepted { version, .. } | Reply::Refused { version, .. } | Reply::Conflict(version)) =
                        &answer.reply
                    else {
                        continue;
                    };
                    let known = remains.versions.entry(command.account.clone()).or_default();
                    *known = (*known).max(*version);
                    if first && matches!((&command.order, &answer.reply), (Order::TakeOut(..), Reply::Accepted { .. }))
                    {
                        taken_out.insert(&command.id, command);
                    }
                }
                _ => {}
            }
        }
        remains.unanswered = order.iter().filter(|id| !answered.contains(*id)).map(|id| sent[id].clone()).collect();
        remains.half_done = taken_out.into_values().cloned().collect();
        remains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Answered;

    fn sent(id: &str, order: Order) -> Sent {
        Sent { id: id.to_owned(), account: "a".to_owned(), order, expected: None }
    }

    fn accepted(id: &str, version: u64) -> Entry {
        let reply = Reply::Accepted { version, events: 1, token: None };
        Entry::Answered(Answered { id: id.to_owned(), at_ms: 0, reply })
    }

    #[test]
    fn every_partition_has_tellers_of_its_own_and_no_account_has_two() {
        let names: Vec<Vec<String>> = (0..24).map(|teller| names("c", teller)).collect();
        let all: BTreeSet<&String> = names.iter().flatten().collect();
        assert_eq!(all.len(), 24 * ACCOUNTS);
        let partitions = |names: &Vec<String>| -> BTreeSet<u32> {
            names.iter().map(|name| partition_of(name.as_bytes(), PARTITIONS).0).collect()
        };
        let own: BTreeSet<u32> = names.iter().map(partitions).filter(|all| all.len() == 1).flatten().collect();
        assert_eq!(own.len(), PARTITIONS as usize);
    }

    #[test]
    fn what_was_not_answered_and_transfers_that_are_half_done_are_left() {
        let out = |id| sent(id, Order::TakeOut(1, "a".to_owned()));
        let pay_in = |id, taken: &str| sent(id, Order::PayIn(1, taken.to_owned()));
        let accounts = ["a".to_owned()];
        let entries = [
            Entry::Sent(sent("0", Order::Open(5))),
            accepted("0", 1),
            Entry::Sent(out("1")),
            accepted("1", 2),
            Entry::Sent(pay_in("2", "1")),
            accepted("2", 3),
            // A repeated answer begins no second transfer.
            accepted("1", 2),
            Entry::Sent(out("3")),
            accepted("3", 4),
            Entry::Sent(out("4")),
            Entry::Sent(Sent { account: "another's".to_owned(), ..out("5") }),
        ];
        let remains = Remains::of(&entries, &accounts);
        assert_eq!(remains.versions, [("a".to_owned(), 4)].into());
        assert_eq!(remains.half_done, [out("3")]);
        assert_eq!(remains.unanswered, [out("4")]);
    }
}
