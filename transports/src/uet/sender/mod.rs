//! The initiator's half of a packet delivery context: what goes out next, and what acknowledgements make
//! of what is out (`uet-transport.md` §2, 4, 5, 8).
//!
//! - `end`: how it ends, and what it leaves behind

mod end;

use fabric::ids::{HostId, MessageId};
use fabric::units::{Span, Time};
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use crate::uet::ccc::Ccc;
use crate::uet::config::{Delivery, LossInference, UetConfig};
use crate::uet::congestion::{AckSample, CongestionControl, NackSample};
use crate::uet::entropy::{Entropy, Feedback};
use crate::uet::guaranteed;
use crate::uet::header::{Ack, NackCode, UNKNOWN};
use crate::uet::initiator::RETURN;
use crate::uet::messages::{Messages, Pending, Piece, Run, Stage};
use crate::uet::outstanding::Outstanding;
use crate::uet::recovery::Recovery;

/// A context takes no new messages from this PSN on: one that is closed and opened again begins below
/// 2³¹, and PSNs never wrap within one.
const PSN_LIMIT: u32 = 3 << 30;

/// Where a PDC is in its life, seen by its initiator (`uet-transport.md` §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum State {
    /// Takes messages. In the SYN state until the target's PDC is known.
    Open,
    /// Takes no new messages; closes when all are done.
    Quiesce,
    /// CLOSE_CMD is out.
    AckWait,
    /// Free to be used again.
    Closed,
}

/// A packet to put on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) psn: u32,
    pub(super) piece: Piece,
    pub(super) entropy: u16,
    pub(super) retransmitted: bool,
    pub(super) ack_request: bool,
    /// Demand for credit (RCCC).
    pub(super) credit_target: u32,
    /// How far below it the first packet lies that is not answered yet.
    pub(super) clear: u32,
    /// When it times out.
    pub(super) due: Time,
}

/// What the retransmission timer led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timeout {
    /// The next packet is due then.
    Next(Time),
    /// Nothing is in flight.
    Quiet,
    /// A packet has timed out too often.
    Failed,
}

/// Memory for the packets and messages of a context, which the next one takes over.
#[derive(Default)]
pub(super) struct Room {
    outstanding: Outstanding,
    messages: Messages,
}

impl Room {
    /// Whether it is worth keeping for messages that may never come.
    pub(super) fn is_small(&self) -> bool {
        self.outstanding.room() <= 64
    }
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Sender {
    pub(super) dst: HostId,
    /// Flow label.
    pub(super) flow: u32,
    /// The target's PDC, once an acknowledgement has named it.
    pub(super) dpdcid: u32,
    /// Its congestion control context.
    pub(super) ccc: u32,
    /// First PSN.
    pub(super) start: u32,
    /// Stands in the ring of senders that may send.
    pub(super) ready: bool,
    /// The target was out of resources: nothing goes out for a while.
    pub(super) held: bool,
    pub(super) state: State,
    delivery: Delivery,
    entropy: Entropy,
    outstanding: Outstanding,
    messages: Messages,
    /// Packets that may be outstanding.
    mp_range: u32,
    recovery: Recovery,
    /// Resource NACKs and closing attempts in a row.
    pub(super) tries: u8,
    /// It sends in the return direction of a PDC that the other side opened, and will close.
    pub(super) is_return: bool,
    /// Reads that wait for data in the return direction.
    pub(super) reading: u32,
    /// The receiver of that data.
    pub(super) returns: Option<u32>,
}

impl Sender {
    pub(super) fn new(
        dst: HostId,
        flow: u32,
        ccc: u32,
        start: u32,
        entropy: Entropy,
        room: Room,
        config: &UetConfig,
    ) -> Sender {
        let Room { outstanding, messages } = room;
        Sender {
            dst,
            flow,
            dpdcid: UNKNOWN,
            ccc,
            start,
            ready: false,
            held: false,
            state: State::Open,
            delivery: config.delivery,
            entropy,
            outstanding: outstanding.begun(start),
            messages,
            mp_range: config.mp_range,
            recovery: Recovery::default(),
            tries: 0,
            is_return: false,
            reading: 0,
            returns: None,
        }
    }

