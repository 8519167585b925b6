//! A transport outside of the engine, with the bytes of its messages.
//!
//! As within the engine its port asks for a packet when it is free, at the NIC's rate. It is told the time and knows no socket, so it
//! is tested without either.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send};
use fabric::engine::timers::Timers;
use fabric::ids::{HostId, MessageId};
use fabric::packet::Packet;
use fabric::probe::EndpointCounters;
use fabric::series::Measured;
use fabric::telemetry::Telemetry;
use fabric::units::{Rate, Span, Time};
use serde::Serialize;
use transports::AnyEndpoint;
use transports::wire::WireError;
use transports::wire::outer::{ETHERNET, OUTER};
use transports::wire::receive::Datagram;

use super::config::{FIRST_PORT, Kind, Options};
use super::{roce, uet};

/// How far the port may send ahead of its rate: what a timer that comes late has to make up for.
const BURST: Span = Span::from_micros(200);

/// Which bytes of which message a packet carries, and how many bytes follow them in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    pub(super) message: u32,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) tail: usize,
}

/// A datagram as the transport takes it.
pub(super) struct Taken<'a> {
    pub(super) packet: Packet,
    /// Where its payload belongs; `None` if it brings none, or none that can be placed.
    pub(super) placed: Option<Placed>,
    pub(super) payload: &'a [u8],
    /// Bytes of the whole message.
    pub(super) bytes: u64,
}

/// A datagram that leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departure {
    /// Whom for.
    pub to: HostId,
    /// UDP source port.
    pub port: u16,
    /// Differentiated services and ECN.
    pub tos: u8,
    /// What UDP carries.
    pub bytes: Vec<u8>,
}

/// What became of messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message was acknowledged to its last byte.
    Sent {
        /// Its number.
        id: u32,
    },
    /// A message was given up.
    Failed {
        /// Its number.
        id: u32,
    },
    /// A message has arrived.
    Received {
        /// From whom.
        src: HostId,
        /// The sender's number for it.
        id: u32,
        /// All of it.
        bytes: Vec<u8>,
    },
}

/// What an endpoint refused or missed, beside what its transport counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Oddities {
    /// Datagrams that are none of the protocol, or contradict themselves.
    pub malformed: u64,
    /// Messages that were completed a second time.
    pub messages_twice: u64,
}

enum Codec {
    Uet(uet::Codec),
    Roce(roce::Codec),
}

impl Codec {
    fn frame(&mut self, packet: &Packet) -> Option<(Vec<u8>, Option<Placed>)> {
        match self {
            Codec::Uet(codec) => codec.frame(packet),
            Codec::Roce(codec) => codec.frame(packet),
        }
    }

    fn take<'a>(&mut self, datagram: &Datagram<'a>) -> Result<Taken<'a>, WireError> {
        match self {
            Codec::Uet(codec) => codec.take(datagram),
            Codec::Roce(codec) => codec.take(datagram),
        }
    }

    fn seal(&self, packet: &Packet, frame: &mut [u8]) {
        if let Codec::Roce(codec) = self {
            codec.seal(packet, frame);
        }
    }

    fn forget(&mut self, peer: HostId, message: u32) {
        if let Codec::Roce(codec) = self {
            codec.forget(peer, message);
        }
    }
}

/// See the module.
pub struct Host {
    rank: HostId,
    endpoint: AnyEndpoint,
    codec: Codec,
    rate: Rate,
    entropy_values: u16,
    timers: Timers,
    /// What the transport counts.
    pub counters: EndpointCounters,
    /// What was refused.
    pub oddities: Oddities,
    telemetry: Telemetry,
    measured: Measured,
    completions: Vec<Completion>,
    /// Messages posted and not acknowledged.
    posted: BTreeMap<u32, (HostId, Vec<u8>)>,
    /// Messages that arrive.
    arriving: BTreeMap<(HostId, u32), Vec<u8>>,
    /// Messages that have arrived.
    arrived: BTreeSet<(HostId, u32)>,
    largest: u64,
    events: VecDeque<Event>,
    /// When the port is free.
    free: Time,
    /// When the transport wants to be asked.
    wake: Time,
}

