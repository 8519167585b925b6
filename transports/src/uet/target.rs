//! The endpoint as target: data, credit demands, probes.

use fabric::endpoint::{Completion, HostCx};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use serde::{Deserialize, Serialize};

use crate::common::frugal;
use crate::uet::config::Delivery;
use crate::uet::congestion::CongestionControl;
use crate::uet::credit::pacer::Source;
use crate::uet::header::{Ack, Control, ControlType, Data, NackCode, Op, UNKNOWN};
use crate::uet::initiator::RETURN;
use crate::uet::receiver::{Part, Receiver, Reply, Surroundings};
use crate::uet::sender::State;
use crate::uet::ses::Later;
use crate::uet::{Uet, guaranteed, ses, timer};

/// Receivers that are looked at before the table of all.
pub(super) const RECENT: usize = 16;

/// What a target knows of an initiator's PDC.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    /// The receiver; or the one that was, if it has been closed.
    pub(super) number: u32,
    /// First PSN: a SYN with another one is of a new PDC.
    pub(super) start: u32,
    pub(super) open: bool,
    /// First PSN of the PDC before it, of which late copies may still arrive.
    previous: Option<u32>,
}

impl Known {
    fn new(number: u32, start: u32, previous: Option<u32>) -> Known {
        Known { number, start, open: true, previous }
    }
}

impl<C: CongestionControl> Uet<C> {
    #[inline]
    pub(super) fn on_data(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let data = Data::unpack(packet);
        if data.delivery == Delivery::Uud {
            return self.on_datagram(cx, packet, &data);
        }
        let Some(number) = self.find(cx, packet, &data) else { return };
        let receiver = &mut self.receivers[number as usize];
        let place = receiver.source;
        let early = cx.counters.out_of_order;
        let around = Surroundings {
            now: cx.now,
            config: &self.config,
            counters: cx.counters,
            source: &mut self.sources[place as usize],
            buffer: self.buffer.as_mut(),
            kept: &mut self.kept,
        };
        let reaction = receiver.on_data(packet, &data, around);
        let (flow, dst) = (receiver.flow, receiver.src);
        if cx.counters.out_of_order > early {
            cx.observe_reordering(packet.psn - receiver.cack());
        }
        if self.config.rccc.is_some() {
            self.on_demand(cx, place, packet, data.credit_target);
        }
        if let Some(part) = reaction.begun
            && part.op == Op::RendezvousSend
        {
            self.on_offered(cx, packet.src, &part);
        }
        if let Some(part) = reaction.completed {
            self.on_part(cx, number, packet.src, &part);
        }
        if let Some(reply) = reaction.reply {
            if reply.ack.code == NackCode::NoGtdDelAvail {
                self.ask_for_clear(cx.now);
            }
            self.answer(cx, flow, dst, &reply);
        }
        if let Some(reply) = reaction.inferred {
            cx.counters.inferred += 1;
            self.answer(cx, flow, dst, &reply);
        }
    }

    /// A datagram arrives, or what a switch left of it.
    fn on_datagram(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data) {
        if packet.has(flags::TRIMMED) {
            cx.counters.trimmed += 1;
            return;
        }
        cx.counters.ecn_marked += u64::from(packet.has(flags::CE));
        cx.counters.delivered_bytes += u64::from(data.payload);
        let message = MessageId(data.message);
        cx.completions.push(Completion::Received { message, src: packet.src });
    }

    /// The receiver of a data packet, made if it is the first of its PDC. `None`: it has been refused.
    #[inline]
    fn find(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data) -> Option<u32> {
        if data.dpdcid == UNKNOWN {
            return self.accept(cx, packet, data);
        }
        if data.dpdcid & RETURN != 0 {
            return self.accept_return(cx, packet, data);
        }
        let known = self.receivers.get(data.dpdcid as usize).is_some_and(|receiver| {
            receiver.open && receiver.src == packet.src && receiver.spdcid == data.spdcid
        });
        if !known {
            self.refuse(cx, packet, data, NackCode::InvDpdcid);
        }
        known.then_some(data.dpdcid)
    }

