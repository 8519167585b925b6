//! The responder's half of a queue pair: takes packets, in order or not, and says what it expects.

use std::collections::BTreeMap;

use fabric::ids::{HostId, MessageId};
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;
use fabric::telemetry::Telemetry;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::roce::config::{MarkReport, Recovery, RoceConfig};
use crate::roce::header::Header;

/// What a data packet is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// Everything below the PSN expected has arrived.
    Ack,
    /// A packet is missing.
    Nak,
}

/// What a data packet led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaction {
    pub(super) reply: Option<Reply>,
    /// A congestion notification is due.
    pub(super) notify: bool,
    /// The PSN of an early packet that was kept, and one.
    pub(super) early: u32,
}

/// A message, or the part of one that came by this queue pair, that is complete.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Arrived {
    pub(super) message: MessageId,
    /// Bytes of the part.
    pub(super) bytes: u64,
    /// Bytes of the whole.
    pub(super) length: u64,
}

/// What came early.
#[derive(Default, Serialize, Deserialize)]
struct Early {
    arrived: RingBits,
    /// PSN after the highest that has arrived.
    end: u32,
    /// Those that end a message. All others are full.
    ends: BTreeMap<u32, Header>,
}

impl Early {
    /// Keeps the packet `psn` of a window that begins at `expected`; false if it is known.
    fn keep(&mut self, expected: u32, psn: u32, end: Option<&Header>) -> bool {
        while psn - expected >= self.arrived.capacity() {
            self.arrived = self.arrived.doubled(expected);
        }
        if self.arrived.get(psn) {
            return false;
        }
        self.arrived.set(psn);
        self.end = self.end.max(psn + 1);
        self.ends.extend(end.map(|header| (psn, *header)));
        true
    }

    /// Takes out the packet `psn` if it is there.
    fn take(&mut self, psn: u32) -> bool {
        let found = psn < self.end && self.arrived.get(psn);
        if found {
            self.arrived.clear(psn);
        }
        found
    }
}

/// The last packet that waits to be acknowledged.
#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    /// When it came.
    pub(super) at: Time,
    /// When it had left.
    pub(super) stamp: Time,
    /// Its telemetry, in a fabric that has it.
    pub(super) records: Option<Box<Telemetry>>,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Receiver {
    pub(super) src: HostId,
    pub(super) flow: u32,
    pub(super) entropy: u16,
    /// The sender's queue pair.
    pub(super) sender_qp: u32,
    /// Next PSN in order.
    pub(super) expected: u32,
    /// A mark has arrived since the last acknowledgement.
    pub(super) marked: bool,
    /// Bytes of the present message so far.
    bytes: u64,
    /// Packets since the last acknowledgement.
    unacknowledged: u32,
    /// When the present gap was reported (or, with patience, first seen); `NEVER` while there is none.
    gap_since: Time,
    /// When the last notification was sent; `NEVER` before the first.
    notified: Time,
    early: Early,
    /// What the acknowledgement that waits will say.
    pub(super) held: Option<Held>,
}

impl Receiver {
    pub(super) fn new(packet: &Packet, sender_qp: u32) -> Receiver {
        Receiver {
            src: packet.src,
            flow: packet.flow,
            entropy: packet.entropy,
            sender_qp,
            expected: 0,
            marked: false,
            bytes: 0,
            unacknowledged: 0,
            gap_since: Time::NEVER,
            notified: Time::NEVER,
            early: Early::default(),
            held: None,
        }
    }

    /// The packet that came at `now` waits to be acknowledged with others; false if there is none.
    pub(super) fn hold(&mut self, now: Time, stamp: Time, records: Option<Telemetry>) -> bool {
        let waits = self.unacknowledged > 0;
        if waits {
            self.held = Some(Held { at: now, stamp, records: records.map(Box::new) });
        }
        waits
    }

    /// Everything so far is acknowledged; true if a mark has arrived since the last time.
    pub(super) fn acknowledge(&mut self) -> bool {
        self.unacknowledged = 0;
        std::mem::take(&mut self.marked)
    }

