//! The only chance in a simulation.

/// Numbers from a seed (splitmix64): the same ones in every run, on every
/// machine and with every version of every library.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// Numbers of their own for something with a name: who draws them disturbs nobody else.
    pub(crate) fn named(seed: u64, name: &str) -> Self {
        // FNV-1a, then one round to part seeds that differ in one bit.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut mixed = Random(name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv) ^ seed);
        Random(mixed.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// The same for an index.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// A number from `from` to `to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(to.abs_diff(from) + 1)).unwrap_or(0)
    }

    /// True so many times in 100 000.
    pub(crate) fn chance(&mut self, in_100_000: u32) -> bool {
        self.below(100_000) < u64::from(in_100_000)
    }
}
