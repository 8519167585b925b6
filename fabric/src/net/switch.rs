//! A window of a switch.
//!
//! No packet that leaves a node within a window reaches another within it, so all arrivals of a window
//! are known when it begins: they are sorted once, and no event queue is needed. With per-queue buffers
//! the ports are independent and served lazily; with a shared buffer, where a departure of one port
//! changes what another may admit, departures and arrivals are interleaved in order of time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::Routing;
use crate::graph::RouteRule;
use crate::ids::HostId;
use crate::net::indirect::Indirect;
use crate::net::outlet::{Flying, Outlet};
use crate::net::port::Port;
use crate::net::profile::PortProfile;
use crate::net::route::{Salt, choose};
use crate::net::shared::SharedState;
use crate::net::steer::Steering;
use crate::packet::Label;
use crate::rng::mix64;
use crate::table::Table;
use crate::units::Time;

/// Bits of the order key that count arrivals of a node's window.
const INDEX_BITS: u32 = 18;
/// Bits of the order key that name the ingress port.
const PORT_BITS: u32 = 14;
/// Most ports a node can have.
pub(crate) const MAX_PORTS: usize = 1 << PORT_BITS;
/// Longest window, so that a time within it fits the order key.
pub(crate) const MAX_WINDOW: u64 = 1 << 32;

/// A switch's own state.
#[derive(Serialize, Deserialize)]
pub(crate) struct Switch {
    pub(crate) route: RouteRule,
    pub(crate) salt: Salt,
    /// How it chooses where that is not by hash over the rule's ports.
    pub(crate) steering: Option<Box<Steering>>,
    /// The buffer of lossless classes, if it has any.
    pub(crate) shared: Option<Box<SharedState>>,
    /// Some port has link-level retry.
    pub(crate) retry: bool,
}

/// A node's ports: a slice of the shard's, and where it begins.
pub(crate) struct Ports<'a> {
    pub(crate) first: usize,
    pub(crate) ports: &'a mut [Port],
    pub(crate) busy: &'a mut [Time],
    pub(crate) gate: &'a [u8],
    pub(crate) profiles: &'a [PortProfile],
}

/// What keeps arrivals at a port from simply being taken: bits of [`Ports::gate`].
pub(crate) mod gate {
    /// The link is down: they are lost.
    pub(crate) const DOWN: u8 = 1 << 0;
    /// They are captured.
    pub(crate) const TAP: u8 = 1 << 1;
    /// They may bring telemetry to the host.
    pub(crate) const TELEMETRY: u8 = 1 << 2;
}

impl Ports<'_> {
    /// Does with an arrival what the gate of its port says; true if it is lost.
    #[cold]
    pub(crate) fn stops(
        &mut self,
        place: usize,
        at: Time,
        label: Label,
        outlet: &mut Outlet,
    ) -> bool {
        let port = &mut self.ports[place];
        if self.gate[place] & gate::DOWN != 0 {
            port.counters.dropped_link_down += 1;
            outlet.lose(at, port.id, label);
            return true;
        }
        if self.gate[place] & gate::TAP != 0 {
            outlet.tap_received(at, port.id, label);
        }
        false
    }
}

/// An arrival of the window, routed.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) label: Label,
    pub(crate) egress: u16,
}

/// Room for the arrivals of one window, reused.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) order: Vec<u64>,
    /// By egress port, where ports do not depend on each other.
    lanes: Vec<Lane>,
    /// What one port has sent.
    sent: Vec<Flying>,
}

/// The order of simultaneous arrivals: time, then the ingress port exchanged by a mix of time and
/// seed, so that no port is favoured, then arrival: the lowest bits, which are left free.
#[inline]
fn order_key(offset: u64, port: usize, turn: u64) -> u64 {
    let port = (port as u64 ^ turn) & (MAX_PORTS as u64 - 1);
    (offset << (PORT_BITS + INDEX_BITS)) | (port << INDEX_BITS)
}

/// Where a packet of the window goes, asked when its time has come.
pub(crate) trait Egress {
    /// The port; `None` if there is no way.
    fn port(
        &mut self,
        now: Time,
        arrival: &mut Arrival,
        node: &mut Ports<'_>,
        outlet: &mut Outlet,
    ) -> Option<u16>;
}

/// It was decided when the window began.
struct Decided;

impl Egress for Decided {
    #[inline(always)]
    fn port(
        &mut self,
        _: Time,
        arrival: &mut Arrival,
        _: &mut Ports<'_>,
        _: &mut Outlet,
    ) -> Option<u16> {
        Some(arrival.egress)
    }
}

