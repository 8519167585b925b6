//! Direct networks: switches in a circle, region by region, their hosts outside, links as chords.

use std::f64::consts::TAU;

use fabric::graph::{Graph, Link};
use fabric::ids::NodeId;
use fabric::shape::LinkKind;

use super::{COLOURS, Canvas, HOST, Places, classes, colour, rate};

const RADIUS: f64 = 420.0;
const CENTRE: (f64, f64) = (560.0, 560.0);

/// The direction from the centre to a switch, of so many.
fn turn(number: u32, count: usize) -> f64 {
    (f64::from(number) + 0.5) / count as f64 * TAU - TAU / 4.0
}

fn at(angle: f64, radius: f64) -> (f64, f64) {
    // Tables of sines are not needed to be the same everywhere: this is a picture.
    (CENTRE.0 + radius * angle.cos(), CENTRE.1 + radius * angle.sin())
}

/// Where a host stands that is the `step`th of its switch.
fn outside(switch: u32, step: u32, count: usize) -> (f64, f64) {
    at(turn(switch, count), RADIUS + 20.0 + 8.0 * f64::from(step))
}

pub(super) fn places(graph: &Graph) -> Places {
    let count = graph.switches.len();
    let mut all = vec![CENTRE; graph.hosts as usize];
    for (host, switch, step) in hosts_of_switches(graph) {
        all[host.index()] = outside(switch, step, count);
    }
    all.extend((0..count as u32).map(|switch| at(turn(switch, count), RADIUS)));
    Places { size: (1_120.0, 1_120.0), at: all }
}

pub(super) fn draw(graph: &Graph, title: &str) -> String {
    let mut canvas = Canvas::new(1_120.0, 1_150.0, title);
    let count = graph.switches.len() as f64;
    let turn = |number: u32| turn(number, graph.switches.len());
    let number = |node: NodeId| node.0 - graph.hosts;
    for (place, (kind, label)) in KINDS.iter().enumerate() {
        let own: Vec<&Link> = of_kind(graph, *kind).collect();
        let lines = own
            .iter()
            .map(|link| [at(turn(number(link.a)), RADIUS), at(turn(number(link.b)), RADIUS)]);
        if !own.is_empty() {
            canvas.lines(colour(place), own.len() as u64, lines);
            let rates = rate(own[0].rate.bits_per_second());
            let x = 60.0 + 340.0 * place as f64;
            canvas.lines(colour(place), 1, std::iter::once([(x, 1_124.0), (x + 26.0, 1_124.0)]));
            canvas.text(
                x + 34.0,
                1_128.0,
                13.0,
                "start",
                &format!("{label}: {} × {rates}", own.len()),
            );
        }
    }
    hosts(graph, &mut canvas);
    let size = (TAU * RADIUS / count * 0.7).clamp(2.0, 16.0);
    for switch in 0..graph.switches.len() as u32 {
        let node = NodeId(graph.hosts + switch);
        let region = graph.shape.as_ref().map_or(0, |shape| shape.region_of[switch as usize]);
        let fill = COLOURS[region as usize % 6];
        canvas.node(at(turn(switch), RADIUS), (size, size), fill, &graph.name(node));
        if count <= 72.0 {
            let (x, y) = at(turn(switch), RADIUS - 22.0);
            canvas.text(x, y + 4.0, 10.0, "middle", &switch.to_string());
        }
    }
    let words =
        format!("{} hosts on {} switches; colours are regions", graph.hosts, graph.switches.len());
    canvas.text(CENTRE.0, 1_098.0, 13.0, "middle", &words);
    canvas.finish()
}

/// Links in a picture: within regions, between them, and along rings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    Global,
    Ring,
}

/// In the order in which they are drawn: short ones above long ones.
const KINDS: [(Kind, &str); 3] = [
    (Kind::Global, "between regions"),
    (Kind::Local, "within regions"),
    (Kind::Ring, "along dimensions"),
];

/// Links between switches of a kind.
fn of_kind(graph: &Graph, wanted: Kind) -> impl Iterator<Item = &Link> {
    let kinds = graph.shape.as_ref().map(|shape| shape.kinds.as_slice()).unwrap_or_default();
    let kind = move |place: usize| match kinds.get(place) {
        Some(LinkKind::Global) => Kind::Global,
        Some(LinkKind::Ring { .. }) => Kind::Ring,
        _ => Kind::Local,
    };
    let between = |link: &Link| link.a.0 >= graph.hosts && link.b.0 >= graph.hosts;
    let links = graph.links.iter().enumerate();
    links.filter(move |(place, link)| between(link) && kind(*place) == wanted).map(|(_, link)| link)
}

/// Hosts, each with its switch and how many of that switch come before it.
fn hosts_of_switches(graph: &Graph) -> Vec<(NodeId, u32, u32)> {
    let mut steps = vec![0u32; graph.switches.len()];
    let mut seen = vec![false; graph.hosts as usize];
    let mut found = Vec::new();
    for link in graph.links.iter().filter(|link| link.a.0 < graph.hosts) {
        let (host, switch) = (link.a, link.b.0 - graph.hosts);
        // A host with several ports is drawn at the first of its switches.
        if !std::mem::replace(&mut seen[host.index()], true) {
            found.push((host, switch, steps[switch as usize]));
            steps[switch as usize] += 1;
        }
    }
    found
}

/// Hosts of each switch, one further out than the other.
fn hosts(graph: &Graph, canvas: &mut Canvas) {
    for (host, switch, step) in hosts_of_switches(graph) {
        let place = outside(switch, step, graph.switches.len());
        canvas.node(place, (6.0, 6.0), HOST, &graph.name(host));
    }
    let of_hosts = classes(graph).into_iter().find(|(class, _)| class.ends.0 == 0);
    if let Some((class, count)) = of_hosts {
        let text = format!("to hosts: {count} × {}", rate(class.rate));
        canvas.text(1_060.0, 1_128.0, 13.0, "end", &text);
    }
}
