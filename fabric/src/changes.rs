//! Changes of a run while it is on: faults that nobody planned, and links that become longer or shorter.
//!
//! A scenario's faults are known before a run begins, and [`assemble`](crate::assemble) gives each node those that concern it. Here they are given
//! while the run goes on, between two windows: what is known beforehand waits in [`Changes`] until its time, among what is
//! [added](Changes::add) later, so both are the same thing. Whoever drives the run stops it at [`Changes::next`] and calls
//! [`Changes::apply`]; results are then those of a run that was assembled with all of it.
//!
//! A run that is changed is one process's alone, and its state is not stored.

use std::collections::BTreeMap;

use crate::assemble::latency_into;
use crate::config::FabricConfig;
use crate::convergence::Routes;
use crate::endpoint::Endpoint;
use crate::engine::shard::{NodeFault, PortFault};
use crate::error::TooShort;
use crate::fault::{Change, Event, Fault, LinkStates, SwitchFault};
use crate::graph::Graph;
use crate::ids::{LinkId, NodeId, PortId};
use crate::layout::Layout;
use crate::net::link::{LinkLayer, stream};
use crate::net::profile::PortProfile;
use crate::probe::PortCounters;
use crate::program::Program;
use crate::run::Run;
use crate::units::{Rate, Ratio, Span, Time};

/// A port as it is between two windows.
#[derive(Clone, Copy, Debug)]
pub struct PortNow {
    /// What it has counted.
    pub counters: PortCounters,
    /// Bytes in its queues.
    pub queue_bytes: u64,
    /// The rate at which it sends.
    pub rate: Rate,
    /// Propagation over its link.
    pub delay: Span,
    /// Share of its frames that the link loses at random.
    pub loss: Ratio,
    /// Nothing that it sends arrives.
    pub is_down: bool,
}

/// Where a port is within a run.
#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    /// Port of the shard.
    port: u32,
    /// Node of the shard.
    node: u32,
    /// Profile it was built with.
    profile: u16,
    host_facing: bool,
}

/// See the module.
pub struct Changes<'a> {
    graph: &'a Graph,
    config: &'a FabricConfig,
    seed: u64,
    layout: Layout,
    /// By port of the fabric.
    places: Vec<Place>,
    /// What is to come: by time, links before switches, then in the order given.
    waiting: BTreeMap<(Time, u8, u64), Event>,
    given: u64,
    states: LinkStates,
    /// Made when the first link goes down.
    routes: Option<Routes<'a>>,
    /// Profiles made for changed rates, by shard.
    profiles: BTreeMap<(usize, u64, bool), u16>,
}

