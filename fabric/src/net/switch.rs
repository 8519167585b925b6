//! A window of a switch.
//!
//! No packet that leaves a node within a window reaches another within it, so all arrivals of a window
//! are known when it begins: they are sorted once, and no event queue is needed. With per-queue buffers
//! the ports are independent and served lazily; with a shared buffer, where a departure of one port
//! changes what another may admit, departures and arrivals are interleaved in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::graph::RouteRule;
use crate::ids::Class;
use crate::net::buffer::Mmu;
use crate::net::outlet::Outlet;
use crate::net::port::Port;
use crate::net::profile::PortProfile;
use crate::net::route::{Salt, choose};
use crate::packet::Label;
use crate::rng::mix64;
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
pub(crate) struct Switch {
    pub(crate) route: RouteRule,
    pub(crate) salt: Salt,
    /// The buffer of lossless classes, if it has any.
    pub(crate) shared: Option<Box<SharedState>>,
    /// Some port has link-level retry.
    pub(crate) retry: bool,
}

/// How lossless classes are kept from overrunning a switch.
pub(crate) enum Guard {
    /// A shared buffer with pauses.
    Pauses(Mmu),
    /// Credits for each ingress port, which keeps the accounts.
    Credits,
}

/// What only a switch with lossless classes keeps.
pub(crate) struct SharedState {
    pub(crate) guard: Guard,
    /// When each busy port's frame ends: one entry a busy port, and what is left of ports that waited
    /// and went on earlier.
    departures: BinaryHeap<Reverse<(Time, u16)>>,
    /// Ports may wait for link-level retry.
    retry: bool,
}

impl SharedState {
    pub(crate) fn new(guard: Guard, retry: bool) -> SharedState {
        SharedState { guard, departures: BinaryHeap::new(), retry }
    }
}

/// A node's ports: a slice of the shard's, and where it begins.
pub(crate) struct Ports<'a> {
    pub(crate) first: usize,
    pub(crate) ports: &'a mut [Port],
    pub(crate) busy: &'a mut [Time],
    pub(crate) down: &'a [bool],
    pub(crate) profiles: &'a [PortProfile],
}

/// An arrival of the window, routed.
#[derive(Clone, Copy)]
struct Arrival {
    label: Label,
    egress: u16,
}

/// Room for the arrivals of one window, reused.
#[derive(Default)]
pub(crate) struct Scratch {
    arrivals: Vec<Arrival>,
    order: Vec<u64>,
}

/// The order of simultaneous arrivals: time, then the ingress port exchanged by a mix of time and
/// seed, so that no port is favoured, then arrival.
#[inline]
fn order_key(offset: u64, port: usize, turn: u64, index: usize) -> u64 {
    let port = (port as u64 ^ turn) & (MAX_PORTS as u64 - 1);
    (offset << (PORT_BITS + INDEX_BITS)) | (port << INDEX_BITS) | index as u64
}

impl Switch {
    /// Runs everything before `end`; returns when the next event is due.
    pub(crate) fn run(
        &mut self,
        mut node: Ports<'_>,
        start: Time,
        end: Time,
        scratch: &mut Scratch,
        outlet: &mut Outlet,
    ) -> Time {
        self.gather(&mut node, start, end, scratch, outlet);
        outlet.work.events += scratch.arrivals.len() as u64;
        match (&mut self.shared, self.retry) {
            (Some(shared), _) => shared.run(&mut node, start, end, scratch, outlet),
            (None, false) => run_independent::<false>(&mut node, start, end, scratch, outlet),
            (None, true) => run_independent::<true>(&mut node, start, end, scratch, outlet),
        }
        scratch.arrivals.clear();
        scratch.order.clear();
        next_event(&node, outlet)
    }

    /// Takes the window's arrivals off the wires, routes them, and sorts them by time.
    fn gather(
        &self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        scratch: &mut Scratch,
        outlet: &mut Outlet,
    ) {
        let turns = node.ports.len().next_power_of_two() as u64 - 1;
        for ingress in 0..node.ports.len() {
            while outlet.head(node.first + ingress) < end {
                let (at, mut label) = outlet.land(node.first + ingress);
                if node.down[ingress] {
                    let port = &mut node.ports[ingress];
                    port.counters.dropped_link_down += 1;
                    outlet.lose(at, port.id, label);
                    continue;
                }
                label.ingress = ingress as u16;
                let (first, choices) = self.route.towards(label.dst);
                let egress = match choices {
                    1 => first,
                    _ => first + choose(&label, self.salt, choices),
                };
                let turn = mix64(at.0 ^ self.salt.0) & turns;
                let index = scratch.arrivals.len();
                scratch.order.push(order_key(at.0 - start.0, ingress, turn, index));
                scratch.arrivals.push(Arrival { label, egress });
            }
        }
        assert!(scratch.arrivals.len() < 1 << INDEX_BITS, "too many arrivals in one window");
        scratch.order.sort_unstable();
    }
}

/// The time and the arrival behind an order key.
#[inline]
fn unpack(key: u64, start: Time, arrivals: &[Arrival]) -> (Time, Arrival) {
    let at = Time(start.0 + (key >> (PORT_BITS + INDEX_BITS)));
    (at, arrivals[(key & ((1 << INDEX_BITS) - 1)) as usize])
}