    /// Packets posted and not acknowledged.
    pub(super) fn backlog(&self, config: &UetConfig) -> u32 {
        self.outstanding.span() + self.messages.waiting_packets(config.payload) as u32
    }

    /// Whether it takes another message.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open && self.outstanding.next() < PSN_LIMIT
    }

    /// Whether an acknowledgement is of this context, not of one that had its number before.
    #[inline]
    pub(super) fn is_answered_by(&self, ack: &Ack) -> bool {
        let named = self.dpdcid & RETURN == 0;
        // The command to close has a PSN of its own.
        let sent = self.close_psn() + u32::from(self.state == State::AckWait);
        let within = ack.rudi || ack.cack.wrapping_sub(self.start) <= sent - self.start;
        within && (!named || ack.dpdcid == self.dpdcid || self.delivery == Delivery::Rudi)
    }

    /// Whether `psn` is in flight.
    pub(super) fn has_in_flight(&self, psn: u32) -> bool {
        self.outstanding.in_flight(psn).is_some()
    }

    /// Queues a message.
    pub(super) fn post<C: CongestionControl>(
        &mut self,
        pending: Pending,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
    ) {
        let packets = pending.left.div_ceil(u64::from(config.payload)).max(1);
        ccc.unsent += (pending.left + packets * u64::from(pending.header)) as i64;
        self.messages.post(pending);
    }

    /// Frame bytes of the packet that would be sent next; `None` if there is none, or PSNs have run too
    /// far ahead of the first that is not acknowledged, or of the first at all while the target's
    /// context is not known.
    #[inline]
    fn next_bytes(&self, config: &UetConfig) -> Option<u16> {
        if let Some((_, bytes)) = self.outstanding.first_lost() {
            return Some(bytes);
        }
        // spec: pds-mp-range
        // spec: pds-psn-offset
        let far = self.outstanding.span() >= self.mp_range || self.is_opening(config);
        if far { None } else { self.messages.next_bytes(config.payload) }
    }

    /// As many packets are out as may be before the target has named its context.
    #[inline]
    fn is_opening(&self, config: &UetConfig) -> bool {
        self.dpdcid == UNKNOWN && self.outstanding.next() - self.start > config.syn_range
    }

    /// What holds back the next packet of a message; `None` if nothing of it is here.
    pub(super) fn hold<C: CongestionControl>(
        &self,
        message: MessageId,
        ccc: &Ccc<C>,
        config: &UetConfig,
    ) -> Option<Hold> {
        // What was lost goes first, whichever message it is of.
        let again = self.outstanding.lost() > 0;
        let hold = match self.messages.stage(message)? {
            Stage::Sent if !again => Hold::Sent,
            Stage::Behind if !again => Hold::Behind,
            _ if self.held => Hold::Refused,
            _ if !again && self.is_opening(config) => Hold::Opening,
            _ if !ccc.has_credit(config) => Hold::Credit,
            _ if self.may_send(ccc, config) => Hold::Ready,
            _ => Hold::Window,
        };
        Some(hold)
    }

    /// Whether a packet waits and the windows let it go.
    #[inline]
    pub(super) fn may_send<C: CongestionControl>(&self, ccc: &Ccc<C>, config: &UetConfig) -> bool {
        let Some(bytes) = self.next_bytes(config) else { return false };
        !self.held
            && (ccc.admits(bytes, config)
                || (self.recovery.is_on() && self.outstanding.lost() > 0 && ccc.has_credit(config)))
    }

    /// The next packet: what was lost, lowest PSN first, before new data. Only if there is one. `waiting`
    /// is how many senders want the NIC.
    #[inline]
    pub(super) fn send<C: CongestionControl>(
        &mut self,
        now: Time,
        ccc: &mut Ccc<C>,
        waiting: usize,
        config: &UetConfig,
    ) -> Outgoing {
        let entropy = self.entropy.next(now);
        match self.outstanding.first_lost() {
            Some((psn, _)) => self.send_again(psn, now, entropy, ccc, waiting, config),
            None => self.send_new(now, entropy, ccc, waiting, config),
        }
    }

