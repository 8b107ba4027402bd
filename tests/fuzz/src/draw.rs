//! Numbers that look drawn by chance and are the same for a seed.

use rand_pcg::{Pcg64Mcg, rand_core::Rng};

/// A stream of draws (PCG, M. O'Neill, 2014: 128 bits of state, 64 of output).
#[derive(Debug, Clone)]
pub struct Draw(Pcg64Mcg);

impl Draw {
    /// The stream of a seed; neighbouring seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        let mut draw = Draw(Pcg64Mcg::new(u128::from(seed) << 64 | 0x9e37_79b9_7f4a_7c15));
        // The first outputs of such a generator still look like its seed.
        for _ in 0..4 {
            draw.number();
        }
        draw
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, which is more than 0 (multiply and shift: D. Lemire, 2019, without the rejection).
    pub fn below(&mut self, end: usize) -> usize {
        let product = u128::from(self.number()) * end as u128;
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// Whether something that happens once in `times` happens.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of them; the slice is not empty.
    pub fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// A number as programs meet them: small, next to a power of two, or any.
    pub fn odd_number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.number() % 16,
            1 => (1u64 << self.below(64)).wrapping_add(self.number() % 3).wrapping_sub(1),
            2 => u64::MAX - self.number() % 3,
            _ => self.number(),
        }
    }

    /// Such a number that fits 32 bits.
    pub fn odd_u32(&mut self) -> u32 {
        let number = self.odd_number();
        u32::try_from(number).unwrap_or_else(|_| u32::MAX - u32::try_from(number >> 32).unwrap_or_default())
    }

    /// The same with a sign.
    pub fn odd_signed(&mut self) -> i64 {
        self.odd_number().cast_signed()
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Text, mostly of few and plain characters.
    pub fn text(&mut self) -> String {
        let count = if self.once_in(32) { self.below(400) } else { self.below(12) };
        (0..count)
            .map(|_| match self.below(12) {
                0 => char::from_u32(u32::try_from(self.below(0x11_0000)).unwrap_or_default()).unwrap_or('\u{fffd}'),
                1 => self
                    .one(&["'", "\"", "\\", "%", "/", "@", "#", "\0", "ä", "\u{1f600}"])
                    .chars()
                    .next()
                    .unwrap_or('x'),
                _ => char::from(b'a' + u8::try_from(self.below(26)).unwrap_or_default()),
            })
            .collect()
    }
}
