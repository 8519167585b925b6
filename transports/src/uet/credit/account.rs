//! The sender's side of RCCC (`uet-cc.md` §3.1).

use serde::{Deserialize, Serialize};

use super::{QUANTUM, advance, ahead};

/// Credit of one congestion control context.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::uet) struct Credit {
    /// Bytes that may be sent; a packet may take it below zero.
    bytes: i64,
    /// Most it can hold, and what it begins with.
    most: i64,
    /// Nothing has been heard of the receiver yet: the credit is the sender's own.
    speculating: bool,
    /// Quanta granted so far.
    granted: u32,
}

impl Credit {
    /// A context that begins with `most` bytes of speculative credit.
    pub(in crate::uet) fn new(most: u64) -> Credit {
        Credit { bytes: most as i64, most: most as i64, speculating: true, granted: 0 }
    }

    /// Bytes that may be sent.
    #[inline]
    pub(in crate::uet) fn available(&self) -> i64 {
        self.bytes
    }

    /// A packet leaves.
    #[inline]
    pub(in crate::uet) fn spend(&mut self, bytes: i64) {
        self.bytes -= bytes;
    }

    /// The receiver has been heard of: what is left of the speculative credit is void.
    #[inline]
    pub(in crate::uet) fn stop_speculating(&mut self) {
        if self.speculating {
            self.speculating = false;
            self.bytes = self.bytes.min(0);
        }
    }

    /// A grant arrives; an old one adds nothing.
    pub(in crate::uet) fn on_credit(&mut self, granted: u32) {
        self.stop_speculating();
        let quanta = ahead(granted, self.granted);
        if quanta > 0 {
            self.granted = granted;
            self.bytes = (self.bytes + i64::from(quanta) * QUANTUM).min(self.most);
        }
    }

    /// The cumulative demand for `wanted` bytes beyond what is at hand. A sender that speculates asks
    /// for a packet more while it has one that was `unsent`; senders that share the NIC share
    /// the demand.
    pub(in crate::uet) fn target(
        &self,
        wanted: i64,
        unsent: bool,
        waiting: usize,
        mtu: i64,
    ) -> u32 {
        let mut beyond = wanted.min(self.most) - self.bytes;
        if self.speculating && unsent {
            beyond = beyond.max(mtu);
        }
        if waiting > 1 {
            beyond /= waiting as i64;
        }
        // Rounds up, also below zero.
        advance(self.granted, (beyond + QUANTUM - 1).div_euclid(QUANTUM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Speculative credit ends with the first sign of the receiver; grants add up to the most.
    #[test]
    fn speculation_ends_and_grants_add_up() {
        let mut credit = Credit::new(10_000);
        credit.spend(4_150);
        assert_eq!(credit.available(), 5_850);
        credit.on_credit(4);
        assert_eq!(credit.available(), 1_024);
        credit.on_credit(4);
        credit.on_credit(3);
        assert_eq!(credit.available(), 1_024, "no grant twice, none backwards");
        credit.on_credit(400);
        assert_eq!(credit.available(), 10_000);
    }

    /// The demand covers what is wanted beyond the credit at hand, rounded up, and is shared.
    #[test]
    fn the_target_is_what_is_missing() {
        let mut credit = Credit::new(100_000);
        assert_eq!(credit.target(1_000, true, 1, 4_150), 17, "one packet while speculating");
        credit.stop_speculating();
        credit.spend(100);
        assert_eq!(credit.target(1_000, true, 1, 4_150), 5, "1,100 B in quanta of 256");
        assert_eq!(credit.target(1_000, true, 4, 4_150), 2);
        assert_eq!(credit.target(i64::MAX / 2, true, 1, 4_150), 100_100_u32.div_ceil(256));
    }
}
