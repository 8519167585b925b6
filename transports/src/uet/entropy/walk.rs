//! Walks over all entropy values: each once a round, in an order that changes from round to round.

use fabric::rng::Stream;
use serde::{Deserialize, Serialize};

use super::Feedback;

/// The oblivious walk: index xor a random number, redrawn each round; random upper bits for life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Walk {
    mask: u16,
    index: u16,
    exchange: u16,
    upper: u16,
}

impl Walk {
    pub(super) fn new(values: u16, random: &mut Stream) -> Walk {
        let mask = values - 1;
        let bits = random.bits();
        Walk { mask, index: 0, exchange: bits as u16 & mask, upper: (bits >> 16) as u16 & !mask }
    }

    fn here(&self) -> u16 {
        (self.index ^ self.exchange) & self.mask
    }

    fn advance(&mut self, random: &mut Stream) {
        self.index += 1;
        if self.index > self.mask {
            self.index = 0;
            self.exchange = random.bits() as u16 & self.mask;
        }
    }

    #[inline]
    pub(super) fn next(&mut self, random: &mut Stream) -> u16 {
        let value = self.here() | self.upper;
        self.advance(random);
        value
    }
}

/// Most a value can be penalised.
const MOST: u8 = 15;

/// The walk that passes over penalised values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Bitmap {
    walk: Walk,
    penalty: Box<[u8]>,
}

impl Bitmap {
    pub(super) fn new(values: u16, random: &mut Stream) -> Bitmap {
        let walk = Walk::new(values, random);
        Bitmap { walk, penalty: vec![0; values as usize].into_boxed_slice() }
    }

    /// The next value without penalty. The first penalised one that the walk meets is let off one
    /// point; after a whole round without success, the next one is used all the same.
    #[inline]
    pub(super) fn next(&mut self, random: &mut Stream) -> u16 {
        let here = self.walk.here() as usize;
        if self.penalty[here] > 0 {
            self.penalty[here] -= 1;
            let mut passed = 0;
            while self.penalty[self.walk.here() as usize] > 0 || passed == 0 {
                passed += 1;
                if passed > self.walk.mask + 1 {
                    break;
                }
                self.walk.advance(random);
            }
        }
        self.walk.next(random)
    }

    #[inline]
    pub(super) fn learn(&mut self, value: u16, feedback: Feedback) {
        let points = match feedback {
            Feedback::Good => return,
            Feedback::Marked => 1,
            Feedback::Trimmed => 4,
            Feedback::TimedOut => MOST,
        };
        let penalty = &mut self.penalty[(value & self.walk.mask) as usize];
        *penalty = (*penalty + points).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;
    use std::collections::BTreeSet;

    fn stream() -> Stream {
        Stream::new(9, 0, Purpose::Transport)
    }

    /// A round of the oblivious walk has every value once, and rounds differ.
    #[test]
    fn a_round_visits_every_value_once() {
        let mut random = stream();
        let mut walk = Walk::new(64, &mut random);
        let mut rounds: Vec<Vec<u16>> = Vec::new();
        for _ in 0..4 {
            rounds.push((0..64).map(|_| walk.next(&mut random)).collect());
        }
        for round in &rounds {
            assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 64);
        }
        assert_ne!(rounds[0], rounds[1]);
    }

    /// A trimmed value is passed over four times, a marked one once, then both are back.
    #[test]
    fn penalties_wear_off_by_being_passed_over() {
        let mut random = stream();
        let mut bitmap = Bitmap::new(64, &mut random);
        bitmap.learn(5, Feedback::Trimmed);
        bitmap.learn(9, Feedback::Marked);
        let mut seen = |packets: usize| -> BTreeSet<u16> {
            (0..packets).map(|_| bitmap.next(&mut random) & 63).collect()
        };
        let first = seen(60);
        assert!(!first.contains(&5));
        let later = seen(64 * 5);
        assert!(later.contains(&5) && later.contains(&9));
    }

    /// With every value penalised the walk still sends.
    #[test]
    fn a_walk_with_no_free_value_goes_on() {
        let mut random = stream();
        let mut bitmap = Bitmap::new(4, &mut random);
        (0..4).for_each(|value| bitmap.learn(value, Feedback::TimedOut));
        let sent: Vec<u16> = (0..100).map(|_| bitmap.next(&mut random)).collect();
        assert_eq!(sent.len(), 100);
    }
}
