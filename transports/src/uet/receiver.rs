//! The target's half of a packet delivery context: what has arrived, and when to say so
//! (`uet-transport.md` §5).

use fabric::ids::{HostId, MessageId};
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;

use crate::common::bits::RingBits;
use crate::uet::config::{AckCount, UetConfig};
use crate::uet::header::{Ack, Data};

/// The smallest ring of arrivals.
const RING: u32 = 64;

/// A message that has begun to arrive.
#[derive(Clone, Copy, Debug)]
struct Arriving {
    message: u32,
    left: u64,
}

/// What a packet led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaction {
    /// An acknowledgement (or NACK) to send.
    pub(super) reply: Option<Reply>,
    /// A message that is complete now.
    pub(super) completed: Option<MessageId>,
}

/// An answer to a data packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) ack: Ack,
    /// The packet it answers.
    pub(super) psn: u32,
    /// The packet was trimmed.
    pub(super) negative: bool,
}

/// See the module.
pub(super) struct Receiver {
    pub(super) src: HostId,
    /// Flow label of the answers.
    pub(super) flow: u32,
    /// The sender's PDC.
    spdcid: u32,
    /// This PDC.
    dpdcid: u32,
    /// Everything below has arrived.
    cack: u32,
    arrived: RingBits,
    ooo_count: u32,
    /// Bytes since the last acknowledgement.
    unacknowledged: u32,
    rcvd_bytes: u64,
    /// An acknowledgement was asked for while packets were missing: another one follows when the gaps
    /// are closed.
    owes_ack: bool,
    arriving: Vec<Arriving>,
}

impl Receiver {
    pub(super) fn new(src: HostId, flow: u32, spdcid: u32, dpdcid: u32) -> Receiver {
        Receiver {
            src,
            flow,
            spdcid,
            dpdcid,
            cack: 0,
            arrived: RingBits::new(RING),
            ooo_count: 0,
            unacknowledged: 0,
            rcvd_bytes: 0,
            owes_ack: false,
            arriving: Vec::new(),
        }
    }

    fn is_duplicate(&self, psn: u32) -> bool {
        psn < self.cack || (psn - self.cack < self.arrived.capacity() && self.arrived.get(psn))
    }

    /// Takes in a data packet, whole or trimmed.
    pub(super) fn on_data(
        &mut self,
        packet: &Packet,
        data: &Data,
        config: &UetConfig,
        counters: &mut EndpointCounters,
    ) -> Reaction {
        let marked = packet.has(flags::CE);
        let psn = packet.psn;
        if packet.has(flags::TRIMMED) {
            counters.trimmed += 1;
            let negative = !self.is_duplicate(psn);
            let reply = self.reply(packet, marked && negative, negative, config);
            return Reaction { reply: Some(reply), completed: None };
        }
        counters.ecn_marked += u64::from(marked);
        self.unacknowledged += match config.ack_count {
            AckCount::Payload { least } => data.payload.max(least),
            AckCount::Frame => u32::from(packet.bytes),
        };
        if self.is_duplicate(psn) {
            counters.duplicates += 1;
            self.unacknowledged = 0;
            let reply = self.reply(packet, marked, false, config);
            return Reaction { reply: Some(reply), completed: None };
        }
        let first = self.rcvd_bytes == 0;
        self.rcvd_bytes += u64::from(packet.bytes);
        counters.delivered_bytes += u64::from(data.payload);
        let drained = self.accept(psn, counters);
        let asked = packet.has(flags::ACK_REQUEST);
        self.owes_ack |= asked;
        let settles = drained && self.ooo_count == 0 && self.owes_ack;
        if settles {
            self.owes_ack = false;
        }
        let due = self.unacknowledged >= config.ack_trigger;
        let reply = (first || asked || marked || due || settles).then(|| {
            self.unacknowledged = 0;
            self.reply(packet, marked, false, config)
        });
        Reaction { reply, completed: self.count(data) }
    }

    /// Notes an arrival; true if it was the next in order.
    fn accept(&mut self, psn: u32, counters: &mut EndpointCounters) -> bool {
        while psn - self.cack >= self.arrived.capacity() {
            self.arrived = self.arrived.doubled(self.cack);
        }
        if psn != self.cack {
            self.arrived.set(psn);
            self.ooo_count += 1;
            counters.out_of_order += 1;
            return false;
        }
        self.cack += 1;
        while self.ooo_count > 0 && self.arrived.get(self.cack) {
            self.arrived.clear(self.cack);
            self.ooo_count -= 1;
            self.cack += 1;
        }
        true
    }

    /// Counts the payload towards its message; the message if that completes it.
    fn count(&mut self, data: &Data) -> Option<MessageId> {
        let known = self.arriving.iter().position(|arriving| arriving.message == data.message);
        let place = known.unwrap_or_else(|| {
            self.arriving.push(Arriving { message: data.message, left: data.message_bytes });
            self.arriving.len() - 1
        });
        self.arriving[place].left -= u64::from(data.payload);
        if self.arriving[place].left > 0 {
            return None;
        }
        self.arriving.swap_remove(place);
        Some(MessageId(data.message))
    }

    /// The state of this context, as the answer to `packet`. An answer to a marked packet, or to one
    /// that asked, starts its SACK window there; others show what lies around the packet.
    fn reply(&self, packet: &Packet, marked: bool, negative: bool, _: &UetConfig) -> Reply {
        let psn = packet.psn;
        let at_packet = marked || packet.has(flags::ACK_REQUEST);
        let around = psn.saturating_sub(63).max(self.cack + 1);
        let sack_base = if at_packet { psn.max(self.cack) } else { around };
        let in_reach = self.ooo_count > 0 && sack_base - self.cack < self.arrived.capacity();
        let sack = if in_reach { self.visible(sack_base) } else { 0 };
        let ack = Ack {
            spdcid: self.spdcid,
            dpdcid: self.dpdcid,
            cack: self.cack,
            sack_base,
            sack,
            rcvd_bytes: self.rcvd_bytes,
            ooo_count: self.ooo_count,
            entropy: packet.entropy,
            marked,
            retransmitted: packet.has(flags::RETRANSMITTED),
            last_hop: packet.has(flags::LAST_HOP),
        };
        Reply { ack, psn, negative }
    }

    /// The bits from `base` that lie within the ring's window.
    fn visible(&self, base: u32) -> u64 {
        let left = self.arrived.capacity() - (base - self.cack);
        let run = self.arrived.run(base);
        if left < 64 { run & ((1 << left) - 1) } else { run }
    }
}