    /// The receiver for a packet in the SYN state.
    fn accept(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data) -> Option<u32> {
        // Packets of one context follow each other, so the last ones are looked at first.
        let place = (packet.src.0 ^ data.spdcid) as usize % RECENT;
        let recent = self.recent[place];
        let is_known = self.receivers.get(recent as usize).is_some_and(|receiver| {
            (receiver.open && !receiver.is_return)
                && receiver.src == packet.src
                && receiver.spdcid == data.spdcid
                && receiver.start == data.start_psn
        });
        if is_known {
            return Some(recent);
        }
        let number = self.accept_unknown(cx, packet, data)?;
        self.recent[place] = number;
        Some(number)
    }

    /// The same, by the table of all initiators.
    fn accept_unknown(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data) -> Option<u32> {
        let key = (packet.src, data.spdcid);
        match self.by_initiator.get(&key).copied() {
            Some(known) if known.start == data.start_psn && known.open => {
                return Some(known.number);
            }
            // A copy of a packet that was acknowledged before its PDC was closed.
            Some(known)
                if known.start == data.start_psn || known.previous == Some(data.start_psn) =>
            {
                self.refuse(cx, packet, data, NackCode::Closing);
                return None;
            }
            // The initiator uses the number again: it has given the context up that had it before.
            Some(known) if known.open => self.free_receiver(cx, known.number),
            _ => {}
        }
        if self.config.target_pdcs.is_some_and(|most| self.targets >= most) {
            self.refuse(cx, packet, data, NackCode::NoPdcAvail);
            self.ask_for_close(cx);
            return None;
        }
        self.targets += 1;
        let number = self.add_receiver(packet, data);
        let previous = self.by_initiator.get(&key).map(|known| known.start);
        self.by_initiator.insert(key, Known::new(number, data.start_psn, previous));
        Some(number)
    }

    /// The receiver for data in the return direction of one of this host's PDCs.
    fn accept_return(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data) -> Option<u32> {
        let key = (packet.src, data.spdcid | RETURN);
        if let Some(known) = self.by_initiator.get(&key)
            && known.start == data.start_psn
        {
            return Some(known.number);
        }
        let own = self.senders.get(data.dpdcid as usize & !(RETURN as usize));
        let own = own.filter(|own| own.dst == packet.src);
        if own.is_none_or(|own| own.state == State::Closed) {
            // One that failed still waits for what it read.
            let is_over = own.is_some_and(|own| own.reading == 0);
            let code = if is_over { NackCode::Closing } else { NackCode::InvDpdcid };
            self.refuse(cx, packet, data, code);
            return None;
        }
        let number = self.add_receiver(packet, data);
        self.senders[(data.dpdcid & !RETURN) as usize].returns = Some(number);
        self.by_initiator.insert(key, Known::new(number, data.start_psn, None));
        Some(number)
    }

    fn add_receiver(&mut self, packet: &Packet, data: &Data) -> u32 {
        let source = self.source(packet.src, data.ccc, packet.flow);
        let number = self.free_receivers.pop().unwrap_or(self.receivers.len() as u32);
        let receiver = Receiver::new(packet.src, packet.flow, number, source, data);
        if (number as usize) < self.receivers.len() {
            self.receivers[number as usize] = receiver;
        } else {
            frugal::push(&mut self.receivers, receiver);
        }
        number
    }

    /// Where the congestion control context `ccc` of `host` stands among the sources.
    fn source(&mut self, host: HostId, ccc: u32, flow: u32) -> u32 {
        let sources = &mut self.sources;
        *self.by_context.entry((host, ccc)).or_insert_with(|| {
            sources.push(Source::new(host, ccc, flow));
            sources.len() as u32 - 1
        })
    }

