//! In-band telemetry: what switches write into the packets that pass, for transports that read it (HPCC).
//!
//! A data packet that [asks for it](crate::packet::flags::TELEMETRY) gets a record from each switch port
//! it leaves by; the receiver's transport sends the records back in the acknowledgement. They lie beside
//! the packet, not in it, so that a run without telemetry moves no byte more.
//!
//! Widths and units are those of the HPCC header as its authors' model has it (`roce-dcqcn.md` §5): time
//! in 24 bits of nanoseconds, bytes sent in 20 bits of 128 B, queue length in 17 bits of 80 B, both units
//! times a multiple that grows with the link rate.

use serde::{Deserialize, Serialize};

use crate::units::{Rate, Time};

/// Most records a packet takes along; a hop beyond is not recorded.
pub const MOST_HOPS: usize = 5;

const TIME_BITS: u32 = 24;
const SENT_BITS: u32 = 20;
const QUEUE_BITS: u32 = 17;
const SENT_UNIT: u64 = 128;
const QUEUE_UNIT: u64 = 80;

/// One port's record, taken as the packet begins to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hop {
    /// Time, bytes sent before this packet, and bytes that stay in the queue, from the lowest bit on.
    state: u64,
    /// The port: rate in Mb/s, and what units are multiplied by.
    port: u32,
}

const SENT_AT: u32 = TIME_BITS;
const QUEUE_AT: u32 = SENT_AT + SENT_BITS;
/// A rate of up to 2 Tb/s.
const RATE_BITS: u32 = 21;

/// A mask of the lowest bits.
const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl Hop {
    /// The record of a `port` (see [`Hop::port`]) that has sent `sent` units and keeps `queue` units behind a
    /// packet that begins to leave at `now`.
    #[inline]
    fn new(now: Time, sent: u32, queue: u32, port: u32) -> Hop {
        let time = (now.0 / 1_000) & low(TIME_BITS);
        let sent = u64::from(sent) & low(SENT_BITS);
        let queue = u64::from(queue).min(low(QUEUE_BITS));
        Hop { state: time | sent << SENT_AT | queue << QUEUE_AT, port }
    }

    /// A port of that rate whose units are multiplied by `multiple`.
    fn port(rate: Rate, multiple: u32) -> u32 {
        let rate = (rate.bits_per_second() / 1_000_000).min(low(RATE_BITS)) as u32;
        rate | multiple << RATE_BITS
    }

    fn multiple(&self) -> u64 {
        u64::from(self.port >> RATE_BITS)
    }

    /// Nanoseconds since an earlier record of the same port.
    pub fn nanoseconds_since(&self, earlier: &Hop) -> u64 {
        self.state.wrapping_sub(earlier.state) & low(TIME_BITS)
    }

    /// Bytes sent since an earlier record of the same port.
    pub fn sent_since(&self, earlier: &Hop) -> u64 {
        let units = (self.state >> SENT_AT).wrapping_sub(earlier.state >> SENT_AT) & low(SENT_BITS);
        units * SENT_UNIT * self.multiple()
    }

    /// Bytes that stayed in the queue.
    pub fn queue(&self) -> u64 {
        (self.state >> QUEUE_AT) * QUEUE_UNIT * self.multiple()
    }

    /// The port's rate in bits a second.
    pub fn rate(&self) -> f64 {
        (u64::from(self.port) & low(RATE_BITS)) as f64 * 1e6
    }
}

/// The records of one packet, from its sender on: one cache line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[repr(C, align(64))]
pub struct Telemetry {
    states: [u64; MOST_HOPS],
    ports: [u32; MOST_HOPS],
    count: u32,
}

const _: () = assert!(size_of::<Telemetry>() == 64, "the records of a packet are one cache line");

/// Words of a packet's records.
pub(crate) const TELEMETRY_WORDS: usize = MOST_HOPS + 3;

impl Telemetry {
    /// As words, for another process.
    pub(crate) fn to_words(self) -> [u64; TELEMETRY_WORDS] {
        let Telemetry { states: [a, b, c, d, e], ports: [p, q, r, s, t], count } = self;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        [a, b, c, d, e, pair(p, q), pair(r, s), pair(t, count)]
    }

    /// From the words that [`Telemetry::to_words`] made.
    pub(crate) fn from_words(words: &[u64]) -> Telemetry {
        let half = |place: usize| (words[MOST_HOPS + place / 2] >> (32 * (place % 2))) as u32;
        Telemetry {
            states: std::array::from_fn(|place| words[place]),
            ports: std::array::from_fn(half),
            count: half(MOST_HOPS),
        }
    }

