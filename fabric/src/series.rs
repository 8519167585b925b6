//! What is recorded while a run goes on: ports, buffers and congestion control at equal instants.
//!
//! Instants lie at whole multiples of an interval. When a run has had [`Sampling::most`] of them, the interval doubles, and what
//! was recorded is put together in pairs: a run of any length leaves at most that many samples a port, and the finest that
//! this allows. What happens at an instant falls into the interval that begins there. Nothing is recorded of a port
//! through which nothing passed and in which nothing stood.
//!
//! Sampling looks at nodes between their events, so it changes no result; the digest is the same with and without.

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, NodeId, PortId};
use crate::units::{Span, Time};

/// What is recorded over time, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sampling {
    /// The first interval.
    pub interval: Span,
    /// Most samples of a port; the interval doubles when there would be more.
    pub most: u32,
    /// Connections of a host that are looked at, those that were opened first of the ones that have something to do.
    pub connections: u32,
}

impl Sampling {
    /// The interval that is in force after `time`.
    pub fn interval_after(&self, time: Time) -> Span {
        let full = self.interval.0.saturating_mul(u64::from(self.most.max(1)));
        let doublings = (time.0 / full).checked_ilog2().map_or(0, |log| log + 1);
        Span(self.interval.0 << doublings)
    }

    /// The first instant after `time`.
    pub fn instant_after(&self, time: Time) -> Time {
        let interval = self.interval_after(time).0;
        Time((time.0 / interval + 1) * interval)
    }
}

/// What a port did in an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PortSample {
    /// The end of the interval.
    pub at: Time,
    /// The port.
    pub port: PortId,
    /// Frame bytes sent in it.
    pub bytes: u64,
    /// Bytes queued at its end.
    pub queue: u64,
    /// Most bytes queued in it.
    pub queue_max: u64,
    /// Packets sent.
    pub packets: u32,
    /// Packets marked.
    pub marked: u32,
    /// Packets trimmed.
    pub trimmed: u32,
    /// Packets lost, all causes.
    pub dropped: u32,
    /// Mask of classes that the peer holds back at its end.
    pub paused: u8,
}

impl PortSample {
    /// Takes in the next sample of the same port.
    fn join(&mut self, next: &PortSample) {
        *self = PortSample {
            at: next.at,
            port: self.port,
            bytes: self.bytes + next.bytes,
            queue: next.queue,
            queue_max: self.queue_max.max(next.queue_max),
            packets: self.packets.saturating_add(next.packets),
            marked: self.marked.saturating_add(next.marked),
            trimmed: self.trimmed.saturating_add(next.trimmed),
            dropped: self.dropped.saturating_add(next.dropped),
            paused: next.paused,
        };
    }
}

/// How full a switch's shared buffer was at an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BufferSample {
    /// When.
    pub at: Time,
    /// The switch.
    pub node: NodeId,
    /// Bytes in use.
    pub used: u64,
}

/// How a connection stood at an instant: a UET PDC, a RoCE queue pair, a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConnectionSample {
    /// When.
    pub at: Time,
    /// The host that sends on it.
    pub host: HostId,
    /// What it is.
    pub state: ConnectionState,
}

/// What a transport tells of one of its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ConnectionState {
    /// The sender's own number for it.
    pub number: u32,
    /// The host it sends to.
    pub dst: HostId,
    /// Bytes that may be in flight (cwnd), if a window limits it.
    pub window: Option<u64>,
    /// The rate it is paced at in bits a second, if one limits it.
    pub rate: Option<u64>,
    /// Bytes in flight; of TCP, bytes in its socket, sent or not.
    pub in_flight: Option<u64>,
    /// The last round trip measured.
    pub rtt: Option<Span>,
}

/// What was recorded over time in a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Series {
    /// The interval at the end, which all samples have.
    pub interval: Span,
    /// Ports, in their order, each in order of time.
    pub ports: Vec<PortSample>,
    /// Shared buffers of switches, likewise.
    pub buffers: Vec<BufferSample>,
    /// Connections of hosts, in order of hosts and time.
    pub connections: Vec<ConnectionSample>,
    /// Measurements of single packets, of all hosts.
    pub observed: Observed,
}

/// What transports measure of single packets.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Observed {
    /// Round-trip times, in picoseconds.
    pub rtt: Tally,
    /// How far data packets came before those that were missing, in packets.
    pub reordering: Tally,
}

/// What a transport measured as a packet arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Measured {
    /// A round trip; zero: none.
    pub(crate) rtt: Span,
    /// How many packets before one that was missing it came; zero: none was.
    pub(crate) early: u32,
}

impl Observed {
    /// Counts what was measured.
    #[inline]
    pub(crate) fn record(&mut self, measured: Measured) {
        if measured.rtt > Span::ZERO {
            self.rtt.record(measured.rtt.0);
        }
        if measured.early > 0 {
            self.reordering.record(u64::from(measured.early));
        }
    }
}

