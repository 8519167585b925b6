//! A host: its NIC ports, its transport, and its program. Where a domain has a network of its own, a second NIC.
//!
//! The NIC pulls: whenever a port is free it asks the transport for a packet, so packets exist only
//! once they are on the wire. A host's events are few and all its own (arrivals, port free, timers,
//! wake-ups), so the next one is found by looking at each source, without a queue.

use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::endpoint::{Completion, Endpoint, HostCx, Message, Send};
use crate::engine::timers::Timers;
use crate::ids::{Class, HostId, MessageId};
use crate::net::llr::Turn;
use crate::net::outlet::Outlet;
use crate::net::port::{Port, special};
use crate::net::switch::{Ports, gate};
use crate::packet::Packet;
use crate::probe::EndpointCounters;
use crate::program::{Program, ProgramCx};
use crate::series::Measured;
use crate::telemetry::Telemetry;
use crate::units::Time;

/// A message this host posted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Posted {
    pub(crate) message: Message,
    pub(crate) posted: Time,
    /// When it was acknowledged; `NEVER` before.
    pub(crate) acked: Time,
    /// When its transport gave up on it; `NEVER` before.
    pub(crate) failed: Time,
}

/// Lists that calls fill and the host empties; reused.
#[derive(Default)]
struct Lists {
    completions: Vec<Completion>,
    posts: Vec<Message>,
    wakes: Vec<(Time, u32)>,
    signals: Vec<(HostId, u32)>,
}

/// One host.
#[derive(Serialize, Deserialize)]
pub(crate) struct Host<E, P> {
    pub(crate) id: HostId,
    /// The NIC of the scale-out network.
    pub(crate) nic: Nic<E>,
    /// That of the domain's own network, if there is one.
    pub(crate) inner: Option<Box<Inner<E>>>,
    pub(crate) program: P,
    pub(crate) counters: EndpointCounters,
    /// Coupling group, if its program signals other hosts.
    pub(crate) group: Option<u32>,
    /// Every message posted here, in order.
    pub(crate) log: Vec<Posted>,
    /// Every message received here.
    pub(crate) received: Vec<(MessageId, Time)>,
    /// Program wake-ups: time, order of asking, token.
    wakes: BinaryHeap<Reverse<(Time, u64, u32)>>,
    wakes_asked: u64,
    started: bool,
    /// Messages acknowledged since the last report.
    done: u64,
    /// What its transport measured of the last packet.
    #[serde(skip)]
    measured: Measured,
    #[serde(skip)]
    lists: Lists,
}

/// A transport with what its NIC keeps for it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Nic<E> {
    pub(crate) endpoint: E,
    timers: Timers,
    /// When the transport asked to be polled again.
    poll_at: Time,
    /// Records that came with the last packet, or that go with the next one.
    telemetry: Telemetry,
}

impl<E> Nic<E> {
    pub(crate) fn new(endpoint: E) -> Nic<E> {
        let (timers, telemetry) = (Timers::default(), Telemetry::default());
        Nic { endpoint, timers, poll_at: Time::NEVER, telemetry }
    }

    fn next(&self) -> Time {
        self.timers.next().min(self.poll_at)
    }
}

/// The NIC of the network within a domain.
#[derive(Serialize, Deserialize)]
pub(crate) struct Inner<E> {
    pub(crate) nic: Nic<E>,
    /// Its first port; those before are the other NIC's.
    pub(crate) first_port: usize,
    /// The hosts of the domain.
    pub(crate) hosts: std::ops::Range<u32>,
}

/// Which NIC of a host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Outer,
    Inner,
}

impl<E: Endpoint, P: Program> Host<E, P> {
    pub(crate) fn new(
        id: HostId,
        nic: Nic<E>,
        inner: Option<Inner<E>>,
        program: P,
        group: Option<u32>,
    ) -> Host<E, P> {
        Host {
            id,
            nic,
            inner: inner.map(Box::new),
            program,
            counters: EndpointCounters::default(),
            group,
            log: Vec::new(),
            received: Vec::new(),
            wakes: BinaryHeap::new(),
            wakes_asked: 0,
            started: false,
            done: 0,
            measured: Measured::default(),
            lists: Lists::default(),
        }
    }

