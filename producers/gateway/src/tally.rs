//! How commands were answered, counted.

use factum_core::{
    AggregateId, Result,
    wire::{Answer, AnswerCode},
};
use std::collections::BTreeMap;

/// How many answers of each kind came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// By code.
    pub codes: BTreeMap<&'static str, u64>,
    /// The first few answers that were neither accepted nor a conflict, with their commands.
    pub samples: Vec<String>,
}

/// How many answers are shown in full.
const MAX_SAMPLES: usize = 5;

impl Tally {
    /// Counts an answer.
    pub fn add(&mut self, aggregate: &AggregateId, answer: &Answer) {
        *self.codes.entry(answer.code.as_str()).or_default() += 1;
        let plain = matches!(answer.code, AnswerCode::Accepted | AnswerCode::Conflict);
        if !plain && self.samples.len() < MAX_SAMPLES {
            let detail = answer.detail.as_deref().unwrap_or("no detail");
            self.samples.push(format!("{aggregate}: {}: {detail}", answer.code));
        }
    }

    /// Adds what another process counted, as JSON.
    ///
    /// # Errors
    /// `Data` when it names a code that there is not.
    pub fn merge(&mut self, counted: Counted) -> Result<()> {
        for (code, count) in counted.answers {
            *self.codes.entry(code.parse::<AnswerCode>()?.as_str()).or_default() += count;
        }
        let room = MAX_SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(counted.samples.into_iter().take(room));
        Ok(())
    }

    /// How many had this code.
    pub fn count(&self, code: AnswerCode) -> u64 {
        self.codes.get(code.as_str()).copied().unwrap_or(0)
    }
}

/// A [`Tally`] on its way between processes.
#[derive(Debug, serde::Deserialize)]
pub struct Counted {
    answers: BTreeMap<String, u64>,
    samples: Vec<String>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.codes.iter().map(|(code, count)| format!("{count} {code}")).collect();
        f.write_str(&parts.join(", "))
    }
}
