//! A receive buffer that the host empties at its own rate, and the penalty that its filling puts on senders
//! (destination flow control, `uet-cc.md` §2.6; thresholds as in `link.md` §7's simulator).

use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::uet::config;

/// Share of the buffer, in quarters, at which the penalty begins; it is full two quarters later.
const BEGINS: u64 = 1;
/// The most that seven bits hold.
const MOST: u64 = 127;

/// See the module.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct HostBuffer {
    config: config::HostBuffer,
    level: u64,
    /// When the level was right.
    at: Time,
}

impl HostBuffer {
    pub(super) fn new(config: config::HostBuffer) -> HostBuffer {
        HostBuffer { config, level: 0, at: Time::ZERO }
    }

    /// Takes in `bytes` at `now`; false, and nothing is taken, if they do not fit.
    pub(super) fn admit(&mut self, now: Time, bytes: u64) -> bool {
        let drained = self.config.rate.bytes_in(now.since(self.at));
        // The clock stands still until whole bytes have left, so that none are lost to rounding.
        if drained > 0 {
            self.level = self.level.saturating_sub(drained);
            self.at = now;
        }
        if self.level + bytes > self.config.bytes {
            return false;
        }
        self.level += bytes;
        true
    }

    /// The penalty in 1/128: none below a quarter of the buffer, all of it above three quarters.
    pub(super) fn penalty(&self) -> u8 {
        let quarter = self.config.bytes / 4;
        let above = self.level.saturating_sub(BEGINS * quarter);
        (above * MOST / (2 * quarter).max(1)).min(MOST) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::units::{Rate, Span};

    /// The penalty grows from a quarter to three quarters; what does not fit is refused; the host drains.
    #[test]
    fn the_penalty_follows_the_level() {
        let config = config::HostBuffer { bytes: 4_000, rate: Rate::from_gbps(8) };
        let mut buffer = HostBuffer::new(config);
        assert!(buffer.admit(Time(0), 1_000));
        assert_eq!(buffer.penalty(), 0);
        assert!(buffer.admit(Time(0), 1_000));
        assert_eq!(buffer.penalty(), 63);
        assert!(buffer.admit(Time(0), 2_000));
        assert_eq!(buffer.penalty(), 127);
        assert!(!buffer.admit(Time(0), 1));
        // 8 Gb/s are a byte a nanosecond.
        assert!(buffer.admit(Time::ZERO + Span::from_nanos(3_500), 100));
        assert_eq!(buffer.penalty(), 0);
    }
}
