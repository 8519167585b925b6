//! Mailboxes between shards.
//!
//! Between shards of one process there are two sets, used in turn: while window *k* is run, shards read what
//! was sent in window *k − 1* from one set and write into the other, so that one barrier a window is enough. A
//! box is only ever held by one thread, the lock is never waited for.
//!
//! Mail to shards of other ranks is turned into words at once and waits until the ranks meet; what they bring
//! waits for the shard's next window.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::ranks::Split;
use crate::net::mail::Mail;
use crate::net::outlet::Outlet;
use crate::units::Time;

struct Slot<T> {
    /// Whether there is something, so that empty boxes are not locked.
    full: AtomicBool,
    content: Mutex<T>,
}

impl<T: Default> Slot<T> {
    fn row(count: usize) -> Vec<Slot<T>> {
        let slot = || Slot { full: AtomicBool::new(false), content: Mutex::default() };
        (0..count).map(|_| slot()).collect()
    }

    fn open(&self) -> MutexGuard<'_, T> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be filled.
    fn fill(&self) -> MutexGuard<'_, T> {
        self.full.store(true, Ordering::Release);
        self.open()
    }

    /// To be emptied, if there is something.
    fn empty(&self) -> Option<MutexGuard<'_, T>> {
        self.full.swap(false, Ordering::Acquire).then(|| self.open())
    }
}

/// Mailboxes of a rank.
pub(crate) struct Exchange {
    split: Split,
    /// By parity of the window, then receiving, then sending shard of this rank.
    slots: Vec<Slot<Mail>>,
    /// Whether there is any mail: by parity of the window, then receiving shard. Most windows have little.
    waiting: Vec<AtomicBool>,
    /// By sending shard of this rank, then rank.
    leaving: Vec<Slot<Vec<u64>>>,
    /// When the first packet of what leaves arrives at each class of nodes.
    leaving_earliest: [AtomicU64; 2],
    /// By receiving shard of this rank.
    arrived: Vec<Slot<Vec<u64>>>,
}

impl Exchange {
    pub(crate) fn new(split: &Split) -> Exchange {
        let own = split.own().len();
        Exchange {
            slots: Slot::row(2 * own * own),
            waiting: (0..2 * own).map(|_| AtomicBool::new(false)).collect(),
            leaving: Slot::row(own * split.ranks()),
            leaving_earliest: [0, 1].map(|_| AtomicU64::new(u64::MAX)),
            arrived: Slot::row(own),
            split: split.clone(),
        }
    }

    /// One of our shards as a receiver in a window: its place in `waiting`, and its row in `slots`.
    fn row(&self, window: u64, to: usize) -> usize {
        (window & 1) as usize * self.arrived.len() + to
    }

    /// The box from one of our shards to another, both counted from our first.
    fn slot(&self, window: u64, from: usize, to: usize) -> &Slot<Mail> {
        &self.slots[self.row(window, to) * self.arrived.len() + from]
    }

    /// Posts what our shard `from` has sent in `window`.
    pub(crate) fn post(&self, window: u64, from: usize, outlet: &mut Outlet) {
        let own = self.split.own();
        for to in outlet.addressed.drain(..) {
            let to = usize::from(to);
            let mail = &mut outlet.outbox[to];
            if own.contains(&to) {
                self.waiting[self.row(window, to - own.start)].store(true, Ordering::Release);
                let mut posted = self.slot(window, from, to - own.start).fill();
                debug_assert!(posted.is_empty(), "mail of two windows ago was collected");
                std::mem::swap(&mut *posted, mail);
            } else {
                let rank = self.split.rank_of(to);
                let earliest = &self.leaving_earliest[outlet.towards];
                earliest.fetch_min(mail.earliest().0, Ordering::Relaxed);
                let mut words = self.leaving[from * self.split.ranks() + rank].fill();
                mail.write(to as u64, &mut words);
            }
        }
    }

    /// Hands our shard `to` what was sent to it in `window`, and what other ranks have brought.
    pub(crate) fn collect(&self, window: u64, to: usize, outlet: &mut Outlet) {
        let waiting = &self.waiting[self.row(window, to)];
        let senders = if waiting.swap(false, Ordering::Acquire) { self.arrived.len() } else { 0 };
        for from in 0..senders {
            if let Some(mut posted) = self.slot(window, from, to).empty() {
                outlet.receive(&mut posted);
            }
        }
        if let Some(mut words) = self.arrived[to].empty() {
            let mut rest = &words[..];
            while let Some((_, length)) = Mail::first(rest) {
                let (section, after) = rest.split_at(length);
                Mail::each(section, |at, port, packet, telemetry| {
                    outlet.accept(at, port, packet, telemetry);
                });
                rest = after;
            }
            words.clear();
        }
    }

    /// Moves what waits for each rank into `mail`; returns when the first packet of it arrives at each
    /// class of nodes.
    pub(crate) fn take_leaving(&self, mail: &mut [Vec<u64>]) -> [Time; 2] {
        for (place, slot) in self.leaving.iter().enumerate() {
            if let Some(mut words) = slot.empty() {
                join(&mut mail[place % self.split.ranks()], &mut words);
            }
        }
        [0, 1].map(|class| Time(self.leaving_earliest[class].swap(u64::MAX, Ordering::Relaxed)))
    }

    /// Hands out what other ranks have brought.
    pub(crate) fn hand_out(&self, mail: &mut [Vec<u64>]) {
        let first = self.split.own().start;
        for words in mail.iter_mut().filter(|words| !words.is_empty()) {
            if let [only] = &self.arrived[..] {
                join(&mut only.fill(), words);
                continue;
            }
            let mut rest = &words[..];
            while let Some((shard, length)) = Mail::first(rest) {
                let (section, after) = rest.split_at(length);
                self.arrived[shard as usize - first].fill().extend_from_slice(section);
                rest = after;
            }
            words.clear();
        }
    }
}

/// Moves what `from` has behind `to`; buffers change hands where that is enough.
fn join(to: &mut Vec<u64>, from: &mut Vec<u64>) {
    if to.is_empty() {
        std::mem::swap(to, from);
    } else {
        to.append(from);
    }
}