impl Series {
    /// Adds what another part of the fabric has recorded.
    pub(crate) fn append(&mut self, other: Series) {
        self.ports.extend(other.ports);
        self.buffers.extend(other.buffers);
        self.connections.extend(other.connections);
        self.observe(&other.observed);
    }

    /// Adds what transports have measured.
    pub(crate) fn observe(&mut self, observed: &Observed) {
        self.observed.rtt.merge(&observed.rtt);
        self.observed.reordering.merge(&observed.reordering);
    }

    /// Brings everything to one interval, and into order.
    pub(crate) fn settle(&mut self, sampling: Sampling) {
        let last = self.ports.iter().map(|sample| sample.at);
        let last = last.chain(self.connections.iter().map(|sample| sample.at)).max();
        // The last instant ends the interval that was in force just before it.
        let last = Time(last.unwrap_or_default().0.saturating_sub(1));
        self.interval = sampling.interval_after(last);
        self.ports.sort_by_key(|sample| (sample.port, sample.at));
        coarsen(&mut self.ports, self.interval);
        self.buffers.sort_by_key(|sample| (sample.node, sample.at));
        let whole = |at: Time| at.0.is_multiple_of(self.interval.0);
        self.buffers.retain(|sample| whole(sample.at));
        self.connections.sort_by_key(|sample| (sample.host, sample.state.number, sample.at));
        self.connections.retain(|sample| whole(sample.at));
    }
}

/// Joins samples that fall into one interval; those of a port stand together and in order.
pub(crate) fn coarsen(samples: &mut Vec<PortSample>, interval: Span) {
    let mut kept = 0;
    for place in 0..samples.len() {
        let mut sample = samples[place];
        let at = Time(sample.at.0.div_ceil(interval.0) * interval.0);
        if sample.at != at {
            // Nothing follows in the second half of the interval, unless it is the next sample: then nothing stood at its end.
            (sample.queue, sample.paused) = (0, 0);
        }
        sample.at = at;
        match samples[..kept].last_mut() {
            Some(last) if last.port == sample.port && last.at == at => last.join(&sample),
            _ => {
                samples[kept] = sample;
                kept += 1;
            }
        }
    }
    samples.truncate(kept);
}

/// Parts that each power of two is divided into.
const PARTS: u32 = 128;

/// A histogram of whole numbers, exact below 128 and to one part in 64 above. Those of parts of a fabric add up.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    counts: Vec<u64>,
}

impl Tally {
    /// Counts a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let place = Tally::place(value);
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    fn place(value: u64) -> usize {
        let octave = value.checked_ilog2().unwrap_or(0).saturating_sub(PARTS.ilog2() - 1);
        // From the second octave on only the upper half of its places is in use.
        (octave * PARTS / 2) as usize + (value >> octave) as usize
    }

    /// The least value of a place.
    fn value(place: usize) -> u64 {
        let half = PARTS as usize / 2;
        let octave = (place / half).saturating_sub(1);
        ((place - octave * half) as u64) << octave
    }

    fn merge(&mut self, other: &Tally) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
    }

    /// Values and how often each was counted, from the least; values above 128 are rounded down.
    pub fn entries(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(place, count)| (Tally::value(place), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLING: Sampling = Sampling { interval: Span(10), most: 4, connections: 1 };

    /// The interval doubles each time as many instants as allowed have gone by.
    #[test]
    fn intervals_double() {
        let mut instants = Vec::new();
        let mut at = Time::ZERO;
        while at.0 < 400 {
            at = SAMPLING.instant_after(at);
            instants.push(at.0);
        }
        assert_eq!(instants, [10, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480]);
    }

    /// Joined samples have the sum of what was sent, the longest queue, and the state at the end.
    #[test]
    fn samples_are_joined() {
        let sample = |at, bytes, queue, queue_max| PortSample {
            at: Time(at),
            bytes,
            queue,
            queue_max,
            ..PortSample::default()
        };
        let mut samples = vec![sample(10, 5, 3, 4), sample(20, 6, 2, 9), sample(30, 7, 1, 1)];
        coarsen(&mut samples, Span(20));
        assert_eq!(samples, [sample(20, 11, 2, 9), sample(40, 7, 0, 1)]);
    }

    proptest! {
        /// A tally keeps every value to one part in 64, and adds up.
        #[test]
        fn tallies_are_precise(values in prop::collection::vec(0u64..1 << 50, 1..50)) {
            let (mut all, mut other) = (Tally::default(), Tally::default());
            for (place, value) in values.iter().enumerate() {
                if place % 2 == 0 { all.record(*value) } else { other.record(*value) }
            }
            all.merge(&other);
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let found: Vec<u64> =
                all.entries().flat_map(|(value, count)| vec![value; count as usize]).collect();
            prop_assert_eq!(found.len(), sorted.len());
            for (found, value) in found.iter().zip(&sorted) {
                prop_assert!(found <= value && value - found <= value / 64, "{} for {}", found, value);
            }
        }
    }
}