    /// When this host's next event is due.
    pub(crate) fn next_event(&self, node: &Ports<'_>, outlet: &Outlet) -> Time {
        if !self.started {
            return Time::ZERO;
        }
        let wake = self.wakes.peek().map_or(Time::NEVER, |entry| entry.0.0);
        let inner = self.inner.as_ref().map_or(Time::NEVER, |inner| inner.nic.next());
        let own = self.nic.next().min(inner).min(wake);
        let ports = (0..node.ports.len())
            .map(|port| node.busy[port].min(outlet.head(node.first + port)))
            .min();
        own.min(ports.unwrap_or(Time::NEVER))
    }

    /// Runs everything before `end`; returns when the next event is due.
    pub(crate) fn run(&mut self, node: &mut Ports<'_>, end: Time, outlet: &mut Outlet) -> Time {
        loop {
            let now = self.next_event(node, outlet);
            if now >= end {
                return now;
            }
            self.step(now, node, outlet);
            while let Some((to, token)) = self.take_signal() {
                assert_eq!(to, self.id, "{} signals {to} outside its coupling group", self.id);
                self.on_signal(now, token, node, outlet);
            }
        }
    }

    /// A signal this host's program has sent and nobody has delivered yet.
    pub(crate) fn take_signal(&mut self) -> Option<(HostId, u32)> {
        self.lists.signals.pop()
    }

    /// Runs the events due at `now`: port free, arrivals, timers, program wake-ups; then sends.
    pub(crate) fn step(&mut self, now: Time, node: &mut Ports<'_>, outlet: &mut Outlet) {
        outlet.work.events += 1;
        for port in 0..node.ports.len() {
            if node.busy[port] <= now {
                node.busy[port] = Time::NEVER;
            }
            if outlet.head(node.first + port) <= now {
                self.on_arrival(port, node, outlet);
            }
        }
        self.run_timers(now, Which::Outer);
        if self.inner.is_some() {
            self.run_timers(now, Which::Inner);
        }
        self.wake_program(now);
        self.fill(now, node, outlet);
    }

    #[inline(always)]
    fn run_timers(&mut self, now: Time, which: Which) {
        if self.nic_mut(which).poll_at <= now {
            self.nic_mut(which).poll_at = Time::NEVER;
        }
        while self.nic_mut(which).timers.next() <= now
            && let Some(timer) = self.nic_mut(which).timers.pop_due(now)
        {
            self.with_endpoint(now, which, |endpoint, cx| endpoint.on_timer(cx, timer));
            self.settle(now);
        }
    }

    #[inline]
    fn nic_mut(&mut self, which: Which) -> &mut Nic<E> {
        match (which, &mut self.inner) {
            (Which::Inner, Some(inner)) => &mut inner.nic,
            _ => &mut self.nic,
        }
    }

    /// The NIC of a port.
    #[inline]
    fn of_port(&self, port: usize) -> Which {
        match &self.inner {
            Some(inner) if port >= inner.first_port => Which::Inner,
            _ => Which::Outer,
        }
    }

    /// The NIC that reaches a host.
    #[inline]
    fn towards(&self, dst: HostId) -> Which {
        match &self.inner {
            Some(inner) if inner.hosts.contains(&dst.0) => Which::Inner,
            _ => Which::Outer,
        }
    }

    /// A program of this host's group signalled.
    pub(crate) fn on_signal(
        &mut self,
        now: Time,
        token: u32,
        node: &mut Ports<'_>,
        outlet: &mut Outlet,
    ) {
        self.with_program(now, |program, cx| program.on_signal(cx, token));
        self.settle(now);
        self.fill(now, node, outlet);
    }

    /// Offers its ports to the transport at `at` at the latest.
    pub(crate) fn poll_by(&mut self, at: Time) {
        self.nic.poll_at = self.nic.poll_at.min(at);
        if let Some(inner) = &mut self.inner {
            inner.nic.poll_at = inner.nic.poll_at.min(at);
        }
    }

