//! Proof that routes arrive.

use fabric::graph::Graph;
use fabric::ids::{HostId, NodeId};

/// The node at the other end of each port, by node and port number.
pub fn neighbours(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut neighbours = vec![Vec::new(); graph.nodes() as usize];
    for link in &graph.links {
        neighbours[link.a.index()].push(link.b);
        neighbours[link.b.index()].push(link.a);
    }
    neighbours
}

/// Pairs of hosts above which only a sample is walked.
const ALL_PAIRS: u32 = 300;

/// Walks every equal-cost choice from every host to every other (a sample of both in large graphs).
///
/// # Panics
/// If a host has no link, or a walk leaves the graph or takes more hops than twice the tiers plus two.
pub fn check(graph: &Graph) {
    let neighbours = neighbours(graph);
    let stride = (graph.hosts / ALL_PAIRS).max(1) as usize;
    let longest = 2 * graph.tier_names.len() + 2;
    for dst in (0..graph.hosts).step_by(stride) {
        for src in (0..graph.hosts).step_by(stride).filter(|src| *src != dst) {
            let mut front = vec![NodeId(src)];
            for hop in 0.. {
                assert!(hop <= longest, "from {src} to {dst} in more than {longest} hops");
                front = step(graph, &neighbours, &front, HostId(dst));
                if front == [NodeId(dst)] {
                    break;
                }
            }
        }
    }
}

/// All nodes that one more hop towards `dst` can lead to.
fn step(graph: &Graph, neighbours: &[Vec<NodeId>], front: &[NodeId], dst: HostId) -> Vec<NodeId> {
    let mut next = Vec::new();
    for node in front {
        match graph.switch(*node) {
            None => {
                assert_eq!(neighbours[node.index()].len(), 1, "host {node} has one link");
                next.extend(&neighbours[node.index()]);
            }
            Some(switch) => {
                let (first, count) = switch.route.towards(dst);
                assert!(count > 0, "{} has a route to {dst}", graph.name(*node));
                let ports = usize::from(first)..usize::from(first + count);
                next.extend(&neighbours[node.index()][ports]);
            }
        }
    }
    next.sort_unstable();
    next.dedup();
    next
}
