//! From the end of a message back to its beginning, by what caused what.

use fabric::capture::Way;
use fabric::ids::{HostId, MessageId};
use fabric::packet::{Kind, Packet, flags};
use fabric::probe::MessageRecord;
use fabric::units::Time;
use fabric::watch::{Arrival, Departure};

use crate::explain::{Cause, End, Leg, Piece, Seen};

/// Pieces from the end backwards.
pub(super) struct Pieces {
    found: Vec<Piece>,
    /// The part of the way that is being found.
    leg: Leg,
    /// Where the last one begins.
    at: Time,
    /// Nothing is before this.
    start: Time,
}

impl Pieces {
    fn new(start: Time, end: Time) -> Pieces {
        Pieces { found: Vec::new(), leg: Leg::Answer, at: end, start }
    }

    /// The time from `from` to what was found before went on `cause`.
    pub(super) fn push(&mut self, cause: Cause, from: Time, place: impl FnOnce() -> String) {
        self.push_with(cause, from, place, String::new);
    }

    /// Where the pieces found so far begin.
    pub(super) fn begin(&self) -> Time {
        self.at
    }

    /// A moment, or the first that counts if it is before.
    pub(super) fn bound(&self, moment: Time) -> Time {
        moment.max(self.start)
    }

    fn push_with(
        &mut self,
        cause: Cause,
        from: Time,
        place: impl FnOnce() -> String,
        detail: impl FnOnce() -> String,
    ) {
        let from = from.max(self.start);
        if from >= self.at {
            return;
        }
        let (place, detail) = (place(), detail());
        let (from_ps, to_ps, leg) = (from.0, self.at.0, self.leg);
        self.at = from;
        let piece = Piece { leg, cause, place, from_ps, to_ps, detail };
        let name =
            |piece: &Piece| (piece.leg, piece.cause, piece.place.clone(), piece.detail.clone());
        match self.found.last_mut() {
            Some(last) if name(last) == name(&piece) => last.from_ps = from_ps,
            _ => self.found.push(piece),
        }
    }

    fn into_pieces(mut self) -> Vec<Piece> {
        self.found.reverse();
        self.found
    }
}

/// A message between two hosts.
#[derive(Clone, Copy)]
struct Pair {
    message: MessageId,
    /// The host that posted it.
    poster: HostId,
    /// The other one.
    other: HostId,
}

impl Pair {
    fn peer(&self, host: HostId) -> HostId {
        if host == self.poster { self.other } else { self.poster }
    }
}

/// Most packets that one message's chain can have: request, data, answer; more would be a circle.
const LINKS: usize = 8;

