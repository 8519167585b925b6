//! Several planes: the same network several times, with a port of each host's NIC in each.

use fabric::graph::Graph;
use fabric::ids::NodeId;

use crate::error::TopologyError;

/// Most planes.
pub const MOST_PLANES: u32 = 8;

/// `planes` copies of the switches and links of `graph`; port p of a host is in plane p. Switches are numbered plane by
/// plane within their tier.
///
/// # Errors
/// [`TopologyError`] when there are too many, or the graph has routes by table.
pub fn stack(graph: Graph, planes: u32) -> Result<Graph, TopologyError> {
    if planes == 1 {
        return Ok(graph);
    }
    if !(1..=MOST_PLANES).contains(&planes) {
        return Err(TopologyError::new(
            "planes",
            planes,
            format!("1 to {MOST_PLANES} are possible"),
        ));
    }
    if !graph.tables.is_empty() {
        return Err(TopologyError::new("planes", planes, "only trees can have several"));
    }
    let of_tier = |tier: u8| graph.switches.iter().filter(|switch| switch.tier == tier).count();
    let tiers: Vec<u32> =
        (0..graph.tier_names.len()).map(|tier| of_tier(tier as u8) as u32).collect();
    let count = graph.switches.len() as u32;
    let mut stacked =
        Graph { hosts: graph.hosts, tier_names: graph.tier_names.clone(), ..Graph::default() };
    for plane in 0..planes {
        stacked.switches.extend(graph.switches.iter().map(|switch| {
            let mut copy = *switch;
            copy.index += plane * tiers[usize::from(switch.tier)];
            copy
        }));
        let place = |node: NodeId| match node.0 < graph.hosts {
            true => node,
            false => NodeId(node.0 + plane * count),
        };
        stacked.links.extend(graph.links.iter().map(|link| {
            let mut copy = *link;
            (copy.a, copy.b) = (place(link.a), place(link.b));
            copy
        }));
    }
    Ok(stacked)
}
