//! From a graph to shards: ports numbered, links joined, buffers sized, hosts given their transport
//! and program.

use std::collections::{BTreeMap, VecDeque};

use crate::capture::Capture;
use crate::config::{Buffer, FabricConfig, SharedBuffer};
use crate::convergence::route_changes;
use crate::endpoint::Endpoint;
use crate::engine::shard::{Node, NodeFault, PortFault, Role, Shard};
use crate::error::AssembleError;
use crate::fault::{Change, Direction, Fault, SwitchFault, link_changes};
use crate::graph::Graph;
use crate::ids::{HostId, NodeId, PortId};
use crate::layout::Layout;
use crate::link::{FrameErrors, cells, llr_answer};
use crate::net::buffer::{Mmu, headroom};
use crate::net::credit::Credits;
use crate::net::host::Host;
use crate::net::link::{self, LinkLayer};
use crate::net::llr::Llr;
use crate::net::outlet::{Outlet, Peer};
use crate::net::port::{Port, special};
use crate::net::profile::PortProfile;
use crate::net::route::Salt;
use crate::net::shared::{Guard, SharedState};
use crate::net::switch::{MAX_PORTS, MAX_WINDOW, Scratch, Switch, gate};
use crate::net::tap::Taps;
use crate::net::watchdog::Watchdog;
use crate::program::Program;
use crate::rng::{Purpose, Stream, key};
use crate::run::Run;
use crate::units::{Rate, Span};

/// What a run is made of.
pub struct Parts<'a, E, P> {
    /// The fabric.
    pub graph: &'a Graph,
    /// How its elements behave.
    pub config: &'a FabricConfig,
    /// A transport for every host.
    pub endpoints: Vec<E>,
    /// A program for every host.
    pub programs: Vec<P>,
    /// Hosts whose programs signal each other, group by group.
    pub couplings: &'a [Vec<HostId>],
    /// The shard of every node; all hosts of a coupling group in one shard.
    pub shard_of: &'a [u32],
    /// Changes of links.
    pub faults: &'a [Fault],
    /// Switches that fail or come back.
    pub switch_faults: &'a [SwitchFault],
    /// Frames to record.
    pub capture: Option<&'a Capture>,
    /// Seed of all random streams.
    pub seed: u64,
}

impl Layout {
    /// The shared buffer of a switch, if switches have one.
    fn mmu(
        &self,
        graph: &Graph,
        config: &FabricConfig,
        node: NodeId,
    ) -> Result<Option<Mmu>, AssembleError> {
        let Buffer::Shared(shared) = &config.buffer else { return Ok(None) };
        let ports: Vec<(Rate, Span)> =
            self.ports_of(node).map(|port| self.buffer_port(graph, config, port, node)).collect();
        let too_small = |needed| AssembleError::BufferTooSmall {
            node: graph.name(node),
            buffer: shared.bytes,
            ports: ports.len(),
            needed,
        };
        Mmu::new(config, shared, &ports).map(Some).map_err(too_small)
    }

    /// Rate of a port's link, and the mean of the latencies of its two directions.
    fn buffer_port(
        &self,
        graph: &Graph,
        config: &FabricConfig,
        port: u32,
        node: NodeId,
    ) -> (Rate, Span) {
        let link = &graph.links[self.link[port as usize] as usize];
        let peer = self.node[self.peer[port as usize] as usize];
        let both = latency_into(graph, config, node, link.delay)
            + latency_into(graph, config, peer, link.delay);
        (link.rate, Span(both.0.div_ceil(2)))
    }
}

/// Latency of a link into `node`: propagation and the receiver's fixed pipeline.
fn latency_into(graph: &Graph, config: &FabricConfig, node: NodeId, delay: Span) -> Span {
    delay + graph.switch(node).map_or(config.host_latency, |switch| switch.latency)
}

/// Bytes that the switch with the most ports sets aside of a shared buffer, for headroom and reserves.
/// A buffer has to be larger than this.
pub fn set_aside(graph: &Graph, config: &FabricConfig, shared: &SharedBuffer) -> u64 {
    let layout = Layout::new(graph);
    let of_port = |port: u32, node| {
        let (rate, latency) = layout.buffer_port(graph, config, port, node);
        headroom(shared, rate, latency) + shared.reserve
    };
    let switches = (graph.hosts..graph.nodes()).map(NodeId);
    let of_switch = |node| layout.ports_of(node).map(|port| of_port(port, node)).sum();
    switches.map(of_switch).max().unwrap_or(0)
}

