//! How far clients are, read from their journals while they write them.

use crate::{
    journal::{self, Entry, Reply},
    site::PARTITIONS,
};
use factum::Result;
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

/// What the journals said when they were last looked at.
#[derive(Debug)]
pub(crate) struct Progress {
    journals: Vec<Watched>,
    /// When each partition's last command was accepted, milliseconds since 1970.
    accepted: BTreeMap<u32, u64>,
    answered: HashSet<String>,
    /// How many reads of views had the token in them.
    pub(crate) looks: u64,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// How far it was read, in bytes.
    read: u64,
    /// How many answers it has.
    answers: u64,
}

impl Progress {
    /// Of these journals, which need not be there yet.
    pub(crate) fn of(journals: &[PathBuf]) -> Self {
        let watched = |path: &PathBuf| Watched { path: path.clone(), read: 0, answers: 0 };
        let journals = journals.iter().map(watched).collect();
        Progress { journals, accepted: BTreeMap::new(), answered: HashSet::new(), looks: 0 }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// `Data` when a journal is none.
    pub(crate) fn look(&mut self) -> Result<()> {
        for journal in &mut self.journals {
            let mut new = String::new();
            let Ok(mut file) = File::open(&journal.path) else { continue };
            // What is half written is read the next time.
            if file.seek(SeekFrom::Start(journal.read)).is_err() || file.read_to_string(&mut new).is_err() {
                continue;
            }
            let whole = new.rfind('\n').map_or(0, |end| end + 1);
            journal.read += whole as u64;
            for entry in journal::parse(&new[..whole])? {
                let answered = match entry {
                    Entry::Answered(answered) => answered,
                    Entry::Looked(_) => {
                        self.looks += 1;
                        continue;
                    }
                    _ => continue,
                };
                journal.answers += 1;
                if let Reply::Accepted { token: Some((partition, _)), .. } = answered.reply {
                    let last = self.accepted.entry(partition).or_default();
                    *last = answered.at_ms.max(*last);
                }
                self.answered.insert(answered.id);
            }
        }
        Ok(())
    }

    /// How many answers there are, repeated ones too.
    pub(crate) fn answers(&self) -> u64 {
        self.journals.iter().map(|journal| journal.answers).sum()
    }

    /// How many answers a client has (from 0).
    pub(crate) fn answers_of(&self, client: usize) -> u64 {
        self.journals.get(client).map_or(0, |journal| journal.answers)
    }

    /// How many commands were answered.
    pub(crate) fn commands(&self) -> usize {
        self.answered.len()
    }

    /// Whether every partition has accepted a command since then (milliseconds since 1970).
    pub(crate) fn everywhere_since(&self, at_ms: u64) -> bool {
        (0..PARTITIONS).all(|partition| self.accepted.get(&partition).is_some_and(|last| *last >= at_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Answered, Journal};

    #[test]
    fn answers_are_counted_once_and_a_partition_that_is_silent_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut progress = Progress::of(std::slice::from_ref(&path));
        progress.look().unwrap();
        assert_eq!(progress.answers(), 0);
        let (journal, _) = Journal::open(&path).unwrap();
        for (partition, at_ms) in (0..PARTITIONS).zip([10, 11, 12, 13, 14, 15]) {
            let reply = Reply::Accepted { version: 1, events: 1, token: Some((partition, 0)) };
            journal.write(&Entry::Answered(Answered { id: "1".to_owned(), at_ms, reply })).unwrap();
            progress.look().unwrap();
        }
        assert_eq!((progress.answers(), progress.answers_of(0), progress.commands()), (u64::from(PARTITIONS), 6, 1));
        assert!(progress.everywhere_since(10) && !progress.everywhere_since(11));
    }
}
