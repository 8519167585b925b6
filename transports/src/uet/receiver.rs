//! The target's half of a packet delivery context: what has arrived, and when to say so
//! (`uet-transport.md` §5).

use fabric::ids::{HostId, MessageId};
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;

use crate::common::bits::RingBits;
use crate::uet::config::{AckCount, SackBase, UetConfig};
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
    /// Packets that arrived above the first hole.
    ooo_count: u32,
    /// Above the highest PSN that arrived.
    high: u32,
    /// Where the next selective acknowledgement begins, for [`SackBase::Walk`].
    walk: u32,
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
            high: 0,
            walk: 0,
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
    #[inline]
    pub(super) fn on_data(
        &mut self,
        packet: &Packet,
        data: &Data,
        config: &UetConfig,
        counters: &mut EndpointCounters,
    ) -> Reaction {
        let duplicate = self.is_duplicate(packet.psn);
        if packet.has(flags::TRIMMED) {
            counters.trimmed += 1;
            let reply =
                if duplicate { self.ack(packet, false, false, config) } else { self.nack(packet) };
            return Reaction { reply: Some(reply), completed: None };
        }
        let marked = packet.has(flags::CE);
        counters.ecn_marked += u64::from(marked);
        if duplicate {
            counters.duplicates += 1;
            self.unacknowledged = 0;
            let reply = self.ack(packet, marked, marked, config);
            return Reaction { reply: Some(reply), completed: None };
        }
        let first = self.rcvd_bytes == 0;
        self.rcvd_bytes += u64::from(packet.bytes);
        counters.delivered_bytes += u64::from(data.payload);
        self.unacknowledged += match config.ack_count {
            AckCount::Payload { least } => data.payload.max(least),
            AckCount::Frame => u32::from(packet.bytes),
        };
        let in_order = self.enter(packet.psn, counters);
        let asked = packet.has(flags::ACK_REQUEST);
        self.owes_ack |= asked;
        let settles = self.owes_ack && in_order && self.ooo_count == 0;
        if settles {
            self.owes_ack = false;
        }
        let due = self.unacknowledged >= config.ack_trigger;
        let reply = (first || asked || marked || due || settles).then(|| {
            self.unacknowledged = 0;
            self.ack(packet, marked, marked || asked, config)
        });
        Reaction { reply, completed: self.count(data) }
    }

    /// Notes an arrival; true if it was the next in order.
    fn enter(&mut self, psn: u32, counters: &mut EndpointCounters) -> bool {
        self.high = self.high.max(psn + 1);
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

    /// The state of this context, as the answer to `packet`; `at_packet`: the selective acknowledgement
    /// begins there.
    fn ack(&mut self, packet: &Packet, marked: bool, at_packet: bool, config: &UetConfig) -> Reply {
        let (sack_base, sack) = match self.ooo_count {
            0 => (self.cack, 0),
            _ => self.sack(packet.psn, at_packet, config.sack_base),
        };
        let ack = Ack { marked, sack_base, sack, ..self.state(packet) };
        Reply { ack, psn: packet.psn, negative: false }
    }

    /// The answer to a trimmed packet.
    fn nack(&self, packet: &Packet) -> Reply {
        Reply { ack: self.state(packet), psn: packet.psn, negative: true }
    }

    /// What every answer to `packet` says.
    fn state(&self, packet: &Packet) -> Ack {
        Ack {
            spdcid: self.spdcid,
            dpdcid: self.dpdcid,
            cack: self.cack,
            sack_base: self.cack,
            sack: 0,
            rcvd_bytes: self.rcvd_bytes,
            ooo_count: self.ooo_count,
            entropy: packet.entropy,
            marked: packet.has(flags::CE),
            retransmitted: packet.has(flags::RETRANSMITTED),
            last_hop: packet.has(flags::LAST_HOP),
        }
    }

    /// A selective acknowledgement: its base, and which of the 64 packets from there on have arrived.
    fn sack(&mut self, psn: u32, at_packet: bool, rule: SackBase) -> (u32, u64) {
        // `cack` itself is a hole.
        let lowest = self.cack + 1;
        let base = match rule {
            _ if at_packet => psn.max(self.cack),
            SackBase::Packet => psn.saturating_sub(63).max(lowest),
            SackBase::Walk => {
                let base = if self.walk < self.high { self.walk.max(lowest) } else { lowest };
                self.walk = base + 64;
                base
            }
        };
        // The ring has other packets in the places of those out of its reach.
        let reach = (self.cack + self.arrived.capacity()).saturating_sub(base);
        match reach {
            0 => (base, 0),
            _ => (base, self.arrived.run(base) & (u64::MAX >> (64 - reach.min(64)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::units::{Rate, Span};

    const PAYLOAD: u32 = 4_086;

    fn config() -> UetConfig {
        UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 600_000)
    }

    fn receiver() -> Receiver {
        Receiver::new(HostId(0), 0, 0, 0)
    }

    /// A packet of a message that never ends.
    fn packet(psn: u32, flags: u8) -> Packet {
        Packet { psn, flags, bytes: 4_150, ..Packet::default() }
    }

    fn arrive(receiver: &mut Receiver, packet: Packet, config: &UetConfig) -> Option<Reply> {
        let data =
            Data { spdcid: 0, dpdcid: 0, message: 1, payload: PAYLOAD, message_bytes: u64::MAX };
        receiver.on_data(&packet, &data, config, &mut EndpointCounters::default()).reply
    }

    /// The PSNs among `psns` that are answered, all unmarked and whole.
    fn answered(psns: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let (mut receiver, config) = (receiver(), config());
        let replies = psns.into_iter().filter_map(|p| arrive(&mut receiver, packet(p, 0), &config));
        replies.map(|reply| reply.psn).collect()
    }

    /// The first packet is answered at once, then every fourth: the least that has 16 KiB.
    #[test]
    fn acknowledgements_come_every_16_kib() {
        assert_eq!(answered(0..14), [0, 4, 8, 12]);
    }

    /// Small packets count a kibibyte each by the specification's rule.
    #[test]
    fn small_packets_count_for_more() {
        let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
        let mut receiver = receiver();
        let data = Data { spdcid: 0, dpdcid: 0, message: 1, payload: 64, message_bytes: u64::MAX };
        let replies = (0..40).filter(|psn| {
            let small = Packet { bytes: 170, ..packet(*psn, 0) };
            let counters = &mut EndpointCounters::default();
            receiver.on_data(&small, &data, &config, counters).reply.is_some()
        });
        assert_eq!(replies.collect::<Vec<u32>>(), [0, 16, 32]);
    }

    /// A mark, a request, a duplicate and a trim are each answered at once, with what they are.
    #[test]
    fn special_packets_are_answered_at_once() {
        let (mut receiver, config) = (receiver(), config());
        arrive(&mut receiver, packet(0, 0), &config);
        let marked = arrive(&mut receiver, packet(1, flags::CE), &config).unwrap();
        assert!(marked.ack.marked && !marked.negative && marked.ack.cack == 2);
        let asked = arrive(&mut receiver, packet(2, flags::ACK_REQUEST), &config).unwrap();
        assert_eq!((asked.ack.cack, asked.ack.rcvd_bytes), (3, 3 * 4_150));
        let again = arrive(&mut receiver, packet(1, flags::RETRANSMITTED), &config).unwrap();
        assert!(again.ack.retransmitted && again.ack.rcvd_bytes == 3 * 4_150);
        let trim = flags::TRIMMED | flags::LAST_HOP;
        let trimmed = arrive(&mut receiver, packet(3, trim), &config).unwrap();
        assert!(trimmed.negative && trimmed.ack.last_hop && trimmed.psn == 3);
        let late = arrive(&mut receiver, packet(2, trim), &config).unwrap();
        assert!(!late.negative, "a trimmed copy of what is there is no loss");
    }

    /// A request that finds holes is answered a second time when the last of them is closed.
    #[test]
    fn a_request_is_answered_again_when_holes_close() {
        let (mut receiver, config) = (receiver(), config());
        let mut answer = |psn, flags| arrive(&mut receiver, packet(psn, flags), &config).is_some();
        assert!(answer(0, 0));
        assert!(answer(3, flags::ACK_REQUEST));
        assert!(!answer(2, 0));
        assert!(answer(1, 0));
        assert!(!answer(4, 0), "once");
    }

    /// The reference's window ends at the packet that caused it; a marked packet begins its own.
    #[test]
    fn the_reference_reports_what_lies_below_the_packet() {
        let (mut receiver, config) = (receiver(), config());
        arrive(&mut receiver, packet(0, 0), &config);
        let replies: Vec<Reply> =
            (2..102).filter_map(|psn| arrive(&mut receiver, packet(psn, 0), &config)).collect();
        let low = replies[0];
        assert_eq!((low.psn, low.ack.sack_base, low.ack.sack), (5, 2, 0b1111));
        let high = replies.last().unwrap();
        assert_eq!((high.psn, high.ack.sack_base, high.ack.sack), (101, 38, u64::MAX));
        let marked = arrive(&mut receiver, packet(110, flags::CE), &config).unwrap();
        assert_eq!((marked.ack.sack_base, marked.ack.sack), (110, 1));
        assert_eq!((marked.ack.cack, marked.ack.ooo_count), (1, 101));
    }

    /// The provider's windows walk over all that has arrived, and start over.
    #[test]
    fn the_walk_reports_every_arrival() {
        let config = UetConfig { sack_base: SackBase::Walk, ..config() };
        let mut receiver = receiver();
        arrive(&mut receiver, packet(0, 0), &config);
        let bases: Vec<u32> = (2..202)
            .filter_map(|psn| arrive(&mut receiver, packet(psn, 0), &config))
            .map(|reply| reply.ack.sack_base)
            .collect();
        assert_eq!(bases[..2], [2, 2], "nothing above 66 had arrived");
        for base in [2, 66, 130] {
            assert!(bases[46..].contains(&base), "{base} in {bases:?}");
        }
    }
}
