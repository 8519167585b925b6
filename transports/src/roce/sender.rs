//! The requester's half of a queue pair: paced by the congestion control, and what it does about losses.

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::{HostId, MessageId};
use fabric::series::ConnectionState;
use fabric::units::{Span, Time};
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::roce::config::{Recovery, RoceConfig};
use crate::roce::congestion::Control;
use crate::roce::header::UNKNOWN;

/// A message being sent, or the part of one that goes by this queue pair.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sending {
    message: Message,
    /// Bytes of the part.
    bytes: u64,
    /// First PSN.
    first: u32,
    /// PSN after the last.
    end: u32,
}

/// A packet to put on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) psn: u32,
    pub(super) message: Message,
    pub(super) payload: u32,
    /// Frame bytes.
    pub(super) bytes: u16,
    pub(super) retransmitted: bool,
    pub(super) first: bool,
    pub(super) end_of_message: bool,
    /// When the next packet may leave.
    pub(super) next: Time,
}

/// Where a queue pair stands with the NIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Turn {
    /// Has nothing to send, or its window is full.
    Idle,
    /// In the ring of those that may send.
    Ready,
    /// Waits for its pacing time.
    Paced,
}

/// What a sender of selective retransmissions knows.
#[derive(Default, Serialize, Deserialize)]
struct Selective {
    /// Packets that have arrived early.
    arrived: RingBits,
    /// PSN after the highest of them.
    highest: u32,
    /// Packets from here to `until` that have not arrived are to be sent again.
    again: u32,
    until: u32,
    /// Losses below this PSN are being mended; `None`: none are known.
    mending: Option<u32>,
}

impl Selective {
    /// The first packet that is to be sent again.
    fn first(&mut self, una: u32) -> Option<u32> {
        self.again = self.again.max(una);
        while self.again < self.until && self.has(self.again) {
            self.again += 1;
        }
        (self.again < self.until).then_some(self.again)
    }

    fn has(&self, psn: u32) -> bool {
        psn < self.highest && self.arrived.get(psn)
    }

    /// The packet `psn` has arrived early.
    fn note(&mut self, una: u32, psn: u32) {
        while psn - una >= self.arrived.capacity() {
            self.arrived = self.arrived.doubled(una);
        }
        self.arrived.set(psn);
        self.highest = self.highest.max(psn + 1);
    }

    /// Everything below `psn` has arrived.
    fn pass(&mut self, from: u32, psn: u32) {
        if from < self.highest {
            self.arrived.clear_range(from, psn.min(self.highest));
        }
        if self.mending.is_some_and(|end| psn >= end) {
            self.mending = None;
        }
    }
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Sender {
    pub(super) dst: HostId,
    /// Flow label.
    pub(super) flow: u32,
    /// UDP source port: one for the life of the queue pair, so one path.
    pub(super) entropy: u16,
    /// The responder's queue pair, once an acknowledgement has named it.
    pub(super) remote: u32,
    pub(super) turn: Turn,
    pub(super) control: Control,
    /// When pacing lets the next packet go.
    pub(super) next_send: Time,
    /// Given up: nothing is sent any more.
    pub(super) failed: bool,
    /// Timeouts since the last progress.
    timeouts: u32,
    /// Oldest PSN not acknowledged.
    una: u32,
    /// Next PSN to send.
    next: u32,
    /// PSN after the last ever sent: below it, sending is retransmission.
    sent: u32,
    /// PSN after the last of all messages.
    end: u32,
    messages: VecDeque<Sending>,
    line: f64,
    /// Frame of the last packet.
    last_frame: u16,
    selective: Option<Box<Selective>>,
    /// The last round trip measured.
    pub(super) rtt: Option<Span>,
}

impl Sender {
    pub(super) fn new(dst: HostId, flow: u32, entropy: u16, config: &RoceConfig) -> Sender {
        let selective = matches!(config.recovery, Recovery::Selective { .. });
        Sender {
            dst,
            flow,
            entropy,
            remote: UNKNOWN,
            turn: Turn::Idle,
            control: Control::new(config),
            next_send: Time::ZERO,
            failed: false,
            timeouts: 0,
            una: 0,
            next: 0,
            sent: 0,
            end: 0,
            messages: VecDeque::new(),
            line: config.rate.bits_per_second() as f64,
            last_frame: 0,
            selective: selective.then(Box::default),
            rtt: None,
        }
    }

