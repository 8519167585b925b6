//! Endpoints joined by one line each way and no fabric: a bench for transports.
//!
//! Every host has one NIC port of the line's rate; a packet's last byte arrives the line's delay after
//! it has left. A test decides the fate of every packet on the way, and reads what was sent and
//! what completed.

use std::collections::BTreeMap;

use fabric::endpoint::{Completion, Endpoint, HostCx, Message, Send};
use fabric::engine::timers::Timers;
use fabric::ids::{Class, HostId};
use fabric::packet::{Packet, flags};
use fabric::probe::EndpointCounters;
use fabric::series::Measured;
use fabric::telemetry::Telemetry;
use fabric::units::{Rate, Span, Time};

/// What becomes of a packet on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It arrives.
    Arrive,
    /// It arrives this much later, behind others.
    Late(Span),
    /// It arrives marked.
    Mark,
    /// It arrives trimmed, at the last hop or before.
    Trim {
        /// At the last hop.
        last_hop: bool,
    },
    /// It is lost.
    Lose,
}

/// More events than any test has.
const STEPS: u32 = 400_000;

/// A host of the bench.
struct Station<E> {
    endpoint: E,
    timers: Timers,
    counters: EndpointCounters,
    telemetry: Telemetry,
    /// When its port is free; `NEVER` if it is and nothing waits.
    free_at: Time,
    busy: bool,
    /// When the transport asked to be polled.
    poll_at: Time,
}

/// See the module.
pub(crate) struct Bench<E, F> {
    stations: Vec<Station<E>>,
    rate: Rate,
    delay: Span,
    fate: F,
    /// What is on the way, by time of arrival and order of sending.
    wires: BTreeMap<(Time, usize), (Packet, Telemetry)>,
    /// The time of the last event.
    pub(crate) now: Time,
    /// Every packet sent, and when its first byte left.
    pub(crate) sent: Vec<(Time, Packet)>,
    /// Every completion, and at which host.
    pub(crate) completed: Vec<(Time, HostId, Completion)>,
}

impl<E: Endpoint, F: FnMut(Time, &Packet) -> Fate> Bench<E, F> {
    /// Joins `endpoints`, those of host 0, 1, ….
    pub(crate) fn new(endpoints: Vec<E>, rate: Rate, delay: Span, fate: F) -> Bench<E, F> {
        let station = |endpoint| Station {
            endpoint,
            timers: Timers::default(),
            counters: EndpointCounters::default(),
            telemetry: Telemetry::default(),
            free_at: Time::NEVER,
            busy: false,
            poll_at: Time::NEVER,
        };
        Bench {
            stations: endpoints.into_iter().map(station).collect(),
            rate,
            delay,
            fate,
            wires: BTreeMap::new(),
            now: Time::ZERO,
            sent: Vec::new(),
            completed: Vec::new(),
        }
    }

    /// The endpoint of a host.
    pub(crate) fn endpoint(&self, host: u32) -> &E {
        &self.stations[host as usize].endpoint
    }

    /// What a host counted.
    pub(crate) fn counters(&self, host: u32) -> EndpointCounters {
        self.stations[host as usize].counters
    }

    /// Posts a message at a host, now.
    pub(crate) fn post(&mut self, host: u32, message: Message) {
        self.call(host as usize, |endpoint, cx| endpoint.on_post(cx, message));
        self.fill(host as usize);
    }

    /// Runs until nothing is left to happen, or to `limit`; true if nothing is left.
    ///
    /// # Panics
    /// If it never ends.
    pub(crate) fn run(&mut self, limit: Time) -> bool {
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < STEPS, "{steps} events and no end");
            let next = self.next_event();
            if next > limit {
                return next == Time::NEVER;
            }
            self.now = next;
            self.step();
        }
    }

    fn next_event(&self) -> Time {
        let wire = self.wires.first_key_value().map_or(Time::NEVER, |(key, _)| key.0);
        let own =
            |station: &Station<E>| station.timers.next().min(station.free_at).min(station.poll_at);
        self.stations.iter().map(own).fold(wire, Time::min)
    }

    fn step(&mut self) {
        while let Some(entry) = self.wires.first_entry()
            && entry.key().0 <= self.now
        {
            let (packet, telemetry) = entry.remove();
            self.stations[packet.dst.index()].telemetry = telemetry;
            self.call(packet.dst.index(), |endpoint, cx| endpoint.on_packet(cx, &packet));
        }
        for host in 0..self.stations.len() {
            while let Some(timer) = self.stations[host].timers.pop_due(self.now) {
                self.call(host, |endpoint, cx| endpoint.on_timer(cx, timer));
            }
            let station = &mut self.stations[host];
            if station.free_at <= self.now {
                (station.busy, station.free_at) = (false, Time::NEVER);
            }
            if station.poll_at <= self.now {
                station.poll_at = Time::NEVER;
            }
            self.fill(host);
        }
    }

    /// Calls a host's endpoint and takes in its completions.
    fn call<R>(&mut self, host: usize, call: impl FnOnce(&mut E, &mut HostCx<'_>) -> R) -> R {
        let mut completions = Vec::new();
        let station = &mut self.stations[host];
        let id = HostId(host as u32);
        let result = call(
            &mut station.endpoint,
            &mut HostCx {
                now: self.now,
                host: id,
                timers: &mut station.timers,
                completions: &mut completions,
                counters: &mut station.counters,
                telemetry: &mut station.telemetry,
                measured: &mut Measured::default(),
            },
        );
        self.completed.extend(completions.into_iter().map(|done| (self.now, id, done)));
        result
    }

    /// Sends a packet of a host whose port is free.
    fn fill(&mut self, host: usize) {
        if self.stations[host].busy {
            return;
        }
        match self.call(host, |endpoint, cx| endpoint.poll_send(cx, 0, 0)) {
            Send::Packet(packet) => {
                let end = self.now + self.rate.time_for(u64::from(packet.bytes));
                let station = &mut self.stations[host];
                (station.busy, station.free_at) = (true, end);
                self.forward(packet, end + self.delay);
            }
            Send::WakeAt(at) => {
                let poll_at = &mut self.stations[host].poll_at;
                *poll_at = at.min(*poll_at);
            }
            Send::Idle => {}
        }
    }

    fn forward(&mut self, mut packet: Packet, mut arrival: Time) {
        let order = self.sent.len();
        self.sent.push((self.now, packet));
        match (self.fate)(self.now, &packet) {
            Fate::Arrive => {}
            Fate::Late(more) => arrival += more,
            Fate::Mark => packet.flags |= flags::CE,
            Fate::Trim { last_hop } => {
                packet.bytes = 64;
                packet.class = Class::CONTROL;
                packet.flags |= flags::TRIMMED | if last_hop { flags::LAST_HOP } else { 0 };
            }
            Fate::Lose => return,
        }
        let telemetry = self.stations[packet.src.index()].telemetry;
        self.wires.insert((arrival, order), (packet, telemetry));
    }
}