    fn on_arrival(&mut self, port: usize, node: &mut Ports<'_>, outlet: &mut Outlet) {
        let (now, label) = outlet.land(node.first + port);
        if node.gate[port] != 0 {
            if node.stops(port, now, label, outlet) {
                return;
            }
            if node.gate[port] & gate::TELEMETRY != 0 {
                let which = self.of_port(port);
                self.nic_mut(which).telemetry = outlet.arena.telemetry(label.slot);
            }
        }
        if label.class == Class::LINK {
            let frame = outlet.consume(label);
            if node.ports[port].on_link_frame(now, &frame, outlet) {
                node.ports[port].send_credits(after_frame(now, node.busy[port]), outlet);
            }
            return;
        }
        if node.ports[port].has_credits(label.class) {
            // A host takes what arrives at once, so its credits are free again.
            node.ports[port].take_in(label);
            node.ports[port].release(after_frame(now, node.busy[port]), label, outlet);
        }
        let packet = outlet.deliver(now, self.id.0, label);
        debug_assert_eq!(packet.dst, self.id, "a packet reaches its destination");
        let which = self.of_port(port);
        self.with_endpoint(now, which, |endpoint, cx| endpoint.on_packet(cx, &packet));
        if let Some(observed) = &mut outlet.observed {
            observed.record(std::mem::take(&mut self.measured));
        }
        self.settle(now);
    }

    fn wake_program(&mut self, now: Time) {
        if !self.started {
            self.started = true;
            self.with_program(now, |program, cx| program.on_start(cx));
            self.settle(now);
        }
        while let Some(&Reverse((at, _, token))) = self.wakes.peek()
            && at <= now
        {
            self.wakes.pop();
            self.with_program(now, |program, cx| program.on_wake(cx, token));
            self.settle(now);
        }
    }

