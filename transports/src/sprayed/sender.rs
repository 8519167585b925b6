//! The sending half of a connection: what is outstanding, what is lost, and what may go.

use std::collections::VecDeque;

use fabric::endpoint::Message;
use fabric::ids::{HostId, MessageId};
use fabric::rng::Stream;
use fabric::series::ConnectionState;
use fabric::units::{Span, Time};
use fabric::watch::Hold;
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::sprayed::config::{Rival, SprayedConfig};
use crate::sprayed::header::UNKNOWN;
use crate::sprayed::paths::Paths;
use crate::sprayed::srd::Srd;
use crate::sprayed::strack::Strack;

/// A message being sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sending {
    message: Message,
    /// First PSN.
    first: u32,
    /// PSN after the last.
    end: u32,
    /// Packets not acknowledged.
    left: u32,
}

/// What allows sending.
#[derive(Serialize, Deserialize)]
enum Governor {
    Srd(Srd),
    Strack(Strack),
    /// Packets that may still be sent, and pulls heard.
    Pulled {
        credit: u32,
        pulls: u32,
    },
}

/// A packet to put on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) psn: u32,
    pub(super) message: Message,
    pub(super) payload: u32,
    pub(super) entropy: u16,
    pub(super) retransmitted: bool,
    pub(super) end_of_message: bool,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Sender {
    pub(super) dst: HostId,
    pub(super) flow: u32,
    /// The receiver's number for the connection, once it has told.
    pub(super) remote: u32,
    /// It stands in the NIC's ring.
    pub(super) ready: bool,
    governor: Governor,
    paths: Paths,
    random: Stream,
    messages: VecDeque<Sending>,
    /// Oldest PSN not acknowledged, next to be sent for the first time, after the last of all messages.
    una: u32,
    next: u32,
    end: u32,
    acked: RingBits,
    /// Sent, and neither acknowledged nor lost.
    flying: RingBits,
    in_flight: u32,
    /// When each PSN from `una` on was last sent.
    sent_at: VecDeque<Time>,
    /// PSNs in the order of sending.
    order: VecDeque<(u32, Time)>,
    lost: VecDeque<u32>,
    /// Timeouts in a row.
    timeouts: u32,
    /// The last round trip measured.
    pub(super) rtt: Option<Span>,
}

impl Sender {
    pub(super) fn new(dst: HostId, config: &SprayedConfig, mut random: Stream) -> Sender {
        let flow = random.bits();
        let (governor, paths) = match config.rival {
            Rival::Srd(options) => {
                let paths = Paths::quicker(config.paths, config.base_rtt);
                (Governor::Srd(Srd::new(options)), paths)
            }
            Rival::Strack(options) => {
                let paths = Paths::skip_marked(config.paths, &mut random);
                (Governor::Strack(Strack::new(options)), paths)
            }
            Rival::Ndp(_) => {
                (Governor::Pulled { credit: 0, pulls: 0 }, Paths::permuted(config.paths))
            }
        };
        Sender {
            dst,
            flow,
            remote: UNKNOWN,
            ready: false,
            governor,
            paths,
            random,
            messages: VecDeque::new(),
            una: 0,
            next: 0,
            end: 0,
            acked: RingBits::new(64),
            flying: RingBits::new(64),
            in_flight: 0,
            sent_at: VecDeque::new(),
            order: VecDeque::new(),
            lost: VecDeque::new(),
            timeouts: 0,
            rtt: None,
        }
    }

    /// What can be seen of the connection `number`.
    pub(super) fn state(&self, number: u32, config: &SprayedConfig) -> ConnectionState {
        let window = match &self.governor {
            Governor::Srd(srd) => Some(srd.window()),
            Governor::Strack(strack) => Some(strack.window()),
            Governor::Pulled { .. } => None,
        };
        let payload = u64::from(config.payload);
        ConnectionState {
            number,
            dst: self.dst,
            window: window.map(|packets| (packets * payload as f64) as u64),
            rate: None,
            in_flight: Some(u64::from(self.in_flight) * payload),
            rtt: self.rtt,
        }
    }