    #[inline]
    fn send_new<C: CongestionControl>(
        &mut self,
        now: Time,
        entropy: u16,
        ccc: &mut Ccc<C>,
        waiting: usize,
        config: &UetConfig,
    ) -> Outgoing {
        let psn = self.outstanding.next();
        let piece = self.messages.cut(psn, config.payload, config.interleave);
        self.outstanding.send(now, piece.bytes, entropy);
        if guaranteed::in_ack(piece.op, piece.message.bytes, config).is_some() {
            self.outstanding.await_response(psn);
        }
        ccc.unsent -= i64::from(piece.bytes);
        let credit_target = ccc.on_sent(piece.bytes, waiting, config);
        Outgoing {
            psn,
            piece,
            entropy,
            retransmitted: false,
            ack_request: piece.last || ccc.is_closing(config),
            credit_target,
            clear: psn - self.tell_clear(),
            due: now + config.timeout_after(0),
        }
    }

    fn send_again<C: CongestionControl>(
        &mut self,
        psn: u32,
        now: Time,
        entropy: u16,
        ccc: &mut Ccc<C>,
        waiting: usize,
        config: &UetConfig,
    ) -> Outgoing {
        let record = self.outstanding.send_again(psn, now, entropy);
        ccc.lost -= i64::from(record.bytes);
        let credit_target = ccc.on_sent(record.bytes, waiting, config);
        Outgoing {
            psn,
            piece: self.messages.piece(psn, config.payload),
            entropy,
            retransmitted: true,
            ack_request: true,
            credit_target,
            clear: psn - self.tell_clear(),
            due: now + config.timeout_after(record.timeouts),
        }
    }

    /// Takes in the acknowledgement that packet `psn` caused; the round trip that it shows, if it shows one.
    pub(super) fn on_ack<C: CongestionControl>(
        &mut self,
        now: Time,
        psn: u32,
        ack: &Ack,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
        parameters: &C::Parameters,
    ) -> Option<Span> {
        self.tries = 0;
        if ack.mpr > 0 {
            self.mp_range = config.mp_range.min(u32::from(ack.mpr) * 128);
        }
        let rtt = if ack.probe {
            self.recovery.round_trip(now, psn)
        } else {
            self.round_trip(now, psn, ack.retransmitted)
        };
        let newly = if ack.rudi { self.respond(psn, ccc) } else { ccc.on_received(ack.rcvd_bytes) };
        // What was taken for lost was taken out of flight then, and with `newly` again.
        let found = self.outstanding.acknowledge_below(ack.cack)
            + self.outstanding.acknowledge_run(ack.sack_base, ack.sack);
        ccc.in_flight += found as i64;
        ccc.lost -= found as i64;
        if ack.rudi {
            ccc.in_flight -= found as i64;
            self.outstanding.advance();
        }
        let feedback = if ack.marked { Feedback::Marked } else { Feedback::Good };
        self.entropy.learn(now, ack.entropy, feedback);
        let in_flight = ccc.in_flight;
        let (penalty, restore) = (ack.penalty, ack.restore);
        let (marked, probe) = (ack.marked, ack.probe);
        let sample = AckSample { now, newly, marked, rtt, probe, in_flight, penalty, restore };
        ccc.control.on_ack(parameters, &sample);
        if config.inference == LossInference::Sleek && !ack.rudi {
            let delay = rtt.map(|rtt| rtt - config.base_rtt.min(rtt));
            let clear = ack.probe && delay.is_some_and(|delay| delay < config.target_delay());
            self.infer(ack, clear, ccc, config, parameters);
        }
        ccc.credit.stop_speculating();
        if rtt.is_some() {
            ccc.rtt = rtt;
        }
        rtt
    }

    /// The guaranteed response to `psn` has come: the request, unless it had come before.
    pub(super) fn on_response<C>(
        &mut self,
        psn: u32,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
    ) -> Option<Piece> {
        let found = self.outstanding.answer(psn)?;
        ccc.in_flight += found as i64;
        ccc.lost -= found as i64;
        Some(self.messages.piece(psn, config.payload))
    }

