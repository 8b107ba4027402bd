//! A linear congruential generator with Knuth's MMIX constants: the same numbers every time.

/// Its state, which is its seed before the first number.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number, of so many bits: the highest ones, whose period is the longest.
    pub(crate) fn bits(&mut self, count: u32) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> (u64::BITS - count)
    }
}
