//! Random numbers from a seed. The same seed gives the same history on every machine.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; 0 if `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % count).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let place = self.below(of.len());
        &of[place]
    }

    /// One of the values, with a probability by its weight.
    pub fn weighted<T: Copy>(&mut self, of: &[(usize, T)]) -> T {
        let mut rest = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, value) in of {
            if rest < *weight {
                return *value;
            }
            rest -= weight;
        }
        of[0].1
    }
}

/// A number that depends only on `parts`, for choices that must not depend on their order.
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x51_7C_C1_B7_27_22_0A_95, |hash, part| {
        Dice::new(hash ^ part.rotate_left(17)).next()
    })
}

/// FNV-1a.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut dice = Dice::new(7);
        let numbers: Vec<usize> = (0..5).map(|_| dice.below(1000)).collect();
        let mut again = Dice::new(7);
        assert_eq!(numbers, (0..5).map(|_| again.below(1000)).collect::<Vec<_>>());
        assert!((0..200).all(|_| (3..=5).contains(&dice.between(3, 5))));
        assert_eq!(
            (0..50).filter(|_| dice.weighted(&[(0, 1), (1, 2)]) == 1).count(),
            0
        );
    }
}
