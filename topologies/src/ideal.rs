//! How fast a message could be at best, whatever the transport: what slowdowns are measured against.

use fabric::graph::{Graph, Link};
use fabric::ids::{HostId, NodeId};
use fabric::units::{Rate, Span};

use crate::check::neighbours;

/// Bytes that a switch has to have before it sends them on: a full packet.
const PACKET: u64 = 4_096;

/// The ideal of a graph.
pub struct Ideal<'a> {
    graph: &'a Graph,
    /// Links of each node, in the order of its ports.
    links: Vec<Vec<Link>>,
    neighbours: Vec<Vec<NodeId>>,
    host_latency: Span,
}

impl<'a> Ideal<'a> {
    /// The ideal of `graph`, whose hosts take `host_latency` for a packet.
    pub fn new(graph: &'a Graph, host_latency: Span) -> Ideal<'a> {
        let mut links = vec![Vec::new(); graph.nodes() as usize];
        for link in &graph.links {
            links[link.a.index()].push(*link);
            links[link.b.index()].push(*link);
        }
        Ideal { graph, links, neighbours: neighbours(graph), host_latency }
    }

    /// From posting `bytes` to the last acknowledgement in an empty fabric, without any header: the bytes
    /// at the slowest link's rate, up to 4096 of them once more on each other link (switches store and
    /// forward), and the latency there and back.
    pub fn completion(&self, src: HostId, dst: HostId, bytes: u64) -> Span {
        let (mut latency, mut slowest) = (self.host_latency, Rate::from_gbps(100_000));
        let mut packet = Span::ZERO;
        let mut node = NodeId(src.0);
        while node.0 != dst.0 {
            let port = match self.graph.switch(node) {
                None => self.graph.host_ports(HostId(node.0), dst).start as usize,
                Some(switch) => {
                    latency = latency + switch.latency;
                    usize::from(self.graph.towards(node, dst).nth(0))
                }
            };
            let link = self.links[node.index()][port];
            latency = latency + link.delay;
            packet = packet + link.rate.time_for(bytes.min(PACKET));
            if link.rate.bits_per_second() < slowest.bits_per_second() {
                slowest = link.rate;
            }
            node = self.neighbours[node.index()][port];
        }
        let others = Span(packet.0 - slowest.time_for(bytes.min(PACKET)).0);
        latency * 2 + others + slowest.time_for(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, dumbbell};

    /// Three links, the middle one slow: its serialisation of all, a packet on each other, latency twice.
    #[test]
    fn the_slowest_link_decides() {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_micros(1),
            switch_latency: Span::from_nanos(100),
        };
        let graph = dumbbell(4, Rate::from_gbps(100), &common).unwrap();
        let ideal = Ideal::new(&graph, Span::from_nanos(500));
        let latency = Span::from_nanos(2 * (3_000 + 200 + 500));
        let across = ideal.completion(HostId(0), HostId(3), 1_000_000);
        assert_eq!(across, latency + Span(1_000_000 * 80 + 2 * 4_096 * 20));
        let near = ideal.completion(HostId(0), HostId(1), 100);
        assert_eq!(near, Span::from_nanos(2 * (2_000 + 100 + 500)) + Span(2 * 100 * 20));
    }
}
