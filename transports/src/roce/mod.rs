//! RoCEv2 reliable connections: go-back-N over a lossless fabric, DCQCN, one path a queue pair.
//!
//! # Map of the code
//! - [`config`]: every option, and the presets
//! - `sender`, `receiver`: the two halves of a queue pair
//! - [`dcqcn`]: rate control by marks, in the paper's and the Mellanox form
//! - [`header`]: the transport's fields in a packet
//! - this file: the endpoint, which owns the queue pairs and feeds the NIC

pub mod config;
pub mod dcqcn;
pub mod header;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId};
use fabric::packet::{Kind, Packet, flags};
use fabric::rng::{Purpose, Stream};
use fabric::units::Time;

use config::{MarkReport, QpScope, RoceConfig};
use header::{Header, UNKNOWN};
use receiver::{Receiver, Reply};
use sender::{Sender, Turn};

/// A host's RoCE.
pub struct Roce {
    host: HostId,
    config: Arc<RoceConfig>,
    seed: u64,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    /// Queue pairs by destination, for [`QpScope::Destination`].
    by_destination: BTreeMap<HostId, u32>,
    /// Receivers by source and its queue pair, until an acknowledgement has named them.
    by_sender: BTreeMap<(HostId, u32), u32>,
    /// Queue pairs that may send, in turn.
    ready: VecDeque<u32>,
    /// Queue pairs that wait for their pacing time.
    paced: BinaryHeap<Reverse<(Time, u32)>>,
    /// Acknowledgements and notifications that wait for the NIC.
    control: VecDeque<Packet>,
}

