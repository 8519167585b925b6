//! Everything a departing packet touches: the arena, the wires into local ports, the mail to other
//! shards, and the tallies that conservation is checked against.

use serde::{Deserialize, Serialize};

use crate::arena::Arena;
use crate::capture::CaptureRecord;
use crate::digest::Digest;
use crate::fifo::Fifo;
use crate::ids::PortId;
use crate::net::mail::Mail;
use crate::net::tap::Taps;
use crate::packet::{Label, Packet};
use crate::probe::Work;
use crate::series::Observed;
use crate::telemetry::Telemetry;
use crate::units::{Span, Time};

/// The receiving end of a link: a port of some shard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) shard: u16,
    /// The port's index in that shard.
    pub(crate) port: u32,
}

/// A packet on a wire. Packed, because most of a large fabric's memory are these, and most of the cache lines that a
/// hop takes.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[repr(C, packed(4))]
pub(crate) struct Flying {
    pub(crate) at: Time,
    pub(crate) label: Label,
}

const _: () = assert!(size_of::<Flying>() == 28, "time and label");

impl Flying {
    /// When it arrives.
    #[inline]
    pub(crate) fn at(&self) -> Time {
        self.at
    }
}

/// Packets that entered and left a shard; what entered and has not left is in its arena.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) created: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) mailed_in: u64,
    pub(crate) mailed_out: u64,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Outlet {
    pub(crate) arena: Arena,
    pub(crate) tally: Tally,
    pub(crate) work: Work,
    pub(crate) digest: Digest,
    /// Messages acknowledged to their senders so far.
    pub(crate) messages_done: u64,
    /// When the next event of each class of nodes is due, mail that was sent included.
    pub(crate) earliest: [Time; 2],
    /// The class to which the nodes that run are linked.
    pub(crate) towards: usize,
    /// Nodes of the first class: they come first.
    pub(crate) first_class: u32,
    shard: u16,
    /// Packets flying towards each local port, in order of arrival.
    wires: Vec<Fifo<Flying>>,
    /// Arrival of the first packet on each wire.
    heads: Vec<Time>,
    /// The local node that owns each port.
    owners: Vec<u32>,
    /// For each local node, a lower bound of its next event.
    pub(crate) next: Vec<Time>,
    /// Mail by destination shard.
    #[serde(skip)]
    pub(crate) outbox: Vec<Mail>,
    /// The shards to which there is mail.
    #[serde(skip)]
    pub(crate) addressed: Vec<u16>,
    pub(crate) taps: Taps,
    /// What transports measure of packets, if that is recorded.
    pub(crate) observed: Option<Box<Observed>>,
}

impl Outlet {
    pub(crate) fn new(shard: u16, shards: usize, owners: Vec<u32>, nodes: usize) -> Outlet {
        Outlet {
            arena: Arena::default(),
            tally: Tally::default(),
            work: Work::default(),
            digest: Digest::default(),
            messages_done: 0,
            earliest: [Time::ZERO; 2],
            towards: 0,
            first_class: nodes as u32,
            shard,
            wires: owners.iter().map(|_| Fifo::default()).collect(),
            heads: vec![Time::NEVER; owners.len()],
            owners,
            next: vec![Time::ZERO; nodes],
            outbox: (0..shards).map(|_| Mail::default()).collect(),
            addressed: Vec::new(),
            taps: Taps::default(),
            observed: None,
        }
    }

    /// Stores a packet made here.
    #[inline]
    pub(crate) fn create(&mut self, packet: &Packet) -> Label {
        self.tally.created += 1;
        let slot = self.arena.insert(packet);
        Label::new(packet, slot)
    }

    /// Puts a packet on the wire to `peer`, where it arrives `at`.
    #[inline]
    pub(crate) fn send(&mut self, peer: Peer, at: Time, label: Label) {
        if peer.shard == self.shard {
            self.fly(peer.port, at, label);
        } else {
            self.address(peer, at);
            self.mail(peer, at, label);
        }
    }

