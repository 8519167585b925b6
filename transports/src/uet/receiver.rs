//! The target's half of a packet delivery context: what has arrived, and when to say so
//! (`uet-transport.md` §3–5).

use fabric::ids::HostId;
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::uet::config::{AckCount, Delivery, LossInference, SackBase, UetConfig};
use crate::uet::credit::pacer::Source;
use crate::uet::guaranteed::{self, Kept};
use crate::uet::header::{Ack, Data, NackCode, Op, UNKNOWN};
use crate::uet::host_buffer::HostBuffer;
use crate::uet::initiator::RETURN;

/// The smallest ring of arrivals.
const RING: u32 = 64;

/// A message, or a part of one, that has begun to arrive.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Arriving {
    message: u32,
    op: Op,
    left: u64,
    since: Time,
}

/// A message, or a part of one, of which the first or the last packet has arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) message: u32,
    pub(super) op: Op,
    /// Bytes of the whole message.
    pub(super) bytes: u64,
    /// When its first packet arrived.
    pub(super) since: Time,
}

/// What a packet led to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reaction {
    /// An acknowledgement (or NACK) to send.
    pub(super) reply: Option<Reply>,
    /// A NACK for another packet, which is inferred to be lost.
    pub(super) inferred: Option<Reply>,
    /// A part that begins with this packet.
    pub(super) begun: Option<Part>,
    /// A part that is complete with this packet.
    pub(super) completed: Option<Part>,
}

/// An answer to a data packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) ack: Ack,
    /// The packet it answers, or wants.
    pub(super) psn: u32,
}

/// What a receiver needs of its host to take in a packet.
pub(super) struct Surroundings<'a> {
    pub(super) now: Time,
    pub(super) config: &'a UetConfig,
    pub(super) counters: &'a mut EndpointCounters,
    /// The sender's congestion control context.
    pub(super) source: &'a mut Source,
    pub(super) buffer: Option<&'a mut HostBuffer>,
    /// Guaranteed responses that the host keeps.
    pub(super) kept: &'a mut u32,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Receiver {
    pub(super) src: HostId,
    /// Flow label of the answers.
    pub(super) flow: u32,
    /// The sender's PDC.
    pub(super) spdcid: u32,
    /// This PDC.
    dpdcid: u32,
    /// Where the sender's congestion control context stands among this host's sources.
    pub(super) source: u32,
    /// First PSN.
    pub(super) start: u32,
    /// Neither closed nor free.
    pub(super) open: bool,
    /// When the target last asked for its close.
    pub(super) asked_to_close: Option<Time>,
    /// It receives in the return direction of a PDC that its own host has opened.
    pub(super) is_return: bool,
    /// Time of the last packet.
    pub(super) last: Time,
    /// The sender for data that flows back (reads).
    pub(super) returns: Option<u32>,
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
    /// An acknowledgement was asked for while packets were missing: another one follows when the gaps
    /// are closed.
    owes_ack: bool,
    /// The last packet dropped for being out of order (ROD).
    out_of_order: Option<u32>,
    /// The hole last inferred to be lost, and when.
    inferred: Option<(u32, Time)>,
    arriving: Vec<Arriving>,
    /// Guaranteed responses not cleared yet.
    pub(super) kept: Option<Box<Kept>>,
}

impl Receiver {
    /// A target for `data`'s sender at `src`, numbered `dpdcid`.
    pub(super) fn new(src: HostId, flow: u32, dpdcid: u32, source: u32, data: &Data) -> Receiver {
        Receiver {
            src,
            flow,
            spdcid: data.spdcid,
            dpdcid,
            source,
            start: data.start_psn,
            open: true,
            asked_to_close: None,
            is_return: data.dpdcid & RETURN != 0 && data.dpdcid != UNKNOWN,
            last: Time::ZERO,
            returns: None,
            cack: data.start_psn,
            arrived: RingBits::new(RING),
            ooo_count: 0,
            high: data.start_psn,
            walk: data.start_psn,
            unacknowledged: 0,
            owes_ack: false,
            out_of_order: None,
            inferred: None,
            arriving: Vec::new(),
            kept: None,
        }
    }

