//! The builder of shards: each by itself, so that threads may build several at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::assemble::{Network, Parts, latency_into};
use crate::capture::Capture;
use crate::config::{Buffer, FabricConfig};
use crate::endpoint::Endpoint;
use crate::engine::ranks::Split;
use crate::engine::recorder::Recorder;
use crate::engine::shard::{Node, NodeFault, Role, Shard};
use crate::error::AssembleError;
use crate::graph::Graph;
use crate::ids::{HostId, NodeId, PortId};
use crate::layout::Layout;
use crate::link::{FrameErrors, cells, llr_answer};
use crate::net::credit::Credits;
use crate::net::host::{Host, Inner, Nic};
use crate::net::indirect::Indirect;
use crate::net::link::{self, LinkLayer};
use crate::net::llr::Llr;
use crate::net::outlet::{Outlet, Peer};
use crate::net::port::{Port, special};
use crate::net::profile::PortProfile;
use crate::net::route::Salt;
use crate::net::shared::{Guard, SharedState};
use crate::net::switch::{Scratch, Switch, gate};
use crate::net::tap::Taps;
use crate::net::watchdog::Watchdog;
use crate::program::Program;
use crate::rng::{Purpose, Stream, key};
use crate::series::Sampling;
use crate::shape::Paths;
use crate::table::Table;
use crate::units::{Rate, Span, Time};

/// Port profiles without repetition.
#[derive(Default)]
pub(super) struct Profiles {
    keys: Vec<(Rate, bool)>,
    profiles: Vec<PortProfile>,
}

impl Profiles {
    /// Sees to it that there is a profile for such ports.
    pub(super) fn add(&mut self, config: &FabricConfig, rate: Rate, host_facing: bool) {
        if !self.keys.contains(&(rate, host_facing)) {
            self.keys.push((rate, host_facing));
            self.profiles.push(PortProfile::new(config, rate, host_facing));
        }
    }

    /// The number of the profile for such ports.
    pub(super) fn get(&self, rate: Rate, host_facing: bool) -> u16 {
        let place = self.keys.iter().position(|key| *key == (rate, host_facing));
        place.expect("all profiles are made before ports") as u16
    }
}

/// What is known of a fabric before its nodes are built.
pub(super) struct Builder<'a, E> {
    pub(super) graph: &'a Graph,
    pub(super) config: &'a FabricConfig,
    pub(super) layout: &'a Layout,
    endpoint: &'a (dyn Fn(HostId, Network) -> E + Sync),
    shard_of: &'a [u32],
    capture: Option<&'a Capture>,
    sampling: Option<Sampling>,
    seed: u64,
    threads: usize,
    split: &'a Split,
    /// Nodes of each of this rank's shards.
    members: Vec<Vec<NodeId>>,
    /// Index within its shard of each port.
    pub(super) place: Vec<u32>,
    pub(super) profiles: Profiles,
    /// Coupling group of each host.
    groups: Vec<Option<u32>>,
    group_count: usize,
    /// The class of each node: see [`classes`](crate::assemble::classes).
    classes: &'a [u8],
    /// Some link loses frames at some time.
    losses: bool,
}

/// The programs of hosts, each to be taken when its host is built.
type Stock<P> = BTreeMap<u32, P>;

/// A shard to be built.
struct Work<E, P> {
    number: usize,
    programs: Stock<P>,
    /// Changes of its nodes to come, by node.
    changes: BTreeMap<u32, VecDeque<NodeFault>>,
    built: Option<Result<Shard<E, P>, AssembleError>>,
}

