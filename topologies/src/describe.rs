//! What a fabric is made of and what it can carry, for people who plan one.

use std::collections::BTreeMap;

use fabric::graph::Graph;
use fabric::ids::{HostId, NodeId};
use fabric::units::{Rate, Span};
use petgraph::Graph as Network;
use petgraph::algo::dinics;
use serde::Serialize;

use crate::check::neighbours;
use crate::properties::Diameter;

/// Switches above which the bisection is not computed.
const MOST_SWITCHES: usize = 3_000;
/// Delay of a metre of cable, and of coding and error correction at its ends (`link.md` §5).
const NANOS_A_METRE: f64 = 5.0;
const PHY_NANOS: f64 = 65.0;

/// Switches of one tier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TierSummary {
    /// What they are called.
    pub name: String,
    /// How many.
    pub switches: u64,
    /// Fewest ports in use.
    pub least_ports: u64,
    /// Most ports in use.
    pub most_ports: u64,
}

/// Links between the same tiers, of the same rate and delay.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LinkSummary {
    /// The lower end: a tier, or `host`.
    pub from: String,
    /// The upper end.
    pub to: String,
    /// How many.
    pub links: u64,
    /// Rate of each, in Gb/s.
    pub rate_gbps: f64,
    /// Delay of each, in nanoseconds.
    pub delay_ns: f64,
    /// Length of each in metres, if the delay is that of a cable: 65 ns and 5 ns a metre.
    pub metres: Option<f64>,
}

/// A fabric in figures.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Description {
    /// Hosts.
    pub hosts: u64,
    /// Ports of a host's NIC in the network that joins all hosts.
    pub ports_per_host: u64,
    /// Hosts of a domain with a network of its own.
    pub domain: Option<u64>,
    /// Switches in all.
    pub switches: u64,
    /// By tier, from the hosts up.
    pub tiers: Vec<TierSummary>,
    /// Links in all.
    pub links: u64,
    /// By tiers, rate and delay.
    pub cables: Vec<LinkSummary>,
    /// Metres of all cables whose length follows from their delay.
    pub metres: f64,
    /// Links of the longest way between two hosts.
    pub diameter: u64,
    /// Its propagation and switch latency, one way, in nanoseconds.
    pub diameter_ns: f64,
    /// Shortest ways between the two hosts at its ends, planes counted.
    pub paths: f64,
    /// What the first half of the hosts can send to the second at most, in Gb/s; none for large fabrics.
    pub bisection_gbps: Option<f64>,
    /// What the links of half of the hosts carry, in Gb/s: with this bisection nothing is oversubscribed.
    pub full_bisection_gbps: f64,
}

impl Description {
    /// Of a graph.
    pub fn of(graph: &Graph) -> Description {
        let cables = cables(graph);
        let diameter = Diameter::of(graph);
        let ports = graph.host_ports(HostId(0), HostId(graph.hosts - 1));
        let own = graph.links.iter().filter(|link| link.a.0 == 0 || link.b.0 == 0);
        let outer: Vec<Rate> = own
            .enumerate()
            .filter(|(port, _)| ports.contains(&(*port as u16)))
            .map(|(_, link)| link.rate)
            .collect();
        let nic: u64 = outer.iter().map(|rate| rate.bits_per_second()).sum();
        Description {
            hosts: u64::from(graph.hosts),
            ports_per_host: outer.len() as u64,
            domain: graph.scale_up.map(|scale_up| u64::from(scale_up.domain)),
            switches: graph.switches.len() as u64,
            tiers: tiers(graph),
            links: graph.links.len() as u64,
            metres: cables.iter().map(|c| c.metres.unwrap_or(0.0) * c.links as f64).sum(),
            cables,
            diameter: diameter.links.len() as u64,
            diameter_ns: diameter.latency.0 as f64 / 1e3,
            paths: paths(graph),
            bisection_gbps: (graph.switches.len() <= MOST_SWITCHES).then(|| bisection(graph)),
            full_bisection_gbps: nic as f64 * f64::from(graph.hosts / 2) / 1e9,
        }
    }
}