impl Host {
    /// The endpoint of `rank` among `addresses`; messages of more than `largest` bytes are not taken.
    ///
    /// # Panics
    /// If there are more than 256 ranks, or `rank` is none of them.
    pub fn new(rank: HostId, addresses: &[Ipv4Addr], options: &Options, largest: u64) -> Host {
        assert!(rank.index() < addresses.len(), "a rank has an address");
        assert!(addresses.len() <= uet::Codec::RANKS, "contexts have 8 bits on the wire");
        let ranks = addresses.len() as u32;
        let codec = match options.kind {
            Kind::Uet => Codec::Uet(uet::Codec::new(options.uet(), ranks)),
            Kind::Roce => {
                let ports = (FIRST_PORT, options.entropy_values);
                Codec::Roce(roce::Codec::new(rank, options.roce(), addresses, ports))
            }
        };
        Host {
            rank,
            endpoint: options.endpoint(rank),
            codec,
            rate: options.rate,
            entropy_values: options.entropy_values,
            timers: Timers::default(),
            counters: EndpointCounters::default(),
            oddities: Oddities::default(),
            telemetry: Telemetry::default(),
            measured: Measured::default(),
            completions: Vec::new(),
            posted: BTreeMap::new(),
            arriving: BTreeMap::new(),
            arrived: BTreeSet::new(),
            largest,
            events: VecDeque::new(),
            free: Time::ZERO,
            wake: Time::ZERO,
        }
    }

    /// Calls the transport.
    fn call<R>(&mut self, now: Time, f: impl FnOnce(&mut AnyEndpoint, &mut HostCx<'_>) -> R) -> R {
        let mut cx = HostCx {
            now,
            host: self.rank,
            timers: &mut self.timers,
            completions: &mut self.completions,
            counters: &mut self.counters,
            telemetry: &mut self.telemetry,
            measured: &mut self.measured,
        };
        f(&mut self.endpoint, &mut cx)
    }

    /// Posts a message; `id` is unique among those of this host.
    ///
    /// # Panics
    /// If it is empty, for itself, or its number is in use.
    pub fn post(&mut self, now: Time, to: HostId, id: u32, bytes: Vec<u8>) {
        assert!(!bytes.is_empty() && to != self.rank, "a message has bytes and another receiver");
        let message = Message { id: MessageId(id), dst: to, bytes: bytes.len() as u64, slot: id };
        let old = self.posted.insert(id, (to, bytes));
        assert!(old.is_none(), "message {id} is posted twice");
        self.call(now, |endpoint, cx| endpoint.on_post(cx, message));
        self.settle();
        self.wake = now;
    }

    /// A datagram has come.
    pub fn on_datagram(&mut self, now: Time, datagram: &Datagram<'_>) {
        let Ok(taken) = self.codec.take(datagram) else {
            self.oddities.malformed += 1;
            return;
        };
        if taken.bytes > self.largest {
            self.oddities.malformed += 1;
            return;
        }
        let before = self.counters.delivered_bytes;
        self.call(now, |endpoint, cx| endpoint.on_packet(cx, &taken.packet));
        // What the transport has taken as new is placed; what it had, or refused, is not.
        if self.counters.delivered_bytes > before
            && let Some(placed) = taken.placed
        {
            let key = (taken.packet.src, placed.message);
            let message = self.arriving.entry(key).or_insert_with(|| vec![0; taken.bytes as usize]);
            let from = placed.offset as usize;
            // Packets of one message agree on its length.
            if let Some(place) = message.get_mut(from..from + placed.length) {
                place.copy_from_slice(taken.payload);
            } else {
                self.oddities.malformed += 1;
            }
        }
        self.settle();
        self.wake = now;
    }

    /// Timers that are due.
    pub fn on_time(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            self.call(now, |endpoint, cx| endpoint.on_timer(cx, timer));
            self.wake = now;
        }
        self.settle();
    }

    /// The next datagram, if the port is free and the transport has one.
    pub fn depart(&mut self, now: Time) -> Option<Departure> {
        while self.free <= now + BURST && self.wake <= now {
            let packet = match self.call(now, |endpoint, cx| endpoint.poll_send(cx, 0, 0)) {
                Send::Packet(packet) => packet,
                Send::WakeAt(at) => {
                    self.wake = at.max(Time(now.0 + 1));
                    break;
                }
                Send::Idle => {
                    self.wake = Time::NEVER;
                    break;
                }
            };
            self.free = self.free.max(now) + self.rate.time_for(u64::from(packet.bytes));
            self.settle();
            if let Some(departure) = self.departure(&packet) {
                return Some(departure);
            }
        }
        self.settle();
        None
    }

    fn departure(&mut self, packet: &Packet) -> Option<Departure> {
        let (mut frame, placed) = self.codec.frame(packet)?;
        if let Some(placed) = placed {
            // What was acknowledged meanwhile need not be sent again.
            let (_, bytes) = self.posted.get(&placed.message)?;
            let from = placed.offset as usize;
            let end = frame.len() - placed.tail;
            frame[end - placed.length..end].copy_from_slice(&bytes[from..from + placed.length]);
        }
        self.codec.seal(packet, &mut frame);
        let ip = usize::from(u16::from_be_bytes([frame[ETHERNET + 2], frame[ETHERNET + 3]]));
        Some(Departure {
            to: packet.dst,
            port: FIRST_PORT + packet.entropy % self.entropy_values,
            tos: frame[ETHERNET + 1],
            bytes: frame[OUTER..ETHERNET + ip].to_vec(),
        })
    }