impl<'a, E: Endpoint> Builder<'a, E> {
    pub(super) fn new<P>(
        parts: &Parts<'a, E, P>,
        layout: &'a Layout,
        split: &'a Split,
        classes: &'a [u8],
    ) -> Builder<'a, E> {
        let own = split.own();
        let mut members = vec![Vec::new(); own.len()];
        let mut place = vec![0; layout.node.len()];
        let mut ports = vec![0u32; split.shards()];
        let class = |class: u8| {
            let nodes = (0..parts.graph.nodes()).map(NodeId);
            nodes.filter(move |node| classes[node.index()] == class)
        };
        for node in class(0).chain(class(1)) {
            let shard = parts.shard_of[node.index()] as usize;
            if own.contains(&shard) {
                members[shard - own.start].push(node);
            }
            for port in layout.ports_of(node) {
                place[port as usize] = ports[shard];
                ports[shard] += 1;
            }
        }
        let mut groups = vec![None; parts.graph.hosts as usize];
        for (number, group) in parts.couplings.iter().enumerate() {
            group.iter().for_each(|host| groups[host.index()] = Some(number as u32));
        }
        Builder {
            graph: parts.graph,
            config: parts.config,
            layout,
            endpoint: parts.endpoint,
            shard_of: parts.shard_of,
            capture: parts.capture,
            sampling: parts.sampling,
            seed: parts.seed,
            threads: parts.extent.threads,
            split,
            members,
            place,
            profiles: Profiles::default(),
            groups,
            group_count: parts.couplings.len(),
            classes,
            losses: parts.config.link.errors != FrameErrors::None
                || parts.faults.iter().any(|fault| fault.change.is_loss()),
        }
    }

    pub(super) fn build<P: Program>(
        mut self,
        parts: Parts<'_, E, P>,
    ) -> Result<Vec<Shard<E, P>>, AssembleError> {
        for port in 0..self.layout.node.len() as u32 {
            self.profiles.add(self.config, self.rate(port), self.is_host_facing(port));
        }
        let mut faults = self.node_faults(parts.faults, parts.switch_faults);
        let own = self.split.own();
        let work =
            |number| Work { number, programs: Stock::new(), changes: BTreeMap::new(), built: None };
        let mut works: Vec<Work<E, P>> = own.clone().map(work).collect();
        for (host, program) in parts.programs.into_iter().enumerate() {
            let shard = self.shard_of[host] as usize;
            if own.contains(&shard) {
                works[shard - own.start].programs.insert(host as u32, program);
            }
        }
        for work in &mut works {
            let nodes = &self.members[work.number - own.start];
            work.changes.extend(nodes.iter().filter_map(|node| faults.remove_entry(&node.0)));
        }
        let each = works.len().div_ceil(self.threads.max(1)).max(1);
        let builder = &self;
        let build = |works: &mut [Work<E, P>]| {
            for work in works {
                work.built =
                    Some(builder.shard(work.number, &mut work.programs, &mut work.changes));
            }
        };
        std::thread::scope(|scope| {
            let mut parts = works.chunks_mut(each);
            // What this thread builds lies where it will grow.
            let own = parts.next();
            parts.for_each(|part| drop(scope.spawn(|| build(part))));
            own.into_iter().for_each(build);
        });
        works.into_iter().map(|work| work.built.expect("every shard is built")).collect()
    }

    /// One shard with all that is in it.
    fn shard<P: Program>(
        &self,
        number: usize,
        programs: &mut Stock<P>,
        changes: &mut BTreeMap<u32, VecDeque<NodeFault>>,
    ) -> Result<Shard<E, P>, AssembleError> {
        let members = &self.members[number - self.split.own().start];
        let mut shard = self.empty_shard(number, members);
        if let Some(capture) = self.capture {
            shard.outlet.taps = Taps::new(capture);
        }
        for &node in members {
            if let Some(changes) = changes.remove(&node.0) {
                shard.faults.insert(shard.nodes.len() as u32, changes);
            }
            self.add_node(&mut shard, node, programs)?;
            if let Some(capture) = self.capture {
                self.tap(&mut shard, node, capture);
            }
        }
        Ok(shard)
    }

    /// The rate of a port's link.
    fn rate(&self, port: u32) -> Rate {
        self.graph.links[self.layout.link[port as usize] as usize].rate
    }

    /// Whether a port is a switch's and leads to a host.
    pub(super) fn is_host_facing(&self, port: u32) -> bool {
        let node = self.layout.node[port as usize];
        let peer = self.layout.node[self.layout.peer[port as usize] as usize];
        peer.0 < self.graph.hosts && node.0 >= self.graph.hosts
    }

    fn empty_shard<P>(&self, number: usize, members: &[NodeId]) -> Shard<E, P> {
        let owners = members
            .iter()
            .enumerate()
            .flat_map(|(local, node)| self.layout.ports_of(*node).map(move |_| local as u32));
        let owners: Vec<u32> = owners.collect();
        let mut outlet =
            Outlet::new(number as u16, self.split.shards(), owners.clone(), members.len());
        let first_class = members.iter().filter(|node| self.classes[node.index()] == 0);
        outlet.first_class = first_class.count() as u32;
        outlet.observed = self.sampling.map(|_| Box::default());
        if !self.classes.contains(&1) {
            outlet.earliest[1] = Time::NEVER;
        }
        Shard {
            nodes: Vec::with_capacity(members.len()),
            hosts: Vec::new(),
            switches: Vec::new(),
            ports: Vec::with_capacity(owners.len()),
            profiles: self.profiles.profiles.clone(),
            busy: vec![Time::NEVER; owners.len()],
            gate: vec![0; owners.len()],
            groups: vec![Vec::new(); self.group_count],
            group_nodes: BTreeMap::new(),
            faults: BTreeMap::new(),
            changed: BTreeMap::new(),
            recorder: self
                .sampling
                .map(|sampling| Box::new(Recorder::new(sampling, members.to_vec(), owners.len()))),
            outlet,
            scratch: Scratch::default(),
            in_flight: 0,
        }
    }

    fn add_node<P: Program>(
        &self,
        shard: &mut Shard<E, P>,
        node: NodeId,
        programs: &mut Stock<P>,
    ) -> Result<(), AssembleError> {
        let first = shard.ports.len() as u32;
        let ports = self.layout.ports_of(node);
        let count = ports.len() as u32;
        for port in ports {
            let port = self.port(port);
            shard.ports.push(port);
        }
        if let Some(multiple) = self.config.telemetry {
            self.sample(shard, node, first as usize, multiple);
        }
        let role = if node.0 < self.graph.hosts {
            let host = HostId(node.0);
            let program = programs.remove(&node.0).expect("a program for each host");
            let group = self.groups[host.index()];
            if let Some(group) = group {
                let local = shard.nodes.len() as u32;
                shard.groups[group as usize].push(local);
                shard.group_nodes.insert(host, local);
            }
            shard.hosts.push(self.host(host, program, group));
            Role::Host(shard.hosts.len() as u32 - 1)
        } else {
            let switch = self.switch(node)?;
            shard.switches.push(switch);
            Role::Switch(shard.switches.len() as u32 - 1)
        };
        shard.nodes.push(Node { role, first, ports: count });
        Ok(())
    }

    fn host<P: Program>(&self, host: HostId, program: P, group: Option<u32>) -> Host<E, P> {
        let inner = self.graph.scale_up.map(|scale_up| {
            let first = host.0 - host.0 % scale_up.domain;
            Inner {
                nic: Nic::new((self.endpoint)(host, Network::ScaleUp)),
                first_port: usize::from(scale_up.first_port),
                hosts: first..first + scale_up.domain,
            }
        });
        let nic = Nic::new((self.endpoint)(host, Network::ScaleOut));
        Host::new(host, nic, inner, program, group)
    }

    /// Telemetry on the ports of `node` from place `first` on: switches write it, hosts send and take it.
    fn sample<P>(&self, shard: &mut Shard<E, P>, node: NodeId, first: usize, multiple: u32) {
        for place in first..shard.ports.len() {
            if node.0 < self.graph.hosts {
                shard.ports[place].special |= special::TELEMETRY;
                shard.gate[place] |= gate::TELEMETRY;
            } else {
                shard.ports[place].sample(multiple);
            }
        }
    }

    /// Captures what of the ports of `node`, the last one added, is to be.
    fn tap<P>(&self, shard: &mut Shard<E, P>, node: NodeId, capture: &Capture) {
        let ports = self.layout.ports_of(node);
        let first = shard.ports.len() - ports.len();
        let pipeline = latency_into(self.graph, self.config, node, Span::ZERO);
        for (place, port) in ports.enumerate() {
            if capture.ports.contains(&PortId(port)) {
                shard.ports[first + place].special |= special::TAP;
                shard.gate[first + place] |= gate::TAP;
                shard.outlet.taps.add(PortId(port), pipeline);
            }
        }
    }

    fn port(&self, port: u32) -> Port {
        let place = port as usize;
        let link = &self.graph.links[self.layout.link[place] as usize];
        let peer_port = self.layout.peer[place];
        let peer_node = self.layout.node[peer_port as usize];
        let peer = Peer {
            shard: self.shard_of[peer_node.index()] as u16,
            port: self.place[peer_port as usize],
        };
        let mut built = Port::new(
            PortId(port),
            peer,
            link.rate,
            latency_into(self.graph, self.config, peer_node, link.delay),
            self.profiles.get(link.rate, self.is_host_facing(port)),
            Stream::new(self.seed, u64::from(port), Purpose::Queue),
        );
        if let Some(layer) = self.link_layer(port) {
            built.set_link(layer);
        }
        built
    }

    /// The link layer of a port, if anything on its link needs one.
    fn link_layer(&self, port: u32) -> Option<LinkLayer> {
        let link = &self.graph.links[self.layout.link[port as usize] as usize];
        let config = &self.config.link;
        let retry = config.llr.filter(|llr| llr.links.contains(link.a, link.b, self.graph.hosts));
        let retry = retry.map(|llr| Llr::new(llr, llr_answer(link.rate, link.delay)));
        let credits = match &self.config.buffer {
            Buffer::Credits(credits) => {
                let round_trip = latency_into(self.graph, self.config, link.a, link.delay)
                    + latency_into(self.graph, self.config, link.b, link.delay);
                let limit = credits.limit(link.rate, round_trip);
                let frame = cells(u64::from(credits.frame));
                Some(Credits::new(self.lossless(), limit, frame))
            }
            Buffer::PerQueue | Buffer::Shared(_) => None,
        };
        let wanted = self.losses || retry.is_some() || credits.is_some();
        let random = link::stream(self.seed, PortId(port));
        wanted.then(|| LinkLayer::new(config.errors, random, retry, credits))
    }

    /// Mask of the classes under flow control.
    fn lossless(&self) -> u8 {
        let classes = self.config.classes.iter().enumerate();
        classes.filter(|(_, class)| class.lossless).fold(0, |mask, (place, _)| mask | 1 << place)
    }

    fn switch(&self, node: NodeId) -> Result<Switch, AssembleError> {
        let spec = self.graph.switch(node).expect("nodes beyond the hosts are switches");
        let salt = Salt(key(self.seed, u64::from(node.0), Purpose::Salt));
        let retry = self.config.link.llr.is_some();
        let guard = match self.config.buffer {
            Buffer::Credits(_) => Some(Guard::Credits),
            _ => self.layout.mmu(self.graph, self.config, node)?.map(Guard::Pauses),
        };
        let watchdog = match &self.config.buffer {
            Buffer::Shared(shared) => shared.watchdog,
            Buffer::PerQueue | Buffer::Credits(_) => None,
        };
        let watchdog =
            watchdog.map(|config| Watchdog::new(config, self.layout.ports_of(node).len()));
        let channels = self.uses_channels();
        let shared =
            guard.map(|guard| Box::new(SharedState::new(guard, retry, watchdog, channels)));
        let routing = (&self.config.routing, self.seed, node.0);
        let mut switch = Switch::new(spec.route, salt, shared, retry, routing);
        if let Some(table) = self.graph.tables.get((node.0 - self.graph.hosts) as usize) {
            let indirect = self.indirect(node, table);
            let ups = self.layout.ports_of(node).len() as u16;
            switch.set_table(Arc::clone(table), indirect, routing, ups);
        }
        self.pin(node, &mut switch);
        Ok(switch)
    }

    /// Whether lossless traffic changes its class on the way.
    fn uses_channels(&self) -> bool {
        let shape = self.graph.shape.as_ref();
        let needed = shape.map(|shape| shape.channels.needed(self.config.routing.paths));
        self.lossless() != 0 && needed.is_some_and(|needed| needed > 1)
    }

    /// What a switch does besides its table, if its shape asks for anything.
    fn indirect(&self, node: NodeId, table: &Arc<Table>) -> Option<Box<Indirect>> {
        let shape = self.graph.shape.as_ref()?;
        let (paths, channels) = (self.config.routing.paths, self.uses_channels());
        if paths == Paths::Minimal && !channels {
            return None;
        }
        let kind = |port: u32| {
            let peer = self.layout.node[self.layout.peer[port as usize] as usize];
            let link = self.layout.link[port as usize] as usize;
            (peer.0 >= self.graph.hosts).then(|| shape.kinds[link])
        };
        let place = (node.0 - self.graph.hosts) as usize;
        let below = self.graph.switches[place].route.span();
        Some(Box::new(Indirect {
            paths,
            shape: Arc::clone(shape),
            table: Arc::clone(table),
            region: shape.region_of[place],
            kinds: self.layout.ports_of(node).map(kind).collect(),
            common: Salt(key(self.seed, 0, Purpose::Detour)),
            channels,
            own: (!below.is_empty()).then_some(HostId(below.start)),
        }))
    }

    /// Pins the packets of this switch that do not choose.
    fn pin(&self, node: NodeId, switch: &mut Switch) {
        let pins = &self.config.routing.pins;
        if pins.is_empty() {
            return;
        }
        let ports = self.layout.ports_of(node);
        let first = ports.start;
        let by_peer: BTreeMap<NodeId, u16> = ports
            .map(|port| {
                let peer = self.layout.node[self.layout.peer[port as usize] as usize];
                (peer, (port - first) as u16)
            })
            .collect();
        for pin in pins.iter().filter(|pin| pin.at == node) {
            if let (Some(ingress), Some(egress)) = (by_peer.get(&pin.from), by_peer.get(&pin.to)) {
                switch.pin(*ingress, pin.dst, *egress);
            }
        }
    }
}
