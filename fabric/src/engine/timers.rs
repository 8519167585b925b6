//! A host's timers: dense ids, lazily moved.
//!
//! Setting a timer later than it is already queued for only writes its deadline; the queue entry is
//! moved when it surfaces. A transport that pushes its retransmission timer forward with every packet
//! therefore touches one word, and nothing is touched while nothing is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::units::Time;

/// A transport's own number for a timer; small and dense.
pub type TimerId = u32;

/// Timers of one host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timers {
    slots: Vec<Slot>,
    queue: BinaryHeap<Reverse<(Time, TimerId)>>,
    next: Time,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    /// When it is due; `NEVER` when not set.
    deadline: Time,
    /// The earliest entry in the queue that stands for it; `NEVER` when there is none.
    queued: Time,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers { slots: Vec::new(), queue: BinaryHeap::new(), next: Time::NEVER }
    }
}

impl Timers {
    /// Sets or moves timer `id` to `at`.
    #[inline]
    pub fn set(&mut self, id: TimerId, at: Time) {
        let place = id as usize;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot { deadline: Time::NEVER, queued: Time::NEVER });
        }
        let slot = &mut self.slots[place];
        slot.deadline = at;
        if at < slot.queued {
            slot.queued = at;
            self.queue.push(Reverse((at, id)));
            self.next = self.next.min(at);
        }
    }

    /// Unsets timer `id`; nothing happens if it was not set.
    #[inline]
    pub fn cancel(&mut self, id: TimerId) {
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.deadline = Time::NEVER;
        }
    }

    /// When timer `id` is due; [`Time::NEVER`] if it is not set.
    pub fn deadline(&self, id: TimerId) -> Time {
        self.slots.get(id as usize).map_or(Time::NEVER, |slot| slot.deadline)
    }

    /// A lower bound of the next due time: nothing is due before it.
    #[inline]
    pub fn next(&self) -> Time {
        self.next
    }

    /// Takes the next timer due at `now` or before, in order of time, then id.
    pub fn pop_due(&mut self, now: Time) -> Option<TimerId> {
        while let Some(&Reverse((at, id))) = self.queue.peek() {
            if at > now {
                break;
            }
            self.queue.pop();
            let slot = &mut self.slots[id as usize];
            if at != slot.queued {
                continue; // an older, later entry of a timer that was moved forward
            }
            slot.queued = Time::NEVER;
            if slot.deadline <= now {
                slot.deadline = Time::NEVER;
                self.refresh();
                return Some(id);
            }
            if slot.deadline != Time::NEVER {
                slot.queued = slot.deadline;
                let moved = slot.deadline;
                self.queue.push(Reverse((moved, id)));
            }
        }
        self.refresh();
        None
    }

    fn refresh(&mut self) {
        self.next = self.queue.peek().map_or(Time::NEVER, |entry| entry.0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A timer moved later fires once, at its last deadline; one moved earlier fires early.
    #[test]
    fn timers_fire_at_their_last_deadline() {
        let mut timers = Timers::default();
        timers.set(3, Time(10));
        timers.set(3, Time(20));
        timers.set(1, Time(30));
        timers.set(1, Time(15));
        assert_eq!(timers.pop_due(Time(10)), None);
        assert_eq!(timers.pop_due(Time(15)), Some(1));
        assert_eq!(timers.pop_due(Time(20)), Some(3));
        assert_eq!(timers.pop_due(Time(100)), None);
        assert_eq!(timers.next(), Time::NEVER);
    }

    /// A cancelled timer does not fire and leaves no due time behind once it surfaces.
    #[test]
    fn a_cancelled_timer_is_silent() {
        let mut timers = Timers::default();
        timers.set(0, Time(5));
        timers.cancel(0);
        assert_eq!(timers.pop_due(Time(50)), None);
        timers.set(0, Time(60));
        assert_eq!(timers.pop_due(Time(60)), Some(0));
    }
}
