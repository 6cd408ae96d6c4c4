//! Random numbers that are the same in every run: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 16).

/// A generator; equal seeds give equal numbers.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any of the 2^64 numbers, all equally likely.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number from 0 to `end − 1`, by the upper half of a product (Lemire, TOMACS 2019); `end` is not 0.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        ((u64::from(end) * (self.next() >> 32)) >> 32) as u32
    }

    /// A number from 0 up to, but not, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Scrambles `value`: a bijection under which near values have nothing in common. A sum of scrambled values stands for
/// the multiset of them.
#[inline]
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_the_reference_implementation() {
        let mut random = SplitMix64::new(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn numbers_stay_in_their_range_and_reach_both_ends() {
        let mut random = SplitMix64::new(7);
        let numbers: Vec<u32> = (0..1_000).map(|_| random.below(5)).collect();
        assert_eq!((numbers.iter().min(), numbers.iter().max()), (Some(&0), Some(&4)));
        assert!((0..1_000).map(|_| random.unit()).all(|number| (0.0..1.0).contains(&number)));
    }
}
