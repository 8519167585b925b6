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
/// # Errors
/// A sentence, if a host has no link or several, or a walk leaves the graph or takes more hops than twice
/// the tiers plus two.
pub fn arrives(graph: &Graph) -> Result<(), String> {
    arrive_between(graph, |_, _| true)
}

/// The same for pairs of hosts of which that is asked.
///
/// # Errors
/// As above.
pub fn arrive_between(graph: &Graph, asked: impl Fn(HostId, HostId) -> bool) -> Result<(), String> {
    let neighbours = neighbours(graph);
    let stride = (graph.hosts / ALL_PAIRS).max(1) as usize;
    // Twice the longest way of a direct network, whose tiers say nothing.
    let direct = graph.shape.as_ref().and_then(|shape| shape.hops.iter().max());
    let longest = match (graph.tables.is_empty(), direct) {
        // Switches with tables alone can stand in a line.
        (false, None) => graph.switches.len() + 2,
        (_, direct) => 2 * graph.tier_names.len() + 2 + direct.map_or(0, |hops| usize::from(*hops)),
    };
    for dst in (0..graph.hosts).step_by(stride) {
        for src in (0..graph.hosts).step_by(stride).filter(|src| *src != dst) {
            if !asked(HostId(src), HostId(dst)) {
                continue;
            }
            let mut front = vec![NodeId(src)];
            let mut hops = 0;
            while front != [NodeId(dst)] {
                hops += 1;
                if hops > longest {
                    return Err(format!(
                        "host {src} does not reach host {dst} within {longest} hops"
                    ));
                }
                front = step(graph, &neighbours, &front, HostId(dst))?;
            }
        }
    }
    Ok(())
}

/// The same for graphs that are known to be right.
///
/// # Panics
/// If they are not.
pub fn check(graph: &Graph) {
    if let Err(problem) = arrives(graph) {
        panic!("{problem}");
    }
}

/// All nodes that one more hop towards `dst` can lead to.
fn step(
    graph: &Graph,
    neighbours: &[Vec<NodeId>],
    front: &[NodeId],
    dst: HostId,
) -> Result<Vec<NodeId>, String> {
    let mut next = Vec::new();
    for node in front {
        let ports = &neighbours[node.index()];
        match graph.switch(*node) {
            None if ports.is_empty() => return Err(format!("host {node} has no link")),
            None => next.extend(
                graph.host_ports(HostId(node.0), dst).filter_map(|p| ports.get(usize::from(p))),
            ),
            Some(_) => {
                let found: Option<Vec<NodeId>> = graph
                    .towards(*node, dst)
                    .to_vec()
                    .into_iter()
                    .map(|port| ports.get(usize::from(port)).copied())
                    .collect();
                let Some(found) = found.filter(|found| !found.is_empty()) else {
                    return Err(format!("{} has no route to host {dst}", graph.name(*node)));
                };
                next.extend(found);
            }
        }
    }
    next.sort_unstable();
    next.dedup();
    Ok(next)
}
