//! The ends of a partition as a reader may see them: a record or marker that
//! is not durable yet is there for nobody.

use crate::journal::Written;
use factum_core::Offset;
use std::collections::VecDeque;

/// A partition's ends after each group of the journal that may not be durable yet.
#[derive(Debug)]
pub(crate) struct Ends {
    /// End and last stable offset after every group before those that wait.
    durable: (Offset, Offset),
    waiting: VecDeque<(u64, (Offset, Offset))>,
}

impl Default for Ends {
    fn default() -> Self {
        Ends { durable: (Offset(0), Offset(0)), waiting: VecDeque::new() }
    }
}

impl Ends {
    /// Notes the ends after a change. Those that became durable are forgotten
    /// here, so that there are as many as groups under way.
    pub(crate) fn note(&mut self, written: Written, end: Offset, stable: Offset) {
        let count = self.waiting.iter().take_while(|(group, _)| *group <= written.durable).count();
        if let Some((_, ends)) = self.waiting.drain(..count).next_back() {
            self.durable = ends;
        }
        match self.waiting.back_mut() {
            Some((group, ends)) if *group == written.group => *ends = (end, stable),
            _ => self.waiting.push_back((written.group, (end, stable))),
        }
    }

    /// The ends of a partition that was read from a journal.
    pub(crate) fn starting(end: Offset, stable: Offset) -> Self {
        Ends { durable: (end, stable), waiting: VecDeque::new() }
    }

    /// End and last stable offset for somebody who sees the groups up to `durable`.
    pub(crate) fn at(&self, durable: u64) -> (Offset, Offset) {
        let seen = self.waiting.iter().rev().find(|(group, _)| *group <= durable);
        seen.map_or(self.durable, |(_, ends)| *ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_the_ends_of_the_last_durable_group() {
        let mut ends = Ends::default();
        let note = |ends: &mut Ends, group, durable, end| {
            ends.note(Written { group, durable }, Offset(end), Offset(end - 1));
        };
        note(&mut ends, 1, 0, 5);
        note(&mut ends, 1, 0, 6);
        note(&mut ends, 3, 0, 9);
        let end = |ends: &Ends, durable| ends.at(durable).0.0;
        assert_eq!([0, 1, 2, 3, 4].map(|durable| end(&ends, durable)), [0, 6, 6, 9, 9]);
        note(&mut ends, 4, 2, 12);
        assert_eq!(([2, 3, 4].map(|durable| end(&ends, durable)), ends.waiting.len()), ([6, 9, 12], 2));
    }
}
