//! RoCEv2 reliable connections over a lossless fabric or, with selective retransmission, a lossy one.
//!
//! # Map of the code
//! - [`config`]: every option, and the presets
//! - `sender`, `receiver`: the two halves of a queue pair
//! - `read`: READ, whose data goes the other way
//! - [`congestion`]: the rate a queue pair is paced by
//! - [`header`]: the transport's fields in a packet
//! - `split`: messages over several queue pairs
//! - this file: the endpoint, which owns the queue pairs and feeds the NIC

pub mod config;
pub mod congestion;
pub mod header;
mod read;
mod receiver;
mod sender;
mod split;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send, TimerId};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::rng::{Purpose, Stream};
use fabric::series::ConnectionState;
use fabric::telemetry::Telemetry;
use fabric::units::{Span, Time};
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use config::{MarkReport, Operation, PathKey, QpScope, RoceConfig};
use congestion::Feedback;
use header::{Header, UNKNOWN};
use read::Reads;
use receiver::{Arrived, Receiver, Reply};
use sender::{Sender, Turn};
use split::Parts;

/// The timer of a queue pair's outstanding packets.
fn timeout_timer(qp: u32) -> TimerId {
    qp << 1
}

/// The timer of an acknowledgement that waits at a receiver.
fn answer_timer(qp: u32) -> TimerId {
    (qp << 1) | 1
}

/// A host's RoCE.
#[derive(Serialize, Deserialize)]
pub struct Roce {
    host: HostId,
    config: Arc<RoceConfig>,
    seed: u64,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    /// Queue pairs by destination and number, for [`QpScope::Destination`].
    by_destination: BTreeMap<(HostId, u32), u32>,
    /// Messages posted to each destination that has several.
    posted: BTreeMap<HostId, u32>,
    /// Receivers by source and its queue pair, until an acknowledgement has named them.
    by_sender: BTreeMap<(HostId, u32), u32>,
    /// Queue pairs that may send, in turn.
    /// Of each port those that may send now.
    ready: Vec<VecDeque<u32>>,
    /// Queue pairs that wait for their pacing time.
    paced: BinaryHeap<Reverse<(Time, u32)>>,
    /// Acknowledgements and notifications that wait for the NIC.
    control: VecDeque<Packet>,
    /// What goes back with each of them, in a fabric with telemetry.
    records: VecDeque<Telemetry>,
    /// Messages that one call has completed; reused.
    arrived: Vec<Arrived>,
    /// Messages cut into parts.
    parts: Parts,
    /// What READ needs.
    reads: Reads,
}

impl Roce {
    /// After its state was read: shares the configuration of `built`.
    pub(crate) fn adopt(&mut self, built: &Roce) {
        self.config = Arc::clone(&built.config);
    }

    /// The transport of `host`.
    pub fn new(host: HostId, config: Arc<RoceConfig>, seed: u64) -> Roce {
        Roce {
            host,
            ready: vec![VecDeque::new(); usize::from(config.ports)],
            config,
            seed,
            senders: Vec::new(),
            receivers: Vec::new(),
            by_destination: BTreeMap::new(),
            by_sender: BTreeMap::new(),
            paced: BinaryHeap::new(),
            posted: BTreeMap::new(),
            control: VecDeque::new(),
            records: VecDeque::new(),
            arrived: Vec::new(),
            parts: Parts::default(),
            reads: Reads::default(),
        }
    }

    /// A new queue pair that sends data to `dst`.
    fn open(&mut self, dst: HostId) -> u32 {
        let qp = self.senders.len() as u32;
        let (flow, entropy) = self.label(dst, qp);
        self.senders.push(Sender::new(dst, flow, entropy, &self.config));
        qp
    }

    /// What switches hash of a queue pair: its flow label and UDP source port.
    fn label(&self, dst: HostId, qp: u32) -> (u32, u16) {
        let entity = (u64::from(self.host.0) << 32) | u64::from(qp);
        let mut random = Stream::new(self.seed, entity, Purpose::Transport);
        if self.config.path_key == PathKey::HostPair {
            let pair = (u64::from(self.host.0) << 32) | u64::from(dst.0);
            random = Stream::new(self.seed, !pair, Purpose::Transport);
        }
        (random.bits(), random.bits() as u16)
    }

    /// The queue pair of that number to `dst`.
    fn queue_pair(&mut self, now: Time, dst: HostId, number: u32) -> u32 {
        if let Some(qp) = self.by_destination.get(&(dst, number)) {
            return *qp;
        }
        let qp = self.set_up(now, dst);
        self.by_destination.insert((dst, number), qp);
        qp
    }