    /// Bytes of the response that is kept for `psn`; 0 if none is.
    fn response_to(&self, psn: u32) -> u16 {
        self.kept.as_ref().and_then(|kept| kept.get(psn)).unwrap_or(0)
    }

    /// The initiator has the responses to requests below `psn`.
    #[inline]
    pub(super) fn clear_below(&mut self, psn: u32, kept: &mut u32) {
        if *kept > 0
            && let Some(own) = &mut self.kept
        {
            *kept -= own.clear_below(psn);
        }
    }

    fn is_duplicate(&self, psn: u32) -> bool {
        psn < self.cack || (psn - self.cack < self.arrived.capacity() && self.arrived.get(psn))
    }

    /// Nothing is half arrived.
    pub(super) fn is_idle(&self) -> bool {
        self.arriving.is_empty() && self.ooo_count == 0
    }

    /// Takes in a data packet, whole or trimmed.
    #[inline]
    pub(super) fn on_data(
        &mut self,
        packet: &Packet,
        data: &Data,
        mut around: Surroundings<'_>,
    ) -> Reaction {
        self.last = around.now;
        self.clear_below(packet.psn - u32::from(data.clear), around.kept);
        if packet.has(flags::TRIMMED) {
            around.counters.trimmed += 1;
            return Reaction {
                reply: Some(self.on_trimmed(packet, data, &around)),
                ..Reaction::default()
            };
        }
        let marked = packet.has(flags::CE);
        around.counters.ecn_marked += u64::from(marked);
        if self.is_duplicate(packet.psn) {
            around.counters.duplicates += 1;
            self.unacknowledged = 0;
            let mut reply = self.acknowledge(packet, data, marked, marked, &around);
            reply.ack.data = self.response_to(packet.psn);
            return Reaction { reply: Some(reply), ..Reaction::default() };
        }
        if let Some(code) = self.refuses(packet, data, &mut around) {
            let reply = self.nack(packet, code, &around);
            return Reaction { reply, ..Reaction::default() };
        }
        self.accept(packet, data, marked, around)
    }

    /// A packet that is new, whole and wanted.
    #[inline]
    fn accept(
        &mut self,
        packet: &Packet,
        data: &Data,
        marked: bool,
        around: Surroundings<'_>,
    ) -> Reaction {
        let (config, now) = (around.config, around.now);
        let first = self.high == self.start;
        around.source.rcvd_bytes += u64::from(packet.bytes);
        around.counters.delivered_bytes += u64::from(data.payload);
        self.unacknowledged += match config.ack_count {
            AckCount::Payload { least } => u32::from(data.payload).max(least),
            AckCount::Frame => u32::from(packet.bytes),
        };
        let in_order = self.enter(packet.psn, around.counters);
        let asked = packet.has(flags::ACK_REQUEST);
        self.owes_ack |= asked;
        let settles = self.owes_ack && in_order && self.ooo_count == 0;
        if settles {
            self.owes_ack = false;
        }
        let due = self.unacknowledged >= config.ack_trigger || data.delivery == Delivery::Rudi;
        // spec: pds-ack-first
        let response = guaranteed::in_ack(data.op, data.message_bytes, config);
        if let Some(bytes) = response {
            self.kept.get_or_insert_default().keep(packet.psn, bytes);
            *around.kept += 1;
        }
        let urgent = first || asked || marked || settles || response.is_some();
        let reply = (urgent || due).then(|| {
            self.unacknowledged = 0;
            let mut reply = self.acknowledge(packet, data, marked, marked || asked, &around);
            reply.ack.data = response.unwrap_or(0);
            reply
        });
        let inferred = match config.inference {
            LossInference::Receiver if !in_order && data.delivery != Delivery::Rudi => {
                self.infer(packet, &around)
            }
            _ => None,
        };
        let (begun, completed) = self.count(data, now, config);
        Reaction { reply, inferred, begun, completed }
    }

