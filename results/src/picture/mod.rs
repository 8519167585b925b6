//! A fabric drawn: every switch, link and host up to some thousands of hosts, beyond that its tiers.
//!
//! - `layers`: trees, tier above tier; `circle`: direct networks, whose switches stand in a circle
//! - `tiers`: large fabrics, a bar for each tier
//! - this file: what they have in common

mod circle;
mod layers;
mod tiers;

use std::collections::BTreeMap;
use std::fmt::Write;

use fabric::graph::{Graph, Link};
use fabric::ids::NodeId;

/// Hosts above which only tiers are drawn.
const MOST_HOSTS: u32 = 4_096;

/// Colours that stay apart for colour-blind readers and in print (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
const HOST: &str = "#555555";

/// The picture as SVG, with a title above it. [`crate::plots::png`] makes a PNG of it.
pub fn svg(graph: &Graph, title: &str) -> String {
    match graph.hosts {
        hosts if hosts > MOST_HOSTS => tiers::draw(graph, title),
        _ if is_direct(graph) => circle::draw(graph, title),
        _ => layers::draw(graph, title),
    }
}

fn is_direct(graph: &Graph) -> bool {
    graph.top_tier() == 0 && graph.switches.len() > 1 && graph.shape.is_some()
}

/// Where the nodes of a drawing stand.
#[derive(Clone, PartialEq, Debug)]
pub struct Places {
    /// Width and height.
    pub size: (f64, f64),
    /// Each node's middle, from the left and from the top.
    pub at: Vec<(f64, f64)>,
}

/// Where [`svg`] would draw every node, however many there are; for those who draw themselves.
pub fn places(graph: &Graph) -> Places {
    if is_direct(graph) { circle::places(graph) } else { layers::places(graph) }
}

/// Links alike: between the same tiers, of the same rate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// Ends, the lower first: 0 for hosts, else the tier and one.
    ends: (u8, u8),
    /// Bits a second.
    rate: u64,
}

/// The classes of links, with how many there are of each.
fn classes(graph: &Graph) -> BTreeMap<Class, u64> {
    let mut classes = BTreeMap::new();
    for link in &graph.links {
        *classes.entry(class(graph, link)).or_insert(0) += 1;
    }
    classes
}

fn class(graph: &Graph, link: &Link) -> Class {
    let [a, b] = [link.a, link.b].map(|node| level(graph, node));
    Class { ends: (a.min(b), a.max(b)), rate: link.rate.bits_per_second() }
}

/// 0 for hosts, else the tier and one.
fn level(graph: &Graph, node: NodeId) -> u8 {
    graph.switch(node).map_or(0, |switch| switch.tier + 1)
}

/// The row of a level, from the top: the tiers, hosts, and below them the switches of domains.
fn row(graph: &Graph, level: u8) -> f64 {
    let tiers = graph.tier_names.len() as u8;
    let joined = tiers - u8::from(graph.scale_up.is_some());
    f64::from(if level > joined { tiers } else { joined - level })
}

/// What a level is called.
fn name(graph: &Graph, level: u8) -> &'static str {
    match level {
        0 => "host",
        level => graph.tier_names[usize::from(level) - 1],
    }
}

/// The colour of a class of links, by its place among all.
fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

/// A rate as people write it.
fn rate(bits: u64) -> String {
    // Rates are kept as times of bytes, so round ones may be off in the sixth digit.
    format!("{} Gb/s", (bits as f64 / 1e8).round() / 10.0)
}

/// Of `count` neighbours with `room` for each, how many share one number.
fn numbered_each(count: u32, room: f64) -> u32 {
    let needed = 7.0 * count.saturating_sub(1).to_string().len() as f64 + 4.0;
    [1, 2, 4, 8, 16, 32, 64, 128, 256]
        .into_iter()
        .find(|each| f64::from(*each) * room >= needed)
        .unwrap_or(512)
}

fn legend_columns(width: f64) -> usize {
    ((width / 330.0) as usize).max(1)
}

/// Room for what so many colours mean.
fn legend_height(width: f64, classes: usize) -> f64 {
    10.0 + 22.0 * classes.div_ceil(legend_columns(width)) as f64
}

