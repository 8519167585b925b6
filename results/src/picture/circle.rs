//! Direct networks: switches in a circle, region by region, their hosts outside, links as chords.

use std::f64::consts::TAU;

use fabric::graph::{Graph, Link};
use fabric::ids::NodeId;
use fabric::shape::LinkKind;

use super::{COLOURS, Canvas, HOST, classes, colour, rate};

const RADIUS: f64 = 420.0;
const CENTRE: (f64, f64) = (560.0, 560.0);

pub(super) fn draw(graph: &Graph, title: &str) -> String {
    let mut canvas = Canvas::new(1_120.0, 1_150.0, title);
    let count = graph.switches.len() as f64;
    let turn = |number: u32| (f64::from(number) + 0.5) / count * TAU - TAU / 4.0;
    let at = |angle: f64, radius: f64| {
        // Tables of sines are not needed to be the same everywhere: this is a picture.
        (CENTRE.0 + radius * angle.cos(), CENTRE.1 + radius * angle.sin())
    };
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
    hosts(graph, &mut canvas, |number, step| {
        at(turn(number), RADIUS + 20.0 + 8.0 * f64::from(step))
    });
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

/// Hosts of each switch, one further out than the other.
fn hosts(graph: &Graph, canvas: &mut Canvas, at: impl Fn(u32, u32) -> (f64, f64)) {
    let mut steps = vec![0u32; graph.switches.len()];
    let mut seen = vec![false; graph.hosts as usize];
    for link in graph.links.iter().filter(|link| link.a.0 < graph.hosts) {
        let (host, switch) = (link.a, link.b.0 - graph.hosts);
        // A host with several ports is drawn at the first of its switches.
        if std::mem::replace(&mut seen[host.index()], true) {
            continue;
        }
        let step = &mut steps[switch as usize];
        canvas.node(at(switch, *step), (6.0, 6.0), HOST, &graph.name(host));
        *step += 1;
    }
    let of_hosts = classes(graph).into_iter().find(|(class, _)| class.ends.0 == 0);
    if let Some((class, count)) = of_hosts {
        let text = format!("to hosts: {count} × {}", rate(class.rate));
        canvas.text(1_060.0, 1_128.0, 13.0, "end", &text);
    }
}