    /// Why a new packet cannot be taken in, if it cannot.
    #[inline]
    fn refuses(
        &mut self,
        packet: &Packet,
        data: &Data,
        around: &mut Surroundings<'_>,
    ) -> Option<NackCode> {
        let bounded = data.delivery != Delivery::Rudi;
        if bounded && packet.psn - self.cack >= around.config.mp_range {
            return Some(NackCode::PsnOorWindow);
        }
        if data.delivery == Delivery::Rod && packet.psn != self.cack {
            return Some(NackCode::RodOoo);
        }
        // spec: pds-gtd-room
        let guaranteed = guaranteed::in_ack(data.op, data.message_bytes, around.config).is_some();
        // Clears are cumulative: what lies above a hole stays until the hole is filled, which takes room too.
        let takes = if packet.psn == self.cack { 1 } else { 2 };
        if guaranteed && around.config.gtd_responses.is_some_and(|most| *around.kept + takes > most)
        {
            return Some(NackCode::NoGtdDelAvail);
        }
        let fits = around
            .buffer
            .as_mut()
            .is_none_or(|buffer| buffer.admit(around.now, u64::from(data.payload)));
        (!fits).then_some(NackCode::NoPktBuffer)
    }

    fn on_trimmed(&mut self, packet: &Packet, data: &Data, around: &Surroundings<'_>) -> Reply {
        if self.is_duplicate(packet.psn) {
            let mut reply = self.acknowledge(packet, data, false, false, around);
            reply.ack.data = self.response_to(packet.psn);
            return reply;
        }
        let code = match packet.has(flags::LAST_HOP) {
            true => NackCode::TrimmedLastHop,
            false => NackCode::Trimmed,
        };
        Reply { ack: Ack { code, ..self.state(packet, around) }, psn: packet.psn }
    }

    /// The NACK for a refused packet. Out of order on an ordered PDC, one NACK asks for the first that is
    /// missing; the next follows only when the sender has gone back and is ahead again.
    fn nack(
        &mut self,
        packet: &Packet,
        code: NackCode,
        around: &Surroundings<'_>,
    ) -> Option<Reply> {
        let ack = Ack { code, ..self.state(packet, around) };
        if code != NackCode::RodOoo {
            return Some(Reply { ack, psn: packet.psn });
        }
        // spec: pds-rod-once
        let again = self.out_of_order.is_none_or(|last| packet.psn <= last);
        self.out_of_order = Some(packet.psn);
        again.then_some(Reply { ack, psn: self.cack })
    }

    /// A NACK for the first hole once enough packets have overtaken it, at most one in two round trips.
    fn infer(&mut self, packet: &Packet, around: &Surroundings<'_>) -> Option<Reply> {
        let recent = |(hole, at): (u32, Time)| {
            hole == self.cack && around.now.since(at) < around.config.base_rtt * 2
        };
        if self.ooo_count < around.config.reorder_limit || self.inferred.is_some_and(recent) {
            return None;
        }
        self.inferred = Some((self.cack, around.now));
        let ack = Ack { code: NackCode::RcvrInferLoss, ..self.state(packet, around) };
        Some(Reply { ack, psn: self.cack })
    }

    /// The first packet that is missing.
    pub(super) fn cack(&self) -> u32 {
        self.cack
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
        self.out_of_order = None;
        self.cack += 1;
        while self.ooo_count > 0 && self.arrived.get(self.cack) {
            self.arrived.clear(self.cack);
            self.ooo_count -= 1;
            self.cack += 1;
        }
        true
    }