fn tier_name(graph: &Graph, node: NodeId) -> &'static str {
    let tier = |tier: u8| graph.tier_names.get(usize::from(tier)).copied().unwrap_or("switch");
    graph.switch(node).map_or("host", |switch| tier(switch.tier))
}

fn tiers(graph: &Graph) -> Vec<TierSummary> {
    let mut ports = vec![0u64; graph.nodes() as usize];
    graph.links.iter().flat_map(|link| [link.a, link.b]).for_each(|node| ports[node.index()] += 1);
    let of_tier = |(tier, name): (usize, &&str)| {
        let switches = graph.switches.iter().zip(&ports[graph.hosts as usize..]);
        let own = switches.filter(|(switch, _)| usize::from(switch.tier) == tier);
        let own: Vec<u64> = own.map(|(_, ports)| *ports).collect();
        TierSummary {
            name: (*name).to_owned(),
            switches: own.len() as u64,
            least_ports: own.iter().copied().min().unwrap_or(0),
            most_ports: own.iter().copied().max().unwrap_or(0),
        }
    };
    graph.tier_names.iter().enumerate().map(of_tier).collect()
}

fn cables(graph: &Graph) -> Vec<LinkSummary> {
    let mut groups: BTreeMap<(&str, &str, u64, Span), u64> = BTreeMap::new();
    for link in &graph.links {
        let [from, to] = [link.a, link.b].map(|node| tier_name(graph, node));
        *groups.entry((from, to, link.rate.bits_per_second(), link.delay)).or_default() += 1;
    }
    let summary = |((from, to, rate, delay), links): (_, u64)| {
        let delay: Span = delay;
        let nanos = delay.0 as f64 / 1e3;
        LinkSummary {
            from: String::from(from),
            to: String::from(to),
            links,
            // A rate is kept as the time of a byte, which is not exact for all.
            rate_gbps: (rate as f64 / 1e8).round() / 10.0,
            delay_ns: nanos,
            metres: (nanos > PHY_NANOS).then(|| (nanos - PHY_NANOS) / NANOS_A_METRE),
        }
    };
    groups.into_iter().map(summary).collect()
}

/// Shortest ways from host 0 to the host that is farthest by the diameter's reckoning.
fn paths(graph: &Graph) -> f64 {
    let dst = HostId(graph.hosts - 1);
    let neighbours = neighbours(graph);
    let mut front = BTreeMap::from([(NodeId(0), 1.0)]);
    for _ in 0..64 {
        let mut next: BTreeMap<NodeId, f64> = BTreeMap::new();
        for (node, ways) in &front {
            if node.0 == dst.0 {
                return *ways;
            }
            let own = &neighbours[node.index()];
            let ports: Vec<u16> = match graph.switch(*node) {
                None => graph
                    .host_ports(HostId(node.0), dst)
                    .filter(|port| usize::from(*port) < own.len())
                    .take(own.len())
                    .collect(),
                Some(_) => graph.towards(*node, dst).to_vec(),
            };
            for port in ports {
                *next.entry(own[usize::from(port)]).or_default() += ways;
            }
        }
        front = next;
    }
    0.0
}

