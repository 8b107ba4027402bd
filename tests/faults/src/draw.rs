//! Numbers that look drawn by chance and are the same for a seed.

use rand_pcg::{Pcg32, rand_core::Rng};

/// A stream of draws (PCG-XSH-RR 64/32: M. O'Neill, "PCG", 2014).
#[derive(Debug, Clone)]
pub(crate) struct Draw(Pcg32);

impl Draw {
    /// The stream of that number; streams of one seed are independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Draw(Pcg32::new(seed, stream))
    }

    /// A number below `end`, which is more than 0 (multiply and shift: D. Lemire, 2019, without the rejection).
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        let product = u64::from(self.0.next_u32()) * u64::from(end);
        u32::try_from(product >> 32).unwrap_or(u32::MAX)
    }

    /// An index of something that long, which is not empty.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(u32::try_from(length).unwrap_or(u32::MAX)) as usize
    }
}
