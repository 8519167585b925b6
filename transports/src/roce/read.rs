//! READ: a request goes to the other host, and its data comes back.
//!
//! The poster is the requester. A request takes as many PSNs as its response will have packets; the
//! responder paces the responses by its congestion control. Nobody acknowledges them: the requester
//! asks again, from the first packet missing on, when one comes early or none for a timeout
//! (InfiniBand 1.2.1 §9.7). Marks are answered with notification packets.

use std::collections::{BTreeMap, VecDeque};

use fabric::endpoint::{Completion, HostCx, Message};
use fabric::ids::{Class, HostId, MessageId};
use fabric::packet::{Kind, Packet, Phase, flags};
use fabric::units::{Span, Time};
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use super::{Roce, timeout_timer};
use crate::roce::config::MarkReport;
use crate::roce::header::{Header, UNKNOWN};

/// Requests of a queue pair that may be outstanding: what common NICs allow.
const OUTSTANDING: usize = 16;

/// A message being read, or the part of one that comes by this queue pair.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Read {
    message: Message,
    bytes: u64,
    first: u32,
    end: u32,
}

/// The requester's half of a queue pair.
#[derive(Serialize, Deserialize)]
struct Requester {
    dst: HostId,
    flow: u32,
    entropy: u16,
    /// What has been posted and is not complete.
    reads: VecDeque<Read>,
    /// How many of them have been asked for.
    asked: usize,
    /// PSN after the last posted.
    end: u32,
    /// Next PSN in order.
    expected: u32,
    /// The present gap has been asked for again.
    gap: bool,
    timeouts: u32,
    failed: bool,
    /// It is set up.
    open: bool,
    /// It is in the list of those that ask.
    ready: bool,
    /// When the last notification was sent; `NEVER` before the first.
    notified: Time,
}

impl Requester {
    fn may_ask(&self) -> bool {
        self.open && !self.failed && self.asked < self.reads.len().min(OUTSTANDING)
    }

    /// Everything that has not come is asked for again.
    fn restart(&mut self) {
        self.asked = 0;
    }

    /// The next packet in order is here; the message it ends.
    fn advance(&mut self) -> Option<Message> {
        self.expected += 1;
        (self.gap, self.timeouts) = (false, 0);
        let read = self.reads.front().filter(|read| read.end == self.expected)?;
        let message = read.message;
        self.reads.pop_front();
        self.asked = self.asked.saturating_sub(1);
        Some(message)
    }
}

/// The responder's half.
#[derive(Serialize, Deserialize)]
struct Responder {
    /// The queue pair that sends the data.
    sender: u32,
    /// PSN of the next request in order.
    expected: u32,
    /// The present gap has been reported.
    gap: bool,
}

/// See the module.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Reads {
    requesters: Vec<Requester>,
    ready: VecDeque<u32>,
    /// By the requester and its queue pair.
    responders: BTreeMap<(HostId, u32), Responder>,
}

impl Reads {
    /// What holds back the request for a message; `None` if there is none here.
    pub(super) fn hold(&self, peer: HostId, message: MessageId) -> Option<Hold> {
        let from_peer = self.requesters.iter().filter(|requester| requester.dst == peer);
        let found = from_peer.filter_map(|requester| {
            let place = requester.reads.iter().position(|read| read.message.id == message)?;
            Some(match () {
                () if place < requester.asked => Hold::Sent,
                () if !requester.open => Hold::Opening,
                () if place >= OUTSTANDING => Hold::Window,
                () if place > requester.asked => Hold::Behind,
                () => Hold::Ready,
            })
        });
        found.min()
    }
}

impl Roce {
    /// A new queue pair that reads from `dst`, once it is set up.
    pub(super) fn open_requester(&mut self, dst: HostId) -> u32 {
        let qp = self.reads.requesters.len() as u32;
        let (flow, entropy) = self.label(dst, qp);
        self.reads.requesters.push(Requester {
            dst,
            flow,
            entropy,
            reads: VecDeque::new(),
            asked: 0,
            end: 0,
            expected: 0,
            gap: false,
            timeouts: 0,
            failed: false,
            open: self.config.qp_setup == Span::ZERO,
            ready: false,
            notified: Time::NEVER,
        });
        qp
    }