    /// The target keeps responses that have come and that nothing has cleared.
    pub(super) fn owes_clear(&self) -> bool {
        self.outstanding.owes_clear()
    }

    /// Notes that the target is told what it need not keep: everything below the PSN returned.
    #[inline]
    pub(super) fn tell_clear(&mut self) -> u32 {
        self.outstanding.tell_clear()
    }

    /// A RUDI response: takes its one packet out of flight; the bytes that it acknowledges.
    fn respond<C>(&mut self, psn: u32, ccc: &mut Ccc<C>) -> u64 {
        let bytes = self.outstanding.in_flight(psn).map_or(0, |record| u64::from(record.bytes));
        ccc.in_flight -= bytes as i64;
        bytes
    }

    /// A round trip, if the acknowledgement can mean only one transmission: the first of a packet never
    /// sent again, or the second of one sent again once.
    fn round_trip(&self, now: Time, psn: u32, echo: bool) -> Option<Span> {
        let record = self.outstanding.in_flight(psn)?;
        (record.tries == u8::from(echo)).then(|| now.since(record.sent_at))
    }

    /// SLEEK: takes for lost what a recovery finds missing.
    fn infer<C: CongestionControl>(
        &mut self,
        ack: &Ack,
        clear: bool,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
        parameters: &C::Parameters,
    ) {
        let window = ccc.control.window().min(config.window_max());
        let (lost, next) = (self.outstanding.lost(), self.outstanding.next());
        let range = self.recovery.on_ack(ack, clear, window, lost, next, config);
        for psn in range {
            let Some(record) = self.outstanding.in_flight(psn) else { continue };
            self.give_up(psn, u64::from(record.bytes), ccc);
            self.recovery.note(psn);
            if config.nscc.cut_on_inferred {
                ccc.control.on_timeout(parameters, u64::from(record.bytes));
            }
        }
    }

    /// Takes a packet in flight for lost.
    fn give_up<C>(&mut self, psn: u32, bytes: u64, ccc: &mut Ccc<C>) {
        ccc.in_flight -= bytes as i64;
        ccc.lost += bytes as i64;
        self.outstanding.lose(psn);
    }

    /// Takes out the next message of which all is acknowledged.
    #[inline]
    pub(super) fn finished(&mut self) -> Option<Run> {
        self.messages.finished(self.outstanding.cack())
    }

    /// Takes in a negative acknowledgement of packet `psn`. Nothing if it is not in flight.
    pub(super) fn on_nack<C: CongestionControl>(
        &mut self,
        now: Time,
        psn: u32,
        nack: &Ack,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
        parameters: &C::Parameters,
    ) {
        let Some(record) = self.outstanding.in_flight(psn) else { return };
        let bytes = u64::from(record.bytes);
        match nack.code {
            NackCode::Trimmed | NackCode::TrimmedLastHop => {
                let last_hop = nack.code == NackCode::TrimmedLastHop;
                // At the last hop the path is not to blame.
                let feedback = match (last_hop, nack.marked) {
                    (false, _) => Feedback::Trimmed,
                    (true, true) => Feedback::Marked,
                    (true, false) => Feedback::Good,
                };
                self.entropy.learn(now, nack.entropy, feedback);
                let rtt = if config.nscc.stale_nacks {
                    Some(now.since(record.sent_at))
                } else if record.tries > 0 && !nack.retransmitted {
                    // The transmission that was trimmed has been given up, and the window was told of it then.
                    // spec: pds-nack-stale
                    return;
                } else {
                    self.round_trip(now, psn, nack.retransmitted)
                };
                let left = ccc.in_flight - bytes as i64;
                let first = config.nscc.nack_leaves_flight_first;
                let in_flight = if first { left } else { ccc.in_flight };
                let sample = NackSample { now, bytes, rtt, in_flight, last_hop };
                ccc.control.on_nack(parameters, &sample);
            }
            NackCode::RcvrInferLoss => {
                // The packets behind it show that its path is slow or broken, not that a queue is full.
                self.entropy.learn(now, record.entropy, Feedback::Trimmed);
                if config.nscc.cut_on_inferred {
                    ccc.control.on_timeout(parameters, bytes);
                }
            }
            // Out of order: one go-back a round trip is enough.
            NackCode::RodOoo if record.tries > 0 && now.since(record.sent_at) < config.base_rtt => {
                return;
            }
            _ => {}
        }
        if self.delivery == Delivery::Rod {
            let bytes = self.outstanding.lose_from(psn) as i64;
            ccc.in_flight -= bytes;
            ccc.lost += bytes;
        } else {
            self.give_up(psn, bytes, ccc);
        }
        ccc.credit.stop_speculating();
    }

