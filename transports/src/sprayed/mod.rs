//! The sprayed rivals: connections whose packets take all paths and are taken in any order.
//!
//! # Map of the code
//! - [`srd`], [`strack`], [`ndp`]: what governs each, with its sources
//! - `paths`: how the next packet's path is chosen
//! - `sender`, `receiver`: outstanding, lost and arrived packets
//! - [`config`]: options; `header`: the transport's fields in a packet
//! - this file: the endpoint, which owns the connections and feeds the NIC

pub mod config;
mod header;
pub mod ndp;
mod paths;
mod receiver;
mod sender;
pub mod srd;
pub mod strack;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::rng::{Purpose, Stream};
use fabric::series::ConnectionState;
use fabric::units::Time;
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use config::{Rival, SprayedConfig};
use header::{Header, UNKNOWN};
use ndp::Pulls;
use receiver::Receiver;
use sender::Sender;

/// A host's transport.
#[derive(Serialize, Deserialize)]
pub struct Sprayed {
    host: HostId,
    config: Arc<SprayedConfig>,
    seed: u64,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    /// Connections by destination.
    by_destination: BTreeMap<HostId, u32>,
    /// Receivers by source, until an answer has named them.
    by_source: BTreeMap<HostId, u32>,
    /// Connections that may send, in turn.
    ready: VecDeque<u32>,
    /// Answers that wait for the NIC.
    control: VecDeque<Packet>,
    pulls: Pulls,
    /// Messages that one call has completed; reused.
    done: Vec<Message>,
}

impl Sprayed {
    /// After its state was read: shares the configuration of `built`.
    pub(crate) fn adopt(&mut self, built: &Sprayed) {
        self.config = Arc::clone(&built.config);
    }

    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<SprayedConfig>, seed: u64) -> Sprayed {
        Sprayed {
            host,
            config,
            seed,
            senders: Vec::new(),
            receivers: Vec::new(),
            by_destination: BTreeMap::new(),
            by_source: BTreeMap::new(),
            ready: VecDeque::new(),
            control: VecDeque::new(),
            pulls: Pulls::default(),
            done: Vec::new(),
        }
    }

    fn kick(&mut self, connection: u32) {
        let sender = &mut self.senders[connection as usize];
        if !sender.ready && sender.may_send() {
            sender.ready = true;
            self.ready.push_back(connection);
        }
    }

    fn on_data(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        let number = match header.receiver {
            UNKNOWN => {
                let receivers = &mut self.receivers;
                *self.by_source.entry(packet.src).or_insert_with(|| {
                    receivers.push(Receiver::new(packet.src, packet.flow, header.sender));
                    receivers.len() as u32 - 1
                })
            }
            known => known,
        };
        let receiver = &mut self.receivers[number as usize];
        let known = receiver.knows(packet.psn);
        let trimmed = packet.has(flags::TRIMMED) && !known;
        cx.counters.ecn_marked += u64::from(packet.has(flags::CE));
        cx.counters.trimmed += u64::from(trimmed);
        if known {
            cx.counters.duplicates += 1;
        } else if !trimmed {
            if packet.psn > receiver.expected {
                cx.counters.out_of_order += 1;
                cx.observe_reordering(packet.psn - receiver.expected);
            }
            cx.counters.delivered_bytes += u64::from(header.detail);
            if let Some(message) = receiver.take(packet.psn, &header) {
                cx.completions.push(Completion::Received { message, src: packet.src });
            }
        }
        if matches!(self.config.rival, Rival::Ndp(_)) {
            self.pulls.owe(number, trimmed, header.count);
        }
        let kind = if trimmed { Kind::Nack } else { Kind::Ack };
        let count = if trimmed { &mut cx.counters.nacks } else { &mut cx.counters.acks };
        *count += 1;
        let marked = u32::from(packet.has(flags::CE));
        let answer = self.answer(number, kind, packet.psn, packet.entropy);
        let body = Header { detail: marked, stamp: header.stamp, ..Header::unpack(&answer) };
        self.control.push_back(Packet { body: body.pack(), ..answer });
    }

    /// A packet to the sender of a connection.
    fn answer(&self, number: u32, kind: Kind, psn: u32, entropy: u16) -> Packet {
        let receiver = &self.receivers[number as usize];
        let header = Header {
            sender: receiver.sender,
            receiver: number,
            number: receiver.expected,
            detail: 0,
            length: 0,
            stamp: Time::ZERO,
            count: 0,
        };
        Packet {
            phase: Phase::FRESH,
            dst: receiver.src,
            src: self.host,
            flow: receiver.flow,
            psn,
            entropy,
            bytes: self.config.ack_bytes,
            kind,
            class: Class::CONTROL,
            flags: 0,
            body: header.pack(),
        }
    }

    fn on_answer(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        let number = header.sender;
        let sender = &mut self.senders[number as usize];
        sender.remote = header.receiver;
        match packet.kind {
            Kind::Control | Kind::Nack => {
                if packet.kind == Kind::Nack {
                    sender.on_nack(packet.psn);
                } else {
                    sender.on_pull(header.count);
                }
                // The receiver is there.
                if !sender.is_idle() {
                    cx.timers.set(number, cx.now + sender.timeout(&self.config));
                }
            }
            _ => {
                let path = (packet.entropy, header.detail != 0);
                let (psn, stamp) = (packet.psn, header.stamp);
                cx.observe_rtt(cx.now.since(stamp));
                sender.rtt = Some(cx.now.since(stamp));
                let done = &mut self.done;
                let news = sender.on_ack(cx.now, psn, header.number, path, stamp, done);
                for message in done.drain(..) {
                    cx.completions.push(Completion::Sent { slot: message.slot });
                }
                if !matches!(self.config.rival, Rival::Ndp(_)) {
                    sender.infer_losses(stamp, self.config.reordering);
                }
                if sender.is_idle() {
                    cx.timers.cancel(number);
                } else if news {
                    cx.timers.set(number, cx.now + sender.timeout(&self.config));
                }
            }
        }
        self.kick(number);
    }

    fn data(&mut self, cx: &mut HostCx<'_>, number: u32) -> Packet {
        let sender = &mut self.senders[number as usize];
        let out = sender.send(cx.now, &self.config);
        let count =
            if out.retransmitted { &mut cx.counters.retransmitted } else { &mut cx.counters.new };
        *count += 1;
        if cx.timers.deadline(number) == Time::NEVER {
            cx.timers.set(number, cx.now + sender.timeout(&self.config));
        }
        let header = Header {
            sender: number,
            receiver: sender.remote,
            number: out.message.id.0,
            detail: out.payload,
            length: out.message.bytes,
            stamp: cx.now,
            count: sender.backlog(),
        };
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let packet = Packet {
            phase: Phase::FRESH,
            dst: sender.dst,
            src: self.host,
            flow: sender.flow,
            psn: out.psn,
            entropy: out.entropy,
            bytes: out.payload as u16 + self.config.header,
            kind: Kind::Data,
            class: Class::DATA,
            flags: flags::ECN_CAPABLE
                | flag(out.retransmitted, flags::RETRANSMITTED)
                | flag(out.end_of_message, flags::END_OF_MESSAGE),
            body: header.pack(),
        };
        self.kick(number);
        packet
    }

    /// The next pull, or when to ask for it.
    fn pull(&mut self, cx: &mut HostCx<'_>) -> Send {
        if !self.pulls.waits() {
            return Send::Idle;
        }
        let frame = u64::from(self.config.payload) + u64::from(self.config.header);
        let spacing = self.config.rate.time_for(frame);
        let Some((number, count)) = self.pulls.take(cx.now, spacing) else {
            return Send::WakeAt(self.pulls.next);
        };
        cx.counters.credits += 1;
        let answer = self.answer(number, Kind::Control, 0, 0);
        let body = Header { count, ..Header::unpack(&answer) };
        Send::Packet(Packet { body: body.pack(), ..answer })
    }
}

