//! In-band telemetry: what switches write into the packets that pass, for transports that read it (HPCC).
//!
//! A data packet that [asks for it](crate::packet::flags::TELEMETRY) gets a record from each switch port
//! it leaves by; the receiver's transport sends the records back in the acknowledgement. They lie beside
//! the packet, not in it, so that a run without telemetry moves no byte more.
//!
//! Widths and units are those of the HPCC header as its authors' model has it (`roce-dcqcn.md` §5): time
//! in 24 bits of nanoseconds, bytes sent in 20 bits of 128 B, queue length in 17 bits of 80 B, both units
//! times a multiple that grows with the link rate.

use crate::units::{Rate, Time};

/// Most records a packet takes along; a hop beyond is not recorded.
pub const MOST_HOPS: usize = 5;

const TIME_BITS: u32 = 24;
const SENT_BITS: u32 = 20;
const QUEUE_BITS: u32 = 17;
const SENT_UNIT: u64 = 128;
const QUEUE_UNIT: u64 = 80;

/// One port's record, taken as the packet begins to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hop {
    /// Nanoseconds, modulo 2^24.
    time: u32,
    /// Units sent before this packet, modulo 2^20.
    sent: u32,
    /// Units that stay in the queue, at most 2^17 − 1.
    queue: u32,
    /// What the units are multiplied by.
    multiple: u32,
    /// The port's rate, in Mb/s.
    rate: u32,
}

impl Hop {
    /// The record of a port at `rate` that has sent `sent` bytes and keeps `queue` bytes behind a packet
    /// that begins to leave at `now`.
    pub fn new(now: Time, sent: u64, queue: u64, rate: Rate, multiple: u32) -> Hop {
        let unit = |bytes: u64, unit: u64| bytes / (unit * u64::from(multiple));
        Hop {
            time: (now.0 / 1_000) as u32 & ((1 << TIME_BITS) - 1),
            sent: unit(sent, SENT_UNIT) as u32 & ((1 << SENT_BITS) - 1),
            queue: unit(queue, QUEUE_UNIT).min((1 << QUEUE_BITS) - 1) as u32,
            multiple,
            rate: (rate.bits_per_second() / 1_000_000) as u32,
        }
    }

    /// Nanoseconds since an earlier record of the same port.
    pub fn nanoseconds_since(&self, earlier: &Hop) -> u64 {
        u64::from(self.time.wrapping_sub(earlier.time) & ((1 << TIME_BITS) - 1))
    }

    /// Bytes sent since an earlier record of the same port.
    pub fn sent_since(&self, earlier: &Hop) -> u64 {
        let units = self.sent.wrapping_sub(earlier.sent) & ((1 << SENT_BITS) - 1);
        u64::from(units) * SENT_UNIT * u64::from(self.multiple)
    }

    /// Bytes that stayed in the queue.
    pub fn queue(&self) -> u64 {
        u64::from(self.queue) * QUEUE_UNIT * u64::from(self.multiple)
    }

    /// The port's rate in bits a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.rate) * 1e6
    }
}

/// The records of one packet, from its sender on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Telemetry {
    hops: [Hop; MOST_HOPS],
    count: u32,
}

impl Telemetry {
    /// The records so far.
    pub fn hops(&self) -> &[Hop] {
        &self.hops[..self.count as usize]
    }

    /// Adds a record; one too many is left out.
    pub fn push(&mut self, hop: Hop) {
        if let Some(place) = self.hops.get_mut(self.count as usize) {
            *place = hop;
            self.count += 1;
        }
    }
}

/// What a switch port keeps to make its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    multiple: u32,
    /// Bytes sent, without the packet on the wire.
    sent: u64,
    /// When the packet on the wire began to leave.
    started: Time,
    /// Bytes behind it at that moment.
    behind: u64,
}

impl Sampler {
    pub(crate) fn new(multiple: u32) -> Sampler {
        Sampler { multiple, sent: 0, started: Time::ZERO, behind: 0 }
    }

    /// A packet begins to leave and leaves `behind` bytes in the queue.
    pub(crate) fn start(&mut self, now: Time, behind: u64) {
        self.started = now;
        self.behind = behind;
    }

    /// The record of the packet on the wire.
    pub(crate) fn hop(&self, rate: Rate) -> Hop {
        Hop::new(self.started, self.sent, self.behind, rate, self.multiple)
    }

    /// A frame has left.
    pub(crate) fn count(&mut self, bytes: u16) {
        self.sent += u64::from(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Differences of records survive the fields' wrap-around, to one unit of each.
        #[test]
        fn differences_survive_wrapping(
            start in 0u64..1 << 40, elapsed in 0u64..16_000_000, sent in 0u64..1 << 40, more in 0u64..500_000_000,
        ) {
            let rate = Rate::from_gbps(100);
            let first = Hop::new(Time(start), sent, 0, rate, 4);
            let then = Time(start + elapsed * 1_000);
            let second = Hop::new(then, sent + more, 1_000, rate, 4);
            prop_assert_eq!(second.nanoseconds_since(&first), elapsed);
            prop_assert!(second.sent_since(&first).abs_diff(more) < 512);
            prop_assert_eq!((second.queue(), second.rate()), (960, 100e9));
        }
    }

    /// The sixth hop is not recorded, and the queue's field does not overflow.
    #[test]
    fn records_are_bounded() {
        let mut telemetry = Telemetry::default();
        let hop = Hop::new(Time(0), 0, u64::MAX, Rate::from_gbps(400), 16);
        (0..7).for_each(|_| telemetry.push(hop));
        assert_eq!(telemetry.hops(), [hop; 5]);
        assert_eq!(hop.queue(), ((1 << 17) - 1) * 80 * 16);
    }
}