impl Roce {
    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<RoceConfig>, seed: u64) -> Roce {
        Roce {
            host,
            config,
            seed,
            senders: Vec::new(),
            receivers: Vec::new(),
            by_destination: BTreeMap::new(),
            by_sender: BTreeMap::new(),
            ready: VecDeque::new(),
            paced: BinaryHeap::new(),
            control: VecDeque::new(),
        }
    }

    /// A new queue pair to `dst`.
    fn open(&mut self, dst: HostId) -> u32 {
        let qp = self.senders.len() as u32;
        let entity = (u64::from(self.host.0) << 32) | u64::from(qp);
        let mut random = Stream::new(self.seed, entity, Purpose::Transport);
        let (flow, entropy) = (random.bits(), random.bits() as u16);
        self.senders.push(Sender::new(dst, flow, entropy, &self.config));
        qp
    }

    /// Lets the queue pair take its turn, now or at its pacing time, if it has something to send.
    fn kick(&mut self, now: Time, qp: u32) {
        let sender = &mut self.senders[qp as usize];
        if sender.turn != Turn::Idle || !sender.may_send(&self.config) {
            return;
        }
        if sender.next_send <= now {
            sender.turn = Turn::Ready;
            self.ready.push_back(qp);
        } else {
            sender.turn = Turn::Paced;
            self.paced.push(Reverse((sender.next_send, qp)));
        }
    }

    fn on_data(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        let qp = match header.receiver_qp {
            UNKNOWN => self.accept(packet, header.sender_qp),
            known => known,
        };
        let receiver = &mut self.receivers[qp as usize];
        let reaction = receiver.on_data(cx.now, packet, &header, &self.config, cx.counters);
        if let Some(message) = reaction.completed {
            cx.completions.push(Completion::Received { message, src: packet.src });
        }
        if reaction.notify {
            cx.counters.cnps += 1;
            self.answer(qp, Kind::Cnp, self.config.cnp_bytes, false);
        }
        let Some(reply) = reaction.reply else { return };
        let receiver = &mut self.receivers[qp as usize];
        let echo = receiver.marked && self.config.mark_report == MarkReport::Echo;
        receiver.marked = false;
        cx.counters.cnps += u64::from(echo);
        let kind = match reply {
            Reply::Ack => {
                cx.counters.acks += 1;
                Kind::Ack
            }
            Reply::Nak => {
                cx.counters.nacks += 1;
                Kind::Nack
            }
        };
        self.answer(qp, kind, self.config.ack_bytes, echo);
    }

    /// The receiver for the first packets of a queue pair, made if there is none.
    fn accept(&mut self, packet: &Packet, sender_qp: u32) -> u32 {
        let receivers = &mut self.receivers;
        *self.by_sender.entry((packet.src, sender_qp)).or_insert_with(|| {
            receivers.push(Receiver::new(packet, sender_qp));
            receivers.len() as u32 - 1
        })
    }

    fn answer(&mut self, qp: u32, kind: Kind, bytes: u16, echo: bool) {
        let receiver = &self.receivers[qp as usize];
        let header = Header {
            sender_qp: receiver.sender_qp,
            receiver_qp: qp,
            number: receiver.expected,
            detail: u32::from(echo),
            length: 0,
        };
        self.control.push_back(Packet {
            dst: receiver.src,
            src: self.host,
            flow: receiver.flow,
            psn: receiver.expected,
            entropy: receiver.entropy,
            bytes,
            kind,
            class: Class::CONTROL,
            flags: 0,
            body: header.pack(),
        });
    }

    fn on_answer(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        let qp = header.sender_qp;
        let sender = &mut self.senders[qp as usize];
        sender.remote = header.receiver_qp;
        if packet.kind == Kind::Cnp || header.detail != 0 {
            sender.control.on_mark(cx.now);
        }
        if packet.kind != Kind::Cnp {
            let news = sender.acknowledge(header.number);
            while let Some(message) = sender.finished() {
                cx.completions.push(Completion::Sent { slot: message.slot });
            }
            if sender.is_idle() {
                cx.timers.cancel(qp);
            } else if news && let Some(timeout) = self.config.timeout {
                cx.timers.set(qp, cx.now + timeout);
            }
            if packet.kind == Kind::Nack {
                sender.go_back();
            }
        }
        self.kick(cx.now, qp);
    }

    fn next_data(&mut self, cx: &mut HostCx<'_>) -> Send {
        while let Some(&Reverse((at, qp))) = self.paced.peek()
            && at <= cx.now
        {
            self.paced.pop();
            self.senders[qp as usize].turn = Turn::Ready;
            self.ready.push_back(qp);
        }
        while let Some(qp) = self.ready.pop_front() {
            let sender = &mut self.senders[qp as usize];
            sender.turn = Turn::Idle;
            if sender.may_send(&self.config) {
                return Send::Packet(self.send(cx, qp));
            }
        }
        self.paced.peek().map_or(Send::Idle, |entry| Send::WakeAt(entry.0.0))
    }

    fn send(&mut self, cx: &mut HostCx<'_>, qp: u32) -> Packet {
        let sender = &mut self.senders[qp as usize];
        let out = sender.send(cx.now, &self.config);
        let count =
            if out.retransmitted { &mut cx.counters.retransmitted } else { &mut cx.counters.new };
        *count += 1;
        if let Some(timeout) = self.config.timeout
            && cx.timers.deadline(qp) == Time::NEVER
        {
            cx.timers.set(qp, cx.now + timeout);
        }
        let header = Header {
            sender_qp: qp,
            receiver_qp: sender.remote,
            number: out.message.id.0,
            detail: out.payload,
            length: out.message.bytes,
        };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let packet = Packet {
            dst: sender.dst,
            src: self.host,
            flow: sender.flow,
            psn: out.psn,
            entropy: sender.entropy,
            bytes: out.bytes,
            kind: Kind::Data,
            class: Class::DATA,
            flags: flags::ECN_CAPABLE
                | flag(out.retransmitted, flags::RETRANSMITTED)
                | flag(out.end_of_message, flags::END_OF_MESSAGE),
            body: header.pack(),
        };
        // While this frame is on the wire nothing else leaves: a queue pair at line rate is ready again.
        let busy_until = cx.now + self.config.rate.time_for(u64::from(out.bytes));
        self.kick(out.next.min(busy_until), qp);
        packet
    }
}

impl Endpoint for Roce {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        let known = match self.config.qp_scope {
            QpScope::Message => None,
            QpScope::Destination => self.by_destination.get(&message.dst).copied(),
        };
        let qp = known.unwrap_or_else(|| {
            let qp = self.open(message.dst);
            if self.config.qp_scope == QpScope::Destination {
                self.by_destination.insert(message.dst, qp);
            }
            qp
        });
        self.senders[qp as usize].post(message, &self.config);
        self.kick(cx.now, qp);
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match packet.kind {
            Kind::Data => self.on_data(cx, packet),
            Kind::Ack | Kind::Nack | Kind::Cnp => self.on_answer(cx, packet),
            kind => panic!("RoCE at host {} got a packet of kind {kind:?}", self.host),
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        let sender = &mut self.senders[timer as usize];
        if sender.is_idle() {
            return;
        }
        cx.counters.timeouts += 1;
        sender.go_back();
        if let Some(timeout) = self.config.timeout {
            cx.timers.set(timer, cx.now + timeout);
        }
        self.kick(cx.now, timer);
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, _port: u8, paused: u8) -> Send {
        if paused & Class::CONTROL.bit() == 0
            && let Some(packet) = self.control.pop_front()
        {
            return Send::Packet(packet);
        }
        if paused & Class::DATA.bit() != 0 {
            return Send::Idle;
        }
        self.next_data(cx)
    }
}
