//! How two tables of a view compare, for people and programs.

use factum_core::view::{Value, ViewTable};
use factum_views::{Difference, Parity};
use serde::{Deserialize, Serialize};

/// A live table against what was folded from its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) equal: bool,
    pub(crate) rows: u64,
    pub(crate) hash: String,
    pub(crate) folded_rows: u64,
    pub(crate) folded_hash: String,
    pub(crate) altered: u64,
    pub(crate) missing: u64,
    pub(crate) extra: u64,
    /// The first rows that differ.
    pub(crate) first: Vec<DifferingRow>,
    /// All of it in a few words.
    pub(crate) text: String,
}

/// A row that is not the same in both tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DifferingRow {
    pub(crate) key: String,
    /// What differs, in words.
    pub(crate) text: String,
}

impl Compared {
    pub(super) fn new(parity: &Parity, table: &ViewTable) -> Self {
        let columns: Vec<&str> = table.columns().iter().map(|column| column.name.as_str()).collect();
        let row = |difference: &Difference| DifferingRow {
            key: difference.key.clone(),
            text: in_words(difference, &columns),
        };
        Compared {
            equal: parity.is_equal(),
            rows: parity.live.rows,
            hash: format!("{:016x}", parity.live.hash),
            folded_rows: parity.folded.rows,
            folded_hash: format!("{:016x}", parity.folded.hash),
            altered: parity.altered,
            missing: parity.missing,
            extra: parity.extra,
            first: parity.first.iter().map(row).collect(),
            text: parity.to_string(),
        }
    }

    /// How many rows differ that are not among the first.
    pub(crate) fn more(&self) -> u64 {
        let told = u64::try_from(self.first.len()).unwrap_or(u64::MAX);
        (self.altered + self.missing + self.extra).saturating_sub(told)
    }
}

fn in_words(difference: &Difference, columns: &[&str]) -> String {
    let row = |values: &[Value]| {
        let values: Vec<String> = columns.iter().zip(values).map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    let Difference { key, live, folded } = difference;
    match (live, folded) {
        (Some(live), Some(folded)) => {
            let changed: Vec<String> = columns
                .iter()
                .zip(live.iter().zip(folded))
                .filter(|(_, (live, folded))| live != folded)
                .map(|(name, (live, folded))| format!("{name}={live}, and its log gives {folded}"))
                .collect();
            format!("altered {key:?}: {}", changed.join("; "))
        }
        (None, Some(folded)) => format!("missing {key:?}: its log gives {}", row(folded)),
        (Some(live), None) => format!("extra   {key:?}: {}", row(live)),
        (None, None) => format!("{key:?}"),
    }
}