    #[inline]
    fn with_endpoint<R>(
        &mut self,
        now: Time,
        which: Which,
        call: impl FnOnce(&mut E, &mut HostCx<'_>) -> R,
    ) -> R {
        let nic = match (which, &mut self.inner) {
            (Which::Inner, Some(inner)) => &mut inner.nic,
            _ => &mut self.nic,
        };
        let mut cx = HostCx {
            now,
            host: self.id,
            timers: &mut nic.timers,
            completions: &mut self.lists.completions,
            counters: &mut self.counters,
            telemetry: &mut nic.telemetry,
            measured: &mut self.measured,
        };
        call(&mut nic.endpoint, &mut cx)
    }

    fn with_program(&mut self, now: Time, call: impl FnOnce(&mut P, &mut ProgramCx<'_>)) {
        let Lists { posts, wakes, signals, .. } = &mut self.lists;
        call(&mut self.program, &mut ProgramCx::new(now, self.id, posts, wakes, signals));
    }

    /// Hands completions to the program and its posts to the transport until both are quiet.
    #[inline]
    fn settle(&mut self, now: Time) {
        while !(self.lists.completions.is_empty()
            && self.lists.posts.is_empty()
            && self.lists.wakes.is_empty())
        {
            self.settle_once(now);
        }
    }

    fn settle_once(&mut self, now: Time) {
        let mut completions = std::mem::take(&mut self.lists.completions);
        for completion in completions.drain(..) {
            match completion {
                Completion::Sent { slot } => {
                    let posted = &mut self.log[slot as usize];
                    posted.acked = now;
                    self.done += 1;
                    let id = posted.message.id;
                    self.with_program(now, |program, cx| program.on_sent(cx, id));
                }
                Completion::Failed { slot } => self.log[slot as usize].failed = now,
                Completion::Received { message, src } => {
                    self.received.push((message, now));
                    self.with_program(now, |program, cx| program.on_received(cx, src, message));
                }
            }
        }
        let fresh = std::mem::replace(&mut self.lists.completions, completions);
        self.lists.completions.extend(fresh);
        for (at, token) in self.lists.wakes.drain(..) {
            self.wakes.push(Reverse((at, self.wakes_asked, token)));
            self.wakes_asked += 1;
        }
        let mut posts = std::mem::take(&mut self.lists.posts);
        for mut message in posts.drain(..) {
            message.slot = self.log.len() as u32;
            self.log.push(Posted { message, posted: now, acked: Time::NEVER, failed: Time::NEVER });
            let which = self.towards(message.dst);
            self.with_endpoint(now, which, |endpoint, cx| endpoint.on_post(cx, message));
        }
        let fresh = std::mem::replace(&mut self.lists.posts, posts);
        self.lists.posts.extend(fresh);
    }

    /// Offers every free port to the transport; after half of all events there is none, or nothing to send.
    #[inline]
    fn fill(&mut self, now: Time, node: &mut Ports<'_>, outlet: &mut Outlet) {
        outlet.messages_done += std::mem::take(&mut self.done);
        let may_send = self.nic.endpoint.may_send()
            || self.inner.as_ref().is_some_and(|inner| inner.nic.endpoint.may_send())
            || node.ports.iter().any(Port::has_retry);
        if may_send && node.busy.contains(&Time::NEVER) {
            self.fill_free(now, node, outlet);
        }
    }

    fn fill_free(&mut self, now: Time, node: &mut Ports<'_>, outlet: &mut Outlet) {
        for place in 0..node.ports.len() {
            if node.busy[place] != Time::NEVER {
                continue;
            }
            if node.ports[place].has_retry() && !self.may_send_new(now, node, place, outlet) {
                continue;
            }
            let paused = node.ports[place].paused;
            let poll =
                |endpoint: &mut E, cx: &mut HostCx<'_>| endpoint.poll_send(cx, place as u8, paused);
            let which = self.of_port(place);
            match self.with_endpoint(now, which, poll) {
                Send::Packet(ref packet) => {
                    debug_assert_eq!(packet.class.bit() & paused, 0, "a paused class sent");
                    let records = &self.nic_mut(which).telemetry;
                    node.busy[place] = transmit(now, packet, records, node, place, outlet);
                }
                Send::WakeAt(at) => {
                    assert!(at > now, "host {} asks at {now} to be polled at {at}", self.id);
                    let nic = self.nic_mut(which);
                    nic.poll_at = nic.poll_at.min(at);
                }
                Send::Idle => {}
            }
        }
    }

    /// Whether an idle port with link-level retry is free for something new; replays what it has to.
    #[cold]
    fn may_send_new(
        &mut self,
        now: Time,
        node: &mut Ports<'_>,
        place: usize,
        outlet: &mut Outlet,
    ) -> bool {
        let port = &mut node.ports[place];
        match port.link_turn(now) {
            Turn::Replay(bytes) => {
                let end = port.end_of(now, bytes, &node.profiles[port.profile as usize]);
                port.depart_replay(end, outlet);
                node.busy[place] = end;
                false
            }
            Turn::Stalled(at) => {
                self.poll_by(at);
                false
            }
            Turn::New(at) => {
                self.poll_by(at);
                true
            }
        }
    }
}

/// When an ordered set may go on a NIC port's wire: the frame that is on it is entered to its end.
pub(crate) fn after_frame(now: Time, busy: Time) -> Time {
    if busy == Time::NEVER { now } else { busy.max(now) }
}

/// Puts a packet on a NIC port's wire; returns when its last byte leaves.
#[inline]
fn transmit(
    now: Time,
    packet: &Packet,
    telemetry: &Telemetry,
    node: &mut Ports<'_>,
    place: usize,
    outlet: &mut Outlet,
) -> Time {
    let port = &mut node.ports[place];
    let end = port.end_of(now, packet.bytes, &node.profiles[port.profile as usize]);
    port.counters.bytes += u64::from(packet.bytes);
    let label = outlet.create(packet);
    if port.special & special::TELEMETRY != 0 {
        *outlet.arena.telemetry_mut(label.slot) = *telemetry;
    }
    port.emit(end, label, outlet);
    end
}
