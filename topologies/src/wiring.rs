//! From wires to a graph: tiers, routes and domains of a fabric that a file describes link by link.
//!
//! Tiers follow from the distance to the hosts. Where all is a tree of tiers with equal branches, routes are rules that go
//! up, then down; else they are tables of all shortest ways, which may pass each other in circles, so lossless traffic
//! is not claimed to be free of deadlock there ([`crate::channels`] tells).

use std::collections::BTreeMap;

use fabric::graph::{Graph, Link, RouteRule, ScaleUp, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Span};

use crate::check::arrives;
use crate::routes::shortest;

/// What switches of each tier are called, by the number of tiers.
const NAMES: [&[&str]; 6] = [
    &["switch"],
    &["leaf", "spine"],
    &["leaf", "agg", "core"],
    &["leaf", "agg", "core", "border"],
    &["leaf", "agg", "core", "border", "tier5"],
    &["leaf", "agg", "core", "border", "tier5", "tier6"],
];

/// A link with the nodes' numbers in the graph: hosts first, then switches.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// One end.
    pub a: u32,
    /// The other end.
    pub b: u32,
    /// Rate of each direction.
    pub rate: Rate,
    /// Propagation delay.
    pub delay: Span,
}

/// What a file says of a fabric.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Hosts.
    pub hosts: u32,
    /// Hosts and switches, those within domains last.
    pub nodes: u32,
    /// How many of the switches are within domains.
    pub inner: u32,
    /// Links.
    pub wires: Vec<Wire>,
}

impl Wiring {
    /// The graph.
    ///
    /// # Errors
    /// A sentence, if hosts do not reach each other, or domains are not of neighbouring hosts.
    pub fn build(self) -> Result<Graph, String> {
        let outer = self.nodes - self.inner;
        let (wires, inner): (Vec<Wire>, Vec<Wire>) =
            self.wires.into_iter().partition(|wire| wire.a.max(wire.b) < outer);
        let mut graph = graph(self.hosts, outer, wires)?;
        if self.inner > 0 {
            add_domains(&mut graph, outer, self.inner, inner)?;
        }
        Ok(graph)
    }
}

/// Adds the switches from number `first` on, each of which joins neighbouring hosts.
fn add_domains(graph: &mut Graph, first: u32, count: u32, wires: Vec<Wire>) -> Result<(), String> {
    let mut members: Vec<Vec<(u32, Wire)>> = vec![Vec::new(); count as usize];
    for wire in wires {
        let (host, switch) = (wire.a.min(wire.b), wire.a.max(wire.b));
        if host >= graph.hosts {
            return Err("a switch within a domain is joined to another switch".to_owned());
        }
        members[(switch - first) as usize].push((host, wire));
    }
    let size = members.iter().map(Vec::len).max().unwrap_or(0) as u32;
    let ports = graph.links.iter().filter(|link| link.a.0 == 0 || link.b.0 == 0).count() as u16;
    graph.scale_up = Some(ScaleUp { domain: size.max(1), first_port: ports });
    let tier = graph.tier_names.len() as u8;
    graph.tier_names.push("nvswitch");
    for (index, mut members) in members.into_iter().enumerate() {
        members.sort_by_key(|(host, _)| *host);
        let own = members.first().map_or(0, |(host, _)| *host);
        let in_turn = members.iter().zip(own..).all(|((host, _), expected)| *host == expected);
        if own % size.max(1) != 0 || !in_turn {
            return Err(format!(
                "the hosts of domain switch {index} are no whole domain of {size}"
            ));
        }
        let node = NodeId(graph.nodes());
        let host_count = members.len() as u32;
        let route = RouteRule::UpDown {
            first_host: own,
            host_count,
            hosts_per_child: 1,
            down_base: 0,
            bundle: 1,
            up_base: host_count as u16,
            up_count: 0,
        };
        let (index, latency) = (index as u32, Span::ZERO);
        graph.switches.push(Switch { tier, index, latency, route });
        graph.links.extend(members.into_iter().map(|(host, wire)| Link {
            a: NodeId(host),
            b: node,
            rate: wire.rate,
            delay: wire.delay,
        }));
    }
    Ok(())
}