    pub(super) fn post_read(&mut self, cx: &mut HostCx<'_>, qp: u32, message: Message, bytes: u64) {
        let packets = bytes.div_ceil(u64::from(self.config.payload));
        let requester = &mut self.reads.requesters[qp as usize];
        if requester.failed {
            return self.report_failed(cx, message);
        }
        let first = requester.end;
        requester.end = u32::try_from(u64::from(first) + packets).expect("fewer than 2^32 packets");
        requester.reads.push_back(Read { message, bytes, first, end: requester.end });
        if !requester.open && cx.timers.deadline(timeout_timer(qp)) == Time::NEVER {
            cx.timers.set(timeout_timer(qp), cx.now + self.config.qp_setup);
        }
        self.ask(qp);
    }

    /// Puts the queue pair among those that ask, if it has something to ask for.
    fn ask(&mut self, qp: u32) {
        let requester = &mut self.reads.requesters[qp as usize];
        if !requester.ready && requester.may_ask() {
            requester.ready = true;
            self.reads.ready.push_back(qp);
        }
    }

    /// The next request, if there is one.
    pub(super) fn next_request(&mut self, cx: &mut HostCx<'_>) -> Option<Packet> {
        while let Some(qp) = self.reads.ready.pop_front() {
            let requester = &mut self.reads.requesters[qp as usize];
            requester.ready = false;
            if !requester.may_ask() {
                continue;
            }
            let read = requester.reads[requester.asked];
            requester.asked += 1;
            let psn = read.first.max(requester.expected);
            let before = u64::from(psn - read.first) * u64::from(self.config.payload);
            let header = Header {
                sender_qp: qp,
                receiver_qp: UNKNOWN,
                number: read.message.id.0,
                detail: 0,
                length: read.bytes - before,
                stamp: cx.now,
                first: true,
            };
            let packet = Packet {
                phase: Phase::FRESH,
                dst: requester.dst,
                src: self.host,
                flow: requester.flow,
                psn,
                entropy: requester.entropy,
                bytes: self.config.header + self.config.first_header,
                kind: Kind::Control,
                class: Class::DATA,
                flags: 0,
                body: header.pack(),
            };
            if let Some(timeout) = self.config.timeout
                && cx.timers.deadline(timeout_timer(qp)) == Time::NEVER
            {
                cx.timers.set(timeout_timer(qp), cx.now + timeout.after);
            }
            self.ask(qp);
            return Some(packet);
        }
        None
    }

    pub(super) fn on_read_packet(&mut self, cx: &mut HostCx<'_>, packet: &Packet) {
        let header = Header::unpack(packet);
        match packet.kind {
            Kind::Data => self.on_response(cx, packet, &header),
            Kind::Control => self.on_request(cx, packet, &header),
            Kind::Cnp => {
                self.senders[header.sender_qp as usize].control.on_mark(cx.now);
                self.kick(cx.now, header.sender_qp);
            }
            // A request was lost on its way.
            _ => {
                self.reads.requesters[header.sender_qp as usize].restart();
                self.ask(header.sender_qp);
            }
        }
    }

    /// The responder's part: a request in order is answered after those before it; one that asks again is answered
    /// at once, and what was to be sent is dropped.
    fn on_request(&mut self, cx: &mut HostCx<'_>, packet: &Packet, header: &Header) {
        let name = (packet.src, header.sender_qp);
        if !self.reads.responders.contains_key(&name) {
            let sender = self.open(packet.src);
            self.senders[sender as usize].remote = header.sender_qp;
            self.reads.responders.insert(name, Responder { sender, expected: 0, gap: false });
        }
        let responder = self.reads.responders.get_mut(&name).expect("it was just made");
        if packet.psn > responder.expected {
            if !std::mem::replace(&mut responder.gap, true) {
                let (sender, expected) = (responder.sender, responder.expected);
                let header = Header { number: expected, ..*header };
                let reply = (Kind::Nack, self.config.ack_bytes, expected);
                let qp = &self.senders[sender as usize];
                let way = (packet.src, qp.flow, qp.entropy);
                cx.counters.nacks += 1;
                self.tell(way, reply, &header);
            }
            return;
        }
        let sender = responder.sender;
        let packets = header.length.div_ceil(u64::from(self.config.payload)) as u32;
        responder.expected = responder.expected.max(packet.psn + packets);
        responder.gap = false;
        let message = Message {
            id: MessageId(header.number),
            dst: packet.src,
            bytes: header.length,
            slot: 0,
        };
        let qp = &mut self.senders[sender as usize];
        qp.continue_from(packet.psn);
        qp.post(message, header.length, &self.config);
        self.kick(cx.now, sender);
    }