/// The shortest latency of all links: how far every node may run ahead.
fn lookahead(graph: &Graph, config: &FabricConfig) -> Result<Span, AssembleError> {
    let mut shortest = Span(u64::MAX);
    for link in &graph.links {
        for node in [link.a, link.b] {
            let latency = latency_into(graph, config, node, link.delay);
            if latency == Span::ZERO {
                let link = format!("{} - {}", graph.name(link.a), graph.name(link.b));
                return Err(AssembleError::NoLookahead { link });
            }
            shortest = shortest.min(latency);
        }
    }
    // A longer window would only overflow the order key; results do not depend on its width.
    Ok(shortest.min(Span(MAX_WINDOW - 1)))
}

fn check(graph: &Graph, layout: &Layout) -> Result<(), AssembleError> {
    for node in (0..graph.nodes()).map(NodeId) {
        let ports = layout.ports_of(node).len();
        if ports > MAX_PORTS {
            let node = graph.name(node);
            return Err(AssembleError::TooManyPorts { node, ports, most: MAX_PORTS });
        }
        if ports == 0 && node.0 < graph.hosts {
            return Err(AssembleError::Unconnected { node: graph.name(node) });
        }
    }
    Ok(())
}

/// Too few credits would hold a class back for ever.
fn check_credits(config: &FabricConfig) -> Result<(), AssembleError> {
    let Buffer::Credits(credits) = &config.buffer else { return Ok(()) };
    let least = credits.least_bytes();
    match credits.bytes {
        Some(bytes) if bytes < least => Err(AssembleError::CreditsTooFew { bytes, least }),
        _ => Ok(()),
    }
}

/// Checks what [`assemble`] would refuse, without building anything.
///
/// # Errors
/// [`AssembleError`] when the graph and configuration cannot run.
pub fn validate(graph: &Graph, config: &FabricConfig) -> Result<(), AssembleError> {
    let layout = Layout::new(graph);
    check(graph, &layout)?;
    lookahead(graph, config)?;
    check_credits(config)?;
    let switches = (graph.hosts..graph.nodes()).map(NodeId);
    switches.map(|node| layout.mmu(graph, config, node)).try_for_each(|mmu| mmu.map(drop))
}

/// Builds the shards of a run.
///
/// # Errors
/// [`AssembleError`] when the graph and configuration cannot run.
///
/// # Panics
/// If there is not exactly one endpoint and one program a host and one shard number a node.
pub fn assemble<E: Endpoint, P: Program>(
    parts: Parts<'_, E, P>,
) -> Result<Run<E, P>, AssembleError> {
    let hosts = parts.graph.hosts as usize;
    assert_eq!((parts.endpoints.len(), parts.programs.len()), (hosts, hosts));
    assert_eq!(parts.shard_of.len(), parts.graph.nodes() as usize);
    let layout = Layout::new(parts.graph);
    check(parts.graph, &layout)?;
    let lookahead = lookahead(parts.graph, parts.config)?;
    check_credits(parts.config)?;
    let shards = Builder::new(&parts, &layout).build(parts)?;
    Ok(Run::new(shards, layout, lookahead))
}

/// Port profiles without repetition.
#[derive(Default)]
struct Profiles {
    keys: Vec<(Rate, bool)>,
    profiles: Vec<PortProfile>,
}

impl Profiles {
    fn get(&mut self, config: &FabricConfig, rate: Rate, host_facing: bool) -> u16 {
        let place = self.keys.iter().position(|key| *key == (rate, host_facing));
        place.unwrap_or_else(|| {
            self.keys.push((rate, host_facing));
            self.profiles.push(PortProfile::new(config, rate, host_facing));
            self.keys.len() - 1
        }) as u16
    }
}

struct Builder<'a> {
    graph: &'a Graph,
    config: &'a FabricConfig,
    layout: &'a Layout,
    shard_of: &'a [u32],
    seed: u64,
    shards: usize,
    /// Nodes of each shard.
    members: Vec<Vec<NodeId>>,
    /// Index within its shard of each port.
    place: Vec<u32>,
    profiles: Profiles,
    /// Some link loses frames at some time.
    losses: bool,
}