    /// A NACK for a packet that no receiver takes.
    fn refuse(&mut self, cx: &mut HostCx<'_>, packet: &Packet, data: &Data, code: NackCode) {
        let ack = Ack { code, ..Ack::to(packet, data.spdcid) };
        self.answer(cx, packet.flow, packet.src, &Reply { ack, psn: packet.psn });
    }

    /// Queues an answer for the NIC.
    pub(super) fn answer(&mut self, cx: &mut HostCx<'_>, flow: u32, dst: HostId, reply: &Reply) {
        let (kind, bytes) = if reply.ack.code == NackCode::None {
            cx.counters.acks += 1;
            (Kind::Ack, ses::ack_bytes(&reply.ack, &self.config))
        } else {
            cx.counters.nacks += 1;
            (Kind::Nack, self.config.nack_bytes)
        };
        self.control.push_back(Packet {
            phase: Phase::FRESH,
            dst,
            src: self.host,
            flow,
            psn: reply.psn,
            entropy: reply.ack.entropy,
            bytes,
            kind,
            class: Class::CONTROL,
            flags: 0,
            body: reply.ack.pack(),
        });
    }

    /// The first packet of a rendezvous: the target reads the rest when the receive is posted.
    fn on_offered(&mut self, cx: &mut HostCx<'_>, src: HostId, part: &Part) {
        let eager = self.config.rendezvous.unwrap_or(0);
        self.ses.on_offered(part.message);
        let fetch = Later::Fetch { message: part.message, src, bytes: part.bytes - eager };
        self.put_off(cx, part, fetch);
    }

    /// A message, or a part of one, is complete.
    #[inline]
    fn on_part(&mut self, cx: &mut HostCx<'_>, number: u32, src: HostId, part: &Part) {
        let message = MessageId(part.message);
        let received = Completion::Received { message, src };
        match part.op {
            Op::Send | Op::Write | Op::Datagram | Op::Atomic | Op::FetchingAtomic => {
                cx.completions.push(received);
            }
            Op::TaggedSend => {
                self.put_off(cx, part, Later::Receive { message: part.message, src });
            }
            // The acknowledgement had it.
            Op::Read if guaranteed::in_ack(part.op, part.bytes, &self.config).is_some() => {}
            Op::Read => self.respond(cx, number, part.message, part.bytes),
            Op::RendezvousSend => {
                if self.ses.on_part_received(part.message) {
                    cx.completions.push(received);
                }
            }
            Op::ReadResponse => {
                self.on_read_answered(cx, part.message);
                if let Some(slot) = self.ses.on_data_read(part.message) {
                    cx.completions.push(received);
                    cx.completions.push(Completion::Sent { slot });
                } else if self.ses.on_part_received(part.message) {
                    cx.completions.push(received);
                }
            }
        }
    }

    /// The data of one of this host's READ requests is there; the context that asked may have waited for
    /// it to close.
    fn on_read_answered(&mut self, cx: &mut HostCx<'_>, message: u32) {
        let Some(spdcid) = self.ses.on_answered(message) else { return };
        let sender = &mut self.senders[spdcid as usize];
        sender.reading -= 1;
        if sender.is_idle() {
            self.on_idle(cx, spdcid);
        }
    }

    /// Does `later` when the receive for `part` is posted: now, if that has happened.
    fn put_off(&mut self, cx: &mut HostCx<'_>, part: &Part, later: Later) {
        let posted = part.since + self.config.receive_delay;
        if posted <= cx.now {
            return self.carry_out(cx, later);
        }
        self.ses.put_off(posted, later);
        cx.timers.set(timer::SES, posted.min(cx.timers.deadline(timer::SES)));
    }

    fn carry_out(&mut self, cx: &mut HostCx<'_>, later: Later) {
        match later {
            Later::Receive { message, src } => {
                let message = MessageId(message);
                cx.completions.push(Completion::Received { message, src });
            }
            Later::Fetch { message, src, bytes } => self.fetch(cx, src, message, bytes),
        }
    }