    /// The requester's part: data in order is taken, a gap is asked for again.
    fn on_response(&mut self, cx: &mut HostCx<'_>, packet: &Packet, header: &Header) {
        let qp = header.receiver_qp;
        if packet.has(flags::CE) {
            cx.counters.ecn_marked += 1;
            self.notify(cx, packet, header);
        }
        let requester = &mut self.reads.requesters[qp as usize];
        if requester.failed {
            return;
        }
        if packet.psn > requester.expected {
            cx.counters.out_of_order += 1;
            if !std::mem::replace(&mut requester.gap, true) {
                requester.restart();
                self.ask(qp);
            }
            return;
        }
        if packet.psn < requester.expected {
            cx.counters.duplicates += 1;
            return;
        }
        cx.counters.delivered_bytes += u64::from(header.detail);
        let done = requester.advance();
        let (idle, dst) = (requester.reads.is_empty(), requester.dst);
        match self.config.timeout {
            Some(timeout) if !idle => cx.timers.set(timeout_timer(qp), cx.now + timeout.after),
            _ => cx.timers.cancel(timeout_timer(qp)),
        }
        let Some(message) = done else { return };
        if self.parts.on_sent(message.slot) {
            cx.completions.push(Completion::Received { message: message.id, src: dst });
            cx.completions.push(Completion::Sent { slot: message.slot });
        }
        self.ask(qp);
    }

    /// Notifies the responder of a mark, unless it was done just before.
    fn notify(&mut self, cx: &mut HostCx<'_>, packet: &Packet, header: &Header) {
        let MarkReport::Cnp { interval } = self.config.mark_report else { return };
        let requester = &mut self.reads.requesters[header.receiver_qp as usize];
        if requester.notified != Time::NEVER && cx.now.since(requester.notified) < interval {
            return;
        }
        requester.notified = cx.now;
        cx.counters.cnps += 1;
        let way = (packet.src, requester.flow, requester.entropy);
        self.tell(way, (Kind::Cnp, self.config.cnp_bytes, 0), header);
    }

    /// A short answer, to a host by a way: its kind, length and PSN.
    fn tell(
        &mut self,
        (dst, flow, entropy): (HostId, u32, u16),
        (kind, bytes, psn): (Kind, u16, u32),
        header: &Header,
    ) {
        self.control.push_back(Packet {
            phase: Phase::FRESH,
            dst,
            src: self.host,
            flow,
            psn,
            entropy,
            bytes,
            kind,
            class: self.config.answer_class,
            flags: 0,
            body: header.pack(),
        });
    }

    /// The queue pair is set up, or nothing has come for too long.
    pub(super) fn on_read_timeout(&mut self, cx: &mut HostCx<'_>, qp: u32) {
        let requester = &mut self.reads.requesters[qp as usize];
        if !std::mem::replace(&mut requester.open, true) {
            return self.ask(qp);
        }
        let (Some(timeout), false) = (self.config.timeout, requester.reads.is_empty()) else {
            return;
        };
        cx.counters.timeouts += 1;
        requester.timeouts += 1;
        if timeout.retries.is_some_and(|most| requester.timeouts > most) {
            requester.failed = true;
            let lost: Vec<Read> = requester.reads.drain(..).collect();
            cx.counters.qp_errors += 1;
            lost.into_iter().for_each(|read| self.report_failed(cx, read.message));
            return;
        }
        (requester.gap, requester.asked) = (false, 0);
        cx.timers.set(timeout_timer(qp), cx.now + timeout.after);
        self.ask(qp);
    }
}