impl Endpoint for Sprayed {
    fn on_post(&mut self, _: &mut HostCx<'_>, message: Message) {
        let number = match self.by_destination.get(&message.dst) {
            Some(number) => *number,
            None => {
                let number = self.senders.len() as u32;
                let entity = (u64::from(self.host.0) << 32) | u64::from(number);
                let random = Stream::new(self.seed, entity, Purpose::Transport);
                self.senders.push(Sender::new(message.dst, &self.config, random));
                self.by_destination.insert(message.dst, number);
                number
            }
        };
        self.senders[number as usize].post(message, &self.config);
        self.kick(number);
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        match packet.kind {
            Kind::Data => self.on_data(cx, packet),
            _ => self.on_answer(cx, packet),
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        let sender = &mut self.senders[timer as usize];
        if sender.is_idle() {
            return;
        }
        cx.counters.timeouts += 1;
        sender.on_timeout();
        cx.timers.set(timer, cx.now + sender.timeout(&self.config));
        self.kick(timer);
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, _port: u8, paused: u8) -> Send {
        let mut wait = Send::Idle;
        if paused & Class::CONTROL.bit() == 0 {
            if let Some(packet) = self.control.pop_front() {
                return Send::Packet(packet);
            }
            match self.pull(cx) {
                Send::Packet(packet) => return Send::Packet(packet),
                later => wait = later,
            }
        }
        if paused & Class::DATA.bit() != 0 {
            return wait;
        }
        while let Some(number) = self.ready.pop_front() {
            let sender = &mut self.senders[number as usize];
            sender.ready = false;
            if sender.may_send() {
                return Send::Packet(self.data(cx, number));
            }
        }
        wait
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        let busy = self.senders.iter().enumerate().filter(|(_, sender)| !sender.is_idle());
        states.extend(
            busy.take(most).map(|(number, sender)| sender.state(number as u32, &self.config)),
        );
    }

    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        (packet.kind == Kind::Data).then(|| MessageId(Header::unpack(packet).number))
    }

    fn hold(&self, peer: HostId, message: MessageId, _: Time) -> Option<Hold> {
        let number = self.by_destination.get(&peer)?;
        self.senders[*number as usize].hold(message)
    }
}