    /// Puts packets on the wire to `peer`, in order of arrival; `sent` is empty afterwards.
    #[inline]
    pub(crate) fn send_all(&mut self, peer: Peer, sent: &mut Vec<Flying>) {
        let Some(first) = sent.first().map(Flying::at) else { return };
        self.work.hops += sent.len() as u64;
        if peer.shard == self.shard {
            let port = peer.port as usize;
            self.wires[port].extend(sent);
            self.note_head(port, first);
        } else {
            // They leave with all that is in them: see `warm`.
            let slots = sent.iter().map(|flying| flying.label.slot);
            std::hint::black_box(slots.fold(0, |sum, slot| sum ^ self.arena.peek(slot)));
            self.address(peer, first);
            for flying in sent.iter() {
                self.mail(peer, flying.at(), flying.label);
            }
        }
        sent.clear();
    }

    /// Notes that there is mail for the peer's shard, of which the first arrives `at`.
    #[inline]
    fn address(&mut self, peer: Peer, at: Time) {
        let earliest = &mut self.earliest[self.towards];
        *earliest = (*earliest).min(at);
        if self.outbox[peer.shard as usize].is_empty() {
            self.addressed.push(peer.shard);
        }
    }

    #[inline]
    fn mail(&mut self, peer: Peer, at: Time, label: Label) {
        self.tally.mailed_out += 1;
        let packet = self.take(label);
        let telemetry = self.arena.has_telemetry().then(|| self.arena.telemetry(label.slot));
        self.outbox[peer.shard as usize].push(at, peer.port, packet, telemetry);
    }

    /// What arrives at `port` before `end` and has not landed.
    #[inline]
    pub(crate) fn landing(&self, port: usize, end: Time) -> &[Flying] {
        let wire = self.wires[port].iter().as_slice();
        let count = wire.iter().position(|flying| flying.at() >= end).unwrap_or(wire.len());
        &wire[..count]
    }

    /// The first `count` packets on the wire to `port` have landed.
    #[inline]
    pub(crate) fn landed(&mut self, port: usize, count: usize) {
        self.wires[port].skip(count);
        self.heads[port] = self.wires[port].front().map_or(Time::NEVER, |flying| flying.at());
    }

    #[inline]
    fn note_head(&mut self, port: usize, at: Time) {
        // Behind an earlier arrival it changes nothing: that one was noted.
        if at < self.heads[port] {
            self.heads[port] = at;
            let owner = self.owners[port];
            let next = &mut self.next[owner as usize];
            *next = (*next).min(at);
            let earliest = &mut self.earliest[usize::from(owner >= self.first_class)];
            *earliest = (*earliest).min(at);
        }
    }

    /// Something happens at a node at `at`.
    pub(crate) fn expect(&mut self, node: u32, at: Time) {
        let next = &mut self.next[node as usize];
        *next = (*next).min(at);
        let earliest = &mut self.earliest[usize::from(node >= self.first_class)];
        *earliest = (*earliest).min(at);
    }

    /// The local node that owns a port.
    pub(crate) fn owner(&self, port: u32) -> u32 {
        self.owners[port as usize]
    }

    /// What flies towards a port arrives that much earlier, but not before `now`. The order on the wire stays.
    pub(crate) fn hasten(&mut self, port: u32, by: Span, now: Time) {
        let wire = &mut self.wires[port as usize];
        for flying in wire.iter_mut() {
            flying.at = Time(flying.at.0.saturating_sub(by.0)).max(now);
        }
        if let Some(at) = wire.front().map(Flying::at) {
            self.heads[port as usize] = at;
            self.expect(self.owner(port), at);
        }
    }

    #[inline]
    fn fly(&mut self, port: u32, at: Time, label: Label) {
        let port = port as usize;
        self.wires[port].push(Flying { at, label });
        self.note_head(port, at);
    }

    /// Takes in what another shard sent, and leaves the mail empty.
    pub(crate) fn receive(&mut self, mail: &mut Mail) {
        let mut telemetry = mail.telemetry.drain(..);
        for (&(at, port), packet) in mail.stamps.iter().zip(&mail.packets) {
            self.accept(at, port, packet, telemetry.next());
        }
        drop(telemetry);
        mail.stamps.clear();
        mail.packets.clear();
    }