impl Seen<'_> {
    /// Pieces of a message that came to its end at `end`.
    pub(super) fn chain(&self, message: &MessageRecord, how: End, end: Time) -> Vec<Piece> {
        let mut pieces = Pieces::new(message.posted, end);
        let pair = Pair { message: message.id, poster: message.src, other: message.dst };
        match how {
            End::Acknowledged => self.follow(pair, pair.poster, None, &mut pieces),
            End::Received => self.follow(pair, pair.other, Some(pair.message), &mut pieces),
            // Nothing came that ended it, so there is no chain: what the sender did is all.
            End::Failed | End::Unfinished => {
                pieces.leg = Leg::Sender;
                let from = (message.posted, Cause::Answer);
                self.wait(pair.poster, pair.message, from, &mut pieces);
            }
        }
        pieces.push(Cause::Unknown, message.posted, || self.fabric.host_name(pair.poster));
        pieces.into_pieces()
    }

    /// Follows the chain back from what `host` was given when the pieces found so far begin; only a packet of `of`, if
    /// that is said.
    fn follow(&self, pair: Pair, host: HostId, of: Option<MessageId>, pieces: &mut Pieces) {
        let (mut host, mut of) = (host, of);
        let (mut cause, mut leg) = (Cause::Host, Leg::Data);
        for _ in 0..LINKS {
            let peer = pair.peer(host);
            let Some(arrival) = self.last_arrival(host, peer, of, pieces.at) else { return };
            let is_payload = arrival.message == Some(pair.message);
            pieces.leg = if is_payload && cause != Cause::Answer { leg } else { Leg::Answer };
            pieces.push(cause, arrival.at, || self.fabric.host_name(host));
            pieces.leg = if is_payload { leg } else { Leg::Answer };
            let Some(left) = self.way(&arrival.packet, host, arrival.at, pieces) else { return };
            let Some(sent) = self.departure(peer, &arrival.packet, left) else { return };
            pieces.push(Cause::Serialisation, sent.at, || self.fabric.host_name(peer));
            cause = Cause::Answer;
            if is_payload {
                pieces.leg = Leg::Sender;
                self.repeats(peer, pair, sent, pieces);
                let begun = self.begin(pair, peer, pieces.at);
                // What was asked for and is not there any more has to be asked for again.
                let otherwise = if peer == pair.poster { Cause::Unknown } else { Cause::Asked };
                self.wait(peer, pair.message, (begun, otherwise), pieces);
                if peer == pair.poster {
                    return;
                }
                (cause, leg) = (Cause::Host, Leg::Request);
            }
            // An answer follows from a packet of the message, as data that was asked for follows from the request.
            (host, of) = (peer, Some(pair.message));
        }
    }

    /// Explains the time from the first departure of what `sent` carries to that one: each time until its sender learned
    /// that it had not come whole, and what kept it from sending it again then.
    fn repeats(&self, host: HostId, pair: Pair, sent: &Departure, pieces: &mut Pieces) {
        let Some(notes) = self.notes.get(&host) else { return };
        let name = |departure: &Departure| {
            let Packet { dst, flow, psn, kind, .. } = departure.packet;
            (departure.message, dst, flow, psn, kind)
        };
        let same =
            notes.sent.iter().filter(|other| other.at <= sent.at && name(other) == name(sent));
        let times: Vec<&Departure> = same.collect();
        for (before, again) in times.iter().zip(&times[1..]).rev() {
            let told = notes.received.iter().find(|arrival| {
                let Packet { src, psn, kind, .. } = arrival.packet;
                (before.at..again.at).contains(&arrival.at)
                    && (src, psn, kind) == (sent.packet.dst, sent.packet.psn, Kind::Nack)
            });
            if let Some(told) = told {
                self.wait(host, pair.message, (told.at, Cause::Retransmission), pieces);
            }
            let place = || self.fabric.host_name(host);
            let detail = || self.fate(&before.packet, before.at, again.at);
            pieces.push_with(Cause::Retransmission, before.at, place, detail);
        }
    }

    /// When `host` could first have sent something of the message: when it was posted, or asked for.
    fn begin(&self, pair: Pair, host: HostId, before: Time) -> Time {
        if host == pair.poster {
            return Time::ZERO;
        }
        let asked = self.arrivals(host, pair.poster, Some(pair.message));
        asked.map(|arrival| arrival.at).find(|at| *at <= before).unwrap_or(before)
    }

    /// What `host` was given by `peer`, whole, in order of time.
    fn arrivals(
        &self,
        host: HostId,
        peer: HostId,
        of: Option<MessageId>,
    ) -> impl DoubleEndedIterator<Item = &Arrival> {
        let all = self.notes.get(&host).map_or(&[][..], |notes| &notes.received[..]);
        all.iter().filter(move |arrival| {
            arrival.packet.src == peer
                && !arrival.packet.has(flags::TRIMMED)
                && (of.is_none() || arrival.message == of)
        })
    }

    /// The last packet that `host` was given by `peer` at `at` or before.
    fn last_arrival(
        &self,
        host: HostId,
        peer: HostId,
        of: Option<MessageId>,
        at: Time,
    ) -> Option<&Arrival> {
        self.arrivals(host, peer, of).rev().find(|arrival| arrival.at <= at)
    }

    /// The departure from `host` of the packet whose last bit left at `left`.
    fn departure(&self, host: HostId, packet: &Packet, left: Time) -> Option<&Departure> {
        let sent = &self.notes.get(&host)?.sent;
        let known = super::way::identity(packet);
        sent.iter().rev().find(|departure| {
            departure.at < left && super::way::identity(&departure.packet) == known
        })
    }

    /// What became of a packet that left at `at` and was sent again by `again`.
    fn fate(&self, packet: &Packet, at: Time, again: Time) -> String {
        let seen = self.frames.of(packet).iter().filter(|frame| at < frame.at && frame.at <= again);
        let (mut last, mut trimmed) = (None, None);
        for frame in seen {
            if frame.packet.has(flags::TRIMMED) && trimmed.is_none() {
                trimmed = Some(frame);
            }
            last = Some(frame);
        }
        let name = |port| self.fabric.port_name(port);
        match (trimmed, last) {
            (Some(frame), _) => format!("trimmed at {}", name(frame.port)),
            (None, Some(frame)) if frame.way == Way::Sent => {
                format!("lost on {}", name(frame.port))
            }
            (None, Some(frame)) => {
                let node = self.fabric.layout.node_of(frame.port);
                if node.0 == packet.dst.0 {
                    "arrived; sent again all the same".to_owned()
                } else {
                    format!("dropped at {}", self.fabric.name(node))
                }
            }
            (None, None) if packet.kind == Kind::Data => "lost on the first link".to_owned(),
            (None, None) => String::new(),
        }
    }
}
