//! The endpoint as initiator: posts, packets for the NIC, answers, timeouts.

use fabric::endpoint::{Completion, HostCx, Message};
use fabric::ids::{Class, HostId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::rng::{Purpose, Stream};
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::common::frugal;
use crate::uet::ccc::Ccc;
use crate::uet::config::{Delivery, Operation, PdcScope, UetConfig};
use crate::uet::congestion::CongestionControl;
use crate::uet::entropy::Entropy;
use crate::uet::header::{Ack, Control, ControlType, Data, NackCode, Op, UNKNOWN};
use crate::uet::messages::{Pending, Report};
use crate::uet::sender::{Outgoing, Sender, State, Timeout};
use crate::uet::{Uet, guaranteed, ses, timer};

/// Log slot of messages that no program posted.
const NO_SLOT: u32 = u32::MAX;

/// Contexts to one destination.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Destination {
    /// The congestion control context.
    ccc: Option<u32>,
    /// PDCs, which messages use in turn.
    pdcs: Vec<u32>,
    turn: u32,
}

/// Most memory of idle contexts that a host keeps for new ones.
const ROOMS: usize = 8;

impl<C: CongestionControl> Uet<C> {
    /// Takes a message of the program.
    pub(super) fn post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        if self.config.delivery == Delivery::Uud {
            return self.post_datagram(cx, message);
        }
        let Message { id, bytes, slot, .. } = message;
        let rendezvous = self.config.rendezvous.filter(|eager| bytes > *eager);
        let (op, left, report) = match (self.config.operation, rendezvous) {
            (Operation::Send, _) => (Op::Send, bytes, Report::Sent),
            (Operation::Write, _) => (Op::Write, bytes, Report::Sent),
            (Operation::TaggedSend, None) => (Op::TaggedSend, bytes, Report::Sent),
            (Operation::TaggedSend, Some(eager)) => {
                self.ses.on_offer(id.0, slot);
                (Op::RendezvousSend, eager, Report::Part)
            }
            (Operation::Atomic, _) => (Op::Atomic, bytes, Report::Sent),
            (Operation::FetchingAtomic, _) => (Op::FetchingAtomic, bytes, Report::Sent),
            (Operation::Read, _) => {
                self.ses.on_read(id.0, slot);
                (Op::Read, 0, Report::Part)
            }
        };
        let spdcid = self.choose(cx, message.dst);
        self.enqueue(cx, spdcid, message, op, left, report);
    }

    /// Queues a message, or a part of one, on a context.
    fn enqueue(
        &mut self,
        cx: &mut HostCx<'_>,
        spdcid: u32,
        message: Message,
        op: Op,
        left: u64,
        report: Report,
    ) {
        let header = ses::header(op, left, &self.config);
        let sender = &mut self.senders[spdcid as usize];
        let ccc = &mut self.cccs[sender.ccc as usize];
        if op == Op::Read && guaranteed::in_ack(op, message.bytes, &self.config).is_none() {
            self.ses.on_asked(message.id.0, spdcid);
            sender.reading += 1;
        }
        let pending = Pending { message, op, left, offset: 0, header, report };
        sender.post(pending, ccc, &self.config);
        let starved = !ccc.has_credit(&self.config);
        self.kick(spdcid);
        if starved {
            // Nothing that goes out would tell the receiver.
            self.request_credit(spdcid);
        }
        if self.config.rccc.is_some() {
            // Other contexts may use the credit up, and what is granted then may get lost.
            let rto = timer::of(spdcid, timer::RTO);
            let again = cx.now + self.config.rto;
            cx.timers.set(rto, again.min(cx.timers.deadline(rto)));
        }
    }

    /// Reads the rest of a rendezvous from its initiator.
    pub(super) fn fetch(&mut self, cx: &mut HostCx<'_>, from: HostId, message: u32, bytes: u64) {
        let id = fabric::ids::MessageId(message);
        let spdcid = self.choose(cx, from);
        let request = Message { id, dst: from, bytes, slot: NO_SLOT };
        self.enqueue(cx, spdcid, request, Op::Read, 0, Report::Part);
    }

    /// Sends what a READ that came in on receiver `number` asks for, in the return direction of its PDC.
    pub(super) fn respond(&mut self, cx: &mut HostCx<'_>, number: u32, message: u32, bytes: u64) {
        let receiver = &self.receivers[number as usize];
        let (src, spdcid, known) = (receiver.src, receiver.spdcid, receiver.returns);
        let open = |back: &u32| self.senders[*back as usize].is_open();
        let back = known.filter(open).unwrap_or_else(|| {
            let back = self.open(cx, src);
            // No SYN: the initiator finds the context by its own PDC.
            let sender = &mut self.senders[back as usize];
            (sender.dpdcid, sender.is_return) = (spdcid | RETURN, true);
            self.receivers[number as usize].returns = Some(back);
            back
        });
        let id = fabric::ids::MessageId(message);
        let response = Message { id, dst: src, bytes, slot: NO_SLOT };
        self.enqueue(cx, back, response, Op::ReadResponse, bytes, Report::Part);
    }

    fn post_datagram(&mut self, cx: &mut HostCx<'_>, message: Message) {
        let header = ses::header(Op::Datagram, message.bytes, &self.config);
        let payload = message.bytes as u16;
        let data = Data {
            spdcid: UNKNOWN,
            dpdcid: UNKNOWN,
            message: message.id.0,
            payload,
            delivery: Delivery::Uud,
            op: Op::Datagram,
            message_bytes: message.bytes,
            ccc: 0,
            credit_target: 0,
            start_psn: 0,
            offset: 0,
            clear: 0,
        };
        cx.counters.new += 1;
        self.datagrams.push_back(Packet {
            phase: Phase::FRESH,
            dst: message.dst,
            src: self.host,
            flow: self.random.bits(),
            psn: 0,
            entropy: self.random.bits() as u16,
            bytes: payload + header,
            kind: Kind::Data,
            class: Class::DATA,
            flags: flags::ECN_CAPABLE | flags::END_OF_MESSAGE,
            body: data.pack(),
        });
        // Nobody will answer: it is done when the NIC has it.
        cx.completions.push(Completion::Sent { slot: message.slot });
    }

    /// The context for the next message to `dst`.
    fn choose(&mut self, cx: &mut HostCx<'_>, dst: HostId) -> u32 {
        if self.config.pdc_scope == PdcScope::Message {
            return self.open(cx, dst);
        }
        let destination = self.destinations.entry(dst).or_default();
        let place = (destination.turn % self.config.pdcs) as usize;
        destination.turn += 1;
        if let Some(&known) = destination.pdcs.get(place) {
            let sender = &mut self.senders[known as usize];
            // The place of a closed context may be another's by now.
            let own = sender.dst == dst && !sender.is_return;
            if own && sender.is_open() {
                cx.timers.cancel(timer::of(known, timer::CLOSE));
                return known;
            }
            // PSNs have run out: it closes, and another one takes over.
            if own && sender.state == State::Open {
                sender.state = State::Quiesce;
                if sender.is_idle() {
                    self.close(cx, known);
                }
            }
        }
        let fresh = self.open(cx, dst);
        let pdcs = &mut self.destinations.entry(dst).or_default().pdcs;
        if place < pdcs.len() {
            pdcs[place] = fresh
        } else {
            pdcs.push(fresh)
        }
        fresh
    }

    /// A new sending context to `dst`.
    fn open(&mut self, cx: &mut HostCx<'_>, dst: HostId) -> u32 {
        cx.counters.pdcs += 1;
        let entity = (u64::from(self.host.0) << 32) | u64::from(self.opened);
        self.opened += 1;
        let mut random = Stream::new(self.seed, entity, Purpose::Transport);
        let flow = random.bits();
        // A number rests before it is used again, so that no SYN of its last context is still under way.
        let rested = |(since, _): &&(Time, u32)| *since + self.config.syn_safety <= cx.now;
        let spdcid = match self.free_senders.front().filter(rested).copied() {
            Some((_, place)) => {
                self.free_senders.pop_front();
                place
            }
            None => self.senders.len() as u32,
        };
        // Within [2¹⁶, 2³¹), as the UEC reference provider draws it; where contexts begin at 0, one that
        // takes a closed one's place keeps its distance, so that the target tells them apart.
        // spec: pds-start-psn
        let start = match self.senders.get(spdcid as usize) {
            _ if self.config.random_start_psn => (1 << 16) + random.below((1 << 31) - (1 << 16)),
            Some(closed) => (closed.close_psn() + (1 << 16)) % (1 << 31),
            None => 0,
        };
        let ccc = self.context(dst, spdcid);
        let entropy = Entropy::new(&self.config, random);
        let room = self.rooms.pop().unwrap_or_default();
        let sender = Sender::new(dst, flow, ccc, start, entropy, room, &self.config);
        if (spdcid as usize) < self.senders.len() {
            self.senders[spdcid as usize] = sender;
        } else {
            frugal::push(&mut self.senders, sender);
        }
        spdcid
    }

    /// The congestion control context for a new PDC to `dst`: one a destination, or one a PDC where PDCs
    /// belong to messages.
    fn context(&mut self, dst: HostId, spdcid: u32) -> u32 {
        let shared = self.config.pdc_scope == PdcScope::Destination;
        let known = if shared { self.destinations.entry(dst).or_default().ccc } else { None };
        let ccc = known.unwrap_or_else(|| {
            frugal::push(&mut self.cccs, Ccc::new(C::new(&self.parameters), &self.config));
            self.cccs.len() as u32 - 1
        });
        if shared {
            self.destinations.entry(dst).or_default().ccc = Some(ccc);
        }
        let members = &mut self.cccs[ccc as usize].members;
        if !members.contains(&spdcid) {
            members.push(spdcid);
        }
        ccc
    }

    /// Puts the sender into the ring of those that may send, if it may and is not there.
    #[inline]
    pub(super) fn kick(&mut self, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        if !sender.ready && sender.may_send(&self.cccs[sender.ccc as usize], &self.config) {
            sender.ready = true;
            self.ready.push_back(spdcid);
        }
    }

    /// The same for all senders of a congestion control context.
    #[inline]
    pub(super) fn kick_all(&mut self, ccc: u32) {
        for place in 0..self.cccs[ccc as usize].members.len() {
            self.kick(self.cccs[ccc as usize].members[place]);
        }
    }

    /// The next data packet: the senders that may send take turns.
    #[inline]
    pub(super) fn next_data(&mut self, cx: &mut HostCx<'_>) -> Option<Packet> {
        while let Some(spdcid) = self.ready.pop_front() {
            let sender = &mut self.senders[spdcid as usize];
            let ccc = &mut self.cccs[sender.ccc as usize];
            if !sender.may_send(ccc, &self.config) {
                sender.ready = false;
                continue;
            }
            let out = sender.send(cx.now, ccc, self.ready.len() + 1, &self.config);
            let packet = emit(self.host, spdcid, sender, &out, cx, &self.config);
            if sender.may_send(ccc, &self.config) {
                self.ready.push_back(spdcid);
            } else {
                sender.ready = false;
            }
            return Some(packet);
        }
        None
    }

    /// An acknowledgement or NACK.
    pub(super) fn on_answer(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let ack = Ack::unpack(packet);
        let spdcid = ack.spdcid;
        let Some(sender) = self.senders.get_mut(spdcid as usize) else { return };
        // A late answer to a context that has been closed, and perhaps opened again elsewhere.
        if sender.dst != packet.src || sender.state == State::Closed {
            return;
        }
        let ccc = &mut self.cccs[sender.ccc as usize];
        match ack.code {
            // Of a context that was closed; its place has been used again since.
            NackCode::None if !sender.is_answered_by(&ack) => return,
            NackCode::None => {
                sender.dpdcid = ack.dpdcid;
                if sender.state == State::AckWait {
                    return self.on_close_answer(cx, spdcid, &ack);
                }
                let (config, parameters) = (&self.config, &self.parameters);
                if let Some(rtt) = sender.on_ack(cx.now, packet.psn, &ack, ccc, config, parameters)
                {
                    cx.observe_rtt(rtt);
                }
                if ack.data > 0 {
                    self.on_response(cx, spdcid, packet.src, (packet.psn, &ack));
                }
                self.complete(cx, spdcid);
            }
            // A late copy of a packet of the context that had this number before finds its target closed.
            NackCode::InvDpdcid | NackCode::Closing if !sender.has_in_flight(packet.psn) => return,
            NackCode::InvDpdcid | NackCode::Closing if sender.is_read_out(ack.code) => {
                return self.end_return(cx, spdcid);
            }
            NackCode::InvDpdcid | NackCode::Closing => return self.fail(cx, spdcid),
            code => {
                sender.on_nack(cx.now, packet.psn, &ack, ccc, &self.config, &self.parameters);
                use NackCode::{NoGtdDelAvail, NoPdcAvail, NoPktBuffer};
                if matches!(code, NoPdcAvail | NoPktBuffer | NoGtdDelAvail) {
                    return self.hold(cx, spdcid);
                }
            }
        }
        self.kick_all(self.senders[spdcid as usize].ccc);
    }

    /// Reports what an acknowledgement has completed, and looks after the context's timers.
    #[inline]
    fn complete(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        while let Some(run) = sender.finished() {
            let slot = match run.report {
                Report::Sent => Some(run.message.slot),
                Report::Part => self.ses.on_part_sent(run.message.id.0),
            };
            cx.completions.extend(slot.map(|slot| Completion::Sent { slot }));
        }
        if self.config.probes() {
            match sender.probe_after(&self.config) {
                Some(after) => cx.timers.set(timer::of(spdcid, timer::PROBE), cx.now + after),
                None => cx.timers.cancel(timer::of(spdcid, timer::PROBE)),
            }
        }
        if sender.is_idle() {
            cx.timers.cancel(timer::of(spdcid, timer::RTO));
            self.clear_later(cx, spdcid);
            let sender = &mut self.senders[spdcid as usize];
            if self.config.pdc_scope == PdcScope::Message {
                let room = sender.shrink();
                if self.rooms.len() < ROOMS && room.is_small() {
                    frugal::push(&mut self.rooms, room);
                }
            } else {
                self.on_idle(cx, spdcid);
            }
        }
    }

    /// The target is out of resources: the context waits, and fails after too many times.
    fn hold(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        if sender.held {
            return;
        }
        sender.tries = sender.tries.saturating_add(1);
        if self.config.max_timeouts.is_some_and(|most| sender.tries > most) {
            return self.fail(cx, spdcid);
        }
        sender.held = true;
        cx.timers.set(timer::of(spdcid, timer::HOLD), cx.now + self.config.nack_retry);
    }

    pub(super) fn on_hold_over(&mut self, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        sender.held = false;
        if sender.is_idle() && sender.owes_clear() {
            return self.clear(spdcid);
        }
        self.kick(spdcid);
    }

    pub(super) fn on_timeout(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        let ccc = &mut self.cccs[sender.ccc as usize];
        let timeouts = &mut cx.counters.timeouts;
        let led_to = sender.on_timeout(cx.now, ccc, &self.config, &self.parameters, timeouts);
        let rto = timer::of(spdcid, timer::RTO);
        match led_to {
            Timeout::Failed => return self.fail(cx, spdcid),
            Timeout::Next(at) => cx.timers.set(rto, at),
            Timeout::Quiet if sender.is_starved() => cx.timers.set(rto, cx.now + self.config.rto),
            Timeout::Quiet => {}
        }
        if self.config.rccc.is_some() && !ccc.has_credit(&self.config) && sender.is_waiting() {
            self.request_credit(spdcid);
        }
        self.kick_all(self.senders[spdcid as usize].ccc);
    }

    /// Asks for credit without data: the receiver may not know that packets wait.
    fn request_credit(&mut self, spdcid: u32) {
        let sender = &self.senders[spdcid as usize];
        let ccc = &mut self.cccs[sender.ccc as usize];
        ccc.credit.stop_speculating();
        let payload = ccc.credit_target(self.ready.len(), &self.config);
        let (dst, flow, number) = (sender.dst, sender.flow, sender.ccc);
        let kind = ControlType::CreditReq;
        let control = Control { kind, spdcid: number, dpdcid: UNKNOWN, payload };
        let entropy = self.random.bits() as u16;
        self.push_control(dst, flow, 0, entropy, control);
    }

    /// Credit arrives for one of this host's congestion control contexts.
    pub(super) fn on_credit(&mut self, from: HostId, control: &Control) {
        let Some(ccc) = self.cccs.get_mut(control.dpdcid as usize) else { return };
        let first = ccc.members.first().map(|member| self.senders[*member as usize].dst);
        if first.is_some_and(|dst| dst != from) {
            return;
        }
        ccc.credit.on_credit(control.payload);
        self.kick_all(control.dpdcid);
    }

    /// The tail has been silent for long enough: asks for the context's state.
    pub(super) fn on_probe_due(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        let Some((number, psn, entropy)) = sender.probe(cx.now) else { return };
        let (dst, flow, dpdcid) = (sender.dst, sender.flow, sender.dpdcid);
        let again = self.config.tail_probe.unwrap_or(self.config.base_rtt * 5);
        cx.timers.set(timer::of(spdcid, timer::PROBE), cx.now + again);
        // Before the target has named its context there is nothing to ask it about.
        if dpdcid != UNKNOWN {
            cx.counters.probes += 1;
            let control = Control { kind: ControlType::Probe, spdcid, dpdcid, payload: psn };
            self.push_control(dst, flow, u32::from(number), entropy, control);
        }
    }

    /// Gives a context up and reports the posts that fail with it.
    pub(super) fn fail(&mut self, cx: &mut HostCx<'_>, spdcid: u32) {
        cx.counters.pdc_errors += 1;
        let sender = &mut self.senders[spdcid as usize];
        let ccc = &mut self.cccs[sender.ccc as usize];
        for (message, report) in sender.fail(ccc, &self.config) {
            let slot = match report {
                Report::Sent => Some(message.slot),
                Report::Part => self.ses.on_part_failed(message.id.0),
            };
            let failed = slot.filter(|slot| *slot != NO_SLOT);
            cx.completions.extend(failed.map(|slot| Completion::Failed { slot }));
        }
        [timer::RTO, timer::PROBE, timer::HOLD, timer::CLOSE]
            .into_iter()
            .for_each(|kind| cx.timers.cancel(timer::of(spdcid, kind)));
        self.kick_all(self.senders[spdcid as usize].ccc);
    }
}