    /// Counts the payload towards its message; what that begins, and what it completes.
    fn count(
        &mut self,
        data: &Data,
        now: Time,
        config: &UetConfig,
    ) -> (Option<Part>, Option<Part>) {
        let same = |known: &Arriving| known.message == data.message && known.op == data.op;
        let known = self.arriving.iter().position(same);
        let part =
            |since| Part { message: data.message, op: data.op, bytes: data.message_bytes, since };
        let place = known.unwrap_or_else(|| {
            let left = match data.op {
                Op::Read => 0,
                Op::RendezvousSend => config.rendezvous.unwrap_or(0).min(data.message_bytes),
                _ => data.message_bytes,
            };
            let Data { message, op, .. } = *data;
            self.arriving.push(Arriving { message, op, left, since: now });
            self.arriving.len() - 1
        });
        let begun = known.is_none().then(|| part(now));
        let arriving = &mut self.arriving[place];
        // A peer on a real network may contradict itself.
        arriving.left = arriving.left.saturating_sub(u64::from(data.payload));
        if arriving.left > 0 {
            return (begun, None);
        }
        let since = arriving.since;
        self.arriving.swap_remove(place);
        (begun, Some(part(since)))
    }

    /// The positive answer to a data packet: the state of this context, or, where there is none for the
    /// sender to know (RUDI), one packet's.
    #[inline]
    fn acknowledge(
        &mut self,
        packet: &Packet,
        data: &Data,
        marked: bool,
        at_packet: bool,
        around: &Surroundings<'_>,
    ) -> Reply {
        if data.delivery != Delivery::Rudi {
            return self.ack(packet, marked, at_packet, around);
        }
        let state = self.state(packet, around);
        let ack = Ack { rudi: true, cack: 0, sack_base: packet.psn, sack: 1, ..state };
        Reply { ack, psn: packet.psn }
    }

    /// The state of this context, as the answer to `packet`; `at_packet`: the selective acknowledgement
    /// begins there.
    pub(super) fn ack(
        &mut self,
        packet: &Packet,
        marked: bool,
        at_packet: bool,
        around: &Surroundings<'_>,
    ) -> Reply {
        let (sack_base, sack) = match self.ooo_count {
            0 => (self.cack, 0),
            _ => self.sack(packet.psn, at_packet, around.config.sack_base),
        };
        let ack = Ack { marked, sack_base, sack, ..self.state(packet, around) };
        Reply { ack, psn: packet.psn }
    }

    /// The answer to a probe about packet `psn`, which brings back the probe's number in place of a PSN.
    pub(super) fn on_probe(
        &mut self,
        packet: &Packet,
        psn: u32,
        around: &Surroundings<'_>,
    ) -> Reply {
        let about = Packet { psn, ..*packet };
        let Reply { ack, .. } = self.ack(&about, false, false, around);
        Reply { ack: Ack { probe: true, ..ack }, psn: packet.psn }
    }

    /// The answer to CLOSE_CMD, which takes the PSN after the last.
    pub(super) fn on_close(&mut self, packet: &Packet, around: &Surroundings<'_>) -> Reply {
        self.open = false;
        let cack = packet.psn + 1;
        let ack = Ack { cack, sack_base: cack, ..self.state(packet, around) };
        Reply { ack, psn: packet.psn }
    }

    /// What every answer to `packet` says.
    fn state(&self, packet: &Packet, around: &Surroundings<'_>) -> Ack {
        let penalty = around.buffer.as_ref().map(|buffer| buffer.penalty());
        Ack {
            dpdcid: self.dpdcid,
            cack: self.cack,
            sack_base: self.cack,
            rcvd_bytes: around.source.rcvd_bytes,
            ooo_count: self.ooo_count,
            mpr: (around.config.mp_range / 128).min(255) as u8,
            penalty: penalty.unwrap_or(0),
            restore: penalty == Some(0),
            ..Ack::to(packet, self.spdcid)
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
