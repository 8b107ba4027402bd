//! How far clients are, read from their journals while they write them.

use crate::{
    journal::{self, Entry, Reply},
    site::PARTITIONS,
};
use factum::Result;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

/// What the journals said when they were last looked at.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Each journal, and how far it was read.
    journals: Vec<(PathBuf, u64)>,
    /// How many answers there are.
    pub(crate) answers: u64,
    /// When each partition's last command was accepted, milliseconds since 1970.
    accepted: BTreeMap<u32, u64>,
}

impl Progress {
    /// Of these journals, which need not be there yet.
    pub(crate) fn of(journals: &[PathBuf]) -> Self {
        let journals = journals.iter().map(|path| (path.clone(), 0)).collect();
        Progress { journals, answers: 0, accepted: BTreeMap::new() }
    }

    /// Reads what is new.
    ///
    /// # Errors
    /// `Data` when a journal is none.
    pub(crate) fn look(&mut self) -> Result<()> {
        for (path, read) in &mut self.journals {
            let mut new = String::new();
            let Ok(mut file) = File::open(path) else { continue };
            // What is half written is read the next time.
            if file.seek(SeekFrom::Start(*read)).is_err() || file.read_to_string(&mut new).is_err() {
                continue;
            }
            let whole = new.rfind('\n').map_or(0, |end| end + 1);
            *read += whole as u64;
            for entry in journal::parse(&new[..whole])? {
                let Entry::Answered(answered) = entry else { continue };
                self.answers += 1;
                if let Reply::Accepted { token: Some((partition, _)), .. } = answered.reply {
                    let last = self.accepted.entry(partition).or_default();
                    *last = answered.at_ms.max(*last);
                }
            }
        }
        Ok(())
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
        assert_eq!(progress.answers, 0);
        let (journal, _) = Journal::open(&path).unwrap();
        for (partition, at_ms) in (0..PARTITIONS).zip([10, 11, 12, 13, 14, 15]) {
            let reply = Reply::Accepted { version: 1, events: 1, token: Some((partition, 0)) };
            journal.write(&Entry::Answered(Answered { id: "1".to_owned(), at_ms, reply })).unwrap();
            progress.look().unwrap();
        }
        assert_eq!(progress.answers, u64::from(PARTITIONS));
        assert!(progress.everywhere_since(10) && !progress.everywhere_since(11));
    }
}