    /// What can be seen of the queue pair `number`.
    pub(super) fn state(&self, number: u32, config: &RoceConfig) -> ConnectionState {
        let window = config.window.map(|window| match config.window_follows_rate {
            true => (window as f64 * (self.control.rate() / self.line)) as u64,
            false => window,
        });
        ConnectionState {
            number,
            dst: self.dst,
            window: self.control.window().map(|window| window as u64).or(window),
            rate: Some(self.control.rate() as u64),
            in_flight: Some(u64::from(self.next - self.una) * u64::from(config.payload)),
            rtt: self.rtt,
        }
    }

    /// Queues `bytes` of a message.
    pub(super) fn post(&mut self, message: Message, bytes: u64, config: &RoceConfig) {
        let first = self.end;
        let packets = bytes.div_ceil(u64::from(config.payload));
        self.end = u32::try_from(u64::from(first) + packets).expect("fewer than 2^32 packets");
        self.messages.push_back(Sending { message, bytes, first, end: self.end });
    }

    /// Everything posted is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.una == self.end
    }

    /// PSN after the last ever sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Whether a packet waits and the window lets it go.
    #[inline]
    pub(super) fn may_send(&mut self, config: &RoceConfig) -> bool {
        let una = self.una;
        if self.failed {
            return false;
        }
        if let Some(selective) = &mut self.selective
            && selective.first(una).is_some()
        {
            return true;
        }
        self.next != self.end && self.is_admitted(config)
    }

    /// Whether the window lets a packet go.
    #[inline]
    fn is_admitted(&self, config: &RoceConfig) -> bool {
        let in_flight = u64::from(self.next - self.una) * u64::from(config.payload);
        if let Some(window) = self.control.window() {
            return (in_flight as f64) < window;
        }
        let Some(window) = config.window else { return true };
        if !config.window_follows_rate {
            return in_flight < window;
        }
        (in_flight as f64) < window as f64 * (self.control.rate() / self.line)
    }

    /// What holds back the next packet of a message; `None` once all of it is acknowledged.
    pub(super) fn hold(&self, message: MessageId, now: Time, config: &RoceConfig) -> Option<Hold> {
        let sending = self.messages.iter().find(|sending| sending.message.id == message)?;
        let hold = match () {
            () if sending.end <= self.next => Hold::Sent,
            () if sending.first > self.next => Hold::Behind,
            () if !self.is_admitted(config) => Hold::Window,
            // Before the first packet there is no pace yet.
            () if self.next_send > now && self.sent == 0 => Hold::Opening,
            () if self.next_send > now => Hold::Rate,
            () => Hold::Ready,
        };
        Some(hold)
    }

    /// The PSN whose turn it is.
    fn take_next(&mut self) -> u32 {
        let una = self.una;
        if let Some(selective) = &mut self.selective
            && let Some(psn) = selective.first(una)
        {
            selective.again += 1;
            return psn;
        }
        self.next += 1;
        self.next - 1
    }

