//! A bitmap over a sliding window of sequence numbers.

use serde::{Deserialize, Serialize};

/// One bit for each sequence number of a window, stored in a ring of 64-bit words.
///
/// Bits outside the window must be clear: the window's user clears a bit when its number leaves. The
/// default has no room and no allocation; it serves an empty window, and grows by [`RingBits::doubled`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RingBits {
    words: Vec<u64>,
    /// Number of words minus one.
    mask: u32,
}

impl RingBits {
    /// A clear ring for windows of up to `capacity` numbers (a power of two, at least 64).
    pub fn new(capacity: u32) -> RingBits {
        debug_assert!(capacity.is_power_of_two() && capacity >= 64, "{capacity}");
        RingBits { words: vec![0; capacity as usize / 64], mask: capacity / 64 - 1 }
    }

    /// Longest window it can hold.
    pub fn capacity(&self) -> u32 {
        self.words.len() as u32 * 64
    }

    #[inline]
    fn word(&self, psn: u32) -> usize {
        ((psn >> 6) & self.mask) as usize
    }

    /// The bit of `psn`.
    #[inline]
    pub fn get(&self, psn: u32) -> bool {
        self.words[self.word(psn)] >> (psn & 63) & 1 != 0
    }

    /// Sets the bit of `psn`.
    #[inline]
    pub fn set(&mut self, psn: u32) {
        let word = self.word(psn);
        self.words[word] |= 1 << (psn & 63);
    }

    /// Clears the bit of `psn`.
    #[inline]
    pub fn clear(&mut self, psn: u32) {
        let word = self.word(psn);
        self.words[word] &= !(1 << (psn & 63));
    }

    /// Clears the bits of `[from, to)`.
    #[inline]
    pub fn clear_range(&mut self, from: u32, to: u32) {
        let mut psn = from;
        while psn < to {
            let end = to.min((psn | 63).saturating_add(1));
            let word = self.word(psn);
            self.words[word] &= !((u64::MAX >> (64 - (end - psn))) << (psn & 63));
            psn = end;
        }
    }

    /// Clears those of the 64 bits from `psn` on that are set in `run`, whose lowest bit is that of
    /// `psn`.
    #[inline]
    pub fn clear_run(&mut self, psn: u32, run: u64) {
        let (word, shift) = (self.word(psn), psn & 63);
        self.words[word] &= !(run << shift);
        if shift != 0 {
            let word = self.word(psn.wrapping_add(64));
            self.words[word] &= !(run >> (64 - shift));
        }
    }

    /// The 64 bits from `psn` on, that of `psn` lowest.
    #[inline]
    pub fn run(&self, psn: u32) -> u64 {
        let (low, shift) = (self.words[self.word(psn)], psn & 63);
        if shift == 0 {
            return low;
        }
        let high = self.words[self.word(psn.wrapping_add(64))];
        (low >> shift) | (high << (64 - shift))
    }

    /// The first number with its bit set in `[from, to)`.
    #[inline]
    pub fn first_set(&self, from: u32, to: u32) -> Option<u32> {
        let mut psn = from;
        while psn < to {
            let run = self.run(psn);
            if run != 0 {
                let found = psn + run.trailing_zeros();
                return (found < to).then_some(found);
            }
            psn += 64;
        }
        None
    }

    /// A ring of twice the capacity, at least 64, with the same bits for the window
    /// `[from, from + capacity)`.
    #[must_use]
    pub fn doubled(&self, from: u32) -> RingBits {
        let mut wide = RingBits::new((self.capacity() * 2).max(64));
        let end = from + self.capacity();
        let mut next = self.first_set(from, end);
        while let Some(psn) = next {
            wide.set(psn);
            next = self.first_set(psn + 1, end);
        }
        wide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Any window of any position reads back what was set in it, before and after doubling.
        #[test]
        fn a_window_reads_back(start in 0u32..10_000, offsets in proptest::collection::btree_set(0u32..128, 0..40)) {
            let mut bits = RingBits::new(128);
            let set: BTreeSet<u32> = offsets.iter().map(|offset| start + offset).collect();
            set.iter().for_each(|psn| bits.set(*psn));
            for bits in [bits.clone(), bits.doubled(start)] {
                for psn in start..start + 128 {
                    prop_assert_eq!(bits.get(psn), set.contains(&psn));
                }
                let first = bits.first_set(start, start + 128);
                prop_assert_eq!(first, set.first().copied());
                let run = (0..64).map(|bit| u64::from(set.contains(&(start + bit))) << bit).sum::<u64>();
                prop_assert_eq!(bits.run(start), run);
            }
        }

        /// Clearing by range and by run takes out what clearing one by one would.
        #[test]
        fn clearing_many_is_clearing_each(
            start in 0u32..10_000, from in 0u32..128, length in 0u32..128, run: u64,
        ) {
            let mut full = RingBits::new(128);
            full.clear_range(start, start);
            (start..start + 128).for_each(|psn| full.set(psn));
            let (from, to) = (start + from, start + (from + length).min(128));
            let mut ranged = full.clone();
            ranged.clear_range(from, to);
            let mut run_cleared = full.clone();
            run_cleared.clear_run(start, run);
            for psn in start..start + 128 {
                prop_assert_eq!(ranged.get(psn), !(from..to).contains(&psn));
                let in_run = psn - start < 64 && run >> (psn - start) & 1 != 0;
                prop_assert_eq!(run_cleared.get(psn), !in_run);
            }
        }
    }
}