    /// Queues a message.
    pub(super) fn post(&mut self, message: Message, config: &SprayedConfig) {
        let packets = message.bytes.div_ceil(u64::from(config.payload));
        if let (Rival::Ndp(options), Governor::Pulled { credit, .. }) =
            (config.rival, &mut self.governor)
            && self.lost.is_empty()
        {
            // Of what waits, the first window goes unasked. If nothing did, the receiver will not pull:
            // one packet at least has to tell.
            let room = options.unsolicited.saturating_sub(self.in_flight);
            let least = u32::from(self.next == self.end);
            *credit = (u64::from(*credit) + packets).min(u64::from(room.max(least))) as u32;
        }
        let end = u32::try_from(u64::from(self.end) + packets).expect("fewer than 2^32 packets");
        let left = packets as u32;
        self.messages.push_back(Sending { message, first: self.end, end, left });
        self.end = end;
    }

    /// Everything posted is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        self.una == self.end
    }

    /// Packets that wait: lost, or never sent.
    pub(super) fn backlog(&self) -> u32 {
        self.end - self.next + self.lost.len() as u32
    }

    /// Whether a packet waits and may go.
    pub(super) fn may_send(&mut self) -> bool {
        while let Some(psn) = self.lost.front()
            && (*psn < self.una || self.acked.get(*psn))
        {
            self.lost.pop_front();
        }
        !(self.lost.is_empty() && self.next == self.end) && self.is_admitted()
    }

    /// Whether window or credit let a packet go.
    fn is_admitted(&self) -> bool {
        match &self.governor {
            Governor::Srd(srd) => f64::from(self.in_flight) < srd.window(),
            Governor::Strack(strack) => f64::from(self.in_flight) < strack.window(),
            Governor::Pulled { credit, .. } => *credit > 0,
        }
    }

    /// What holds back the next packet of a message; `None` once all of it is acknowledged.
    pub(super) fn hold(&self, message: MessageId) -> Option<Hold> {
        let sending = self.messages.iter().find(|sending| sending.message.id == message)?;
        // What was lost goes first, whichever message it is of.
        let again = !self.lost.is_empty();
        let hold = match &self.governor {
            _ if !again && sending.end <= self.next => Hold::Sent,
            _ if !again && sending.first > self.next => Hold::Behind,
            _ if self.is_admitted() => Hold::Ready,
            Governor::Pulled { .. } => Hold::Credit,
            Governor::Srd(_) | Governor::Strack(_) => Hold::Window,
        };
        Some(hold)
    }

    /// The next packet.
    pub(super) fn send(&mut self, now: Time, config: &SprayedConfig) -> Outgoing {
        let (psn, retransmitted) = match self.lost.pop_front() {
            Some(psn) => (psn, true),
            None => {
                self.next += 1;
                (self.next - 1, false)
            }
        };
        while psn - self.una >= self.acked.capacity() {
            self.acked = self.acked.doubled(self.una);
            self.flying = self.flying.doubled(self.una);
        }
        if let Governor::Pulled { credit, .. } = &mut self.governor {
            *credit -= 1;
        }
        self.flying.set(psn);
        self.in_flight += 1;
        match self.sent_at.get_mut((psn - self.una) as usize) {
            Some(at) => *at = now,
            None => self.sent_at.push_back(now),
        }
        self.order.push_back((psn, now));
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = self.messages[place];
        let full = u64::from(config.payload);
        let end_of_message = psn + 1 == sending.end;
        let payload = if end_of_message {
            sending.message.bytes - full * u64::from(sending.end - 1 - sending.first)
        } else {
            full
        };
        Outgoing {
            psn,
            message: sending.message,
            payload: payload as u32,
            entropy: self.paths.choose(&mut self.random),
            retransmitted,
            end_of_message,
        }
    }

    /// The packet `psn`, which left at `stamp`, has arrived, and all below `cumulative`; messages that this
    /// completes go to `done`. True if it is news.
    pub(super) fn on_ack(
        &mut self,
        now: Time,
        psn: u32,
        cumulative: u32,
        path: (u16, bool),
        stamp: Time,
        done: &mut Vec<Message>,
    ) -> bool {
        let rtt = now.since(stamp);
        self.paths.learn(path.0, rtt, path.1);
        match &mut self.governor {
            Governor::Srd(srd) => srd.on_ack(now, rtt),
            Governor::Strack(strack) => strack.on_ack(now, rtt),
            Governor::Pulled { .. } => {}
        }
        let before = self.una;
        let mut news = false;
        for below in self.una..cumulative.min(self.next) {
            news |= self.take(below, done);
        }
        if psn < self.next {
            news |= self.take(psn, done);
        }
        while self.una < self.next && self.acked.get(self.una) {
            self.acked.clear(self.una);
            self.sent_at.pop_front();
            self.una += 1;
        }
        debug_assert!(self.una >= before);
        while self.messages.front().is_some_and(|sending| sending.end <= self.una) {
            self.messages.pop_front();
        }
        if news {
            self.timeouts = 0;
        }
        news
    }

    /// The packet `psn` is acknowledged; true if that is news.
    fn take(&mut self, psn: u32, done: &mut Vec<Message>) -> bool {
        if psn < self.una || self.acked.get(psn) {
            return false;
        }
        self.acked.set(psn);
        self.land(psn);
        let place = self.messages.partition_point(|sending| sending.end <= psn);
        let sending = &mut self.messages[place];
        sending.left -= 1;
        if sending.left == 0 {
            done.push(sending.message);
        }
        true
    }

    /// The packet is not in flight any more; true if it was.
    fn land(&mut self, psn: u32) -> bool {
        let flew = self.flying.get(psn);
        if flew {
            self.flying.clear(psn);
            self.in_flight -= 1;
        }
        flew
    }

    /// Calls lost what left so long before `stamp` that reordering does not explain its absence.
    pub(super) fn infer_losses(&mut self, stamp: Time, reordering: Span) {
        while let Some(&(psn, at)) = self.order.front() {
            let settled = psn < self.una
                || self.acked.get(psn)
                || self.sent_at.get((psn - self.una) as usize) != Some(&at);
            if !settled {
                if at + reordering >= stamp {
                    break;
                }
                self.lose(psn);
            }
            self.order.pop_front();
        }
    }

    fn lose(&mut self, psn: u32) {
        if !self.land(psn) {
            return;
        }
        self.lost.push_back(psn);
        match &mut self.governor {
            Governor::Srd(srd) => srd.on_loss(),
            Governor::Strack(strack) => strack.on_loss(),
            Governor::Pulled { .. } => {}
        }
    }

    /// The packet `psn` arrived without its payload.
    pub(super) fn on_nack(&mut self, psn: u32) {
        if psn >= self.una && psn < self.next && !self.acked.get(psn) {
            self.lose(psn);
        }
    }

    /// The receiver has sent so many pulls.
    pub(super) fn on_pull(&mut self, count: u32) {
        let backlog = self.backlog();
        if let Governor::Pulled { credit, pulls } = &mut self.governor {
            // Without anything to send, a pull is not kept for later.
            *credit = (*credit + count.saturating_sub(*pulls)).min(backlog);
            *pulls = (*pulls).max(count);
        }
    }

    /// Nothing was heard for the timeout: all that is in flight is lost.
    pub(super) fn on_timeout(&mut self) {
        self.timeouts += 1;
        while let Some((psn, _)) = self.order.pop_front() {
            if psn >= self.una && self.flying.get(psn) {
                self.land(psn);
                self.lost.push_back(psn);
            }
        }
        match &mut self.governor {
            Governor::Srd(srd) => srd.on_timeout(),
            Governor::Strack(strack) => strack.on_timeout(),
            // Pulls may be lost too: one packet asks for the next.
            Governor::Pulled { credit, .. } => *credit = (*credit).max(1),
        }
    }

    /// The timeout for what is outstanding, after those before it.
    pub(super) fn timeout(&self, config: &SprayedConfig) -> Span {
        config.timeout * (1 << self.timeouts.min(6))
    }
}
