//! The initiator's half of a packet delivery context: messages cut into packets, the two windows that
//! hold them back, and what acknowledgements make of it (`uet-transport.md` §4, 5, 8).

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::HostId;
use fabric::units::{Span, Time};

use crate::uet::config::UetConfig;
use crate::uet::congestion::{AckSample, CongestionControl, NackSample};
use crate::uet::entropy::{Entropy, Feedback};
use crate::uet::header::{Ack, UNKNOWN};
use crate::uet::outstanding::Outstanding;

/// A context carries fewer packets than this (16 TiB of full ones): PSNs do not wrap, and windows that
/// begin below it end below 2³².
const PSN_LIMIT: u64 = (1 << 32) - (1 << 16);

/// A message being sent.
#[derive(Clone, Copy, Debug)]
struct Sending {
    message: Message,
    /// First PSN.
    first: u32,
    /// PSN after the last.
    end: u32,
}

impl Sending {
    /// Payload bytes of packet `psn`: the last carries only what is left.
    #[inline]
    fn payload(&self, psn: u32, full: u16) -> u16 {
        if psn + 1 < self.end {
            return full;
        }
        (self.message.bytes - u64::from(full) * u64::from(psn - self.first)) as u16
    }
}

/// A packet to put on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) psn: u32,
    pub(super) message: Message,
    /// Payload bytes.
    pub(super) payload: u16,
    pub(super) entropy: u16,
    pub(super) retransmitted: bool,
    pub(super) ack_request: bool,
    pub(super) end_of_message: bool,
    /// When it times out.
    pub(super) due: Time,
}

/// See the module.
pub(super) struct Sender<C> {
    pub(super) dst: HostId,
    /// Flow label.
    pub(super) flow: u32,
    /// The target's PDC, once an acknowledgement has named it.
    pub(super) dpdcid: u32,
    /// Stands in the ring of senders that may send.
    pub(super) ready: bool,
    control: C,
    entropy: Entropy,
    outstanding: Outstanding,
    /// PSN after the last of all messages.
    end: u32,
    /// Bytes sent and neither reported as received nor taken for lost. An acknowledgement can show that
    /// a packet was wrongly taken for lost, so this may be negative for a moment.
    in_flight: i64,
    /// Cumulative bytes that the target has reported.
    rcvd_bytes: u64,
    messages: VecDeque<Sending>,
    /// Place in `messages` of the one that the next new packet belongs to.
    current: usize,
}

impl<C: CongestionControl> Sender<C> {
    pub(super) fn new(dst: HostId, flow: u32, control: C, entropy: Entropy) -> Sender<C> {
        Sender {
            dst,
            flow,
            dpdcid: UNKNOWN,
            ready: false,
            control,
            entropy,
            outstanding: Outstanding::default(),
            end: 0,
            in_flight: 0,
            rcvd_bytes: 0,
            messages: VecDeque::new(),
            current: 0,
        }
    }

    /// Bytes that may be in flight.
    pub(super) fn window(&self) -> u64 {
        self.control.window()
    }

    /// Bytes in flight; see the field.
    pub(super) fn in_flight(&self) -> i64 {
        self.in_flight
    }

    /// Packets posted and not acknowledged.
    pub(super) fn backlog(&self) -> u32 {
        self.end - self.outstanding.cack()
    }

    /// Queues a message.
    ///
    /// # Panics
    /// If the context has carried all the packets it can.
    pub(super) fn post(&mut self, message: Message, config: &UetConfig) {
        let first = self.end;
        let end = u64::from(first) + message.bytes.div_ceil(u64::from(config.payload));
        assert!(end < PSN_LIMIT, "message {} takes a context to {end} packets", message.id);
        self.end = end as u32;
        self.messages.push_back(Sending { message, first, end: self.end });
    }

    /// Frame bytes of the packet that would be sent next; `None` if there is none, or PSNs have run too
    /// far ahead of the first that is not acknowledged.
    #[inline]
    fn next_bytes(&self, config: &UetConfig) -> Option<u16> {
        if let Some((_, bytes)) = self.outstanding.first_lost() {
            return Some(bytes);
        }
        let psn = self.outstanding.next();
        if psn == self.end || self.outstanding.span() >= config.mp_range {
            return None;
        }
        Some(self.messages[self.current].payload(psn, config.payload) + config.header)
    }

    /// Whether a packet waits and the windows let it go.
    #[inline]
    pub(super) fn may_send(&self, config: &UetConfig) -> bool {
        let Some(bytes) = self.next_bytes(config) else { return false };
        let room = if config.window_for_mtu { config.mtu() } else { u64::from(bytes) };
        self.in_flight + room as i64 <= self.control.window() as i64
    }

    /// The next packet: what was lost, lowest PSN first, before new data. Only if there is one.
    #[inline]
    pub(super) fn send(&mut self, now: Time, config: &UetConfig) -> Outgoing {
        let entropy = self.entropy.next(now);
        match self.outstanding.first_lost() {
            Some((psn, _)) => self.send_again(psn, now, entropy, config),
            None => self.send_new(now, entropy, config),
        }
    }

