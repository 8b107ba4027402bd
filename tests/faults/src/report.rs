//! What a run says.
#![allow(clippy::print_stdout)] // it is what this program is for

use crate::{
    outage::{Cause, Cost},
    plan::Fault,
};
use factum_history::{Rule, Violation};
use std::{collections::BTreeMap, path::Path};

/// The most violations of a rule that are printed; the file has all.
const SHOWN: usize = 5;

/// One line, with the time.
pub(crate) fn say(line: &str) {
    println!("{} {line}", jiff::Timestamp::now().strftime("%H:%M:%S"));
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) seed: u64,
    pub(crate) choices: &'a str,
    pub(crate) faults: &'a [Fault],
    pub(crate) costs: BTreeMap<Cause, Cost>,
    pub(crate) sent: usize,
    pub(crate) acknowledged: usize,
    pub(crate) events: usize,
    pub(crate) replies: usize,
    pub(crate) looks: usize,
    pub(crate) behind: usize,
    /// Processes that ended by themselves.
    pub(crate) ends: Vec<String>,
    pub(crate) violations: &'a [Violation],
    /// What was asked of the run and is not there.
    pub(crate) missing: Vec<String>,
    pub(crate) folder: &'a Path,
}

impl Report<'_> {
    /// Whether everything holds.
    pub(crate) fn holds(&self) -> bool {
        self.violations.is_empty() && self.missing.is_empty()
    }

    fn cost(&self, cause: Cause) -> Cost {
        self.costs.get(&cause).copied().unwrap_or_default()
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!("\nseed {}, {}", self.seed, self.choices);
        println!(
            "\n| fault | injected | longest without an acknowledgement | of one partition | without a fresh read of a view |"
        );
        println!("|---|---|---|---|---|");
        for fault in self.faults {
            let Cost { count, all_ms, partition_ms, view_ms } = self.cost(Cause::One(*fault));
            println!("| {fault} | {count} | {} | {} | {} |", seconds(all_ms), seconds(partition_ms), seconds(view_ms));
        }
        let Cost { all_ms, partition_ms, view_ms, .. } = self.cost(Cause::Several);
        let several = [all_ms, partition_ms, view_ms].map(seconds).join(" | ");
        println!("| several, one upon another | | {several} |");
        let faults: usize = self.costs.values().map(|cost| cost.count).sum();
        println!(
            "\n{faults} faults; {} commands sent, {} acknowledged; {} events, {} replies; {} reads of own writes ({} more were told \
             that the view is behind or away); {} processes ended by themselves",
            self.sent,
            self.acknowledged,
            self.events,
            self.replies,
            self.looks,
            self.behind,
            self.ends.len()
        );
        self.ends.iter().for_each(|end| println!("  {end}"));
        println!();
        for rule in Rule::ALL {
            let broken: Vec<_> = self.violations.iter().filter(|violation| violation.rule == rule).collect();
            match broken.len() {
                0 => println!("holds   {rule}"),
                count => println!("BROKEN  {rule}: {count} times"),
            }
            broken.iter().take(SHOWN).for_each(|violation| println!("        {}", violation.what));
        }
        self.missing.iter().for_each(|missing| println!("MISSING {missing}"));
        match self.holds() {
            true => println!("\nverdict: every promise was kept"),
            false => println!(
                "\nverdict: FAILED; logs, journals and data are in {}; again with --seed {}",
                self.folder.display(),
                self.seed
            ),
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}
