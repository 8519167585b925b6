//! The initiator's half of a packet delivery context: messages cut into packets, a window of what is
//! outstanding, and what acknowledgements make of it (`uet-transport.md` §4, 5, 8).

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::HostId;
use fabric::units::{Span, Time};

use crate::common::bits::RingBits;
use crate::uet::config::UetConfig;
use crate::uet::congestion::{AckSample, CongestionControl, NackSample};
use crate::uet::entropy::{Entropy, Feedback};
use crate::uet::header::{Ack, UNKNOWN};

/// A packet that has been sent.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    sent_at: Time,
    bytes: u16,
    entropy: u16,
    /// Retransmissions so far.
    tries: u8,
}

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
    pub(super) payload: u32,
    pub(super) message: Message,
    pub(super) entropy: u16,
    pub(super) retransmitted: bool,
    pub(super) ack_request: bool,
    pub(super) end_of_message: bool,
}

/// The smallest ring of records.
const RING: u32 = 64;

/// See the module.
pub(super) struct Sender<C> {
    pub(super) dst: HostId,
    /// Flow label.
    pub(super) flow: u32,
    /// The target's PDC, once an acknowledgement has named it.
    pub(super) dpdcid: u32,
    /// Stands in the ring of senders that may send.
    pub(super) ready: bool,
    pub(super) control: C,
    entropy: Entropy,
    /// Everything below is acknowledged.
    cack: u32,
    /// Next new PSN.
    next: u32,
    /// PSN after the last of all messages.
    end: u32,
    /// Bytes sent and neither acknowledged nor lost; an acknowledgement can come before the
    /// accounting of a spurious retransmission is put right, so it may be negative for a moment.
    in_flight: i64,
    /// Cumulative bytes that the target has reported.
    rcvd_bytes: u64,
    records: Vec<Record>,
    /// Outstanding, or waiting for retransmission.
    unacked: RingBits,
    /// Waiting for retransmission.
    lost: RingBits,
    lost_count: u32,
    messages: VecDeque<Sending>,
    /// Place in `messages` of the one that `next` belongs to.
    current: usize,
}

