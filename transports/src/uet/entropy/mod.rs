//! Choice of entropy values: which path each packet takes, and what acknowledgements teach about it
//! (`uet-cc.md` §4).
//!
//! - `walk`: oblivious and bitmap, which visit every EV once a round
//! - `reps`: recycled entropies, as in the reference and the REPS paper

mod reps;
mod walk;

use std::collections::VecDeque;

use fabric::rng::Stream;
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::uet::config::{Delivery, Spraying, UetConfig};
use reps::{First, Reps};
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entropy {
    random: Stream,
    rule: Rule,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Rule {
    Oblivious(Walk),
    Bitmap(Bitmap),
    Reps(Reps),
    RepsFirst(First),
    Mixed(Bitmap, VecDeque<u16>),
    RoundRobin {
        next: u16,
        values: u16,
    },
    Flowlet {
        value: u16,
        last: Time,
        gap: Span,
    },
    /// One value; another after a timeout, if `moves`.
    One {
        value: u16,
        moves: bool,
    },
}

impl Entropy {
    /// A selection among `config.entropy_values` EVs, drawing from `random`. An ordered PDC has one path
    /// whatever the rule, and leaves it only when a packet on it times out.
    pub fn new(config: &UetConfig, mut random: Stream) -> Entropy {
        let values = config.entropy_values;
        let rule = match config.spraying {
            _ if config.delivery == Delivery::Rod => {
                Rule::One { value: random.bits() as u16, moves: true }
            }
            Spraying::Oblivious => Rule::Oblivious(Walk::new(values, &mut random)),
            Spraying::Bitmap => Rule::Bitmap(Bitmap::new(values, &mut random)),
            Spraying::Reps => Rule::Reps(Reps::new(values, config.reps_freeze)),
            Spraying::RepsFirst => {
                let packets = config.window_max() / config.mtu();
                Rule::RepsFirst(First::new(values, packets.min(u64::from(values)) as u16))
            }
            Spraying::Mixed => Rule::Mixed(Bitmap::new(values, &mut random), VecDeque::new()),
            Spraying::RoundRobin => {
                Rule::RoundRobin { next: random.below(u32::from(values)) as u16, values }
            }
            Spraying::Flowlet => {
                let value = random.below(u32::from(values)) as u16;
                Rule::Flowlet { value, last: Time::ZERO, gap: config.flowlet_gap }
            }
            Spraying::Ecmp => Rule::One { value: random.bits() as u16, moves: false },
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
            Rule::RepsFirst(first) => first.next(random),
            Rule::Mixed(bitmap, recycled) => {
                recycled.pop_front().unwrap_or_else(|| bitmap.next(random))
            }
            Rule::RoundRobin { next, values } => {
                let value = *next;
                *next = (value + 1) % *values;
                value
            }
            Rule::Flowlet { value, last, gap } => {
                if now.since(*last) > *gap {
                    *value = random.bits() as u16;
                }
                *last = now;
                *value
            }
            Rule::One { value, .. } => *value,
        }
    }

    /// A packet sent with `value` has met `feedback`.
    #[inline]
    pub fn learn(&mut self, now: Time, value: u16, feedback: Feedback) {
        match &mut self.rule {
            Rule::Oblivious(_) | Rule::RoundRobin { .. } | Rule::Flowlet { .. } => {}
            Rule::Bitmap(bitmap) => bitmap.learn(value, feedback),
            Rule::Reps(reps) => reps.learn(now, value, feedback),
            Rule::RepsFirst(first) => first.learn(value, feedback),
            Rule::Mixed(bitmap, recycled) => {
                bitmap.learn(value, feedback);
                if feedback == Feedback::Good {
                    // Bounded by the acknowledgements of a window: each packet sent takes one out.
                    recycled.push_back(value);
                }
            }
            Rule::One { value: present, moves } => {
                if *moves && feedback == Feedback::TimedOut && value == *present {
                    *present = self.random.bits() as u16;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;
    use fabric::units::Rate;

    fn config(spraying: Spraying) -> UetConfig {
        let htsim = UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 600_000);
        UetConfig { spraying, ..htsim }
    }

    fn entropy(spraying: Spraying) -> Entropy {
        Entropy::new(&config(spraying), Stream::new(3, 1, Purpose::Transport))
    }

    /// Round robin goes through all values in order.
    #[test]
    fn round_robin_goes_in_order() {
        let mut robin = entropy(Spraying::RoundRobin);
        let values: Vec<u16> = (0..129).map(|_| robin.next(Time(0))).collect();
        assert!(values.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 64));
    }

    /// A flowlet keeps its value while packets follow each other, and ends with a pause.
    #[test]
    fn a_flowlet_ends_with_a_pause() {
        let mut flowlet = entropy(Spraying::Flowlet);
        let gap = Span::from_micros(12);
        let first = flowlet.next(Time(0));
        let mut now = Time(0);
        for _ in 0..100 {
            now += gap;
            assert_eq!(flowlet.next(now), first);
        }
        assert_ne!(flowlet.next(now + gap + Span(1)), first);
    }

    /// An ordered PDC keeps to one value whatever the rule, until a packet with it times out.
    #[test]
    fn an_ordered_context_moves_only_after_a_timeout() {
        let config = UetConfig { delivery: Delivery::Rod, ..config(Spraying::Mixed) };
        let mut one = Entropy::new(&config, Stream::new(3, 1, Purpose::Transport));
        let first = one.next(Time(0));
        one.learn(Time(1), first, Feedback::Marked);
        assert!((0..100).all(|_| one.next(Time(1)) == first));
        one.learn(Time(2), first, Feedback::TimedOut);
        let second = one.next(Time(2));
        assert_ne!(second, first);
        one.learn(Time(3), first, Feedback::TimedOut);
        assert_eq!(one.next(Time(3)), second, "the old path is not this one's");
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
