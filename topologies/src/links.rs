//! Links by name.

use fabric::graph::Graph;
use fabric::ids::{LinkId, NodeId};

/// The links between two nodes, in order: more than one where they are bundled.
pub fn between(graph: &Graph, a: NodeId, b: NodeId) -> Vec<LinkId> {
    let joins = |(_, link): &(usize, &fabric::graph::Link)| {
        (link.a, link.b) == (a, b) || (link.a, link.b) == (b, a)
    };
    let links = graph.links.iter().enumerate().filter(joins);
    links.map(|(number, _)| LinkId(number as u32)).collect()
}

/// The first `count` links between the two topmost tiers, counted from the first switch below the top:
/// those whose downward direction the reference simulator degrades (`htsim-profile.md`).
pub fn core_links(graph: &Graph, count: usize) -> Vec<LinkId> {
    let top = graph.top_tier();
    let leads_up = |(_, link): &(usize, &fabric::graph::Link)| {
        graph.switch(link.b).is_some_and(|switch| switch.tier == top)
            && graph.switch(link.a).is_some_and(|switch| switch.tier < top)
    };
    let links = graph.links.iter().enumerate().filter(leads_up).take(count);
    links.map(|(number, _)| LinkId(number as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, fat_tree};
    use fabric::units::{Rate, Span};

    /// The first four core links of a k = 8 fat tree are those of its first aggregation switch.
    #[test]
    fn core_links_start_at_the_first_aggregation_switch() {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_micros(1),
            switch_latency: Span::ZERO,
        };
        let graph = fat_tree(128, &common).unwrap();
        let links = core_links(&graph, 4);
        let agg = graph.find("agg:0").unwrap();
        assert!(links.iter().all(|link| graph.links[link.index()].a == agg));
        let core = graph.find("core:4").unwrap();
        assert_eq!(between(&graph, core, agg), [links[1]]);
        assert!(between(&graph, core, graph.find("agg:1").unwrap()).is_empty());
    }
}