/// It depends on what went before: queues, turns, flowlets.
struct Late<'a> {
    route: RouteRule,
    salt: Salt,
    steering: &'a mut Steering,
}

impl Egress for Late<'_> {
    fn port(
        &mut self,
        now: Time,
        arrival: &mut Arrival,
        node: &mut Ports<'_>,
        outlet: &mut Outlet,
    ) -> Option<u16> {
        // With per-queue buffers ports are served lazily, so a queue that is asked for is brought up to
        // this moment; with a shared buffer all are, and these two lines do nothing.
        let queue = |place: u16| {
            let (port, busy) =
                (&mut node.ports[usize::from(place)], &mut node.busy[usize::from(place)]);
            port.serve(busy, now, &node.profiles[port.profile as usize], outlet);
            port.queue_bytes()
        };
        self.steering.late(&self.route, self.salt, &mut arrival.label, now, queue)
    }
}

/// Steering by the rule alone.
fn plain() -> Box<Steering> {
    Box::new(Steering::new(&Routing::default(), 0, 0, 0))
}

/// A packet without a way ends here, counted where it came in.
#[cold]
pub(crate) fn lose_unroutable(now: Time, label: Label, node: &mut Ports<'_>, outlet: &mut Outlet) {
    let port = &mut node.ports[usize::from(label.ingress())];
    port.counters.dropped_unroutable += 1;
    outlet.lose(now, port.id, label);
}

impl Switch {
    /// A switch that routes by `route`; number, among all nodes, `node`.
    pub(crate) fn new(
        route: RouteRule,
        salt: Salt,
        shared: Option<Box<SharedState>>,
        retry: bool,
        (routing, seed, node): (&Routing, u64, u32),
    ) -> Switch {
        let steering = Steering::new(routing, route.up().1, seed, node);
        let steering = Some(Box::new(steering)).filter(|steering| !steering.is_idle());
        Switch { route, salt, steering, shared, retry }
    }

    /// Packets that come in by a port for a host leave by another, whatever the rule says.
    pub(crate) fn pin(&mut self, ingress: u16, dst: HostId, egress: u16) {
        self.steering.get_or_insert_with(plain).pin(ingress, dst, egress);
    }

    /// Routes by a table where its rule says nothing; `routing` and the number of the switch decide among `ups` equal
    /// ports.
    pub(crate) fn set_table(
        &mut self,
        table: Arc<Table>,
        indirect: Option<Box<Indirect>>,
        (routing, seed, node): (&Routing, u64, u32),
        ups: u16,
    ) {
        let mut steering = Steering::new(routing, ups, seed, node);
        steering.set_table(table, indirect);
        self.steering = Some(Box::new(steering));
    }

    /// Takes over what is not state from the switch as it was assembled.
    pub(crate) fn adopt(&mut self, built: Switch) {
        if let (Some(own), Some(built)) = (&mut self.steering, built.steering) {
            own.adopt(*built);
        }
    }

    /// Exceptions from its rule from now on.
    pub(crate) fn set_detour(&mut self, detour: Option<Arc<Table>>) {
        self.steering.get_or_insert_with(plain).set_detour(detour);
        self.steering = self.steering.take().filter(|steering| !steering.is_idle());
    }

    /// The switch fails at `now`: what stands in its queues is lost, and whom it held back it forgets.
    pub(crate) fn fail(&mut self, now: Time, node: &mut Ports<'_>, outlet: &mut Outlet) {
        for place in 0..node.ports.len() {
            node.busy[place] = Time::NEVER;
            while let Some(label) = node.ports[place].discard(now, outlet) {
                if let Some(shared) = &mut self.shared {
                    shared.forget(node, now, label, outlet);
                }
            }
        }
        for port in node.ports.iter_mut() {
            port.reset();
            port.note_paused(now, outlet);
        }
        if let Some(shared) = &mut self.shared {
            shared.clear();
        }
    }

    /// Starts the port if it is idle and has something to send.
    pub(crate) fn kick(&mut self, node: &mut Ports<'_>, now: Time, place: usize) {
        if let Some(shared) = &mut self.shared {
            shared.kick(node, now, place);
        } else if node.busy[place] == Time::NEVER || (self.retry && node.ports[place].waits()) {
            let port = &mut node.ports[place];
            node.busy[place] = port.start(now, &node.profiles[port.profile as usize]);
        }
    }

