//! Ultra Ethernet Transport: reliable unordered delivery (RUD) with packet spraying.
//!
//! # Map of the code
//! - [`config`]: every option, with the specification's default and the reference's value
//! - `sender`, `receiver`: the two halves of a packet delivery context (PDC); `outstanding`: what a
//!   sender has sent and not seen acknowledged
//! - [`header`]: the transport's fields in a packet
//! - [`congestion`]: the seam to congestion control; [`nscc`]: NSCC
//! - [`entropy`]: choice of entropy values
//! - this file: the endpoint, which owns the contexts and feeds the NIC
//!
//! A context begins with its first packet: until an acknowledgement has named the target's context
//! (SYN state), the target finds it by source and initiator's number.

pub mod config;
pub mod congestion;
pub mod entropy;
pub mod header;
pub mod nscc;
mod outstanding;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId};
use fabric::packet::{Kind, Packet, flags};
use fabric::rng::{Purpose, Stream};

use config::{PdcScope, UetConfig};
use congestion::CongestionControl;
use entropy::Entropy;
use header::{Ack, Data, UNKNOWN};
use receiver::{Receiver, Reply};
use sender::Sender;

/// What can be seen of a sending context.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderState {
    /// Where it sends to.
    pub dst: HostId,
    /// Bytes that may be in flight (cwnd).
    pub window: u64,
    /// Bytes in flight; negative for a moment when packets wrongly taken for lost are acknowledged.
    pub in_flight: i64,
    /// Packets posted and not acknowledged yet.
    pub backlog: u32,
}

/// A host's UET with congestion control `C`.
pub struct Uet<C: CongestionControl> {
    host: HostId,
    config: Arc<UetConfig>,
    parameters: C::Parameters,
    seed: u64,
    senders: Vec<Sender<C>>,
    receivers: Vec<Receiver>,
    /// Contexts by destination, for [`PdcScope::Destination`].
    by_destination: BTreeMap<HostId, u32>,
    /// Receivers by source and its PDC, for packets in the SYN state.
    by_initiator: BTreeMap<(HostId, u32), u32>,
    /// Senders that may send, in turn.
    ready: VecDeque<u32>,
    /// Acknowledgements that wait for the NIC.
    control: VecDeque<Packet>,
    /// Control packets sent in a row while data waited.
    control_run: u32,
}

