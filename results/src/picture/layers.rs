//! Trees: hosts at the bottom, tiers above each other, networks of domains below the hosts.

use fabric::graph::Graph;
use fabric::ids::NodeId;

use super::{
    COLOURS, Canvas, HOST, Places, class, classes, colour, legend_height, level, name,
    numbered_each, row,
};

/// Between two rows.
const ROW: f64 = 150.0;
/// Room for the names of rows.
const LEFT: f64 = 120.0;
const TOP: f64 = 70.0;

/// Where nodes stand: those of a level in a row.
struct Rows<'a> {
    graph: &'a Graph,
    width: f64,
    /// Nodes of each level.
    counts: Vec<u32>,
}

impl Rows<'_> {
    fn new(graph: &Graph) -> Rows<'_> {
        let mut counts = vec![0u32; graph.tier_names.len() + 1];
        counts[0] = graph.hosts;
        graph.switches.iter().for_each(|switch| counts[usize::from(switch.tier) + 1] += 1);
        let width = (f64::from(graph.hosts) * 26.0).clamp(760.0, 1_760.0);
        Rows { graph, width, counts }
    }

    /// Room for each node of a level.
    fn step(&self, level: u8) -> f64 {
        self.width / f64::from(self.counts[usize::from(level)])
    }

    fn place(&self, node: NodeId) -> (f64, f64) {
        let level = level(self.graph, node);
        let number = self.graph.switch(node).map_or(node.0, |switch| switch.index);
        let y = TOP + ROW * row(self.graph, level);
        (LEFT + (f64::from(number) + 0.5) * self.step(level), y)
    }

    /// Room for the names of rows, the rows themselves, and an edge.
    fn size(&self) -> (f64, f64) {
        (LEFT + self.width + 20.0, TOP + ROW * self.graph.tier_names.len() as f64 + 60.0)
    }
}

pub(super) fn places(graph: &Graph) -> Places {
    let rows = Rows::new(graph);
    let at = (0..graph.nodes()).map(|node| rows.place(NodeId(node))).collect();
    Places { size: rows.size(), at }
}

pub(super) fn draw(graph: &Graph, title: &str) -> String {
    let rows = Rows::new(graph);
    let tiers = graph.tier_names.len() as u8;
    let classes = classes(graph);
    let (width, height) = rows.size();
    let mut canvas = Canvas::new(width, height + legend_height(width, classes.len()), title);
    let Rows { counts, .. } = &rows;
    let place = |node| rows.place(node);
    for (number, (kind, count)) in classes.iter().enumerate() {
        let own = graph.links.iter().filter(|link| class(graph, link) == *kind);
        canvas.lines(colour(number), *count, own.map(|link| [place(link.a), place(link.b)]));
    }
    for node in (0..graph.nodes()).map(NodeId) {
        let level = level(graph, node);
        let step = rows.step(level);
        let (own, high, fill) = match level {
            0 => ((step * 0.7).clamp(0.8, 16.0), 14.0, HOST),
            level => ((step * 0.75).clamp(1.5, 60.0), 20.0, COLOURS[usize::from(level) % 7]),
        };
        let (x, y) = place(node);
        canvas.node((x, y), (own, high), fill, &graph.name(node));
        let number = graph.switch(node).map_or(node.0, |switch| switch.index);
        // Numbers where they have room: below hosts, above switches.
        if number.is_multiple_of(numbered_each(counts[usize::from(level)], step)) {
            let y = if level == 0 { y + 20.0 } else { y - 14.0 };
            canvas.text(x, y, 10.0, "middle", &number.to_string());
        }
    }
    for (level, count) in (0..=tiers).zip(counts) {
        let y = TOP + ROW * row(graph, level);
        canvas.text(12.0, y - 2.0, 14.0, "start", name(graph, level));
        canvas.text(12.0, y + 15.0, 12.0, "start", &count.to_string());
    }
    canvas.legend(graph, &classes);
    canvas.finish()
}