    /// Runs everything before `end`; returns when the next event is due.
    pub(crate) fn run(
        &mut self,
        mut node: Ports<'_>,
        start: Time,
        end: Time,
        scratch: &mut Scratch,
        outlet: &mut Outlet,
    ) -> Time {
        let late = self.steering.as_deref().is_some_and(Steering::is_late);
        if self.shared.is_none() && !self.retry && !late {
            return self.run_by_port(&mut node, start, end, scratch, outlet);
        }
        self.gather_in_order(&mut node, start, end, scratch, outlet);
        outlet.work.events += scratch.arrivals.len() as u64;
        let steering = self.steering.as_deref_mut().filter(|steering| steering.is_late());
        let late = steering.map(|steering| Late { route: self.route, salt: self.salt, steering });
        match (&mut self.shared, late) {
            (None, None) => run_in_order(Decided, &mut node, start, end, scratch, outlet),
            (None, Some(late)) => run_in_order(late, &mut node, start, end, scratch, outlet),
            (Some(shared), None) => {
                shared.run(Decided, &mut node, start, end, scratch, outlet);
            }
            (Some(shared), Some(late)) => {
                shared.run(late, &mut node, start, end, scratch, outlet);
            }
        }
        scratch.arrivals.clear();
        scratch.order.clear();
        let watch = self.shared.as_ref().map_or(Time::NEVER, |shared| shared.watch_at());
        next_event(&node, outlet).min(watch)
    }

    /// A window of a switch whose ports do not depend on each other: each takes what the window brings it in
    /// order of time, alone, while its state and the wire it sends on are in cache.
    fn run_by_port(
        &self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        scratch: &mut Scratch,
        outlet: &mut Outlet,
    ) -> Time {
        (0..node.ports.len()).for_each(|port| {
            outlet.touch(node.first + port);
            node.ports[port].touch();
        });
        let lanes = &mut scratch.lanes;
        if lanes.len() < node.ports.len() {
            lanes.resize_with(node.ports.len(), Lane::default);
        }
        let mut take = |key: u64, arrival: Arrival| {
            lanes[usize::from(arrival.egress)].push(key, arrival.label)
        };
        outlet.work.events += self.collect(node, start, end, outlet, &mut take);
        let last = Time(end.0 - 1);
        let mut next = Time::NEVER;
        for (place, lane) in scratch.lanes[..node.ports.len()].iter_mut().enumerate() {
            if !lane.order.is_empty() || node.busy[place] <= last {
                lane.run(node, place, (start, last), &mut scratch.sent, outlet);
            }
            next = next.min(node.busy[place]).min(outlet.head(node.first + place));
        }
        next
    }

    /// Takes the window's arrivals off the wires, routes them, and sorts them by time.
    fn gather_in_order(
        &self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        scratch: &mut Scratch,
        outlet: &mut Outlet,
    ) {
        let Scratch { arrivals, order, .. } = scratch;
        let mut take = |key: u64, arrival: Arrival| {
            order.push(key | arrivals.len() as u64);
            arrivals.push(arrival);
        };
        self.collect(node, start, end, outlet, &mut take);
        assert!(arrivals.len() < 1 << INDEX_BITS, "too many arrivals in one window");
        order.sort_unstable();
    }

    /// Takes the window's arrivals off the wires, routes them, and hands them to `take` with their order keys;
    /// returns how many there were.
    #[inline]
    fn collect(
        &self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        outlet: &mut Outlet,
        take: &mut impl FnMut(u64, Arrival),
    ) -> u64 {
        match self.steering {
            None => self.gather::<false>(node, start, end, outlet, take),
            Some(_) => self.gather::<true>(node, start, end, outlet, take),
        }
    }

    /// The same. Only a switch with steering is `STEERED`; all others look at their rule and nothing else.
    fn gather<const STEERED: bool>(
        &self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        outlet: &mut Outlet,
        take: &mut impl FnMut(u64, Arrival),
    ) -> u64 {
        let turns = node.ports.len().next_power_of_two() as u64 - 1;
        let mut count = 0;
        for ingress in 0..node.ports.len() {
            if outlet.head(node.first + ingress) >= end {
                continue;
            }
            let key = |at: Time| {
                let turn = mix64(at.0 ^ self.salt.0) & turns;
                order_key(at.0 - start.0, ingress, turn)
            };
            if !STEERED && node.gate[ingress] == 0 {
                let landing = outlet.landing(node.first + ingress, end);
                let landed = landing.len();
                for flying in landing {
                    let (at, label) = (flying.at(), flying.label);
                    let Some(arrival) = self.route::<STEERED>(label, ingress) else { continue };
                    take(key(at), arrival);
                }
                outlet.landed(node.first + ingress, landed);
                count += landed as u64;
                continue;
            }
            while outlet.head(node.first + ingress) < end {
                let (at, mut label) = outlet.land(node.first + ingress);
                if node.gate[ingress] != 0 && node.stops(ingress, at, label, outlet) {
                    continue;
                }
                if let Some(arrival) = self.route::<STEERED>(label, ingress) {
                    take(key(at), arrival);
                    count += 1;
                } else {
                    label.enter(ingress);
                    lose_unroutable(at, label, node, outlet);
                }
            }
        }
        count
    }

