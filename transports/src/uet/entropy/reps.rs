//! Recycled entropies: values whose packets came back unmarked are used again (REPS,
//! arXiv 2407.21625): the ring of eight that freezes and explores, in the form of the reference's buffered
//! variant, and the queue of the first publication.

use std::collections::VecDeque;

use fabric::rng::Stream;
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use super::Feedback;

/// Values remembered.
const RING: usize = 8;
/// Random packets after that.
const EXPLORE: u32 = 16;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reps {
    values: u16,
    /// How long a sender that suspects a failure keeps to known values.
    freeze: Span,
    ring: [u16; RING],
    /// Where the next value goes.
    head: u8,
    /// Values stored, fresh or used.
    stored: u8,
    /// The newest values that have not been used: the last `fresh` before `head`.
    fresh: u8,
    /// Next value to use while frozen.
    cycle: u8,
    frozen_until: Option<Time>,
    exploring: u32,
}

impl Reps {
    pub(super) fn new(values: u16, freeze: Span) -> Reps {
        Reps {
            values,
            freeze,
            ring: [0; RING],
            head: 0,
            stored: 0,
            fresh: 0,
            cycle: 0,
            frozen_until: None,
            exploring: 0,
        }
    }

    fn random(&self, random: &mut Stream) -> u16 {
        random.below(u32::from(self.values)) as u16
    }

    pub(super) fn next(&mut self, now: Time, random: &mut Stream) -> u16 {
        self.thaw(now);
        if self.exploring > 0 {
            self.exploring -= 1;
            return self.random(random);
        }
        if self.frozen_until.is_some() && self.stored > 0 {
            let value = self.ring[self.cycle as usize];
            self.cycle = (self.cycle + 1) % self.stored;
            return value;
        }
        if self.fresh == 0 {
            return self.random(random);
        }
        let oldest = (self.head as usize + RING - self.fresh as usize) % RING;
        self.fresh -= 1;
        self.ring[oldest]
    }

    pub(super) fn learn(&mut self, now: Time, value: u16, feedback: Feedback) {
        match feedback {
            Feedback::TimedOut if self.frozen_until.is_none() && self.exploring == 0 => {
                self.frozen_until = Some(now + self.freeze);
                self.cycle = 0;
            }
            Feedback::Good => {
                self.thaw(now);
                self.ring[self.head as usize] = value;
                self.head = (self.head + 1) % RING as u8;
                self.stored = (self.stored + 1).min(RING as u8);
                self.fresh = (self.fresh + 1).min(RING as u8);
            }
            _ => {}
        }
    }

    /// Ends the freeze when its time is over: forgets all and explores.
    fn thaw(&mut self, now: Time) {
        if self.frozen_until.is_some_and(|until| now > until) {
            *self = Reps { exploring: EXPLORE, ..Reps::new(self.values, self.freeze) };
        }
    }
}

/// REPS as first published: the values of the first window in order, then what has come back unmarked,
/// oldest first, else random ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct First {
    values: u16,
    /// Packets of the first window not sent yet.
    opening: u16,
    next: u16,
    recycled: VecDeque<u16>,
}

impl First {
    pub(super) fn new(values: u16, opening: u16) -> First {
        First { values, opening, next: 0, recycled: VecDeque::new() }
    }

    pub(super) fn next(&mut self, random: &mut Stream) -> u16 {
        if self.opening > 0 {
            self.opening -= 1;
            self.next = (self.next + 1) % self.values;
            return self.next;
        }
        let recycled = self.recycled.pop_front();
        recycled.unwrap_or_else(|| random.below(u32::from(self.values)) as u16)
    }

    pub(super) fn learn(&mut self, value: u16, feedback: Feedback) {
        if feedback == Feedback::Good {
            self.recycled.push_back(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;

    const FREEZE: Span = Span::from_millis(10);

    /// The first publication opens with a window of values in order and recycles without bound after.
    #[test]
    fn the_first_publication_opens_in_order() {
        let (mut first, mut random) = (First::new(8, 5), Stream::new(1, 0, Purpose::Transport));
        let opening: Vec<u16> = (0..5).map(|_| first.next(&mut random)).collect();
        assert_eq!(opening, [1, 2, 3, 4, 5]);
        (100..120).for_each(|value| first.learn(value, Feedback::Good));
        first.learn(50, Feedback::Marked);
        let recycled: Vec<u16> = (0..20).map(|_| first.next(&mut random)).collect();
        assert_eq!(recycled, (100..120).collect::<Vec<u16>>());
        assert!(first.next(&mut random) < 8);
    }

    fn take(reps: &mut Reps, now: Time, count: usize) -> Vec<u16> {
        let mut random = Stream::new(1, 0, Purpose::Transport);
        (0..count).map(|_| reps.next(now, &mut random)).collect()
    }

    /// Good values come back oldest first, each once; the ninth overwrites the first.
    #[test]
    fn good_values_are_used_once_oldest_first() {
        let mut reps = Reps::new(64, FREEZE);
        (100..109).for_each(|value| reps.learn(Time(0), value, Feedback::Good));
        assert_eq!(take(&mut reps, Time(0), 8), (101..109).collect::<Vec<u16>>());
        assert!(take(&mut reps, Time(0), 20).iter().all(|value| *value < 64), "then random ones");
    }

    /// A timeout freezes: known values in turn, used or not, until 10 ms have passed; then it explores.
    #[test]
    fn a_timeout_freezes_then_explores() {
        let mut reps = Reps::new(64, FREEZE);
        [200, 201].iter().for_each(|value| reps.learn(Time(0), *value, Feedback::Good));
        take(&mut reps, Time(0), 2);
        reps.learn(Time(0), 0, Feedback::TimedOut);
        assert_eq!(take(&mut reps, Time(1), 4), [200, 201, 200, 201]);
        let after = Time(FREEZE.0 + 1);
        let explored = take(&mut reps, after, 16);
        assert!(explored.iter().all(|value| *value < 64));
        assert_eq!(reps.exploring, 0);
    }
}
