//! From a graph to shards: ports numbered, links joined, buffers sized, hosts given their transport
//! and program.
//!
//! - this file: what a run is made of, and what of it is refused
//! - `build`: nodes and ports, shard by shard; `changes`: faults

mod build;
mod changes;

use crate::capture::Capture;
use crate::config::{Buffer, FabricConfig, SharedBuffer};
use crate::endpoint::Endpoint;
use crate::engine::ranks::Split;
use crate::engine::window::Paces;
use crate::error::AssembleError;
use crate::fault::{Fault, SwitchFault};
use crate::graph::{Graph, Link};
use crate::ids::{Class, HostId, NodeId};
use crate::layout::Layout;
use crate::net::buffer::{Mmu, headroom};
use crate::net::switch::{MAX_PORTS, MAX_WINDOW};
use crate::packet::PORTS_WITH_CHANNELS;
use crate::program::Program;
use crate::run::Run;
use crate::series::Sampling;
use crate::units::{Rate, Span};

use build::Builder;

/// What a run is made of.
pub struct Parts<'a, E, P> {
    /// The fabric.
    pub graph: &'a Graph,
    /// How its elements behave.
    pub config: &'a FabricConfig,
    /// Makes the transport of a host in a network; called once for each NIC of the hosts of this rank.
    pub endpoint: &'a (dyn Fn(HostId, Network) -> E + Sync),
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
    /// What is recorded over time.
    pub sampling: Option<Sampling>,
    /// Seed of all random streams.
    pub seed: u64,
    /// The part of the fabric that is built.
    pub extent: Extent,
}

/// Which of the networks that a host may be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// The one that joins all hosts.
    ScaleOut,
    /// The one within a domain.
    ScaleUp,
}

/// Which part of a fabric is built, and by how many threads.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Number of this process among `ranks`.
    pub rank: usize,
    /// Processes that run the emulation together; each builds its own shards only.
    pub ranks: usize,
    /// Threads that build.
    pub threads: usize,
}

impl Default for Extent {
    /// All of it, by one thread.
    fn default() -> Extent {
        Extent { rank: 0, ranks: 1, threads: 1 }
    }
}