/// The largest flow from the first half of the hosts to the second, in Gb/s.
fn bisection(graph: &Graph) -> f64 {
    let mut network: Network<(), u64> = Network::new();
    let (source, sink) = (network.add_node(()), network.add_node(()));
    let switches: Vec<_> = graph.switches.iter().map(|_| network.add_node(())).collect();
    let inner = graph.switches.iter().map(|switch| switch.tier > graph.top_tier());
    let inner: Vec<bool> = inner.collect();
    // Parallel links, and those of hosts of one half to one switch, are one edge.
    let mut capacity: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let half = graph.hosts / 2;
    for link in &graph.links {
        let place = |node: NodeId| node.0.checked_sub(graph.hosts).map(|place| place as usize);
        let rate = link.rate.bits_per_second() / 1_000_000;
        let mut add = |a: usize, b: usize| *capacity.entry((a, b)).or_default() += rate;
        match (place(link.a), place(link.b)) {
            (Some(a), Some(b)) => {
                add(switches[a].index(), switches[b].index());
                add(switches[b].index(), switches[a].index());
            }
            (None, Some(b)) if !inner[b] && link.a.0 < half => {
                add(source.index(), switches[b].index());
            }
            (None, Some(b)) if !inner[b] && link.a.0 < 2 * half => {
                add(switches[b].index(), sink.index());
            }
            _ => {}
        }
    }
    network
        .extend_with_edges(capacity.into_iter().map(|((a, b), rate)| (a as u32, b as u32, rate)));
    let (flow, _) = dinics(&network, source, sink);
    (flow as f64 / 1e1).round() / 1e2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, FatTree};
    use crate::direct::dragonfly::Dragonfly;
    use crate::direct::grid::{Along, Grid};
    use fabric::units::Ratio;

    fn common() -> Common {
        Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_nanos(300),
            switch_latency: Span::from_nanos(400),
        }
    }

    fn bisection_in_links(graph: &Graph) -> f64 {
        Description::of(graph).bisection_gbps.unwrap() / 400.0
    }

    /// Bisections are those of the formulas: n/2 links of a fat tree, over its oversubscription; of a torus twice, of a mesh once
    /// the switches of a slice; of a HyperX a quarter of the square of its last dimension for each line; of a dragonfly of
    /// single links one for each two groups of different halves.
    #[test]
    fn bisections_are_those_of_their_formulas() {
        let tree = |ratio| FatTree {
            oversubscription: [Ratio::new(ratio, 1), Ratio::ONE],
            ..FatTree::new(128)
        };
        assert_eq!(bisection_in_links(&tree(1).build(&common()).unwrap()), 64.0);
        assert_eq!(bisection_in_links(&tree(2).build(&common()).unwrap()), 32.0);
        let grid = |dimensions: &[u32], along, each: u32| {
            let hosts = dimensions.iter().product::<u32>() * each;
            let (dimensions, rate) = (dimensions.to_vec(), Rate::from_gbps(400));
            Grid { hosts, hosts_per_switch: each, dimensions, along, rate }
                .build(&common())
                .unwrap()
        };
        assert_eq!(bisection_in_links(&grid(&[4, 4, 4], Along::Ring, 2)), 2.0 * 16.0);
        assert_eq!(bisection_in_links(&grid(&[4, 4, 4], Along::Line, 2)), 16.0);
        let hyperx = grid(&[4, 4], Along::All { ordered: false }, 4);
        assert_eq!(bisection_in_links(&hyperx), 4.0 * 4.0);
        let fly = Dragonfly { hosts: 64, groups: Some(8), ..Dragonfly::balanced(72, &common()) };
        assert_eq!(bisection_in_links(&fly.build(&common()).unwrap()), 16.0);
    }

    /// A fat tree of 16 hosts: its switches, ports, cables and ways.
    #[test]
    fn a_small_fat_tree_in_figures() {
        let found = Description::of(&FatTree::new(16).build(&common()).unwrap());
        let ports: Vec<_> =
            found.tiers.iter().map(|tier| (tier.switches, tier.most_ports)).collect();
        assert_eq!(ports, [(8, 4), (8, 4), (4, 4)]);
        assert_eq!((found.links, found.diameter, found.paths), (48, 6, 4.0));
        assert_eq!(found.cables[0].metres, Some(47.0));
        assert_eq!(found.metres, 47.0 * 48.0);
        assert_eq!(found.full_bisection_gbps, 3_200.0);
        assert_eq!(found.diameter_ns, 6.0 * 300.0 + 5.0 * 400.0);
    }
}