    /// The records so far.
    #[inline]
    pub fn hops(&self) -> impl Iterator<Item = Hop> {
        let records = self.states.iter().zip(&self.ports).take(self.count as usize);
        records.map(|(state, port)| Hop { state: *state, port: *port })
    }

    /// Adds a record; one too many is left out.
    #[inline]
    pub fn push(&mut self, hop: Hop) {
        let place = self.count as usize;
        if place < MOST_HOPS {
            (self.states[place], self.ports[place]) = (hop.state, hop.port);
            self.count += 1;
        }
    }
}

/// What a switch port keeps to make its records.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sampler {
    multiple: u32,
    /// Bytes of a unit sent, and of one queued.
    sent_unit: u32,
    queue_unit: u32,
    /// Units sent, without the packet on the wire, and bytes beyond.
    sent: u32,
    beyond: u32,
    /// Bytes behind the packet on the wire when it began to leave.
    behind: u64,
    /// When that was.
    started: Time,
}

impl Sampler {
    /// For a port that has sent nothing; units are multiplied by `multiple`.
    pub fn new(multiple: u32) -> Sampler {
        Sampler {
            multiple,
            sent_unit: SENT_UNIT as u32 * multiple,
            queue_unit: QUEUE_UNIT as u32 * multiple,
            sent: 0,
            beyond: 0,
            behind: 0,
            started: Time::ZERO,
        }
    }

    /// A packet begins to leave and leaves `behind` bytes in the queue.
    #[inline]
    pub fn start(&mut self, now: Time, behind: u64) {
        self.started = now;
        self.behind = behind;
    }

    /// The record of the packet on the wire.
    #[inline]
    pub fn hop(&self, rate: Rate) -> Hop {
        Hop::new(self.started, self.sent, self.queue(self.behind), Hop::port(rate, self.multiple))
    }

    /// Units of a queue. Queues are empty or short mostly, and short divisions fast.
    #[inline]
    fn queue(&self, bytes: u64) -> u32 {
        match u32::try_from(bytes) {
            Ok(bytes) => bytes / self.queue_unit,
            Err(_) => u32::try_from(bytes / u64::from(self.queue_unit)).unwrap_or(u32::MAX),
        }
    }

    /// A frame has left.
    #[inline]
    pub fn count(&mut self, bytes: u16) {
        let bytes = self.beyond + u32::from(bytes);
        let units = bytes / self.sent_unit;
        self.sent = self.sent.wrapping_add(units);
        self.beyond = bytes - units * self.sent_unit;
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
            start in 0u64..1 << 40, elapsed in 0u64..16_000_000, before in 0u64..100_000, more in 0u64..50_000,
            frame in 64u16..9_000,
        ) {
            let rate = Rate::from_gbps(100);
            let mut sampler = Sampler::new(4);
            sampler.start(Time(start), 0);
            (0..before).for_each(|_| sampler.count(frame));
            let first = sampler.hop(rate);
            sampler.start(Time(start + elapsed * 1_000), 1_000);
            (0..more).for_each(|_| sampler.count(frame));
            let second = sampler.hop(rate);
            prop_assert_eq!(second.nanoseconds_since(&first), elapsed);
            prop_assert!(second.sent_since(&first).abs_diff(more * u64::from(frame)) < 512);
            prop_assert_eq!((second.queue(), second.rate()), (960, 100e9));
        }
    }

    /// A port counts what it sends by the frame as it would in one sum.
    #[test]
    fn units_add_up() {
        let mut sampler = Sampler::new(3);
        (0..1_000u32).for_each(|frame| sampler.count((frame * 37 % 4_200) as u16));
        let bytes: u32 = (0..1_000).map(|frame| frame * 37 % 4_200).sum();
        assert_eq!((sampler.sent, sampler.beyond), (bytes / 384, bytes % 384));
    }

    /// The sixth hop is not recorded, and the queue's field does not overflow.
    #[test]
    fn records_are_bounded() {
        let mut telemetry = Telemetry::default();
        let rate = Rate::from_gbps(400);
        let mut sampler = Sampler::new(16);
        sampler.start(Time(0), u64::MAX);
        (0..7).for_each(|_| telemetry.push(sampler.hop(rate)));
        assert_eq!(telemetry.hops().count(), 5);
        assert!(telemetry.hops().all(|hop| hop.queue() == ((1 << 17) - 1) * 80 * 16));
    }
}