    #[inline]
    fn send_new(&mut self, now: Time, entropy: u16, config: &UetConfig) -> Outgoing {
        let sending = self.messages[self.current];
        let payload = sending.payload(self.outstanding.next(), config.payload);
        let bytes = payload + config.header;
        let psn = self.outstanding.send(now, bytes, entropy);
        self.in_flight += i64::from(bytes);
        let end_of_message = psn + 1 == sending.end;
        self.current += usize::from(end_of_message);
        Outgoing {
            psn,
            message: sending.message,
            payload,
            entropy,
            retransmitted: false,
            ack_request: end_of_message || self.window_is_closing(config),
            end_of_message,
            due: now + config.timeout_after(0),
        }
    }

    fn send_again(&mut self, psn: u32, now: Time, entropy: u16, config: &UetConfig) -> Outgoing {
        let record = self.outstanding.send_again(psn, now, entropy);
        self.in_flight += i64::from(record.bytes);
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = self.messages[place];
        Outgoing {
            psn,
            message: sending.message,
            payload: record.bytes - config.header,
            entropy,
            retransmitted: true,
            ack_request: true,
            end_of_message: psn + 1 == sending.end,
            due: now + config.timeout_after(record.tries),
        }
    }

    /// No room for another packet, so the sender wants to hear at once.
    fn window_is_closing(&self, config: &UetConfig) -> bool {
        let window = self.control.window() as i64;
        self.in_flight + config.mtu() as i64 >= window
            || (config.request_below_trigger && window < i64::from(config.ack_trigger))
    }

    /// Takes in the acknowledgement that packet `psn` caused.
    pub(super) fn on_ack(&mut self, now: Time, psn: u32, ack: &Ack, parameters: &C::Parameters) {
        let newly = ack.rcvd_bytes.saturating_sub(self.rcvd_bytes);
        self.rcvd_bytes += newly;
        self.in_flight -= newly as i64;
        let rtt = self.round_trip(now, psn, ack.retransmitted);
        // What was taken for lost was taken out of flight then, and with `newly` again.
        let found = self.outstanding.acknowledge_below(ack.cack)
            + self.outstanding.acknowledge_run(ack.sack_base, ack.sack);
        self.in_flight += found as i64;
        let feedback = if ack.marked { Feedback::Marked } else { Feedback::Good };
        self.entropy.learn(now, ack.entropy, feedback);
        let sample = AckSample { now, newly, marked: ack.marked, rtt, in_flight: self.in_flight };
        self.control.on_ack(parameters, &sample);
    }

    /// A round trip, if the acknowledgement can mean only one transmission: the first of a packet never
    /// sent again, or the second of one sent again once.
    fn round_trip(&self, now: Time, psn: u32, echo: bool) -> Option<Span> {
        let record = self.outstanding.in_flight(psn)?;
        (record.tries == u8::from(echo)).then(|| now.since(record.sent_at))
    }

    /// Takes out the message at the front if all of it is acknowledged.
    pub(super) fn finished(&mut self) -> Option<Message> {
        let front = self.messages.front()?;
        if front.end > self.outstanding.cack() {
            return None;
        }
        self.current -= 1;
        self.messages.pop_front().map(|sending| sending.message)
    }

    /// Takes in a negative acknowledgement: packet `psn` was trimmed. Nothing if it is not in flight.
    pub(super) fn on_nack(
        &mut self,
        now: Time,
        psn: u32,
        nack: &Ack,
        config: &UetConfig,
        parameters: &C::Parameters,
    ) {
        let Some(record) = self.outstanding.in_flight(psn) else { return };
        let bytes = u64::from(record.bytes);
        let left = self.in_flight - bytes as i64;
        let in_flight = if config.nscc.nack_leaves_flight_first { left } else { self.in_flight };
        let sample = NackSample { now, bytes, rtt: now.since(record.sent_at), in_flight };
        self.control.on_nack(parameters, &sample);
        self.in_flight = left;
        self.outstanding.lose(psn);
        // At the last hop the path is not to blame.
        let feedback = match (nack.last_hop, nack.marked) {
            (false, _) => Feedback::Trimmed,
            (true, true) => Feedback::Marked,
            (true, false) => Feedback::Good,
        };
        self.entropy.learn(now, nack.entropy, feedback);
    }

    /// The retransmission timer fired: gives up on the packets that are due, counts them, and returns
    /// when the next one is.
    ///
    /// The timer is not moved with every acknowledgement; it fires when the first packet it was set for
    /// would be due, and the truly first one is found here. What happens is the same as with a timer for
    /// every packet.
    pub(super) fn on_timeout(
        &mut self,
        now: Time,
        config: &UetConfig,
        parameters: &C::Parameters,
        timeouts: &mut u64,
    ) -> Option<Time> {
        while let Some((due, psn)) = self.outstanding.first_due(config) {
            if due > now {
                return Some(due);
            }
            let record = self.outstanding.in_flight(psn).expect("what is due is in flight");
            let blamed = if config.timeout_keeps_entropy { record.entropy } else { 0 };
            self.entropy.learn(now, blamed, Feedback::TimedOut);
            self.control.on_timeout(parameters, u64::from(record.bytes));
            self.in_flight -= i64::from(record.bytes);
            self.outstanding.lose(psn);
            *timeouts += 1;
        }
        None
    }

    /// Nothing is queued or outstanding.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.backlog() == 0
    }

    /// Gives back the memory of the window and the queue; only while idle.
    pub(super) fn release(&mut self) {
        self.outstanding.release();
        self.messages = VecDeque::new();
    }
}