impl Layout {
    /// The shared buffer of a switch, if switches have one.
    fn mmu(
        &self,
        graph: &Graph,
        config: &FabricConfig,
        node: NodeId,
    ) -> Result<Option<Mmu>, AssembleError> {
        let Buffer::Shared(mut shared) = config.buffer else { return Ok(None) };
        let tier = graph.switch(node).map_or(0, |switch| switch.tier);
        if let Some(bytes) = shared.top_tier_bytes.filter(|_| tier > 0 && tier == graph.top_tier())
        {
            shared.bytes = bytes;
        }
        let ports: Vec<(Rate, Span)> =
            self.ports_of(node).map(|port| self.buffer_port(graph, config, port, node)).collect();
        let too_small = |needed| AssembleError::BufferTooSmall {
            node: graph.name(node),
            buffer: shared.bytes,
            ports: ports.len(),
            needed,
        };
        Mmu::new(config, &shared, &ports).map(Some).map_err(too_small)
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
pub(crate) fn latency_into(
    graph: &Graph,
    config: &FabricConfig,
    node: NodeId,
    delay: Span,
) -> Span {
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
///
/// # Errors
/// [`AssembleError::NoLookahead`], when a link has none at all.
pub fn lookahead(graph: &Graph, config: &FabricConfig) -> Result<Span, AssembleError> {
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
    // A longer window, twice this, would only overflow the order key; results do not depend on its width.
    Ok(shortest.min(Span(MAX_WINDOW / 2 - 1)))
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

/// Every shared buffer is larger than what is set aside of it.
fn check_buffers(
    graph: &Graph,
    config: &FabricConfig,
    layout: &Layout,
) -> Result<(), AssembleError> {
    let switches = (graph.hosts..graph.nodes()).map(NodeId);
    switches.map(|node| layout.mmu(graph, config, node)).try_for_each(|mmu| mmu.map(drop))
}

/// Lossless traffic has as many virtual channels as it needs to be free of deadlock.
fn check_channels(
    graph: &Graph,
    config: &FabricConfig,
    layout: &Layout,
) -> Result<(), AssembleError> {
    let Some(shape) = &graph.shape else { return Ok(()) };
    let needed = shape.channels.needed(config.routing.paths);
    if needed == 1 || !config.classes.iter().any(|class| class.lossless) {
        return Ok(());
    }
    let given = config.classes.len() as u32 - u32::from(Class::DATA.0);
    if needed > given {
        return Err(AssembleError::TooFewChannels { needed, given });
    }
    if matches!(config.buffer, Buffer::Credits(_)) {
        return Err(AssembleError::CreditsWithChannels);
    }
    let switches = (graph.hosts..graph.nodes()).map(NodeId);
    for node in switches {
        let ports = layout.ports_of(node).len();
        if ports > PORTS_WITH_CHANNELS {
            let (node, most) = (graph.name(node), PORTS_WITH_CHANNELS);
            return Err(AssembleError::TooManyPorts { node, ports, most });
        }
    }
    Ok(())
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
    check_channels(graph, config, &layout)?;
    check_buffers(graph, config, &layout)
}

/// Builds the shards of a run, or those of one rank.
///
/// # Errors
/// [`AssembleError`] when the graph and configuration cannot run.
///
/// # Panics
/// If there is not exactly one program a host and one shard number a node.
pub fn assemble<E: Endpoint, P: Program>(
    parts: Parts<'_, E, P>,
) -> Result<Run<E, P>, AssembleError> {
    assert_eq!(parts.programs.len(), parts.graph.hosts as usize);
    assert_eq!(parts.shard_of.len(), parts.graph.nodes() as usize);
    let layout = Layout::new(parts.graph);
    check(parts.graph, &layout)?;
    let lookahead = lookahead(parts.graph, parts.config)?;
    check_credits(parts.config)?;
    check_channels(parts.graph, parts.config, &layout)?;
    check_buffers(parts.graph, parts.config, &layout)?;
    let shards = parts.shard_of.iter().max().map_or(1, |most| *most as usize + 1);
    let split = Split::new(shards, parts.extent.rank, parts.extent.ranks);
    let reach = reach(&parts, &split);
    let classes = classes(&layout, parts.couplings);
    let paces = Paces { lookahead, reach, classes: 1 + usize::from(classes.contains(&1)) };
    let sampling = parts.sampling;
    let shards = Builder::new(&parts, &layout, &split, &classes).build(parts)?;
    Ok(Run::new(shards, split, layout, paces, sampling))
}

/// The class of each node, 0 or 1, such that every link joins nodes of different classes and coupled hosts are of one
/// class. Where that is impossible all are in class 0.
fn classes(layout: &Layout, couplings: &[Vec<HostId>]) -> Vec<u8> {
    const NONE: u8 = 2;
    let nodes = layout.first.len() - 1;
    let mut classes = vec![NONE; nodes];
    let mut waiting = Vec::new();
    for start in 0..nodes {
        if classes[start] == NONE {
            classes[start] = 0;
            waiting.push(start);
        }
        while let Some(node) = waiting.pop() {
            for port in layout.ports_of(NodeId(node as u32)) {
                let peer = layout.node[layout.peer[port as usize] as usize].index();
                if classes[peer] == NONE {
                    classes[peer] = 1 - classes[node];
                    waiting.push(peer);
                } else if classes[peer] == classes[node] {
                    return vec![0; nodes];
                }
            }
        }
    }
    let apart = |group: &Vec<HostId>| {
        group.iter().any(|host| classes[host.index()] != classes[group[0].index()])
    };
    if couplings.iter().any(apart) { vec![0; nodes] } else { classes }
}

/// The shortest latency of all links between ranks: how far every rank may run ahead.
fn reach<E, P>(parts: &Parts<'_, E, P>, split: &Split) -> Span {
    let rank_of = |node: NodeId| split.rank_of(parts.shard_of[node.index()] as usize);
    let between = parts.graph.links.iter().filter(|link| rank_of(link.a) != rank_of(link.b));
    let latency = |link: &Link| {
        let into = |node| latency_into(parts.graph, parts.config, node, link.delay);
        into(link.a).min(into(link.b))
    };
    between.map(latency).min().unwrap_or(Span(u64::MAX))
}
