//! A fabric for other tools: GraphML and DOT.

use std::fmt::Write as _;

use fabric::graph::Graph;
use fabric::ids::NodeId;

/// GraphML: nodes with `name`, `kind` (host, or the switch's tier) and `tier` (0: host), edges with `rate_gbps` and
/// `delay_ns`.
pub fn graphml(graph: &Graph) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    );
    for (id, of, kind) in [
        ("name", "node", "string"),
        ("kind", "node", "string"),
        ("tier", "node", "int"),
        ("rate_gbps", "edge", "double"),
        ("delay_ns", "edge", "double"),
    ] {
        let _ = writeln!(
            text,
            "  <key id=\"{id}\" for=\"{of}\" attr.name=\"{id}\" attr.type=\"{kind}\"/>"
        );
    }
    text += "  <graph edgedefault=\"undirected\">\n";
    for node in (0..graph.nodes()).map(NodeId) {
        let (name, (kind, tier)) = (graph.name(node), kind(graph, node));
        let _ = writeln!(
            text,
            "    <node id=\"n{node}\"><data key=\"name\">{name}</data><data key=\"kind\">{kind}</data>\
             <data key=\"tier\">{tier}</data></node>"
        );
    }
    for link in &graph.links {
        let (rate, delay) = (link.rate.bits_per_second() as f64 / 1e9, link.delay.0 as f64 / 1e3);
        let _ = writeln!(
            text,
            "    <edge source=\"n{}\" target=\"n{}\"><data key=\"rate_gbps\">{rate}</data>\
             <data key=\"delay_ns\">{delay}</data></edge>",
            link.a, link.b
        );
    }
    text + "  </graph>\n</graphml>\n"
}

/// DOT, for Graphviz: tiers in rows, hosts at the bottom.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from("graph fabric {\n  rankdir=BT;\n  node [shape=box];\n");
    for tier in 0..=graph.tier_names.len() as u8 {
        let own = (0..graph.nodes()).map(NodeId).filter(|node| kind(graph, *node).1 == tier);
        let names: Vec<String> = own.map(|node| format!("\"{}\"", graph.name(node))).collect();
        let _ = writeln!(text, "  {{ rank=same; {}; }}", names.join("; "));
    }
    for link in &graph.links {
        let _ = writeln!(
            text,
            "  \"{}\" -- \"{}\" [label=\"{}\"];",
            graph.name(link.a),
            graph.name(link.b),
            link.rate
        );
    }
    text + "}\n"
}

/// `host`, or the switch's tier by name; and 0, or the tier counted from 1.
fn kind(graph: &Graph, node: NodeId) -> (&'static str, u8) {
    let name = |tier: u8| graph.tier_names.get(usize::from(tier)).copied().unwrap_or("switch");
    graph.switch(node).map_or(("host", 0), |switch| (name(switch.tier), switch.tier + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, FatTree};
    use fabric::units::{Rate, Span};

    /// Every node and link is there once.
    #[test]
    fn every_node_and_link_is_there() {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_nanos(300),
            switch_latency: Span::ZERO,
        };
        let graph = FatTree::new(16).build(&common).unwrap();
        let text = graphml(&graph);
        assert_eq!(text.matches("<node ").count(), 36);
        assert_eq!(text.matches("<edge ").count(), 48);
        assert!(text.contains("<data key=\"name\">tor:7</data><data key=\"kind\">tor</data>"));
        assert!(
            text.contains("<data key=\"rate_gbps\">400</data><data key=\"delay_ns\">300</data>")
        );
        let text = dot(&graph);
        assert_eq!((text.matches(" -- ").count(), text.matches("rank=same").count()), (48, 4));
        assert!(text.contains("\"host:0\" -- \"tor:0\" [label=\"400 Gb/s\"];"));
    }
}