/// What an acknowledgement found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Messages at the front of the queue that are finished now.
    pub(super) finished: usize,
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
            cack: 0,
            next: 0,
            end: 0,
            in_flight: 0,
            rcvd_bytes: 0,
            records: vec![Record::default(); RING as usize],
            unacked: RingBits::new(RING),
            lost: RingBits::new(RING),
            lost_count: 0,
            messages: VecDeque::new(),
            current: 0,
        }
    }

    /// Queues a message.
    pub(super) fn post(&mut self, message: Message, config: &UetConfig) {
        let first = self.end;
        let packets = message.bytes.div_ceil(u64::from(config.payload));
        let end = u64::from(first) + packets;
        self.end = u32::try_from(end).expect("a context carries fewer than 2^32 packets");
        self.messages.push_back(Sending { message, first, end: self.end });
    }

    fn record(&mut self, psn: u32) -> &mut Record {
        let mask = self.records.len() as u32 - 1;
        &mut self.records[(psn & mask) as usize]
    }

    /// Payload of packet `psn` of a message.
    fn payload(sending: &Sending, psn: u32, config: &UetConfig) -> u64 {
        let full = u64::from(config.payload);
        if psn + 1 < sending.end {
            full
        } else {
            sending.message.bytes - full * u64::from(sending.end - 1 - sending.first)
        }
    }

    /// Frame bytes of the packet that would be sent next; `None` if there is none.
    fn next_bytes(&mut self, config: &UetConfig) -> Option<u64> {
        if self.lost_count > 0 {
            let psn = self.lost.first_set(self.cack, self.next).expect("counted as lost");
            return Some(u64::from(self.record(psn).bytes));
        }
        if self.next == self.end || self.next - self.cack >= config.mp_range {
            return None;
        }
        let payload = Self::payload(&self.messages[self.current], self.next, config);
        Some(payload + u64::from(config.header))
    }

    /// Whether data waits and the windows let it go.
    #[inline]
    pub(super) fn may_send(&mut self, config: &UetConfig) -> bool {
        if self.next == self.end && self.lost_count == 0 {
            return false;
        }
        let Some(bytes) = self.next_bytes(config) else { return false };
        let room = if config.window_for_mtu { config.mtu() } else { bytes };
        self.in_flight + room as i64 <= self.control.window() as i64
    }

    /// The next packet: retransmissions, lowest PSN first, before new data.
    #[inline]
    pub(super) fn send(&mut self, now: Time, config: &UetConfig) -> Outgoing {
        let entropy = self.entropy.next(now);
        if self.lost_count > 0 {
            return self.send_again(now, entropy, config);
        }
        if self.next - self.cack == self.records.len() as u32 {
            self.grow();
        }
        let psn = self.next;
        let sending = self.messages[self.current];
        let payload = Self::payload(&sending, psn, config);
        let bytes = payload as u16 + config.header;
        *self.record(psn) = Record { sent_at: now, bytes, entropy, tries: 0 };
        self.unacked.set(psn);
        self.in_flight += i64::from(bytes);
        self.next += 1;
        let end_of_message = self.next == sending.end;
        if end_of_message {
            self.current += 1;
        }
        Outgoing {
            psn,
            payload: payload as u32,
            message: sending.message,
            entropy,
            retransmitted: false,
            ack_request: end_of_message || self.window_is_closing(config),
            end_of_message,
        }
    }

    fn send_again(&mut self, now: Time, entropy: u16, config: &UetConfig) -> Outgoing {
        let psn = self.lost.first_set(self.cack, self.next).expect("counted as lost");
        self.lost.clear(psn);
        self.lost_count -= 1;
        let record = self.record(psn);
        record.sent_at = now;
        record.entropy = entropy;
        record.tries = record.tries.saturating_add(1);
        let bytes = record.bytes;
        self.in_flight += i64::from(bytes);
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = self.messages[place];
        Outgoing {
            psn,
            payload: u32::from(bytes - config.header),
            message: sending.message,
            entropy,
            retransmitted: true,
            ack_request: true,
            end_of_message: psn + 1 == sending.end,
        }
    }

    /// No room for another packet, so the sender wants to hear at once.
    fn window_is_closing(&self, config: &UetConfig) -> bool {
        let window = self.control.window() as i64;
        self.in_flight + config.mtu() as i64 >= window
            || (config.request_below_trigger && window < i64::from(config.ack_trigger))
    }

    fn grow(&mut self) {
        let old = self.records.len() as u32;
        let mut records = vec![Record::default(); old as usize * 2];
        for psn in self.cack..self.next {
            records[(psn & (2 * old - 1)) as usize] = self.records[(psn & (old - 1)) as usize];
        }
        self.records = records;
        self.unacked = self.unacked.doubled(self.cack);
        self.lost = self.lost.doubled(self.cack);
    }

    /// Takes in an acknowledgement.
    pub(super) fn on_ack(
        &mut self,
        now: Time,
        psn: u32,
        ack: &Ack,
        parameters: &C::Parameters,
    ) -> Progress {
        let newly = ack.rcvd_bytes.saturating_sub(self.rcvd_bytes);
        self.rcvd_bytes += newly;
        self.in_flight -= newly as i64;
        let rtt = self.sample(now, psn, ack.retransmitted);
        self.acknowledge_below(ack.cack);
        self.acknowledge_sack(ack);
        let feedback = if ack.marked { Feedback::Marked } else { Feedback::Good };
        self.entropy.learn(now, ack.entropy, feedback);
        let sample = AckSample { now, newly, marked: ack.marked, rtt, in_flight: self.in_flight };
        self.control.on_ack(parameters, &sample);
        let finished = self.messages.iter().take_while(|sending| sending.end <= self.cack).count();
        Progress { finished }
    }

    /// Takes the message at the front out; it is finished.
    pub(super) fn finish(&mut self) -> Message {
        self.current -= 1;
        self.messages.pop_front().expect("a finished message").message
    }

    /// A round trip, if the acknowledgement can only mean one transmission: the first of a packet never
    /// sent again, or the second of one sent again once.
    fn sample(&mut self, now: Time, psn: u32, echo: bool) -> Option<Span> {
        let outstanding = self.in_window(psn) && self.unacked.get(psn) && !self.lost.get(psn);
        let record = *self.record(psn);
        let valid = outstanding && record.tries == u8::from(echo);
        valid.then(|| now.since(record.sent_at))
    }

    fn in_window(&self, psn: u32) -> bool {
        (self.cack..self.next).contains(&psn)
    }

    fn acknowledge_below(&mut self, cack: u32) {
        let cack = cack.min(self.next);
        let mut next = self.unacked.first_set(self.cack, cack.max(self.cack));
        while let Some(psn) = next {
            self.acknowledge(psn);
            next = self.unacked.first_set(psn + 1, cack);
        }
        self.cack = self.cack.max(cack);
    }

    fn acknowledge_sack(&mut self, ack: &Ack) {
        if ack.sack == 0 || ack.sack_base >= self.next {
            return;
        }
        // Bits below the window are of numbers long acknowledged; the ring holds others there.
        let below = self.cack.saturating_sub(ack.sack_base);
        if below >= 64 {
            return;
        }
        let window = u64::MAX << below;
        let above = self.next - ack.sack_base;
        let window = if above < 64 { window & ((1 << above) - 1) } else { window };
        let mut newly = ack.sack & window & self.unacked.run(ack.sack_base);
        while newly != 0 {
            self.acknowledge(ack.sack_base + newly.trailing_zeros());
            newly &= newly - 1;
        }
    }

    fn acknowledge(&mut self, psn: u32) {
        self.unacked.clear(psn);
        if self.lost.get(psn) {
            // It was taken for lost and subtracted then; the target's count subtracted it again.
            self.lost.clear(psn);
            self.lost_count -= 1;
            self.in_flight += i64::from(self.record(psn).bytes);
        }
    }

    /// Takes in a negative acknowledgement; false if the packet is not outstanding.
    pub(super) fn on_nack(
        &mut self,
        now: Time,
        psn: u32,
        nack: &Ack,
        config: &UetConfig,
        parameters: &C::Parameters,
    ) -> bool {
        if !self.in_window(psn) || !self.unacked.get(psn) || self.lost.get(psn) {
            return false;
        }
        let record = *self.record(psn);
        let bytes = u64::from(record.bytes);
        if config.nscc.nack_leaves_flight_first {
            self.in_flight -= bytes as i64;
        }
        let rtt = now.since(record.sent_at);
        let sample = NackSample { now, bytes, rtt, in_flight: self.in_flight };
        self.control.on_nack(parameters, &sample);
        if !config.nscc.nack_leaves_flight_first {
            self.in_flight -= bytes as i64;
        }
        self.lose(psn);
        // At the last hop the path is not to blame.
        let feedback = match (nack.last_hop, nack.marked) {
            (false, _) => Feedback::Trimmed,
            (true, true) => Feedback::Marked,
            (true, false) => Feedback::Good,
        };
        self.entropy.learn(now, nack.entropy, feedback);
        true
    }

    fn lose(&mut self, psn: u32) {
        self.lost.set(psn);
        self.lost_count += 1;
    }

    /// When the oldest outstanding packet times out; `None` with nothing outstanding.
    fn oldest(&mut self, config: &UetConfig) -> Option<(Time, u32)> {
        let mut oldest: Option<(Time, u32)> = None;
        let mut next = self.unacked.first_set(self.cack, self.next);
        while let Some(psn) = next {
            if !self.lost.get(psn) {
                let record = self.record(psn);
                let backoff = if config.rto_backoff { record.tries.min(10) } else { 0 };
                let due = record.sent_at + config.rto * (1 << backoff);
                oldest = Some(oldest.map_or((due, psn), |known| known.min((due, psn))));
            }
            next = self.unacked.first_set(psn + 1, self.next);
        }
        oldest
    }

    /// The retransmission timer fired: gives up on what is due, and returns when to look again.
    ///
    /// The timer is not moved with every acknowledgement; it fires at the first deadline it was given
    /// and finds the true one here, which is the same as a timer for every packet.
    pub(super) fn on_timeout(
        &mut self,
        now: Time,
        config: &UetConfig,
        parameters: &C::Parameters,
        timeouts: &mut u64,
    ) -> Option<Time> {
        while let Some((due, psn)) = self.oldest(config) {
            if due > now {
                return Some(due);
            }
            let Record { bytes, entropy, .. } = *self.record(psn);
            let blamed = if config.timeout_keeps_entropy { entropy } else { 0 };
            self.entropy.learn(now, blamed, Feedback::TimedOut);
            self.control.on_timeout(parameters, u64::from(bytes));
            self.in_flight -= i64::from(bytes);
            self.lose(psn);
            *timeouts += 1;
        }
        None
    }

    /// Nothing is queued or outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.cack == self.end
    }

    /// Gives back the memory of the window; only while idle.
    pub(super) fn shrink(&mut self) {
        debug_assert!(self.is_idle());
        self.records = vec![Record::default(); RING as usize];
        self.unacked = RingBits::new(RING);
        self.lost = RingBits::new(RING);
    }
}
