//! The responder's half of a queue pair: takes packets in order, and says what it expects.

use fabric::ids::{HostId, MessageId};
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;
use fabric::units::Time;

use crate::roce::config::{MarkReport, RoceConfig};
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
    /// A message that is complete now.
    pub(super) completed: Option<MessageId>,
}

/// See the module.
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
    /// Packets since the last acknowledgement.
    unacknowledged: u32,
    /// When the present gap was reported; `NEVER` while there is none.
    gap_reported: Time,
    /// When the last notification was sent; `NEVER` before the first.
    notified: Time,
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
            unacknowledged: 0,
            gap_reported: Time::NEVER,
            notified: Time::NEVER,
        }
    }

    /// Takes in a data packet.
    pub(super) fn on_data(
        &mut self,
        now: Time,
        packet: &Packet,
        header: &Header,
        config: &RoceConfig,
        counters: &mut EndpointCounters,
    ) -> Reaction {
        let mut reaction = Reaction::default();
        if packet.has(flags::CE) {
            counters.ecn_marked += 1;
            self.marked = true;
            reaction.notify = self.is_notification_due(now, config);
        }
        if packet.psn > self.expected {
            counters.out_of_order += 1;
            reaction.reply = self.report_gap(now, config);
            return reaction;
        }
        if packet.psn < self.expected {
            counters.duplicates += 1;
            reaction.reply = Some(Reply::Ack);
            return reaction;
        }
        self.expected += 1;
        self.gap_reported = Time::NEVER;
        self.unacknowledged += 1;
        counters.delivered_bytes += u64::from(header.detail);
        let last = packet.has(flags::END_OF_MESSAGE);
        if last {
            reaction.completed = Some(MessageId(header.number));
        }
        if last || self.unacknowledged >= config.ack_every {
            self.unacknowledged = 0;
            reaction.reply = Some(Reply::Ack);
        }
        reaction
    }

    /// One NAK a gap, or one an interval.
    fn report_gap(&mut self, now: Time, config: &RoceConfig) -> Option<Reply> {
        let again = config.nak_interval.is_some_and(|interval| {
            self.gap_reported != Time::NEVER && now.since(self.gap_reported) >= interval
        });
        if self.gap_reported != Time::NEVER && !again {
            return None;
        }
        self.gap_reported = now;
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