impl<'a> Changes<'a> {
    /// Changes of a run that was assembled of this graph and configuration with this seed, and without faults.
    pub fn new<E: Endpoint, P: Program>(
        run: &Run<E, P>,
        graph: &'a Graph,
        config: &'a FabricConfig,
        seed: u64,
    ) -> Changes<'a> {
        let layout = Layout::new(graph);
        let mut places: Vec<Option<Place>> = vec![None; layout.ports() as usize];
        for (shard, own) in run.shards.iter().enumerate() {
            for (number, port) in own.ports.iter().enumerate() {
                let number = number as u32;
                let (node, profile) = (own.outlet.owner(number), port.profile);
                let host_facing = own.profiles[usize::from(profile)].host_facing;
                let place = Place { shard, port: number, node, profile, host_facing };
                places[port.id.index()] = Some(place);
            }
        }
        let places = places.into_iter().map(|place| place.expect("all ports are of this process"));
        Changes {
            graph,
            config,
            seed,
            places: places.collect(),
            layout,
            waiting: BTreeMap::new(),
            given: 0,
            states: LinkStates::new(graph),
            routes: None,
            profiles: BTreeMap::new(),
        }
    }

    /// A change of a link that is to come. One whose time is over happens when [`Changes::apply`] is called next.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn add(&mut self, fault: Fault) {
        assert!(fault.link.index() < self.graph.links.len(), "there is no {:?}", fault.link);
        self.wait(Event::Link(fault));
    }

    /// A switch that will fail or come back.
    ///
    /// # Panics
    /// If there is no such switch.
    pub fn add_switch(&mut self, fault: SwitchFault) {
        assert!(self.graph.switch(fault.switch).is_some(), "{:?} is no switch", fault.switch);
        self.wait(Event::Switch(fault));
    }

    fn wait(&mut self, event: Event) {
        self.waiting.insert((event.at(), event.rank(), self.given), event);
        self.given += 1;
    }

    /// When the next one is due; [`Time::NEVER`] if none is.
    pub fn next(&self) -> Time {
        self.waiting.first_key_value().map_or(Time::NEVER, |(key, _)| key.0)
    }

    /// How many are to come.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets happen at `now` what is due. All events before `now` have to have been run, and none at it or after it.
    pub fn apply<E: Endpoint, P: Program>(&mut self, run: &mut Run<E, P>, now: Time) {
        let mut changes = Vec::new();
        while let Some(entry) = self.waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = match entry.remove() {
                Event::Link(fault) => Event::Link(Fault { at: now, ..fault }),
                Event::Switch(fault) => Event::Switch(SwitchFault { at: now, ..fault }),
            };
            self.states.apply(self.graph, &event, &mut changes);
            if let Event::Switch(SwitchFault { switch, up: false, .. }) = event {
                self.schedule(run, switch, NodeFault::Fail(now));
            }
        }
        for change in &changes {
            self.change_ports(run, change);
        }
        self.change_routes(run, now, &changes);
    }

    fn schedule<E: Endpoint, P: Program>(
        &self,
        run: &mut Run<E, P>,
        node: NodeId,
        fault: NodeFault,
    ) {
        if let Some(port) = self.layout.ports_of(node).next() {
            let Place { shard, node, .. } = self.places[port as usize];
            run.shards[shard].schedule(node, fault);
        }
    }

    /// Both ends of a link learn of a change.
    fn change_ports<E: Endpoint, P: Program>(&mut self, run: &mut Run<E, P>, fault: &Fault) {
        for (port, sends) in self.layout.concerned(fault.link, fault.direction) {
            let place = self.places[port as usize];
            if fault.change.is_loss() {
                self.have_link_layer(run, port);
            }
            let profile = self.profile(run, fault, place);
            let Fault { at, change, .. } = *fault;
            let change = PortFault { at, port: place.port, sends, change, profile };
            run.shards[place.shard].schedule(place.node, NodeFault::Port(change));
        }
    }

    /// Only ports whose links lose something have a link layer; its random numbers are those that it would always have had.
    fn have_link_layer<E: Endpoint, P: Program>(&self, run: &mut Run<E, P>, port: u32) {
        let place = self.places[port as usize];
        let built = &mut run.shards[place.shard].ports[place.port as usize];
        if built.link.is_none() {
            let random = stream(self.seed, PortId(port));
            built.set_link(LinkLayer::new(self.config.link.errors, random, None, None));
        }
    }

    /// The profile of a port whose link changes.
    fn profile<E: Endpoint, P: Program>(
        &mut self,
        run: &mut Run<E, P>,
        fault: &Fault,
        place: Place,
    ) -> u16 {
        let Change::Rate { ratio, queues: true } = fault.change else { return place.profile };
        let rate = self.graph.links[fault.link.index()].rate.scaled(ratio);
        let key = (place.shard, rate.bits_per_second(), place.host_facing);
        let profiles = &mut run.shards[place.shard].profiles;
        *self.profiles.entry(key).or_insert_with(|| {
            profiles.push(PortProfile::new(self.config, rate, place.host_facing));
            u16::try_from(profiles.len() - 1).expect("fewer rates than 65,536 on one fabric")
        })
    }

    /// Switches learn after a while which links are dead.
    fn change_routes<E: Endpoint, P: Program>(
        &mut self,
        run: &mut Run<E, P>,
        now: Time,
        changes: &[Fault],
    ) {
        let delay = self.config.routing.known_after(now);
        let is_first = self.routes.is_none();
        if changes.is_empty() || (is_first && changes.iter().all(|f| f.change != Change::Down)) {
            return;
        }
        let graph = self.graph;
        let routes = self.routes.get_or_insert_with(|| Routes::new(graph));
        for (at, node, detour) in routes.change(changes, delay) {
            self.schedule(run, node, NodeFault::Route(at, detour));
        }
    }

    /// The shortest delay that a link may be given: packets on it must not outrun the engine's windows.
    pub fn shortest<E: Endpoint, P: Program>(&self, run: &Run<E, P>, link: LinkId) -> Span {
        let link = &self.graph.links[link.index()];
        let pipeline = |node| latency_into(self.graph, self.config, node, Span::ZERO);
        let least = pipeline(link.a).min(pipeline(link.b));
        Span(run.lookahead().0.saturating_sub(least.0))
    }

    /// A link has another propagation delay from `now` on. What is on a link that becomes shorter arrives earlier by as much.
    /// Buffers keep the headroom that they were built with. All events before `now` have to have been run, and none after it.
    ///
    /// # Errors
    /// [`TooShort`], when the engine's windows are too wide for it.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn set_delay<E: Endpoint, P: Program>(
        &mut self,
        run: &mut Run<E, P>,
        (link, delay): (LinkId, Span),
        now: Time,
    ) -> Result<(), TooShort> {
        let shortest = self.shortest(run, link);
        if delay < shortest {
            return Err(TooShort { delay, shortest });
        }
        let (a, b) = self.layout.ends[link.index()];
        for (from, to) in [(a, b), (b, a)] {
            let node = self.layout.node[to as usize];
            let latency = latency_into(self.graph, self.config, node, delay);
            let [from, to] = [from, to].map(|port| self.places[port as usize]);
            let sender = &mut run.shards[from.shard].ports[from.port as usize];
            let before = std::mem::replace(&mut sender.latency, latency);
            if latency < before {
                let by = before - latency;
                run.shards[to.shard].outlet.hasten(to.port, by, now);
            }
        }
        Ok(())
    }

    /// A port as it is now: the end of `link` that sends towards its `b` (`upwards`) or its `a`.
    ///
    /// # Panics
    /// If there is no such link.
    pub fn port<E: Endpoint, P: Program>(
        &self,
        run: &Run<E, P>,
        link: LinkId,
        upwards: bool,
    ) -> PortNow {
        let (a, b) = self.layout.ends[link.index()];
        let (own, peer) = if upwards { (a, b) } else { (b, a) };
        let place = self.places[own as usize];
        let port = &run.shards[place.shard].ports[place.port as usize];
        let into = self.layout.node[peer as usize];
        let pipeline = latency_into(self.graph, self.config, into, Span::ZERO);
        let [up, down] = self.states.is_down(link);
        PortNow {
            counters: port.counters,
            queue_bytes: port.queue_bytes(),
            rate: port.rate,
            loss: port.random_loss(),
            delay: Span(port.latency.0 - pipeline.0),
            is_down: if upwards { up } else { down },
        }
    }
}
