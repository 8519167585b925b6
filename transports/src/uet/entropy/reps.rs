//! Recycled entropies: values whose packets came back unmarked are used again (REPS,
//! arXiv 2407.21625, in the form of the reference's buffered variant).

use fabric::rng::Stream;
use fabric::units::{Span, Time};

use super::Feedback;

/// Values remembered.
const RING: usize = 8;
/// How long a sender that suspects a failure keeps to known values.
const FREEZE: Span = Span::from_millis(10);
/// Random packets after that.
const EXPLORE: u32 = 16;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Reps {
    values: u16,
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
    pub(super) fn new(values: u16) -> Reps {
        Reps {
            values,
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
                self.frozen_until = Some(now + FREEZE);
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
            *self = Reps { exploring: EXPLORE, ..Reps::new(self.values) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;

    fn take(reps: &mut Reps, now: Time, count: usize) -> Vec<u16> {
        let mut random = Stream::new(1, 0, Purpose::Transport);
        (0..count).map(|_| reps.next(now, &mut random)).collect()
    }

    /// Good values come back oldest first, each once; the ninth overwrites the first.
    #[test]
    fn good_values_are_used_once_oldest_first() {
        let mut reps = Reps::new(64);
        (100..109).for_each(|value| reps.learn(Time(0), value, Feedback::Good));
        assert_eq!(take(&mut reps, Time(0), 8), (101..109).collect::<Vec<u16>>());
        assert!(take(&mut reps, Time(0), 20).iter().all(|value| *value < 64), "then random ones");
    }

    /// A timeout freezes: known values in turn, used or not, until 10 ms have passed; then it explores.
    #[test]
    fn a_timeout_freezes_then_explores() {
        let mut reps = Reps::new(64);
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
