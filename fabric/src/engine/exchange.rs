//! Mailboxes between shards.
//!
//! There are two sets, used in turn: while window *k* is run, shards read what was sent in window
//! *k − 1* from one set and write into the other, so that one barrier a window is enough. A box is
//! only ever held by one thread, the lock is never waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::net::outlet::{Mail, Outlet};

struct Slot {
    /// Whether there is mail, so that empty boxes are not locked.
    full: AtomicBool,
    mail: Mutex<Mail>,
}

/// Mailboxes of all pairs of shards.
pub(crate) struct Exchange {
    shards: usize,
    slots: Vec<Slot>,
}

impl Exchange {
    pub(crate) fn new(shards: usize) -> Exchange {
        let slot = || Slot { full: AtomicBool::new(false), mail: Mutex::new(Mail::default()) };
        Exchange { shards, slots: (0..2 * shards * shards).map(|_| slot()).collect() }
    }

    fn slot(&self, window: u64, from: usize, to: usize) -> &Slot {
        let set = (window & 1) as usize;
        &self.slots[(set * self.shards + to) * self.shards + from]
    }

    /// Posts what shard `from` has sent in `window`.
    pub(crate) fn post(&self, window: u64, from: usize, outlet: &mut Outlet) {
        for (to, mail) in outlet.outbox.iter_mut().enumerate() {
            if mail.is_empty() {
                continue;
            }
            let slot = self.slot(window, from, to);
            let mut posted = slot.mail.lock().unwrap_or_else(PoisonError::into_inner);
            debug_assert!(posted.is_empty(), "mail of two windows ago was collected");
            std::mem::swap(&mut *posted, mail);
            slot.full.store(true, Ordering::Release);
        }
    }

    /// Hands shard `to` what was sent to it in `window`.
    pub(crate) fn collect(&self, window: u64, to: usize, outlet: &mut Outlet) {
        for from in 0..self.shards {
            let slot = self.slot(window, from, to);
            if slot.full.swap(false, Ordering::Acquire) {
                let mut posted = slot.mail.lock().unwrap_or_else(PoisonError::into_inner);
                outlet.receive(&mut posted);
            }
        }
    }
}
