//! A switch with lossless classes: departures and arrivals in order of time, pauses or credits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::ids::Class;
use crate::net::buffer::Mmu;
use crate::net::outlet::Outlet;
use crate::net::switch::{Arrival, Egress, Ports, Scratch, lose_unroutable, unpack};
use crate::net::watchdog::{Verdict, Watchdog};
use crate::packet::Label;
use crate::units::Time;

/// How lossless classes are kept from overrunning a switch.
#[derive(Serialize, Deserialize)]
pub(crate) enum Guard {
    /// A shared buffer with pauses.
    Pauses(Mmu),
    /// Credits for each ingress port, which keeps the accounts.
    Credits,
}

/// What only a switch with lossless classes keeps.
#[derive(Serialize, Deserialize)]
pub(crate) struct SharedState {
    pub(crate) guard: Guard,
    /// When each busy port's frame ends: one entry a busy port, and what is left of ports that waited
    /// and went on earlier.
    departures: BinaryHeap<Reverse<(Time, u16)>>,
    /// Ports may wait for link-level retry.
    retry: bool,
    /// When the watchdog looks again; `NEVER` without one.
    watch_at: Time,
    watchdog: Option<Box<Watchdog>>,
    /// Packets may leave by another class than they came in by: accounts and pauses are those of the latter.
    channels: bool,
}

impl SharedState {
    pub(crate) fn new(
        guard: Guard,
        retry: bool,
        watchdog: Option<Watchdog>,
        channels: bool,
    ) -> SharedState {
        SharedState {
            channels,
            guard,
            departures: BinaryHeap::new(),
            retry,
            watch_at: Time::NEVER,
            watchdog: watchdog.map(Box::new),
        }
    }

    /// The port and the class by which a packet came in.
    pub(crate) fn origin(&self, label: &Label) -> (usize, Class) {
        match self.channels {
            false => (usize::from(label.ingress()), label.class),
            true => (usize::from(label.ingress_with_channels()), label.came_as()),
        }
    }

    /// When the watchdog looks again.
    pub(crate) fn watch_at(&self) -> Time {
        self.watch_at
    }

    /// The switch fails: nothing leaves any more, and no pause is remembered.
    pub(crate) fn clear(&mut self) {
        self.departures.clear();
        if let Some(watchdog) = &mut self.watchdog {
            self.watch_at = watchdog.clear();
        }
    }
}

impl SharedState {
    pub(crate) fn run(
        &mut self,
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
            self.serve(node, at, outlet);
            if arrival.label.class == Class::LINK {
                self.on_link_frame(node, at, arrival.label, outlet);
            } else if let Some(egress) = egress.port(at, &mut arrival, node, outlet) {
                self.on_arrival(node, at, Arrival { egress, ..arrival }, outlet);
            } else {
                lose_unroutable(at, arrival.label, node, outlet);
            }
        }
        self.serve(node, Time(end.0 - 1), outlet);
    }

    /// Completes departures of all ports up to and including `until`, in order of time.
    fn serve(&mut self, node: &mut Ports<'_>, until: Time, outlet: &mut Outlet) {
        loop {
            let departure = self.departures.peek().map_or((Time::NEVER, 0), |entry| entry.0);
            if self.watch_at <= until && self.watch_at < departure.0 {
                self.watch(node, self.watch_at, outlet);
                continue;
            }
            let (now, number) = departure;
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
    pub(crate) fn kick(&mut self, node: &mut Ports<'_>, now: Time, place: usize) {
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
        let (ingress, came_as) = self.origin(&label);
        let profile = &node.profiles[node.ports[place].profile as usize];
        let lossless = profile.lossless & label.class.bit() != 0;
        let class = label.class.index();
        let bytes = u64::from(label.bytes);
        if lossless {
            if let Some(watchdog) = &self.watchdog
                && watchdog.drops(place, class)
            {
                let port = &mut node.ports[place];
                port.counters.dropped_watchdog += 1;
                outlet.lose(now, port.id, label);
                return;
            }
            let port = &mut node.ports[ingress];
            let taken = match &mut self.guard {
                Guard::Pauses(mmu) => mmu.admit(ingress, came_as.index(), bytes),
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
                && mmu.must_pause(ingress, came_as.index())
            {
                let port = &mut node.ports[ingress];
                port.pausing |= came_as.bit();
                port.counters.pauses_sent += 1;
                port.request_pfc();
                self.kick(node, now, ingress);
            }
        }
        self.kick(node, now, place);
    }

    /// A packet was lost with the switch: its room is free.
    pub(crate) fn forget(
        &mut self,
        node: &mut Ports<'_>,
        now: Time,
        label: Label,
        outlet: &mut Outlet,
    ) {
        let (ingress, class) = self.origin(&label);
        let profile = &node.profiles[node.ports[ingress].profile as usize];
        if profile.lossless & class.bit() == 0 {
            return;
        }
        match &mut self.guard {
            Guard::Pauses(mmu) => {
                mmu.release(ingress, class.index(), u64::from(label.bytes));
                mmu.may_resume(ingress, class.index());
            }
            Guard::Credits => node.ports[ingress].release(now, label, outlet),
        }
    }

    /// A packet left: its room is free, and its upstream may be resumed.
    fn release(&mut self, node: &mut Ports<'_>, now: Time, label: Label, outlet: &mut Outlet) {
        let (ingress, class) = self.origin(&label);
        let profile = &node.profiles[node.ports[ingress].profile as usize];
        if profile.lossless & class.bit() == 0 {
            return;
        }
        let Guard::Pauses(mmu) = &mut self.guard else {
            node.ports[ingress].release(now, label, outlet);
            return;
        };
        mmu.release(ingress, class.index(), u64::from(label.bytes));
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
        let place = usize::from(label.ingress());
        if node.ports[place].on_link_frame(now, &frame, outlet) {
            node.ports[place].send_credits(now, outlet);
        }
        if let Some(watchdog) = &mut self.watchdog {
            self.watch_at = watchdog.note(now, place, node.ports[place].paused);
        }
        self.kick(node, now, place);
    }

    /// The watchdog looks: queues that were paused for too long are emptied, and drop what comes.
    #[cold]
    fn watch(&mut self, node: &mut Ports<'_>, now: Time, outlet: &mut Outlet) {
        let Some(mut watchdog) = self.watchdog.take() else { return };
        while let Some((place, class, verdict)) = watchdog.look(now) {
            let port = &mut node.ports[place];
            let held = port.paused & (1 << class) != 0 && port.occupied(class);
            let on_wire = node.busy[place] != Time::NEVER && usize::from(port.serving) == class;
            if verdict == Verdict::Paused && held && !on_wire {
                watchdog.bite(now, place, class);
                port.counters.watchdog_storms += 1;
                while let Some(label) = node.ports[place].drop_paused(now, class, outlet) {
                    self.release(node, now, label, outlet);
                }
            }
        }
        self.watch_at = watchdog.next();
        self.watchdog = Some(watchdog);
    }
}