    /// The next packet.
    pub(super) fn send(&mut self, now: Time, config: &RoceConfig) -> Outgoing {
        let psn = self.take_next();
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = self.messages[place];
        let full = u64::from(config.payload);
        let end_of_message = psn + 1 == sending.end;
        let payload = if end_of_message {
            sending.bytes - full * u64::from(sending.end - 1 - sending.first)
        } else {
            full
        };
        let first = psn == sending.first;
        let bytes = config.frame(payload, first, end_of_message);
        let retransmitted = psn < self.sent;
        self.sent = self.sent.max(psn + 1);
        self.control.catch_up(now);
        self.control.on_sent(u64::from(bytes));
        self.last_frame = bytes;
        self.next_send = now + self.spacing(config);
        Outgoing {
            psn,
            message: sending.message,
            payload: payload as u32,
            bytes,
            retransmitted,
            first,
            end_of_message,
            next: self.next_send,
        }
    }

    /// Time from the start of the last packet to that of the next, at the present rate.
    pub(super) fn spacing(&self, config: &RoceConfig) -> Span {
        self.control.spacing(u64::from(self.last_frame), config.rate, self.line)
    }

    /// Everything below `psn` has arrived; how many packets are news.
    pub(super) fn acknowledge(&mut self, psn: u32) -> u32 {
        if psn <= self.una || psn > self.sent {
            return 0;
        }
        let newly = psn - self.una;
        if let Some(selective) = &mut self.selective {
            selective.pass(self.una, psn);
        }
        self.una = psn;
        self.next = self.next.max(psn);
        self.timeouts = 0;
        newly
    }

    /// A packet above the oldest one missing has arrived.
    pub(super) fn note_early(&mut self, psn: u32) {
        let una = self.una;
        if let Some(selective) = &mut self.selective
            && psn > una
            && psn < self.sent
        {
            selective.note(una, psn);
        }
    }

    /// The receiver says that packets are lost: go-back-N starts over from the oldest one; selective
    /// retransmission sends what is missing below what has arrived, once until all of it is mended. With
    /// `insists`, the receiver has waited long enough to mean what is sent again too.
    pub(super) fn on_loss(&mut self, insists: bool) {
        let (una, sent) = (self.una, self.sent);
        let Some(selective) = &mut self.selective else {
            self.next = una;
            return;
        };
        if selective.mending.is_none() || (insists && selective.again >= selective.until) {
            selective.mending = Some(sent);
            selective.again = una;
        }
        selective.until = selective.highest;
    }

    /// The timeout ran out: everything not known to have arrived is sent again. True if that has happened
    /// too often.
    pub(super) fn on_timeout(&mut self, retries: Option<u32>) -> bool {
        self.timeouts += 1;
        self.control.on_timeout();
        match &mut self.selective {
            None => self.next = self.una,
            Some(selective) => {
                selective.mending = Some(self.sent);
                (selective.again, selective.until) = (self.una, self.sent);
            }
        }
        retries.is_some_and(|most| self.timeouts > most)
    }

    /// Nobody acknowledges what has been sent: it is done with. So is every message of which nothing is left.
    pub(super) fn forget(&mut self) {
        self.una = self.next;
        while self.finished().is_some() {}
    }

    /// What is posted next begins with `psn`: unless that follows from what there is, it is dropped.
    pub(super) fn continue_from(&mut self, psn: u32) {
        if psn != self.end {
            self.messages.clear();
            (self.una, self.next, self.end) = (psn, psn, psn);
        }
    }

    /// The timeout for what is outstanding.
    pub(super) fn timeout(&self, config: &RoceConfig) -> Option<Span> {
        let timeout = config.timeout?;
        match timeout.few {
            Some((few, after)) if self.sent - self.una <= few => Some(after),
            _ => Some(timeout.after),
        }
    }

    /// Takes out the message at the front if it is finished.
    pub(super) fn finished(&mut self) -> Option<Message> {
        let done = self.messages.front().is_some_and(|sending| sending.end <= self.una);
        if done { self.messages.pop_front().map(|sending| sending.message) } else { None }
    }

    /// Gives the queue pair up; returns what it had to send.
    pub(super) fn give_up(&mut self) -> Vec<Message> {
        self.failed = true;
        self.una = self.end;
        self.messages.drain(..).map(|sending| sending.message).collect()
    }
}
