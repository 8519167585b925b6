//! The requester's half of a queue pair: go-back-N, paced by the congestion control.

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::HostId;
use fabric::units::{Span, Time};

use crate::roce::config::RoceConfig;
use crate::roce::dcqcn::Control;
use crate::roce::header::UNKNOWN;

/// A message being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    message: Message,
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
    pub(super) end_of_message: bool,
    /// When the next packet may leave.
    pub(super) next: Time,
}

/// Where a queue pair stands with the NIC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// Has nothing to send, or its window is full.
    Idle,
    /// In the ring of those that may send.
    Ready,
    /// Waits for its pacing time.
    Paced,
}

/// See the module.
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
}

impl Sender {
    pub(super) fn new(dst: HostId, flow: u32, entropy: u16, config: &RoceConfig) -> Sender {
        Sender {
            dst,
            flow,
            entropy,
            remote: UNKNOWN,
            turn: Turn::Idle,
            control: Control::new(config),
            next_send: Time::ZERO,
            una: 0,
            next: 0,
            sent: 0,
            end: 0,
            messages: VecDeque::new(),
            line: config.rate.bits_per_second() as f64,
        }
    }

    /// Queues a message.
    pub(super) fn post(&mut self, message: Message, config: &RoceConfig) {
        let first = self.end;
        let packets = message.bytes.div_ceil(u64::from(config.payload));
        self.end = u32::try_from(u64::from(first) + packets).expect("fewer than 2^32 packets");
        self.messages.push_back(Sending { message, first, end: self.end });
    }

    /// Everything posted is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.una == self.end
    }

    /// Whether a packet waits and the window lets it go.
    #[inline]
    pub(super) fn may_send(&self, config: &RoceConfig) -> bool {
        if self.next == self.end {
            return false;
        }
        let Some(window) = config.window else { return true };
        let in_flight = u64::from(self.next - self.una) * u64::from(config.payload);
        if !config.window_follows_rate {
            return in_flight < window;
        }
        (in_flight as f64) < window as f64 * (self.control.rate() / self.line)
    }

    /// The next packet.
    pub(super) fn send(&mut self, now: Time, config: &RoceConfig) -> Outgoing {
        let psn = self.next;
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = self.messages[place];
        let full = u64::from(config.payload);
        let end_of_message = psn + 1 == sending.end;
        let payload = if end_of_message {
            sending.message.bytes - full * u64::from(sending.end - 1 - sending.first)
        } else {
            full
        };
        let extra = if psn == sending.first { config.first_header } else { 0 };
        let padded = if config.pads { payload.next_multiple_of(4) } else { payload };
        let bytes = padded as u16 + config.header + extra;
        self.next += 1;
        let retransmitted = psn < self.sent;
        self.sent = self.sent.max(self.next);
        self.control.catch_up(now);
        self.control.on_sent(u64::from(bytes));
        self.next_send = now + self.spacing(u64::from(bytes), config);
        Outgoing {
            psn,
            message: sending.message,
            payload: payload as u32,
            bytes,
            retransmitted,
            end_of_message,
            next: self.next_send,
        }
    }

    fn spacing(&self, bytes: u64, config: &RoceConfig) -> Span {
        self.control.spacing(bytes, config.rate, self.line)
    }

    /// Everything below `psn` has arrived; true if that is news.
    pub(super) fn acknowledge(&mut self, psn: u32) -> bool {
        let news = psn > self.una && psn <= self.sent;
        if news {
            self.una = psn;
            self.next = self.next.max(psn);
        }
        news
    }

    /// Starts over from the oldest packet not acknowledged.
    pub(super) fn go_back(&mut self) {
        self.next = self.una;
    }

    /// Takes out the message at the front if it is finished.
    pub(super) fn finished(&mut self) -> Option<Message> {
        let done = self.messages.front().is_some_and(|sending| sending.end <= self.una);
        if done { self.messages.pop_front().map(|sending| sending.message) } else { None }
    }
}
