//! The process's resident memory over time.

use factum_core::{Error, Result};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Between two looks.
const EVERY_MS: u64 = 50;
const MIB: u64 = 1024 * 1024;

/// What the process took before, and at most since.
#[derive(Debug)]
pub(super) struct Memory {
    before: u64,
    peak: AtomicU64,
    begun: Instant,
    /// Milliseconds from the beginning to the last look.
    looked: AtomicU64,
}

impl Memory {
    /// Begins to look.
    ///
    /// # Errors
    /// `Invalid` where the system does not tell.
    pub(super) fn begin() -> Result<Self> {
        let before = resident().ok_or_else(|| {
            Error::invalid("this system does not tell a process's memory in /proc/self/status; run this on Linux")
        })?;
        Ok(Memory { before, peak: AtomicU64::new(before), begun: Instant::now(), looked: AtomicU64::new(0) })
    }

    /// Looks, if the last time is long enough ago.
    pub(super) fn look(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now >= self.looked.load(Ordering::Relaxed) + EVERY_MS {
            self.looked.store(now, Ordering::Relaxed);
            self.peak.fetch_max(resident().unwrap_or_default(), Ordering::Relaxed);
        }
    }

    /// Looks for the last time.
    pub(super) fn end(self) -> Self {
        self.peak.fetch_max(resident().unwrap_or_default(), Ordering::Relaxed);
        self
    }

    pub(super) fn before_mib(&self) -> u64 {
        self.before / MIB
    }

    pub(super) fn peak_mib(&self) -> u64 {
        self.peak.load(Ordering::Relaxed) / MIB
    }

    pub(super) fn growth_mib(&self) -> u64 {
        self.peak_mib().saturating_sub(self.before_mib())
    }
}

/// The bytes that this process has in memory (proc(5), `VmRSS`).
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
