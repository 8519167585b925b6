//! Random streams that belong to entities.
//!
//! Every port, host and flow that draws has its own stream, keyed by (seed, entity, purpose), so
//! that a draw depends on no other entity and on no thread. The generator is named
//! (xoshiro128++, 16 bytes of state) and portable.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro128PlusPlus;
use serde::{Deserialize, Serialize};

use crate::units::Ratio;

/// What a stream is for; two purposes of one entity never share draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Purpose {
    /// ECN marking and overflow decisions of a port.
    Queue = 1,
    /// A switch's hash salt.
    Salt = 2,
    /// A transport's entropy values and start numbers.
    Transport = 3,
    /// Placement of ranks on hosts.
    Placement = 4,
    /// Errors and drops of the link behind a port.
    Link = 8,
    /// A switch's random choice among equal ports.
    Choice = 11,
    /// The region by which packets go ([`crate::shape`]).
    Detour = 12,
}

/// One entity's stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stream(Xoshiro128PlusPlus);

impl Stream {
    /// The stream of `entity` for `purpose` under `seed`.
    pub fn new(seed: u64, entity: u64, purpose: Purpose) -> Stream {
        Stream(Xoshiro128PlusPlus::seed_from_u64(key(seed, entity, purpose)))
    }

    /// 32 uniform bits.
    #[inline]
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 uniform bits.
    #[inline]
    pub fn bits64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A uniform number below `bound` (by multiplication; the bias is below 2⁻³² · bound).
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.bits()) * u64::from(bound)) >> 32) as u32
    }

    /// True with probability `ratio`.
    #[inline]
    pub fn chance(&mut self, ratio: Ratio) -> bool {
        u64::from(self.bits()) * u64::from(ratio.denominator) < u64::from(ratio.numerator) << 32
    }

    /// Shuffles `items` uniformly (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// The 64-bit key of a stream: two rounds of mixing over the three parts.
pub fn key(seed: u64, entity: u64, purpose: Purpose) -> u64 {
    mix64(mix64(seed ^ ((purpose as u64) << 56)).wrapping_add(entity))
}

/// A bijective 64-bit mix (the finaliser of SplitMix64).
#[inline]
pub const fn mix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// SplitMix64, the generator by whose rule traffic matrices are published.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The sequence that starts from `seed`.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next number of the sequence.
    pub fn next_u64(&mut self) -> u64 {
        let value = mix64(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of SplitMix64 from zero are the published ones.
    #[test]
    fn splitmix_matches_its_published_sequence() {
        let mut sequence = SplitMix64::new(0);
        assert_eq!(sequence.next_u64(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(sequence.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    /// Streams differ by seed, by entity and by purpose.
    #[test]
    fn streams_are_separate() {
        let first = |seed, entity, purpose| Stream::new(seed, entity, purpose).bits64();
        let base = first(1, 2, Purpose::Queue);
        assert_eq!(base, first(1, 2, Purpose::Queue));
        assert_ne!(base, first(2, 2, Purpose::Queue));
        assert_ne!(base, first(1, 3, Purpose::Queue));
        assert_ne!(base, first(1, 2, Purpose::Transport));
    }

    /// A chance of a quarter comes true about a quarter of the time; zero never, one always.
    #[test]
    fn chance_follows_its_ratio() {
        let mut stream = Stream::new(7, 0, Purpose::Queue);
        let hits = (0..40_000).filter(|_| stream.chance(Ratio::new(1, 4))).count();
        assert!((9_600..10_400).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| stream.chance(Ratio::new(0, 1))));
        assert!((0..1_000).all(|_| stream.chance(Ratio::ONE)));
    }
}