    /// A new queue pair for messages to `dst`, which may send once it is set up.
    fn set_up(&mut self, now: Time, dst: HostId) -> u32 {
        if self.config.operation == Operation::Read {
            return self.open_requester(dst);
        }
        let qp = self.open(dst);
        self.senders[qp as usize].next_send = now + self.config.qp_setup;
        qp
    }

    /// Lets the queue pair take its turn, now or at its pacing time, if it has something to send.
    /// Queue pairs take ports in turn.
    fn make_ready(&mut self, qp: u32) {
        let port = qp as usize % self.ready.len();
        self.ready[port].push_back(qp);
    }

    fn kick(&mut self, now: Time, qp: u32) {
        let sender = &mut self.senders[qp as usize];
        if sender.turn != Turn::Idle || !sender.may_send(&self.config) {
            return;
        }
        if sender.next_send <= now {
            sender.turn = Turn::Ready;
            self.make_ready(qp);
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
        if packet.psn > receiver.expected {
            cx.observe_reordering(packet.psn - receiver.expected);
        }
        let arrived = &mut self.arrived;
        let reaction =
            receiver.on_data(cx.now, packet, &header, &self.config, cx.counters, arrived);
        for part in self.arrived.drain(..) {
            if self.parts.on_received(packet.src, &part) {
                let message = part.message;
                cx.completions.push(Completion::Received { message, src: packet.src });
            }
        }
        let answer = |number, detail| Header {
            sender_qp: 0,
            receiver_qp: qp,
            number,
            detail,
            length: u64::from(reaction.early),
            stamp: header.stamp,
            first: false,
        };
        if reaction.notify {
            cx.counters.cnps += 1;
            self.answer(cx, Kind::Cnp, self.config.cnp_bytes, answer(0, 0));
        }
        let Some(reply) = reaction.reply else {
            self.hold_answer(cx, qp, header.stamp);
            return;
        };
        self.release_answer(cx, qp);
        let receiver = &mut self.receivers[qp as usize];
        let echo = receiver.acknowledge() && self.config.mark_report == MarkReport::Echo;
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
        let expected = receiver.expected;
        self.answer(cx, kind, self.config.ack_bytes, answer(expected, u32::from(echo)));
    }

    /// Packets wait for others to be acknowledged with, but not for ever.
    fn hold_answer(&mut self, cx: &mut HostCx<'_>, qp: u32, stamp: Time) {
        let Some(delay) = self.config.ack_delay else { return };
        let records = self.config.telemetry().then_some(*cx.telemetry);
        if self.receivers[qp as usize].hold(cx.now, stamp, records)
            && cx.timers.deadline(answer_timer(qp)) == Time::NEVER
        {
            cx.timers.set(answer_timer(qp), cx.now + delay);
        }
    }

    fn release_answer(&mut self, cx: &mut HostCx<'_>, qp: u32) {
        if self.receivers[qp as usize].held.take().is_some() {
            cx.timers.cancel(answer_timer(qp));
        }
    }

    /// The packets that wait are acknowledged.
    fn answer_held(&mut self, cx: &mut HostCx<'_>, qp: u32) {
        let receiver = &mut self.receivers[qp as usize];
        let Some(held) = receiver.held.take() else { return };
        let echo = receiver.acknowledge() && self.config.mark_report == MarkReport::Echo;
        cx.counters.acks += 1;
        cx.counters.cnps += u64::from(echo);
        let header = Header {
            sender_qp: 0,
            receiver_qp: qp,
            number: receiver.expected,
            detail: u32::from(echo),
            length: 0,
            // The sender measures the way, not the wait.
            stamp: held.stamp + cx.now.since(held.at),
            first: false,
        };
        if let Some(records) = held.records {
            *cx.telemetry = *records;
        }
        self.answer(cx, Kind::Ack, self.config.ack_bytes, header);
    }

    /// The receiver for the first packets of a queue pair, made if there is none.
    fn accept(&mut self, packet: &Packet, sender_qp: u32) -> u32 {
        let receivers = &mut self.receivers;
        *self.by_sender.entry((packet.src, sender_qp)).or_insert_with(|| {
            receivers.push(Receiver::new(packet, sender_qp));
            receivers.len() as u32 - 1
        })
    }

    fn answer(&mut self, cx: &HostCx<'_>, kind: Kind, bytes: u16, header: Header) {
        let receiver = &self.receivers[header.receiver_qp as usize];
        let header = Header { sender_qp: receiver.sender_qp, ..header };
        if self.config.telemetry() {
            self.records.push_back(*cx.telemetry);
        }
        self.control.push_back(Packet {
            phase: Phase::FRESH,
            dst: receiver.src,
            src: self.host,
            flow: receiver.flow,
            psn: receiver.expected,
            entropy: receiver.entropy,
            bytes,
            kind,
            class: self.config.answer_class,
            // Among data, answers are marked like data, without effect.
            flags: if self.config.answer_class == Class::DATA { flags::ECN_CAPABLE } else { 0 },
            body: header.pack(),
        });
    }

    fn on_answer(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        let qp = header.sender_qp;
        let sender = &mut self.senders[qp as usize];
        if sender.failed {
            return;
        }
        sender.remote = header.receiver_qp;
        if packet.kind == Kind::Cnp {
            sender.control.on_mark(cx.now);
        } else {
            self.on_ack(cx, packet, &header);
        }
        self.kick(cx.now, qp);
    }

    fn on_ack(&mut self, cx: &mut HostCx<'_>, packet: &Packet, header: &Header) {
        let qp = header.sender_qp;
        let sender = &mut self.senders[qp as usize];
        let newly = sender.acknowledge(header.number);
        while let Some(message) = sender.finished() {
            if self.parts.on_sent(message.slot) {
                cx.completions.push(Completion::Sent { slot: message.slot });
            }
        }
        if sender.is_idle() {
            cx.timers.cancel(timeout_timer(qp));
        } else if newly > 0
            && let Some(timeout) = sender.timeout(&self.config)
        {
            cx.timers.set(timeout_timer(qp), cx.now + timeout);
        }
        if let Some(psn) = (header.length as u32).checked_sub(1) {
            sender.note_early(psn);
        }
        if packet.kind == Kind::Nack {
            sender.on_loss(self.config.recovery.is_patient());
        }
        let rtt = cx.now.since(header.stamp);
        sender.rtt = Some(rtt);
        let feedback = Feedback {
            now: cx.now,
            acked: header.number,
            newly,
            next: sender.sent(),
            marked: header.detail != 0,
            rtt,
            telemetry: cx.telemetry,
        };
        let old = sender.spacing(&self.config);
        if sender.control.on_ack(&feedback) {
            self.shift(qp, old);
        }
        cx.observe_rtt(rtt);
    }

    /// The packet that waits for its pacing time waits by the new rate.
    fn shift(&mut self, qp: u32, old: Span) {
        let sender = &mut self.senders[qp as usize];
        let spacing = sender.spacing(&self.config);
        sender.next_send = Time((sender.next_send + spacing).0.saturating_sub(old.0));
        if sender.turn == Turn::Paced {
            self.paced.push(Reverse((sender.next_send, qp)));
        }
    }

    fn next_data(&mut self, cx: &mut HostCx<'_>, port: u8) -> Send {
        while let Some(&Reverse((at, qp))) = self.paced.peek()
            && at <= cx.now
        {
            self.paced.pop();
            let sender = &mut self.senders[qp as usize];
            // A rate that has changed since leaves an entry that means nothing.
            if sender.turn == Turn::Paced && sender.next_send == at {
                sender.turn = Turn::Ready;
                self.make_ready(qp);
            }
        }
        while let Some(qp) = self.ready[usize::from(port)].pop_front() {
            let sender = &mut self.senders[qp as usize];
            sender.turn = Turn::Idle;
            if sender.next_send > cx.now {
                self.kick(cx.now, qp);
            } else if sender.may_send(&self.config) {
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
        if self.config.operation == Operation::Read {
            sender.forget();
        } else if let Some(timeout) = sender.timeout(&self.config)
            && cx.timers.deadline(timeout_timer(qp)) == Time::NEVER
        {
            cx.timers.set(timeout_timer(qp), cx.now + timeout);
        }
        let header = Header {
            sender_qp: qp,
            receiver_qp: sender.remote,
            number: out.message.id.0,
            detail: out.payload,
            length: out.message.bytes,
            stamp: cx.now,
            first: out.first,
        };
        let telemetry = self.config.telemetry();
        if telemetry {
            *cx.telemetry = Telemetry::default();
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let packet = Packet {
            phase: Phase::FRESH,
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
                | flag(telemetry, flags::TELEMETRY)
                | flag(out.end_of_message, flags::END_OF_MESSAGE),
            body: header.pack(),
        };
        // While this frame is on the wire nothing else leaves: a queue pair at line rate is ready again.
        let busy_until = cx.now + self.config.rate.time_for(u64::from(out.bytes));
        self.kick(out.next.min(busy_until), qp);
        packet
    }
}

impl Roce {
    fn post(&mut self, cx: &mut HostCx<'_>, qp: u32, message: Message, bytes: u64) {
        if self.config.operation == Operation::Read {
            return self.post_read(cx, qp, message, bytes);
        }
        let sender = &mut self.senders[qp as usize];
        if sender.failed {
            return self.report_failed(cx, message);
        }
        sender.post(message, bytes, &self.config);
        self.kick(cx.now, qp);
    }

    /// A message, or a part of one, can never be acknowledged.
    fn report_failed(&mut self, cx: &mut HostCx<'_>, message: Message) {
        if self.parts.on_failed(message.slot) {
            cx.completions.push(Completion::Failed { slot: message.slot });
        }
    }

    /// A queue pair whose timeouts have run out fails, with everything on it.
    fn fail(&mut self, cx: &mut HostCx<'_>, qp: u32) {
        cx.counters.qp_errors += 1;
        for message in self.senders[qp as usize].give_up() {
            self.report_failed(cx, message);
        }
    }
}

impl Endpoint for Roce {
    fn on_post(&mut self, cx: &mut HostCx<'_>, message: Message) {
        let (count, split) = match self.config.qp_scope {
            QpScope::Message => {
                let qp = self.set_up(cx.now, message.dst);
                return self.post(cx, qp, message, message.bytes);
            }
            QpScope::Destination { count, split } => (count, split),
        };
        if !split {
            let turn = self.posted.entry(message.dst).or_insert(0);
            let number = *turn % count;
            *turn = number + 1;
            let qp = self.queue_pair(cx.now, message.dst, number);
            return self.post(cx, qp, message, message.bytes);
        }
        let pieces = split::pieces(message.bytes, count, u64::from(self.config.payload));
        self.parts.expect(message.slot, pieces.len() as u32);
        for (number, bytes) in pieces.into_iter().enumerate() {
            let qp = self.queue_pair(cx.now, message.dst, number as u32);
            self.post(cx, qp, message, bytes);
        }
    }

    fn on_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        if self.config.operation == Operation::Read {
            return self.on_read_packet(cx, packet);
        }
        match packet.kind {
            Kind::Data => self.on_data(cx, packet),
            Kind::Ack | Kind::Nack | Kind::Cnp => self.on_answer(cx, packet),
            kind => panic!("RoCE at host {} got a packet of kind {kind:?}", self.host),
        }
    }

    fn on_timer(&mut self, cx: &mut HostCx<'_>, timer: TimerId) {
        let qp = timer >> 1;
        if timer == answer_timer(qp) {
            return self.answer_held(cx, qp);
        }
        if self.config.operation == Operation::Read {
            return self.on_read_timeout(cx, qp);
        }
        let sender = &mut self.senders[qp as usize];
        let (Some(timeout), false) = (self.config.timeout, sender.is_idle()) else { return };
        cx.counters.timeouts += 1;
        if sender.on_timeout(timeout.retries) {
            self.fail(cx, qp);
            return;
        }
        let after = sender.timeout(&self.config).unwrap_or(timeout.after);
        cx.timers.set(timer, cx.now + after);
        self.kick(cx.now, qp);
    }

    fn poll_send(&mut self, cx: &mut HostCx<'_>, port: u8, paused: u8) -> Send {
        if paused & self.config.answer_class.bit() == 0
            && let Some(packet) = self.control.pop_front()
        {
            if let Some(records) = self.records.pop_front() {
                *cx.telemetry = records;
            }
            return Send::Packet(packet);
        }
        if paused & Class::DATA.bit() != 0 {
            return Send::Idle;
        }
        if let Some(request) = self.next_request(cx) {
            return Send::Packet(request);
        }
        self.next_data(cx, port)
    }

    fn connections(&self, most: usize, states: &mut Vec<ConnectionState>) {
        let busy = self.senders.iter().enumerate().filter(|(_, sender)| !sender.is_idle());
        states.extend(busy.take(most).map(|(qp, sender)| sender.state(qp as u32, &self.config)));
    }

    fn message_of(&self, packet: &Packet) -> Option<MessageId> {
        // Control packets are requests of READ.
        let is_of_message = matches!(packet.kind, Kind::Data | Kind::Control);
        is_of_message.then(|| MessageId(Header::unpack(packet).number))
    }

    fn hold(&self, peer: HostId, message: MessageId, now: Time) -> Option<Hold> {
        let to_peer = self.senders.iter().filter(|sender| sender.dst == peer);
        // Of parts on several queue pairs, the one that is nearest to being sent.
        let parts = to_peer.filter_map(|sender| sender.hold(message, now, &self.config));
        parts.min().or_else(|| self.reads.hold(peer, message))
    }
}