    /// Takes in a data packet; what becomes complete goes to `arrived`.
    pub(super) fn on_data(
        &mut self,
        now: Time,
        packet: &Packet,
        header: &Header,
        config: &RoceConfig,
        counters: &mut EndpointCounters,
        arrived: &mut Vec<Arrived>,
    ) -> Reaction {
        let mut reaction = Reaction::default();
        if packet.has(flags::CE) {
            counters.ecn_marked += 1;
            self.marked = true;
            reaction.notify = self.is_notification_due(now, config);
        }
        if packet.psn > self.expected {
            counters.out_of_order += 1;
            self.on_early(now, packet, header, config, counters, &mut reaction);
            return reaction;
        }
        if packet.psn < self.expected {
            counters.duplicates += 1;
            reaction.reply = Some(Reply::Ack);
            return reaction;
        }
        let gap = self.gap_since != Time::NEVER;
        let ends = packet.has(flags::END_OF_MESSAGE).then_some(header);
        let mut last = self.advance(u64::from(header.detail), ends, counters, arrived);
        while self.early.take(self.expected) {
            let ends = self.early.ends.remove(&self.expected);
            let payload = ends.map_or(u64::from(config.payload), |end| u64::from(end.detail));
            last |= self.advance(payload, ends.as_ref(), counters, arrived);
        }
        // Of a gap that was filled, the next one begins now.
        let another = self.early.end > self.expected;
        self.gap_since = if another { now } else { Time::NEVER };
        if last || gap || self.unacknowledged >= config.ack_every {
            self.unacknowledged = 0;
            reaction.reply = Some(Reply::Ack);
        }
        reaction
    }

    /// The packet expected is here; true if it ends a message.
    fn advance(
        &mut self,
        payload: u64,
        end: Option<&Header>,
        counters: &mut EndpointCounters,
        arrived: &mut Vec<Arrived>,
    ) -> bool {
        self.expected += 1;
        self.unacknowledged += 1;
        self.bytes += payload;
        counters.delivered_bytes += payload;
        if let Some(header) = end {
            let (message, length) = (MessageId(header.number), header.length);
            let bytes = std::mem::take(&mut self.bytes);
            arrived.push(Arrived { message, bytes, length });
        }
        end.is_some()
    }

    /// A packet is there before one with a lower PSN.
    fn on_early(
        &mut self,
        now: Time,
        packet: &Packet,
        header: &Header,
        config: &RoceConfig,
        counters: &mut EndpointCounters,
        reaction: &mut Reaction,
    ) {
        let Recovery::Selective { patience } = config.recovery else {
            reaction.reply = self.report_gap(now, config);
            return;
        };
        let end = packet.has(flags::END_OF_MESSAGE).then_some(header);
        if !self.early.keep(self.expected, packet.psn, end) {
            counters.duplicates += 1;
        }
        reaction.early = packet.psn + 1;
        if self.gap_since == Time::NEVER {
            self.gap_since = now;
        }
        let lost = now.since(self.gap_since) >= patience;
        if lost {
            self.gap_since = now;
        }
        reaction.reply = Some(if lost { Reply::Nak } else { Reply::Ack });
    }

    /// One NAK a gap, or one an interval.
    fn report_gap(&mut self, now: Time, config: &RoceConfig) -> Option<Reply> {
        let again = config.nak_interval.is_some_and(|interval| {
            self.gap_since != Time::NEVER && now.since(self.gap_since) >= interval
        });
        if self.gap_since != Time::NEVER && !again {
            return None;
        }
        self.gap_since = now;
        Some(Reply::Nak)
    }

    fn is_notification_due(&mut self, now: Time, config: &RoceConfig) -> bool {
        let MarkReport::Cnp { interval } = config.mark_report else { return false };
        let due = self.notified == Time::NEVER || now.since(self.notified) >= interval;
        if due {
            self.notified = now;
        }
        due
    }
}