    /// A packet that came in by a port, and where it goes as far as that can be said.
    #[inline(always)]
    fn route<const STEERED: bool>(&self, mut label: Label, ingress: usize) -> Option<Arrival> {
        if STEERED {
            label.enter_in_phase(ingress);
        } else {
            label.enter(ingress);
        }
        let egress = self.egress::<STEERED>(&mut label)?;
        Some(Arrival { label, egress })
    }

    /// The port by which a packet leaves, as far as it can be said before its time has come; `None` if there is
    /// no way. A switch without steering always has one.
    #[inline(always)]
    fn egress<const STEERED: bool>(&self, label: &mut Label) -> Option<u16> {
        if STEERED {
            let steering = self.steering.as_ref().expect("a steered switch has steering");
            return steering.early(&self.route, self.salt, label);
        }
        let (first, choices) = self.route.towards(label.dst);
        Some(match choices {
            1 => first,
            _ => first + choose(label, self.salt, choices),
        })
    }
}

/// What a window brings to one port.
#[derive(Default)]
struct Lane {
    /// Order keys, each with the place of its label.
    order: Vec<u64>,
    labels: Vec<Label>,
}

impl Lane {
    #[inline]
    fn push(&mut self, key: u64, label: Label) {
        self.order.push(key | self.labels.len() as u64);
        self.labels.push(label);
    }

    /// Runs the port of a window from `start` up to and including `last`.
    fn run(
        &mut self,
        node: &mut Ports<'_>,
        place: usize,
        (start, last): (Time, Time),
        sent: &mut Vec<Flying>,
        outlet: &mut Outlet,
    ) {
        assert!(self.labels.len() < 1 << INDEX_BITS, "too many arrivals in one window");
        self.order.sort_unstable();
        let (port, busy) = (&mut node.ports[place], &mut node.busy[place]);
        let profile = &node.profiles[port.profile as usize];
        let plain = port.is_plain();
        for key in self.order.drain(..) {
            let (at, label) = unpack(key, start);
            let label = self.labels[label];
            if plain {
                port.serve_plain(busy, at, profile, sent);
            } else {
                port.serve(busy, at, profile, outlet);
            }
            if port.admit(at, label, profile, outlet) && *busy == Time::NEVER {
                *busy = port.start(at, profile);
            }
        }
        if plain {
            port.serve_plain(busy, last, profile, sent);
            outlet.send_all(port.peer, sent);
        } else {
            port.serve(busy, last, profile, outlet);
        }
        self.labels.clear();
    }
}

/// The time and the place behind an order key.
#[inline]
pub(crate) fn unpack(key: u64, start: Time) -> (Time, usize) {
    let at = Time(start.0 + (key >> (PORT_BITS + INDEX_BITS)));
    (at, (key & ((1 << INDEX_BITS) - 1)) as usize)
}

/// A window of a switch whose ports do not depend on each other, but whose choice among them does on what went
/// before, or whose ports may be waiting for link-level retry and not for a frame to end.
fn run_in_order(
    mut egress: impl Egress,
    node: &mut Ports<'_>,
    start: Time,
    end: Time,
    scratch: &Scratch,
    outlet: &mut Outlet,
) {
    for &key in &scratch.order {
        let (at, place) = unpack(key, start);
        let mut arrival = scratch.arrivals[place];
        let Some(egress) = egress.port(at, &mut arrival, node, outlet) else {
            lose_unroutable(at, arrival.label, node, outlet);
            continue;
        };
        let egress = usize::from(egress);
        let port = &mut node.ports[egress];
        let profile = &node.profiles[port.profile as usize];
        let busy = &mut node.busy[egress];
        port.serve(busy, at, profile, outlet);
        if port.admit(at, arrival.label, profile, outlet) && (*busy == Time::NEVER || port.waits())
        {
            *busy = port.start(at, profile);
        }
    }
    let last = Time(end.0 - 1);
    for (port, busy) in node.ports.iter_mut().zip(node.busy.iter_mut()) {
        if *busy <= last {
            port.serve(busy, last, &node.profiles[port.profile as usize], outlet);
        }
    }
}

fn next_event(node: &Ports<'_>, outlet: &Outlet) -> Time {
    let heads = (0..node.ports.len()).map(|port| outlet.head(node.first + port));
    node.busy.iter().copied().chain(heads).min().unwrap_or(Time::NEVER)
}