/// A picture while it is drawn.
struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    /// Empty, with its title.
    fn new(width: f64, height: f64, title: &str) -> Canvas {
        let mut canvas = Canvas { width, height, body: String::new() };
        canvas.text(width / 2.0, 28.0, 18.0, "middle", title);
        canvas
    }

    fn text(&mut self, x: f64, y: f64, size: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// Lines of one class of links, of so many.
    fn lines(&mut self, colour: &str, count: u64, lines: impl Iterator<Item = [(f64, f64); 2]>) {
        let path: String =
            lines.map(|[a, b]| format!("M{:.1} {:.1}L{:.1} {:.1}", a.0, a.1, b.0, b.1)).collect();
        // Many lines have to let each other shine through.
        let opacity = (12.0 / (count as f64).sqrt()).clamp(0.12, 0.8);
        let width = if count > 400 { 0.7 } else { 1.2 };
        let _ = writeln!(
            self.body,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-opacity=\"{opacity:.2}\"/>"
        );
    }

    /// A box in the middle of a place, with a name that shows when it is pointed at.
    fn node(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, name: &str) {
        let (left, top) = (x - width / 2.0, y - height / 2.0);
        let round = (width.min(height) / 5.0).min(3.0);
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\" \
             fill=\"{fill}\"><title>{name}</title></rect>"
        );
    }

    /// What colours of links mean, at the bottom.
    fn legend(&mut self, graph: &Graph, classes: &BTreeMap<Class, u64>) {
        let columns = legend_columns(self.width);
        for (place, (class, count)) in classes.iter().enumerate() {
            let x = 40.0 + (place % columns) as f64 * 330.0;
            let y = self.height - 18.0 - (place / columns) as f64 * 22.0;
            let (a, b) = (name(graph, class.ends.0), name(graph, class.ends.1));
            let text = format!("{a} – {b}: {count} × {}", rate(class.rate));
            self.lines(colour(place), 1, std::iter::once([(x, y - 4.0), (x + 26.0, y - 4.0)]));
            self.text(x + 34.0, y, 13.0, "start", &text);
        }
    }

    fn finish(self) -> String {
        let Canvas { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"DejaVu Sans, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::graph::{RouteRule, Switch};
    use fabric::units::{Rate, Span};

    /// Two leaves of eight hosts and two spines.
    fn small() -> Graph {
        let rule = |first_host, host_count| RouteRule::UpDown {
            first_host,
            host_count,
            hosts_per_child: 1,
            down_base: 0,
            bundle: 1,
            up_base: 8,
            up_count: 2,
        };
        let switch = |tier, index| Switch {
            tier,
            index,
            latency: Span::ZERO,
            route: rule(index * 8, if tier == 0 { 8 } else { 16 }),
        };
        let link = |a, b, gbps| Link {
            a: NodeId(a),
            b: NodeId(b),
            rate: Rate::from_gbps(gbps),
            delay: Span::from_nanos(300),
        };
        let mut links: Vec<Link> = (0..16).map(|host| link(host, 16 + host / 8, 400)).collect();
        links
            .extend([16, 17].iter().flat_map(|leaf| [18, 19].map(|spine| link(*leaf, spine, 800))));
        Graph {
            hosts: 16,
            switches: vec![switch(0, 0), switch(0, 1), switch(1, 0), switch(1, 1)],
            links,
            tier_names: vec!["leaf", "spine"],
            ..Graph::default()
        }
    }

    /// Every node is drawn once with its name, and links with what they are; the picture can be made a PNG.
    #[test]
    fn every_node_is_drawn() {
        let graph = small();
        let svg = svg(&graph, "a <fabric>");
        for node in (0..graph.nodes()).map(NodeId) {
            let title = format!("<title>{}</title>", graph.name(node));
            assert_eq!(svg.matches(&title).count(), 1, "{title}");
        }
        for text in ["a &lt;fabric>", "host – leaf: 16 × 400 Gb/s", "leaf – spine: 4 × 800 Gb/s"]
        {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg.matches('M').count(), 20 + 2, "links and the legend");
        assert!(crate::plots::png(&svg).unwrap().starts_with(b"\x89PNG"));
    }

    /// Places are those at which the picture has its boxes.
    #[test]
    fn places_are_those_of_the_picture() {
        let graph = small();
        let (places, svg) = (places(&graph), svg(&graph, ""));
        assert_eq!(places.at.len(), graph.nodes() as usize);
        let (x, y) = places.at[16];
        let corner = format!("x=\"{:.1}\" y=\"{:.1}\" width=\"60.0\"", x - 30.0, y - 10.0);
        assert!(svg.contains(&corner), "{corner}");
        assert!(places.at.iter().all(|at| at.0 < places.size.0 && at.1 < places.size.1));
    }

    /// Of a large fabric tiers are drawn, with how many switches and links there are.
    #[test]
    fn large_fabrics_are_drawn_by_tiers() {
        let mut graph = small();
        graph.hosts = 10_000;
        let svg = tiers::draw(&graph, "large");
        for text in ["10,000 hosts", "2 × leaf"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }
}