/// With `RETRY`, a port may be waiting for link-level retry and not for a frame to end.
fn run_independent<const RETRY: bool>(
    node: &mut Ports<'_>,
    start: Time,
    end: Time,
    scratch: &Scratch,
    outlet: &mut Outlet,
) {
    for &key in &scratch.order {
        let (at, arrival) = unpack(key, start, &scratch.arrivals);
        let egress = arrival.egress as usize;
        let port = &mut node.ports[egress];
        let profile = &node.profiles[port.profile as usize];
        let busy = &mut node.busy[egress];
        port.serve(busy, at, profile, outlet);
        if port.admit(at, arrival.label, profile, outlet)
            && (*busy == Time::NEVER || (RETRY && port.waits()))
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

impl SharedState {
    fn run(
        &mut self,
        node: &mut Ports<'_>,
        start: Time,
        end: Time,
        scratch: &Scratch,
        outlet: &mut Outlet,
    ) {
        for &key in &scratch.order {
            let (at, arrival) = unpack(key, start, &scratch.arrivals);
            self.serve(node, at, outlet);
            if arrival.label.class == Class::LINK {
                self.on_link_frame(node, at, arrival.label, outlet);
            } else {
                self.on_arrival(node, at, arrival, outlet);
            }
        }
        self.serve(node, Time(end.0 - 1), outlet);
    }

    /// Completes departures of all ports up to and including `until`, in order of time.
    fn serve(&mut self, node: &mut Ports<'_>, until: Time, outlet: &mut Outlet) {
        while let Some(&Reverse((now, number))) = self.departures.peek() {
            if now > until {
                break;
            }
            self.departures.pop();
            let place = number as usize;
            if node.busy[place] != now {
                continue;
            }
            let port = &mut node.ports[place];
            let profile = &node.profiles[port.profile as usize];
            let departed = port.depart(now, profile, outlet);
            node.busy[place] = Time::NEVER;
            self.kick(node, now, place);
            if let Some(label) = departed {
                self.release(node, now, label, outlet);
            }
        }
    }

    /// Starts the port if it is idle and has something to send.
    fn kick(&mut self, node: &mut Ports<'_>, now: Time, place: usize) {
        if node.busy[place] == Time::NEVER || (self.retry && node.ports[place].waits()) {
            let port = &mut node.ports[place];
            let busy = port.start(now, &node.profiles[port.profile as usize]);
            node.busy[place] = busy;
            if busy != Time::NEVER {
                self.departures.push(Reverse((busy, place as u16)));
            }
        }
    }

    fn on_arrival(
        &mut self,
        node: &mut Ports<'_>,
        now: Time,
        arrival: Arrival,
        outlet: &mut Outlet,
    ) {
        let place = arrival.egress as usize;
        let Arrival { label, .. } = arrival;
        let ingress = label.ingress as usize;
        let profile = &node.profiles[node.ports[place].profile as usize];
        let lossless = profile.lossless & label.class.bit() != 0;
        let class = label.class.index();
        let bytes = u64::from(label.bytes);
        if lossless {
            let port = &mut node.ports[ingress];
            let taken = match &mut self.guard {
                Guard::Pauses(mmu) => mmu.admit(ingress, class, bytes),
                Guard::Credits => {
                    port.take_in(label);
                    true
                }
            };
            if !taken {
                port.counters.dropped_buffer += 1;
                outlet.lose(now, port.id, label);
                return;
            }
        }
        let kept = node.ports[place].admit(now, label, profile, outlet);
        if lossless {
            debug_assert!(kept, "a lossless class has no limit of its own");
            if let Guard::Pauses(mmu) = &mut self.guard
                && mmu.must_pause(ingress, class)
            {
                let port = &mut node.ports[ingress];
                port.pausing |= label.class.bit();
                port.counters.pauses_sent += 1;
                port.request_pfc();
                self.kick(node, now, ingress);
            }
        }
        self.kick(node, now, place);
    }

    /// A packet left: its room is free, and its upstream may be resumed.
    fn release(&mut self, node: &mut Ports<'_>, now: Time, label: Label, outlet: &mut Outlet) {
        let Label { class, bytes, ingress, .. } = label;
        let ingress = ingress as usize;
        let profile = &node.profiles[node.ports[ingress].profile as usize];
        if profile.lossless & class.bit() == 0 {
            return;
        }
        let Guard::Pauses(mmu) = &mut self.guard else {
            node.ports[ingress].release(now, label, outlet);
            return;
        };
        mmu.release(ingress, class.index(), u64::from(bytes));
        if mmu.may_resume(ingress, class.index()) {
            let port = &mut node.ports[ingress];
            port.pausing &= !class.bit();
            port.counters.resumes_sent += 1;
            port.request_pfc();
            self.kick(node, now, ingress);
        }
    }

    /// The peer of the ingress port pauses or resumes our sending to it, or gives credits.
    fn on_link_frame(
        &mut self,
        node: &mut Ports<'_>,
        now: Time,
        label: Label,
        outlet: &mut Outlet,
    ) {
        let frame = outlet.consume(label);
        let place = label.ingress as usize;
        if node.ports[place].on_link_frame(&frame) {
            node.ports[place].send_credits(now, outlet);
        }
        self.kick(node, now, place);
    }
}
