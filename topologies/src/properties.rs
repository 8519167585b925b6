//! What a graph is like: its diameter and the round trip that congestion control is set by.

use fabric::graph::{Graph, Link};
use fabric::ids::{HostId, NodeId};
use fabric::units::Span;

use crate::check::neighbours;

/// The longest way between two hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diameter {
    /// Its links, in order.
    pub links: Vec<Link>,
    /// One-way propagation and switch latency along it.
    pub latency: Span,
}

impl Diameter {
    /// The way from host 0 to the host farthest from it, always by the first of equal ports.
    ///
    /// All topologies of this package are symmetric enough for this to be the longest; the far ends
    /// tried are the last host and the first hosts outside of host 0's own switches.
    pub fn of(graph: &Graph) -> Diameter {
        let neighbours = neighbours(graph);
        let mut ends = vec![graph.hosts - 1, graph.hosts / 2, farthest(graph)];
        // Of wirings that files describe nothing is known: a sample of all hosts.
        if !graph.tables.is_empty() && graph.shape.is_none() {
            ends.extend((0..graph.hosts).step_by((graph.hosts / 64).max(1) as usize));
        }
        let to = |end: u32| {
            Some(end).filter(|end| *end > 0).and_then(|end| way(graph, &neighbours, end))
        };
        let mut ways: Vec<_> = ends.into_iter().filter_map(to).collect();
        // On rails alone host 0 reaches its own rail only.
        if ways.is_empty() {
            ways.extend((1..graph.hosts).rev().find_map(to));
        }
        let latency = |links: &Vec<(Link, NodeId)>| -> Span {
            let switches = links.iter().filter_map(|(_, to)| graph.switch(*to));
            let propagation: Span = links.iter().map(|(link, _)| link.delay).sum();
            propagation + switches.map(|switch| switch.latency).sum()
        };
        let longest = ways.into_iter().max_by_key(|links| (links.len(), latency(links)));
        let longest = longest.unwrap_or_default();
        Diameter {
            latency: latency(&longest),
            links: longest.into_iter().map(|(link, _)| link).collect(),
        }
    }

    /// The unloaded round trip of a data frame there and an acknowledgement back, in bytes on the wire,
    /// with the hosts' receive latency: `config_base_rtt`.
    pub fn base_rtt(&self, data_bytes: u64, ack_bytes: u64, host_latency: Span) -> Span {
        let frames: Span = self
            .links
            .iter()
            .map(|link| link.rate.time_for(data_bytes) + link.rate.time_for(ack_bytes))
            .sum();
        self.latency * 2 + host_latency * 2 + frames
    }
}

impl Diameter {
    /// The same by way of another region: all between the two switches next to the hosts twice.
    pub fn by_another_region(&self) -> Diameter {
        let Some(between) = self.links.get(1..self.links.len() - 1) else { return self.clone() };
        let ends: Span =
            [self.links.first(), self.links.last()].iter().flatten().map(|l| l.delay).sum();
        let mut links = self.links.clone();
        links.splice(1..1, between.iter().copied());
        Diameter { links, latency: self.latency * 2 - ends }
    }
}

impl Diameter {
    /// Twice the latency there and the serialisation of `bytes` one way: the round trip that the HPCC
    /// authors' model sets windows by (`ns3-rdma-profile.md`).
    pub fn one_way_rtt(&self, bytes: u64) -> Span {
        self.latency * 2 + self.links.iter().map(|link| link.rate.time_for(bytes)).sum()
    }
}

/// The most bandwidth below a switch over that above it; 1 where no switch has more below.
pub fn oversubscription(graph: &Graph) -> f64 {
    let hosts = graph.hosts as usize;
    let mut bandwidth = vec![(0u64, 0u64); graph.switches.len()];
    let tier = |node: NodeId| graph.switch(node).map_or(0, |switch| switch.tier + 1);
    // In direct networks there is no above; the switches within domains have none.
    for link in graph.links.iter().filter(|link| tier(link.a) < tier(link.b)) {
        let rate = link.rate.bits_per_second();
        if let Some(lower) = link.a.index().checked_sub(hosts) {
            bandwidth[lower].1 += rate;
        }
        if let Some(upper) = link.b.index().checked_sub(hosts) {
            bandwidth[upper].0 += rate;
        }
    }
    let ratios = bandwidth.iter().filter(|(_, up)| *up > 0);
    ratios.map(|(down, up)| *down as f64 / *up as f64).fold(1.0, f64::max)
}

/// In a direct network the host farthest from host 0; else host 0.
fn farthest(graph: &Graph) -> u32 {
    let (Some(shape), Some(table)) = (&graph.shape, graph.tables.first()) else { return 0 };
    let count = shape.destinations as usize;
    let own = table.destination_of(HostId(0)) as usize;
    let hops = &shape.hops[own * count..(own + 1) * count];
    let most = (0..count).max_by_key(|place| hops[*place]).unwrap_or(0) as u32;
    (0..graph.hosts).find(|host| table.destination_of(HostId(*host)) == most).unwrap_or(0)
}

/// The links from host 0 to `end`, each with the node it leads to; `None` if there is no way.
fn way(graph: &Graph, neighbours: &[Vec<NodeId>], end: u32) -> Option<Vec<(Link, NodeId)>> {
    let mut at = NodeId(0);
    let mut links = Vec::new();
    while at != NodeId(end) {
        let port = match graph.switch(at) {
            None => 0,
            Some(_) => match graph.towards(at, HostId(end)) {
                equal if equal.count() > 0 => equal.nth(0),
                _ => return None,
            },
        };
        let to = neighbours[at.index()][usize::from(port)];
        let joins = |link: &&Link| (link.a, link.b) == (at, to) || (link.a, link.b) == (to, at);
        let link = graph.links.iter().find(joins).expect("neighbours share a link");
        links.push((*link, to));
        at = to;
    }
    Some(links)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, LeafSpine, fat_tree, leaf_spine};
    use fabric::units::Rate;

    /// A fat tree has as much above as below, a leaf with half the uplinks twice as much below.
    #[test]
    fn oversubscription_is_the_worst_of_all_switches() {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_micros(1),
            switch_latency: Span::ZERO,
        };
        assert_eq!(oversubscription(&fat_tree(128, &common).unwrap()), 1.0);
        let shape = LeafSpine {
            hosts: 64,
            hosts_per_leaf: 16,
            spines: Some(8),
            uplink_rate: common.link_rate,
            oversubscription: fabric::units::Ratio::ONE,
            bundle: 1,
        };
        assert_eq!(oversubscription(&leaf_spine(&shape, &common).unwrap()), 2.0);
    }

    /// The reference's round trips: 12.5057 us at 400 Gb/s and 14.0227 us at 100 Gb/s.
    #[test]
    fn base_round_trips_are_the_reference_ones() {
        for (hosts, gbps, picoseconds) in [(128, 400, 12_505_680), (16, 100, 14_022_720)] {
            let common = Common {
                link_rate: Rate::from_gbps(gbps),
                link_delay: Span::from_micros(1),
                switch_latency: Span::ZERO,
            };
            let diameter = Diameter::of(&fat_tree(hosts, &common).unwrap());
            assert_eq!(diameter.base_rtt(4_150, 64, Span::ZERO), Span(picoseconds));
        }
    }
}