    pub(super) fn on_later(&mut self, cx: &mut HostCx<'_>) {
        while let Some(later) = self.ses.due(cx.now) {
            self.carry_out(cx, later);
        }
        if let Some(next) = self.ses.next() {
            cx.timers.set(timer::SES, next);
        }
    }

    /// A data packet tells its sender's demand for credit.
    fn on_demand(&mut self, cx: &mut HostCx<'_>, source: u32, packet: &Packet, target: u32) {
        let trimmed = packet.has(flags::TRIMMED);
        if let Some(correction) = &mut self.oversubscription {
            let last_hop = packet.has(flags::LAST_HOP);
            let ends = correction.on_packet(cx.now, packet.has(flags::CE), trimmed, last_hop);
            if let Some(at) = ends {
                cx.timers.set(timer::OVERSUBSCRIPTION, at);
            }
        }
        if self.pacer.on_demand(&mut self.sources, source, target, trimmed) {
            cx.timers.set(timer::PACER, cx.now);
        }
    }

    /// A demand without data.
    pub(super) fn on_credit_request(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
    ) {
        let source = self.source(packet.src, control.spdcid, packet.flow);
        if self.pacer.on_demand(&mut self.sources, source, control.payload, true) {
            cx.timers.set(timer::PACER, cx.now);
        }
    }

    /// The time of the last grant has passed: sends the next.
    pub(super) fn on_pacer(&mut self, cx: &mut HostCx<'_>) {
        let Some(options) = self.config.rccc else { return };
        let Some(grant) = self.pacer.grant(&mut self.sources, self.config.rate, &options) else {
            return;
        };
        cx.counters.credits += 1;
        cx.timers.set(timer::PACER, cx.now + grant.pause);
        let source = self.sources[grant.source as usize];
        let control = Control {
            kind: ControlType::Credit,
            spdcid: UNKNOWN,
            dpdcid: source.ccc,
            payload: grant.granted,
        };
        self.push_control(source.host, source.flow, 0, grant.entropy, control);
    }

    /// A period of the correction for an oversubscribed core ends.
    pub(super) fn on_period(&mut self, cx: &mut HostCx<'_>) {
        let Some(correction) = &mut self.oversubscription else { return };
        let share = correction.on_period(cx.now);
        if let Some(at) = correction.ends {
            cx.timers.set(timer::OVERSUBSCRIPTION, at);
        }
        self.pacer.throttle(share);
    }

    /// An initiator asks for the state of its PDC.
    pub(super) fn on_probe(&mut self, cx: &mut HostCx<'_>, packet: &Packet, control: &Control) {
        self.with_receiver(cx, packet, control, |receiver, around| {
            Some(receiver.on_probe(packet, control.payload, &around))
        });
    }

    /// Calls the receiver that a control packet is for, if it is open, and sends what it answers.
    pub(super) fn with_receiver(
        &mut self,
        cx: &mut HostCx<'_>,
        packet: &Packet,
        control: &Control,
        call: impl FnOnce(&mut Receiver, Surroundings<'_>) -> Option<Reply>,
    ) -> bool {
        let Some(receiver) = self.receivers.get_mut(control.dpdcid as usize) else { return false };
        let known =
            receiver.open && receiver.src == packet.src && receiver.spdcid == control.spdcid;
        if !known {
            return false;
        }
        let around = Surroundings {
            now: cx.now,
            config: &self.config,
            counters: cx.counters,
            source: &mut self.sources[receiver.source as usize],
            buffer: self.buffer.as_mut(),
            kept: &mut self.kept,
        };
        let reply = call(receiver, around);
        let (flow, dst) = (receiver.flow, receiver.src);
        if let Some(reply) = reply {
            self.answer(cx, flow, dst, &reply);
        }
        true
    }
}
