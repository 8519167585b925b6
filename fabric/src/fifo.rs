//! A first-in-first-out queue in one growing run of memory.
//!
//! Emptying it starts over at the front, so a queue that is mostly short only ever touches its first
//! cache lines; a full run is shifted down before it is allowed to grow.

use serde::{Deserialize, Serialize};

/// Items that there is room for at least, once there is any.
const LEAST: usize = 4;

/// The queue.
#[derive(Serialize, Deserialize)]
pub(crate) struct Fifo<T> {
    items: Vec<T>,
    head: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Fifo<T> {
        Fifo { items: Vec::new(), head: 0 }
    }
}

impl<T: Copy> Fifo<T> {
    /// Adds at the back.
    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == self.items.capacity() {
            self.make_room(1);
        }
        self.items.push(item);
    }

    /// Adds several at the back.
    #[inline]
    pub(crate) fn extend(&mut self, items: &[T]) {
        if self.items.len() + items.len() > self.items.capacity() {
            self.make_room(items.len());
        }
        self.items.extend_from_slice(items);
    }

    /// Moves what waits to the front, unless it is more than three times what has left: so at most three items
    /// are moved for one that leaves, however long the queue is. If that is not enough, there is half as much room
    /// again: a fabric has many queues, and what is kept for nothing adds up.
    #[cold]
    fn make_room(&mut self, more: usize) {
        if self.head * 4 >= self.items.len() {
            self.items.drain(..self.head);
            self.head = 0;
        }
        if self.items.capacity() - self.items.len() < more {
            self.items.reserve_exact(more.max(self.items.len() / 2).max(LEAST));
        }
    }

    /// Takes `count` from the front, where there are as many.
    #[inline]
    pub(crate) fn skip(&mut self, count: usize) {
        self.head += count;
        debug_assert!(self.head <= self.items.len(), "there are as many");
        if self.head == self.items.len() {
            self.items.clear();
            self.head = 0;
        }
    }

    /// Takes from the front.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = *self.items.get(self.head)?;
        self.head += 1;
        if self.head == self.items.len() {
            self.items.clear();
            self.head = 0;
        }
        Some(item)
    }

    /// The front.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.items.get(self.head)
    }

    /// The one at `place` from the front.
    #[inline]
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.items.get(self.head + place)
    }

    /// All, from the front.
    #[inline]
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items[self.head..].iter()
    }

    /// All, from the front, to change.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items[self.head..].iter_mut()
    }

    /// The back, to change.
    #[inline]
    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        if self.head < self.items.len() { self.items.last_mut() } else { None }
    }

    /// How many wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len() - self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        /// Any sequence of pushes and pops behaves like the standard queue.
        #[test]
        fn behaves_like_the_standard_queue(steps in proptest::collection::vec(0u8..5, 0..400)) {
            let mut ours = Fifo::default();
            let mut standard = VecDeque::new();
            for (number, step) in steps.into_iter().enumerate() {
                if step == 0 {
                    prop_assert_eq!(ours.pop(), standard.pop_front());
                } else if step == 3 {
                    let more = [number, number + 1, number + 2];
                    ours.extend(&more);
                    standard.extend(more);
                } else if step == 4 {
                    let count = ours.len() / 2;
                    ours.skip(count);
                    standard.drain(..count);
                } else {
                    ours.push(number);
                    standard.push_back(number);
                }
                prop_assert_eq!(ours.len(), standard.len());
                prop_assert_eq!(ours.front(), standard.front());
                prop_assert_eq!(ours.get(3), standard.get(3));
                prop_assert_eq!(ours.back_mut().copied(), standard.back().copied());
            }
        }
    }
}