/// The graph of the links, with tiers and routes.
fn graph(hosts: u32, nodes: u32, mut wires: Vec<Wire>) -> Result<Graph, String> {
    let tiers = tiers(hosts, nodes, &wires)?;
    let tier = |node: u32| tiers[node as usize];
    for wire in &mut wires {
        if (tier(wire.a), wire.a) > (tier(wire.b), wire.b) {
            std::mem::swap(&mut wire.a, &mut wire.b);
        }
    }
    // Ports follow the order of links: down before up, children and parents by number.
    wires.sort_by_key(|wire| (tier(wire.a), wire.a, wire.b));
    let top = tiers.iter().copied().max().unwrap_or(0);
    let Some(names) = NAMES.get(usize::from(top).wrapping_sub(1)) else {
        return Err(format!("the switches have {top} tiers; expected 1 to {}", NAMES.len()));
    };
    let mut counts = BTreeMap::new();
    let rules = rules(hosts, nodes, &tiers, &wires);
    let switches = rules.into_iter().zip(hosts..nodes).map(|(route, node)| {
        let index = counts.entry(tier(node)).or_insert(0);
        *index += 1;
        Switch { tier: tier(node) - 1, index: *index - 1, latency: Span::ZERO, route }
    });
    let graph = Graph {
        hosts,
        switches: switches.collect(),
        links: wires
            .iter()
            .map(|wire| Link {
                a: NodeId(wire.a),
                b: NodeId(wire.b),
                rate: wire.rate,
                delay: wire.delay,
            })
            .collect(),
        tier_names: names.to_vec(),
        ..Graph::default()
    };
    // A host with several links to one network may be reached by any of them, which rules do not say.
    let joined = |host: u32| graph.links.iter().filter(|link| link.a.0 == host).count();
    if joined(0) == 1 && arrives(&graph).is_ok() {
        return Ok(graph);
    }
    let mut graph = graph;
    let nothing = |switch: &mut Switch| switch.route = RouteRule::NOTHING_BELOW;
    graph.switches.iter_mut().for_each(nothing);
    graph.tables = shortest(&graph, &[], |_, _, _| true).tables;
    arrives(&graph)?;
    Ok(graph)
}

/// The tier of each node: 0 for hosts, else its distance to the nearest host.
fn tiers(hosts: u32, nodes: u32, wires: &[Wire]) -> Result<Vec<u8>, String> {
    const FAR: u8 = u8::MAX;
    let mut tiers = vec![FAR; nodes as usize];
    tiers[..hosts as usize].fill(0);
    for distance in 1..FAR {
        let mut found = false;
        for wire in wires {
            for (near, far) in [(wire.a, wire.b), (wire.b, wire.a)] {
                if tiers[near as usize] == distance - 1 && tiers[far as usize] == FAR {
                    tiers[far as usize] = distance;
                    found = true;
                }
            }
        }
        if !found {
            break;
        }
    }
    match tiers.iter().position(|tier| *tier == FAR) {
        Some(node) => Err(format!(
            "node {node} (hosts counted first) is joined to nothing that leads to a host"
        )),
        None => Ok(tiers),
    }
}

/// The routing rule of each switch, from the hosts below each of its neighbours.
fn rules(hosts: u32, nodes: u32, tiers: &[u8], wires: &[Wire]) -> Vec<RouteRule> {
    // First host below and one after the last; hosts are below themselves.
    let mut below: Vec<(u32, u32)> = (0..nodes).map(|node| (node, node + 1)).collect();
    below[hosts as usize..].fill((u32::MAX, 0));
    let mut children: Vec<Vec<(u32, u32)>> = vec![Vec::new(); nodes as usize];
    let mut ups = vec![0u16; nodes as usize];
    // Sorted by tier: what is below a node is known before the node is a child.
    for wire in wires {
        let (low, high) = (wire.a as usize, wire.b as usize);
        ups[low] += 1;
        if tiers[low] == tiers[high] {
            ups[high] += 1;
            continue;
        }
        let child = below[low];
        children[high].push(child);
        below[high] = (below[high].0.min(child.0), below[high].1.max(child.1));
    }
    let rule = |node: u32| {
        let (first, end) = below[node as usize];
        let children = &children[node as usize];
        let each = children.first().map_or(0, |(first, end)| end - first);
        let bundle = children.iter().take_while(|child| **child == children[0]).count();
        // Nothing below: not a tree, which the check of the rules will find.
        if each == 0 {
            return RouteRule::NOTHING_BELOW;
        }
        RouteRule::UpDown {
            first_host: first,
            host_count: end - first,
            hosts_per_child: each,
            down_base: 0,
            bundle: bundle as u16,
            up_base: children.len() as u16,
            up_count: ups[node as usize],
        }
    };
    (hosts..nodes).map(rule).collect()
}