/// In a `dpdcid`: the data flows in the return direction of that PDC of its receiver.
pub(crate) const RETURN: u32 = 1 << 31;

/// The packet of `out`, counted and its timeout set.
#[inline]
fn emit(
    host: HostId,
    spdcid: u32,
    sender: &Sender,
    out: &Outgoing,
    cx: &mut HostCx<'_>,
    config: &UetConfig,
) -> Packet {
    let counter =
        if out.retransmitted { &mut cx.counters.retransmitted } else { &mut cx.counters.new };
    *counter += 1;
    let rto = timer::of(spdcid, timer::RTO);
    if out.due < cx.timers.deadline(rto) {
        cx.timers.set(rto, out.due);
    }
    let piece = &out.piece;
    let data = Data {
        spdcid,
        dpdcid: sender.dpdcid,
        message: piece.message.id.0,
        payload: piece.payload,
        delivery: config.delivery,
        op: piece.op,
        message_bytes: piece.message.bytes,
        ccc: sender.ccc,
        credit_target: out.credit_target,
        start_psn: sender.start,
        offset: piece.offset as u32,
        clear: out.clear as u16,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    Packet {
        phase: Phase::FRESH,
        dst: sender.dst,
        src: host,
        flow: sender.flow,
        psn: out.psn,
        entropy: out.entropy,
        bytes: piece.bytes,
        kind: Kind::Data,
        class: Class::DATA,
        flags: flags::ECN_CAPABLE
            | flag(out.retransmitted, flags::RETRANSMITTED)
            | flag(out.ack_request, flags::ACK_REQUEST)
            | flag(piece.last, flags::END_OF_MESSAGE),
        body: data.pack(),
    }
}
