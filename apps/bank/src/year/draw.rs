//! Numbers that look drawn by chance and are the same for a seed.

use rand_pcg::{Pcg32, rand_core::Rng};

/// A stream of draws. The bits are PCG-XSH-RR 64/32, whose output the crate
/// `rand_pcg` keeps stable (M. O'Neill, "PCG", 2014); what is made of them is
/// here, so that no other release can change a year.
#[derive(Debug, Clone)]
pub(super) struct Draw(Pcg32);

impl Draw {
    /// The stream of that number; streams of one seed are independent.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        Draw(Pcg32::new(seed, stream))
    }

    /// A number below `end`, which is more than 0 (multiply and shift: D. Lemire, 2019, without the rejection).
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let product = u64::from(self.0.next_u32()) * u64::from(end);
        u32::try_from(product >> 32).unwrap_or(u32::MAX)
    }

    /// A number from `from` to `to`, both included.
    pub(super) fn between(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// Cents from `from` to `to`, both included.
    pub(super) fn cents(&mut self, from: u32, to: u32) -> i64 {
        i64::from(self.between(from, to))
    }

    /// True `percent` times in a hundred.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// An index of `weights`, as often as its weight says; their sum is more than 0.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> u32 {
        let mut left = self.below(weights.iter().sum());
        let mut index = 0;
        for weight in weights {
            if left < *weight {
                break;
            }
            left -= weight;
            index += 1;
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_bounds_and_reach_them() {
        let mut draw = Draw::new(7, 7);
        let drawn: Vec<u32> = (0..1_000).map(|_| draw.between(3, 6)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&6)));
        assert_eq!(draw.below(1), 0);
        let mut counts = [0_u32; 3];
        (0..1_000).for_each(|_| counts[draw.weighted(&[1, 0, 3]) as usize] += 1);
        assert_eq!(counts[1], 0);
        assert!((180..320).contains(&counts[0]), "{counts:?}");
    }
}
