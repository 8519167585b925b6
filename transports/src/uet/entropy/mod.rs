//! Choice of entropy values: which path each packet takes, and what acknowledgements teach about it
//! (`uet-cc.md` §4).
//!
//! - `walk`: oblivious and bitmap, which visit every EV once a round
//! - `reps`: recycled entropies, as in the reference and the REPS paper

mod reps;
mod walk;

use std::collections::VecDeque;

use fabric::rng::Stream;
use fabric::units::Time;

use crate::uet::config::Spraying;
use reps::Reps;
use walk::{Bitmap, Walk};

/// What became of a packet on a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feedback {
    /// Acknowledged without a mark.
    Good,
    /// Acknowledged with a mark.
    Marked,
    /// Trimmed before the last hop.
    Trimmed,
    /// Timed out.
    TimedOut,
}

/// One sender's path selection.
#[derive(Clone, Debug)]
pub struct Entropy {
    random: Stream,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Oblivious(Walk),
    Bitmap(Bitmap),
    Reps(Reps),
    Mixed(Bitmap, VecDeque<u16>),
    Ecmp(u16),
}

impl Entropy {
    /// A selection among `values` EVs (a power of two), drawing from `random`.
    pub fn new(spraying: Spraying, values: u16, mut random: Stream) -> Entropy {
        let rule = match spraying {
            Spraying::Oblivious => Rule::Oblivious(Walk::new(values, &mut random)),
            Spraying::Bitmap => Rule::Bitmap(Bitmap::new(values, &mut random)),
            Spraying::Reps => Rule::Reps(Reps::new(values)),
            Spraying::Mixed => Rule::Mixed(Bitmap::new(values, &mut random), VecDeque::new()),
            Spraying::Ecmp => Rule::Ecmp(random.bits() as u16),
        };
        Entropy { random, rule }
    }

    /// The EV of the next packet.
    #[inline]
    pub fn next(&mut self, now: Time) -> u16 {
        let random = &mut self.random;
        match &mut self.rule {
            Rule::Oblivious(walk) => walk.next(random),
            Rule::Bitmap(bitmap) => bitmap.next(random),
            Rule::Reps(reps) => reps.next(now, random),
            Rule::Mixed(bitmap, recycled) => {
                recycled.pop_front().unwrap_or_else(|| bitmap.next(random))
            }
            Rule::Ecmp(value) => *value,
        }
    }

    /// A packet sent with `value` has met `feedback`.
    #[inline]
    pub fn learn(&mut self, now: Time, value: u16, feedback: Feedback) {
        match &mut self.rule {
            Rule::Oblivious(_) | Rule::Ecmp(_) => {}
            Rule::Bitmap(bitmap) => bitmap.learn(value, feedback),
            Rule::Reps(reps) => reps.learn(now, value, feedback),
            Rule::Mixed(bitmap, recycled) => {
                bitmap.learn(value, feedback);
                if feedback == Feedback::Good {
                    // Bounded by the acknowledgements of a window: each packet sent takes one out.
                    recycled.push_back(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;

    fn entropy(spraying: Spraying) -> Entropy {
        Entropy::new(spraying, 64, Stream::new(3, 1, Purpose::Transport))
    }

    /// ECMP never changes its value, whatever happens to it.
    #[test]
    fn ecmp_keeps_one_value() {
        let mut ecmp = entropy(Spraying::Ecmp);
        let first = ecmp.next(Time(0));
        ecmp.learn(Time(1), first, Feedback::TimedOut);
        assert!((0..100).all(|_| ecmp.next(Time(2)) == first));
    }

    /// Mixed sends what came back unmarked first, then walks on.
    #[test]
    fn mixed_recycles_before_it_walks() {
        let mut mixed = entropy(Spraying::Mixed);
        mixed.learn(Time(0), 17, Feedback::Good);
        mixed.learn(Time(0), 23, Feedback::Marked);
        mixed.learn(Time(0), 42, Feedback::Good);
        assert_eq!([mixed.next(Time(1)), mixed.next(Time(1))], [17, 42]);
        let walked: Vec<u16> = (0..63).map(|_| mixed.next(Time(1)) & 63).collect();
        assert!(!walked[..62].contains(&23), "a marked value is passed over once");
    }
}