impl<C: CongestionControl> Uet<C> {
    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<UetConfig>, seed: u64) -> Uet<C> {
        Uet {
            host,
            parameters: C::parameters(&config),
            config,
            seed,
            senders: Vec::new(),
            receivers: Vec::new(),
            by_destination: BTreeMap::new(),
            by_initiator: BTreeMap::new(),
            ready: VecDeque::new(),
            control: VecDeque::new(),
            control_run: 0,
        }
    }

    /// The sending contexts, in the order of their opening.
    pub fn senders(&self) -> impl Iterator<Item = SenderState> {
        self.senders.iter().map(|sender| SenderState {
            dst: sender.dst,
            window: sender.window(),
            in_flight: sender.in_flight(),
            backlog: sender.backlog(),
        })
    }

    /// A new sending context to `dst`.
    fn open(&mut self, dst: HostId) -> u32 {
        let spdcid = self.senders.len() as u32;
        let entity = (u64::from(self.host.0) << 32) | u64::from(spdcid);
        let mut random = Stream::new(self.seed, entity, Purpose::Transport);
        let flow = random.bits();
        let entropy = Entropy::new(self.config.spraying, self.config.entropy_values, random);
        let control = C::new(&self.parameters);
        self.senders.push(Sender::new(dst, flow, control, entropy));
        spdcid
    }

    /// Puts the sender into the ring of those that may send, if it may and is not there.
    #[inline]
    fn kick(&mut self, spdcid: u32) {
        let sender = &mut self.senders[spdcid as usize];
        if !sender.ready && sender.may_send(&self.config) {
            sender.ready = true;
            self.ready.push_back(spdcid);
        }
    }

    #[inline]
    fn on_data(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let data = Data::unpack(packet);
        let number = match data.dpdcid {
            UNKNOWN => self.accept(packet, data.spdcid),
            known => known,
        };
        let receiver = &mut self.receivers[number as usize];
        let reaction = receiver.on_data(packet, &data, &self.config, cx.counters);
        let (flow, dst) = (receiver.flow, receiver.src);
        if let Some(message) = reaction.completed {
            cx.completions.push(Completion::Received { message, src: packet.src });
        }
        if let Some(reply) = reaction.reply {
            self.answer(cx, flow, dst, &reply);
        }
    }

    /// The receiver for a packet in the SYN state, made if it is the first.
    fn accept(&mut self, packet: &Packet, spdcid: u32) -> u32 {
        let receivers = &mut self.receivers;
        *self.by_initiator.entry((packet.src, spdcid)).or_insert_with(|| {
            let dpdcid = receivers.len() as u32;
            receivers.push(Receiver::new(packet.src, packet.flow, spdcid, dpdcid));
            dpdcid
        })
    }

    /// Queues an answer for the NIC.
    fn answer(&mut self, cx: &mut HostCx<'_>, flow: u32, dst: HostId, reply: &Reply) {
        let (kind, bytes) = if reply.negative {
            cx.counters.nacks += 1;
            (Kind::Nack, self.config.nack_bytes)
        } else {
            cx.counters.acks += 1;
            (Kind::Ack, self.config.ack_bytes)
        };
        self.control.push_back(Packet {
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

    fn on_ack(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let ack = Ack::unpack(packet);
        let sender = &mut self.senders[ack.spdcid as usize];
        sender.dpdcid = ack.dpdcid;
        if packet.kind == Kind::Nack {
            sender.on_nack(cx.now, packet.psn, &ack, &self.config, &self.parameters);
        } else {
            sender.on_ack(cx.now, packet.psn, &ack, &self.parameters);
            while let Some(message) = sender.finished() {
                cx.completions.push(Completion::Sent { slot: message.slot });
            }
            if sender.is_idle() {
                cx.timers.cancel(ack.spdcid);
                if self.config.pdc_scope == PdcScope::Message {
                    sender.release();
                }
            }
        }
        self.kick(ack.spdcid);
    }

    /// The next data packet: the senders that may send take turns.
    #[inline]
    fn next_data(&mut self, cx: &mut HostCx<'_>) -> Option<Packet> {
        while let Some(spdcid) = self.ready.pop_front() {
            let sender = &mut self.senders[spdcid as usize];
            if !sender.may_send(&self.config) {
                sender.ready = false;
                continue;
            }
            let packet = emit(self.host, spdcid, sender, cx, &self.config);
            if sender.may_send(&self.config) {
                self.ready.push_back(spdcid);
            } else {
                sender.ready = false;
            }
            return Some(packet);
        }
        None
    }

    /// Whether it is control's turn: always, or, while data waits, `control_weight` times in a row.
    fn control_first(&mut self, data_waits: bool) -> bool {
        let Some(weight) = self.config.control_weight else { return true };
        if !data_waits {
            return true;
        }
        self.control_run += 1;
        if self.control_run > weight {
            self.control_run = 0;
            return false;
        }
        true
    }
}

/// The next packet of `sender`, counted and its timeout set.
#[inline]
fn emit<C: CongestionControl>(
    host: HostId,
    spdcid: u32,
    sender: &mut Sender<C>,
    cx: &mut HostCx<'_>,
    config: &UetConfig,
) -> Packet {
    let out = sender.send(cx.now, config);
    let counter =
        if out.retransmitted { &mut cx.counters.retransmitted } else { &mut cx.counters.new };
    *counter += 1;
    if out.due < cx.timers.deadline(spdcid) {
        cx.timers.set(spdcid, out.due);
    }
    let data = Data {
        spdcid,
        dpdcid: sender.dpdcid,
        message: out.message.id.0,
        payload: u32::from(out.payload),
        message_bytes: out.message.bytes,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    Packet {
        dst: sender.dst,
        src: host,
        flow: sender.flow,
        psn: out.psn,
        entropy: out.entropy,
        bytes: out.payload + config.header,
        kind: Kind::Data,
        class: Class::DATA,
        flags: flags::ECN_CAPABLE
            | flag(out.retransmitted, flags::RETRANSMITTED)
            | flag(out.ack_request, flags::ACK_REQUEST)
            | flag(out.end_of_message, flags::END_OF_MESSAGE),
        body: data.pack(),
    }
}

impl<C: CongestionControl> Endpoint for Uet<C> {
    fn on_post(&mut self, _: &mut HostCx<'_>, message: Message) {
        let known = match self.config.pdc_scope {
            PdcScope::Message => None,
            PdcScope::Destination => self.by_destination.get(&message.dst).copied(),
        };
        let spdcid = known.unwrap_or_else(|| {
            let spdcid = self.open(message.dst);
            if self.config.pdc_scope == PdcScope::Destination {
                self.by_destination.insert(message.dst, spdcid);
            }
            spdcid
        });
        self.senders[spdcid as usize].post(message, &self.config);
        self.kick(spdcid);
    }

    #[inline]
    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match packet.kind {
            Kind::Data => self.on_data(cx, packet),
            Kind::Ack | Kind::Nack => self.on_ack(cx, packet),
            kind => panic!("UET at host {} got a packet of kind {kind:?}", self.host),
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        let sender = &mut self.senders[timer as usize];
        let timeouts = &mut cx.counters.timeouts;
        if let Some(again) = sender.on_timeout(cx.now, &self.config, &self.parameters, timeouts) {
            cx.timers.set(timer, again);
        }
        self.kick(timer);
    }

    #[inline]
    fn poll_send(&mut self, cx: &mut HostCx<'_>, _port: u8, paused: u8) -> Send {
        let control = !self.control.is_empty() && paused & Class::CONTROL.bit() == 0;
        let data = !self.ready.is_empty() && paused & Class::DATA.bit() == 0;
        if control && self.control_first(data) {
            return self.control.pop_front().map_or(Send::Idle, Send::Packet);
        }
        if data && let Some(packet) = self.next_data(cx) {
            return Send::Packet(packet);
        }
        if control {
            return self.control.pop_front().map_or(Send::Idle, Send::Packet);
        }
        Send::Idle
    }
}