    /// Turns what the transport has completed into events.
    fn settle(&mut self) {
        for done in std::mem::take(&mut self.completions) {
            match done {
                Completion::Sent { slot: id } => {
                    if let Some((to, _)) = self.posted.remove(&id) {
                        self.codec.forget(to, id);
                        self.events.push_back(Event::Sent { id });
                    }
                }
                Completion::Failed { slot: id } => {
                    self.posted.remove(&id);
                    self.events.push_back(Event::Failed { id });
                }
                Completion::Received { message: MessageId(id), src } => {
                    if !self.arrived.insert((src, id)) {
                        self.oddities.messages_twice += 1;
                        continue;
                    }
                    let bytes = self.arriving.remove(&(src, id)).unwrap_or_default();
                    self.codec.forget(src, id);
                    self.events.push_back(Event::Received { src, id, bytes });
                }
            }
        }
    }

    /// What has become of messages since this was last asked.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether [`Host::event`] has something to tell.
    pub fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    /// When it has to be called again, if no datagram comes.
    pub fn next(&self) -> Time {
        let port = match self.wake {
            Time::NEVER => Time::NEVER,
            wake => wake.max(Time(self.free.0.saturating_sub(BURST.0))),
        };
        port.min(self.timers.next())
    }

    /// Whether all that was posted has been acknowledged.
    pub fn is_idle(&self) -> bool {
        self.posted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::ids::HostId;
    use fabric::rng::{Purpose, Stream, mix64};
    use proptest::prelude::*;

    const SPAN: Span = Span::from_micros(100);

    fn options(kind: Kind) -> Options {
        Options {
            kind,
            rate: Rate::from_gbps(1),
            rtt: Span::from_micros(400),
            mtu: 1_500,
            trimming: true,
            entropy_values: 16,
            rccc: kind == Kind::Uet,
            seed: 3,
        }
    }

    /// What becomes of a datagram on the way.
    #[derive(Clone, Copy)]
    enum Fate {
        Arrive,
        Lose,
        Trim,
        Damage(usize),
    }

    /// Hosts with a network between them that loses, trims, damages and reorders.
    struct Lab {
        hosts: Vec<Host>,
        wires: BTreeMap<(Time, u64), (HostId, Departure)>,
        count: u64,
        random: Stream,
        now: Time,
        limit: Time,
    }

    impl Lab {
        fn new(kind: Kind, ranks: u32) -> Lab {
            let addresses: Vec<Ipv4Addr> =
                (0..ranks).map(|rank| Ipv4Addr::from((10 << 24) + rank + 1)).collect();
            let host = |rank| Host::new(HostId(rank), &addresses, &options(kind), 1 << 24);
            Lab {
                hosts: (0..ranks).map(host).collect(),
                wires: BTreeMap::new(),
                count: 0,
                random: Stream::new(7, 7, Purpose::Transport),
                now: Time::ZERO,
                limit: Time(10_000_000_000_000),
            }
        }

        /// Goes on until `done`, or for ten seconds.
        fn run(
            &mut self,
            fate: &mut impl FnMut(u64) -> Fate,
            done: impl Fn(&mut Lab) -> bool,
        ) -> bool {
            while self.now < self.limit {
                for rank in 0..self.hosts.len() {
                    self.hosts[rank].on_time(self.now);
                    while let Some(departure) = self.hosts[rank].depart(self.now) {
                        // Packets of 16 paths overtake each other.
                        let at = self.now + SPAN + Span(u64::from(departure.port % 16) * 2_000_000);
                        self.wires.insert((at, self.count), (HostId(rank as u32), departure));
                        self.count += 1;
                    }
                }
                if done(self) {
                    return true;
                }
                let wire = self.wires.first_key_value().map_or(Time::NEVER, |(key, _)| key.0);
                let next = self.hosts.iter().map(Host::next).fold(wire, Time::min);
                self.now = next.max(Time(self.now.0 + 1));
                while let Some(entry) = self.wires.first_entry()
                    && entry.key().0 <= self.now
                {
                    let number = entry.key().1;
                    let (src, mut departure) = entry.remove();
                    let length = departure.bytes.len();
                    let mut tos = departure.tos;
                    match fate(number) {
                        Fate::Lose => continue,
                        Fate::Trim if length > 200 => {
                            departure.bytes.truncate(16);
                            tos = 18 << 2;
                        }
                        Fate::Damage(place) => {
                            departure.bytes[place % length.min(80)] ^= 1 << (place / 80 % 8)
                        }
                        Fate::Trim | Fate::Arrive => {}
                    }
                    let datagram = Datagram {
                        src,
                        dst: departure.to,
                        entropy: departure.port - FIRST_PORT,
                        tos,
                        length,
                        bytes: &departure.bytes,
                    };
                    self.hosts[departure.to.index()].on_datagram(self.now, &datagram);
                }
            }
            false
        }

        fn message(&mut self, bytes: usize) -> Vec<u8> {
            (0..bytes).map(|_| self.random.bits() as u8).collect()
        }
    }

    /// Posts messages of all ranks to all others, and holds what arrives against them.
    fn everything_arrives(kind: Kind, mut fate: impl FnMut(u64) -> Fate) {
        let mut lab = Lab::new(kind, 3);
        let mut sent = BTreeMap::new();
        for (id, bytes) in [1, 1_000, 70_000, 300_001, 4_096, 13].into_iter().enumerate() {
            let (src, id) = (id as u32 % 3, id as u32);
            let dst = (src + 1 + id / 3) % 3;
            let dst = if dst == src { (dst + 1) % 3 } else { dst };
            let message = lab.message(bytes);
            sent.insert((HostId(dst), HostId(src), id), message.clone());
            lab.hosts[src as usize].post(Time::ZERO, HostId(dst), id, message);
        }
        let all = sent.len();
        let mut got = BTreeMap::new();
        let cell = std::cell::RefCell::new(&mut got);
        let done = lab.run(&mut fate, |lab| {
            for host in &mut lab.hosts {
                while let Some(event) = host.event() {
                    if let Event::Received { src, id, bytes } = event {
                        cell.borrow_mut().insert((host.rank, src, id), bytes);
                    }
                }
            }
            cell.borrow().len() == all && lab.hosts.iter().all(Host::is_idle)
        });
        assert!(done, "{} of {all} messages arrived", got.len());
        assert!(got == sent, "all messages have the bytes that were sent");
        let twice: u64 = lab.hosts.iter().map(|host| host.oddities.messages_twice).sum();
        assert_eq!(twice, 0);
    }

    /// Messages of all sizes arrive to the byte, over both transports, without losses and with.
    #[test]
    fn messages_arrive_to_the_byte() {
        for kind in [Kind::Uet, Kind::Roce] {
            everything_arrives(kind, |_| Fate::Arrive);
            everything_arrives(kind, |n| if n % 29 == 3 { Fate::Lose } else { Fate::Arrive });
        }
        everything_arrives(Kind::Uet, |n| match n % 23 {
            3 => Fate::Lose,
            7 | 8 => Fate::Trim,
            _ => Fate::Arrive,
        });
    }

    /// What counters on the wire round up is never missing in the end: long messages go through on the smallest window.
    #[test]
    fn long_messages_get_through_losses() {
        let mut lab = Lab::new(Kind::Uet, 2);
        for id in 0..5 {
            let message = lab.message(8 << 20);
            let now = lab.now;
            lab.hosts[0].post(now, HostId(1), id, message);
            let mut fate = |n: u64| match mix64(n ^ u64::from(id) << 40) % 100 {
                0 => Fate::Lose,
                1 | 2 => Fate::Trim,
                _ => Fate::Arrive,
            };
            lab.limit = Time(now.0 + 10_000_000_000_000);
            let done = lab.run(&mut fate, |lab| {
                while lab.hosts[1].event().is_some() {}
                lab.hosts[0].is_idle()
            });
            assert!(done, "message {id}: {:?}", lab.hosts[0].counters);
        }
    }

    /// The ICRC finds damage, and what it found is sent again.
    #[test]
    fn damaged_roce_packets_are_sent_again() {
        everything_arrives(Kind::Roce, |n| match n % 31 {
            5 => Fate::Damage(n as usize * 7),
            _ => Fate::Arrive,
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever is done to datagrams of UET, no endpoint fails.
        #[test]
        fn damaged_uet_packets_harm_nobody(every in 2..20u64, salt: u16) {
            let mut lab = Lab::new(Kind::Uet, 2);
            for rank in 0..2u32 {
                let message = lab.message(50_000);
                lab.hosts[rank as usize].post(Time::ZERO, HostId(1 - rank), rank, message);
            }
            let mut fate = |n: u64| match n % every {
                0 => Fate::Damage((n as usize).wrapping_mul(31).wrapping_add(usize::from(salt))),
                _ => Fate::Arrive,
            };
            let count = std::cell::Cell::new(0);
            lab.run(&mut fate, |_| {
                count.set(count.get() + 1);
                count.get() > 3_000
            });
        }
    }
}
