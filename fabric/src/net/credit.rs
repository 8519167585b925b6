//! Credits of one end of a link, both roles: what this end may send, and what it has taken in and freed
//! (UE 1.0 §5.2, `link.md` §2).
//!
//! All counts are cumulative and wrap, so an update that is late or lost does no harm. One message
//! carries both halves: what this end has freed (CF_Update), and what it has sent (CC_Update), from
//! which the other end learns of frames that were lost on the wire and frees their credits.

use serde::{Deserialize, Serialize};

use crate::link::{COALESCED_CELLS, cells};
use crate::packet::CLASSES;

/// One class at one end.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Account {
    /// Taken by frames that left a queue here.
    consumed: u32,
    /// Taken by frames that went over the wire, or were lost there: with link-level retry, later.
    passed: u32,
    /// Of those, freed by the peer as far as is known here.
    freed: u32,
    /// Taken by frames that came in, or were lost on their way.
    received: u32,
    /// Of those, free again.
    released: u32,
    /// Of those, told to the peer.
    told: u32,
    /// Bytes that came in and have not left.
    held: u64,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credits {
    /// Mask of classes with credits.
    classes: u8,
    /// Credits of a class.
    limit: u32,
    /// Credits of the longest frame.
    frame: u32,
    accounts: [Account; CLASSES],
}

impl Credits {
    /// The accounts of a port: credits for the `classes` of a mask, `limit` each, and what the longest
    /// frame takes.
    pub(crate) fn new(classes: u8, limit: u32, frame: u32) -> Credits {
        Credits { classes, limit, frame, accounts: [Account::default(); CLASSES] }
    }

    /// Whether the class has credits.
    pub(crate) fn covers(&self, class: usize) -> bool {
        self.classes & (1 << class) != 0
    }

    /// Whether a frame of any length may leave.
    fn has_room(&self, class: usize) -> bool {
        let account = &self.accounts[class];
        let out = account.consumed.wrapping_sub(account.freed);
        out + self.frame <= self.limit
    }

    /// A frame leaves its queue. True if the class has to wait after it.
    pub(crate) fn consume(&mut self, class: usize, bytes: u16) -> bool {
        let account = &mut self.accounts[class];
        account.consumed = account.consumed.wrapping_add(cells(u64::from(bytes)));
        debug_assert!(account.consumed.wrapping_sub(account.freed) <= self.limit);
        !self.has_room(class)
    }

    /// A frame has gone over the wire, or was lost on it.
    pub(crate) fn pass(&mut self, class: usize, bytes: u16) {
        let passed = &mut self.accounts[class].passed;
        *passed = passed.wrapping_add(cells(u64::from(bytes)));
    }

    /// A frame came in.
    ///
    /// # Panics
    /// If there is no room for it: the sender has overdrawn its credits.
    pub(crate) fn take_in(&mut self, class: usize, bytes: u16) {
        let limit = self.limit;
        let account = &mut self.accounts[class];
        account.received = account.received.wrapping_add(cells(u64::from(bytes)));
        account.held += u64::from(bytes);
        let used = account.received.wrapping_sub(account.released);
        assert!(used <= limit, "class {class} takes {used} credits of {limit}");
    }

    /// A frame that came in has left. True if the peer is to be told.
    pub(crate) fn release(&mut self, class: usize, bytes: u16) -> bool {
        let account = &mut self.accounts[class];
        account.released = account.released.wrapping_add(cells(u64::from(bytes)));
        account.held -= u64::from(bytes);
        account.released.wrapping_sub(account.told) >= COALESCED_CELLS
    }

    /// Bytes that came in and have not left.
    pub(crate) fn held(&self) -> u64 {
        self.accounts.iter().map(|account| account.held).sum()
    }

    /// The update for the peer: for each class what was freed, and what was sent.
    pub(crate) fn update(&mut self) -> [u64; CLASSES] {
        std::array::from_fn(|class| {
            let account = &mut self.accounts[class];
            account.told = account.released;
            (u64::from(account.released) << 32) | u64::from(account.passed)
        })
    }

    /// An update from the peer. Returns the mask of classes that have to wait, and whether credits of
    /// lost frames were freed, which the peer is to be told.
    pub(crate) fn on_update(&mut self, update: &[u64]) -> (u8, bool) {
        let (mut waiting, mut leaked) = (0, false);
        for (class, word) in update.iter().enumerate().take(CLASSES) {
            if !self.covers(class) {
                continue;
            }
            let account = &mut self.accounts[class];
            account.freed = (word >> 32) as u32;
            let lost = (*word as u32).wrapping_sub(account.received);
            account.received = account.received.wrapping_add(lost);
            account.released = account.released.wrapping_add(lost);
            leaked |= lost > 0;
            if !self.has_room(class) {
                waiting |= 1 << class;
            }
        }
        (waiting, leaked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: usize = 1;

    fn pair() -> (Credits, Credits) {
        (Credits::new(1 << DATA, 200, 66), Credits::new(1 << DATA, 200, 66))
    }

    fn send(from: &mut Credits) -> bool {
        let waits = from.consume(DATA, 4_202);
        from.pass(DATA, 4_202);
        waits
    }

    /// A class waits when there is no room for a full frame, and goes on with the update that frees it.
    #[test]
    fn a_class_waits_for_room() {
        let (mut sender, mut receiver) = pair();
        assert_eq!([(); 3].map(|()| send(&mut sender)), [false, false, true]);
        (0..3).for_each(|_| receiver.take_in(DATA, 4_202));
        assert_eq!(receiver.held(), 3 * 4_202);
        assert!(receiver.release(DATA, 4_202), "66 credits are enough to tell");
        assert_eq!(sender.on_update(&receiver.update()), (0, false));
        assert_eq!(receiver.on_update(&sender.update()), (0, false), "nothing was lost");
    }

    /// Credits of frames that never came are found by the sender's count, and freed.
    #[test]
    fn credits_of_lost_frames_come_back() {
        let (mut sender, mut receiver) = pair();
        while !send(&mut sender) {}
        receiver.take_in(DATA, 4_202);
        assert_eq!(receiver.on_update(&sender.update()), (0, true));
        assert_eq!(sender.on_update(&receiver.update()), (0, false));
        assert!(!send(&mut sender), "two of three frames are free again");
    }

    /// A receiver whose sender overdraws says so.
    #[test]
    #[should_panic(expected = "class 1 takes 264 credits of 200")]
    fn overdrawn_credits_are_a_broken_invariant() {
        let mut receiver = pair().1;
        (0..4).for_each(|_| receiver.take_in(DATA, 4_202));
    }
}