    /// Takes in a packet that another shard sent.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        at: Time,
        port: u32,
        packet: &Packet,
        telemetry: Option<Telemetry>,
    ) {
        self.tally.mailed_in += 1;
        let slot = self.arena.insert(packet);
        if let Some(telemetry) = telemetry {
            *self.arena.telemetry_mut(slot) = telemetry;
        }
        self.fly(port, at, Label::new(packet, slot));
    }

    /// When the first packet on the wire to local port `port` arrives.
    #[inline]
    pub(crate) fn head(&self, port: usize) -> Time {
        self.heads[port]
    }

    /// Takes the first packet on the wire to `port`, with its arrival.
    #[inline]
    pub(crate) fn land(&mut self, port: usize) -> (Time, Label) {
        let landed = self.wires[port].pop().expect("a wire with a head has a packet");
        self.heads[port] = self.wires[port].front().map_or(Time::NEVER, |flying| flying.at());
        (landed.at(), landed.label)
    }

    /// Takes a packet out of the arena, with what its label has become.
    #[inline]
    fn take(&mut self, label: Label) -> Packet {
        let mut packet = self.arena.take(label.slot);
        label.update(&mut packet);
        packet
    }

    /// The frame whose last bit leaves the captured port `port`.
    pub(crate) fn tap_sent(&mut self, now: Time, port: PortId, label: Label) {
        let packet = self.seen(label);
        self.taps.sent(now, port, packet);
    }

    /// The frame that came in by the captured port `port` and has been processed.
    pub(crate) fn tap_received(&mut self, now: Time, port: PortId, label: Label) {
        let packet = self.seen(label);
        self.taps.received(now, port, packet);
    }

    /// A packet that stays where it is, with what its label has become.
    fn seen(&self, label: Label) -> Packet {
        let mut packet = *self.arena.get(label.slot);
        label.update(&mut packet);
        packet
    }

    /// Loads the packets that arrive at `port` before `end`, all at once.
    ///
    /// A host reads each packet in turn, and each read waits for memory; loads that depend on nothing
    /// overlap. Measured at 1,024 hosts: see ARCHITECTURE.md, "the cost of a packet-hop".
    #[inline]
    pub(crate) fn warm(&self, port: usize, end: Time) {
        let mut sum = 0;
        for flying in self.wires[port].iter().take_while(|flying| flying.at() < end) {
            sum ^= self.arena.peek(flying.label.slot);
        }
        std::hint::black_box(sum);
    }

    /// Loads the front of a wire: loads of several that depend on nothing overlap, where reading one wire after the
    /// other would wait for memory each time.
    #[inline]
    pub(crate) fn touch(&self, port: usize) {
        let at = |place: usize| self.wires[port].get(place).map_or(0, |flying| flying.at().0);
        std::hint::black_box(at(0) ^ at(2) ^ at(4));
    }

    /// A packet ends at `port`, lost.
    pub(crate) fn lose(&mut self, now: Time, port: PortId, label: Label) {
        let packet = self.take(label);
        self.digest.record(now, !port.0, &packet);
        self.tally.dropped += 1;
    }

    /// Takes a packet that has reached its host.
    #[inline]
    pub(crate) fn deliver(&mut self, now: Time, place: u32, label: Label) -> Packet {
        let packet = self.take(label);
        self.digest.record(now, place, &packet);
        self.tally.delivered += 1;
        packet
    }

    /// A link's own frame ends where it was meant to: taken without being a delivery of the fabric.
    pub(crate) fn consume(&mut self, label: Label) -> Packet {
        self.tally.delivered += 1;
        self.take(label)
    }

    /// Takes over what is not state: boxes for mail, which are empty between windows.
    pub(crate) fn adopt(&mut self, built: Outlet) {
        self.outbox = built.outbox;
    }

    /// What was captured, and what was measured; all else goes.
    pub(crate) fn into_records(self) -> (CaptureRecord, Option<Box<Observed>>) {
        (self.taps.record, self.observed)
    }

    /// Packets of this shard and in its unsent mail.
    pub(crate) fn in_flight(&self) -> u64 {
        let mail = self.addressed.iter().map(|to| &self.outbox[usize::from(*to)]);
        let mailed: usize = mail.map(|mail| mail.stamps.len()).sum();
        self.arena.live() + mailed as u64
    }

    /// Packets on wires.
    pub(crate) fn flying(&self) -> u64 {
        self.wires.iter().map(|wire| wire.len() as u64).sum()
    }

    /// Panics unless every packet that entered is accounted for.
    pub(crate) fn check(&self) {
        let Tally { created, delivered, dropped, mailed_in, mailed_out } = self.tally;
        assert_eq!(
            created + mailed_in,
            delivered + dropped + mailed_out + self.arena.live(),
            "conservation in shard {}: {:?}, {} live",
            self.shard,
            self.tally,
            self.arena.live()
        );
    }
}