impl<'a> Builder<'a> {
    fn new<E, P>(parts: &Parts<'a, E, P>, layout: &'a Layout) -> Builder<'a> {
        let shards = parts.shard_of.iter().max().map_or(1, |most| *most as usize + 1);
        let mut members = vec![Vec::new(); shards];
        let mut place = vec![0; layout.node.len()];
        let mut ports = vec![0u32; shards];
        for node in (0..parts.graph.nodes()).map(NodeId) {
            let shard = parts.shard_of[node.index()] as usize;
            members[shard].push(node);
            for port in layout.ports_of(node) {
                place[port as usize] = ports[shard];
                ports[shard] += 1;
            }
        }
        Builder {
            graph: parts.graph,
            config: parts.config,
            layout,
            shard_of: parts.shard_of,
            seed: parts.seed,
            shards,
            members,
            place,
            profiles: Profiles::default(),
            losses: parts.config.link.errors != FrameErrors::None
                || parts.faults.iter().any(|fault| fault.change.is_loss()),
        }
    }

    fn build<E: Endpoint, P: Program>(
        mut self,
        parts: Parts<'_, E, P>,
    ) -> Result<Vec<Shard<E, P>>, AssembleError> {
        let mut groups = vec![None; self.graph.hosts as usize];
        for (number, group) in parts.couplings.iter().enumerate() {
            group.iter().for_each(|host| groups[host.index()] = Some(number as u32));
        }
        let mut faults = self.node_faults(parts.faults, parts.switch_faults);
        let mut stock: Vec<Option<(E, P)>> =
            parts.endpoints.into_iter().zip(parts.programs).map(Some).collect();
        let mut shards = Vec::with_capacity(self.shards);
        for number in 0..self.shards {
            let mut shard = self.empty_shard(number, parts.couplings.len());
            if let Some(capture) = parts.capture {
                shard.outlet.taps = Taps::new(capture);
            }
            for node in std::mem::take(&mut self.members[number]) {
                if let Some(changes) = faults.remove(&node.0) {
                    shard.faults.insert(shard.nodes.len() as u32, changes);
                }
                self.add_node(&mut shard, node, &mut stock, &groups)?;
                if let Some(capture) = parts.capture {
                    self.tap(&mut shard, node, capture);
                }
            }
            shards.push(shard);
        }
        for shard in &mut shards {
            shard.profiles.clone_from(&self.profiles.profiles);
        }
        Ok(shards)
    }

    fn empty_shard<E, P>(&self, number: usize, groups: usize) -> Shard<E, P> {
        let members = &self.members[number];
        let owners = members
            .iter()
            .enumerate()
            .flat_map(|(local, node)| self.layout.ports_of(*node).map(move |_| local as u32));
        let owners: Vec<u32> = owners.collect();
        Shard {
            nodes: Vec::with_capacity(members.len()),
            hosts: Vec::new(),
            switches: Vec::new(),
            ports: Vec::with_capacity(owners.len()),
            profiles: Vec::new(),
            busy: vec![crate::units::Time::NEVER; owners.len()],
            gate: vec![0; owners.len()],
            groups: vec![Vec::new(); groups],
            group_nodes: BTreeMap::new(),
            faults: BTreeMap::new(),
            outlet: Outlet::new(number as u16, self.shards, owners, members.len()),
            scratch: Scratch::default(),
            in_flight: 0,
        }
    }

    fn add_node<E: Endpoint, P: Program>(
        &mut self,
        shard: &mut Shard<E, P>,
        node: NodeId,
        stock: &mut [Option<(E, P)>],
        groups: &[Option<u32>],
    ) -> Result<(), AssembleError> {
        let first = shard.ports.len() as u32;
        let ports = self.layout.ports_of(node);
        let count = ports.len() as u32;
        for port in ports {
            let port = self.port(port, node);
            shard.ports.push(port);
        }
        if let Some(multiple) = self.config.telemetry {
            self.sample(shard, node, first as usize, multiple);
        }
        let role = if node.0 < self.graph.hosts {
            let (endpoint, program) = stock[node.index()].take().expect("each host once");
            let host = HostId(node.0);
            if let Some(group) = groups[host.index()] {
                let local = shard.nodes.len() as u32;
                shard.groups[group as usize].push(local);
                shard.group_nodes.insert(host, local);
            }
            shard.hosts.push(Host::new(host, endpoint, program, groups[host.index()]));
            Role::Host(shard.hosts.len() as u32 - 1)
        } else {
            let switch = self.switch(node)?;
            shard.switches.push(switch);
            Role::Switch(shard.switches.len() as u32 - 1)
        };
        shard.nodes.push(Node { role, first, ports: count });
        Ok(())
    }

    /// Telemetry on the ports of `node` from place `first` on: switches write it, hosts send and take it.
    fn sample<E, P>(&self, shard: &mut Shard<E, P>, node: NodeId, first: usize, multiple: u32) {
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
    fn tap<E, P>(&self, shard: &mut Shard<E, P>, node: NodeId, capture: &Capture) {
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

    fn port(&mut self, port: u32, node: NodeId) -> Port {
        let place = port as usize;
        let link = &self.graph.links[self.layout.link[place] as usize];
        let peer_port = self.layout.peer[place];
        let peer_node = self.layout.node[peer_port as usize];
        let peer = Peer {
            shard: self.shard_of[peer_node.index()] as u16,
            port: self.place[peer_port as usize],
        };
        let host_facing = peer_node.0 < self.graph.hosts && node.0 >= self.graph.hosts;
        let mut built = Port::new(
            PortId(port),
            peer,
            link.rate,
            latency_into(self.graph, self.config, peer_node, link.delay),
            self.profiles.get(self.config, link.rate, host_facing),
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
        let shared = guard.map(|guard| Box::new(SharedState::new(guard, retry, watchdog)));
        let routing = (&self.config.routing, self.seed, node.0);
        let mut switch = Switch::new(spec.route, salt, shared, retry, routing);
        self.pin(node, &mut switch);
        Ok(switch)
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

    /// Faults as changes of nodes, by node, in order of time; simultaneous ones: links, switches, routes.
    fn node_faults(
        &mut self,
        faults: &[Fault],
        switch_faults: &[SwitchFault],
    ) -> BTreeMap<u32, VecDeque<NodeFault>> {
        let changes = link_changes(self.graph, faults, switch_faults);
        let mut by_node = self.port_faults(&changes);
        for fault in switch_faults.iter().filter(|fault| !fault.up) {
            let list = by_node.entry(fault.switch.0).or_default();
            list.push_back(NodeFault::Fail(fault.at));
        }
        if let Some(delay) = self.config.routing.convergence {
            for (node, routes) in route_changes(self.graph, &changes, delay) {
                let routes = routes.into_iter().map(|(at, detour)| NodeFault::Route(at, detour));
                by_node.entry(node.0).or_default().extend(routes);
            }
        }
        for list in by_node.values_mut() {
            list.make_contiguous().sort_by_key(NodeFault::at);
        }
        by_node
    }

    fn port_faults(&mut self, changes: &[Fault]) -> BTreeMap<u32, VecDeque<NodeFault>> {
        let mut by_node: BTreeMap<u32, VecDeque<NodeFault>> = BTreeMap::new();
        for fault in changes {
            let (a, b) = self.layout.ends[fault.link.index()];
            let up = fault.direction != Direction::Down;
            let down = fault.direction != Direction::Up;
            for (port, sends, affected) in
                [(a, true, up), (b, false, up), (b, true, down), (a, false, down)]
            {
                if affected {
                    let node = self.layout.node[port as usize];
                    let change = self.port_fault(fault, port, sends);
                    by_node.entry(node.0).or_default().push_back(NodeFault::Port(change));
                }
            }
        }
        by_node
    }

    fn port_fault(&mut self, fault: &Fault, port: u32, sends: bool) -> PortFault {
        let peer = self.layout.node[self.layout.peer[port as usize] as usize];
        let node = self.layout.node[port as usize];
        let built = self.graph.links[fault.link.index()].rate;
        let queue_rate = match fault.change {
            Change::Rate { ratio, queues: true } => built.scaled(ratio),
            _ => built,
        };
        let host_facing = peer.0 < self.graph.hosts && node.0 >= self.graph.hosts;
        PortFault {
            at: fault.at,
            port: self.place[port as usize],
            sends,
            change: fault.change,
            profile: self.profiles.get(self.config, queue_rate, host_facing),
        }
    }
}