    /// The retransmission timer fired: gives up on the packets that are due and counts them.
    ///
    /// The timer is not moved with every acknowledgement; it fires when the first packet it was set for
    /// would be due, and the truly first one is found here. What happens is the same as with a timer for
    /// every packet.
    pub(super) fn on_timeout<C: CongestionControl>(
        &mut self,
        now: Time,
        ccc: &mut Ccc<C>,
        config: &UetConfig,
        parameters: &C::Parameters,
        timeouts: &mut u64,
    ) -> Timeout {
        while let Some((due, psn)) = self.outstanding.first_due(config) {
            if due > now {
                return Timeout::Next(due);
            }
            let record = self.outstanding.in_flight(psn).expect("what is due is in flight");
            let blamed = if config.timeout_keeps_entropy { record.entropy } else { 0 };
            self.entropy.learn(now, blamed, Feedback::TimedOut);
            ccc.control.on_timeout(parameters, u64::from(record.bytes));
            self.outstanding.note_timeout(psn);
            self.give_up(psn, u64::from(record.bytes), ccc);
            *timeouts += 1;
            // spec: pds-rto-limit
            if config.max_timeouts.is_some_and(|most| record.timeouts >= most) {
                return Timeout::Failed;
            }
            if self.delivery == Delivery::Rod {
                let bytes = self.outstanding.lose_from(psn) as i64;
                ccc.in_flight -= bytes;
                ccc.lost += bytes;
            }
        }
        Timeout::Quiet
    }

    /// A packet waits, sent before or not.
    pub(super) fn is_waiting(&self) -> bool {
        self.outstanding.lost() > 0 || !self.messages.is_sent()
    }

    /// Data waits and nothing is in flight that could bring word of the target.
    pub(super) fn is_starved(&self) -> bool {
        self.outstanding.is_quiet() && !self.messages.is_empty()
    }

    /// The next probe: its number, the PSN to ask about (the last one sent) and its EV. `None` when nothing is
    /// outstanding.
    pub(super) fn probe(&mut self, now: Time) -> Option<(u16, u32, u16)> {
        if self.outstanding.span() == 0 {
            return None;
        }
        let psn = self.outstanding.next() - 1;
        Some((self.recovery.next_probe(now), psn, self.entropy.next(now)))
    }

    /// How long after an acknowledgement the tail is probed; `None` when nothing is outstanding.
    pub(super) fn probe_after(&self, config: &UetConfig) -> Option<Span> {
        // A RUDI target has no state to ask about.
        if self.outstanding.span() == 0 || self.delivery == Delivery::Rudi {
            return None;
        }
        if config.tail_probe.is_some() {
            return config.tail_probe;
        }
        let backlog = !self.messages.is_sent();
        let wait =
            if backlog { config.base_rtt * 3 } else { config.base_rtt + config.target_delay() };
        (config.inference == LossInference::Sleek).then_some(wait)
    }

    /// Packets are in flight or lost.
    pub(super) fn has_outstanding(&self) -> bool {
        self.outstanding.span() > 0
    }

    /// Nothing is queued or outstanding.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.span() == 0 && self.messages.is_empty()
    }

    /// The PSN of CLOSE_CMD: the one after the last.
    pub(super) fn close_psn(&self) -> u32 {
        self.outstanding.next()
    }
}
