//! Fabrics that files describe by names: GraphML, `ibnetdiscover`, tables of neighbours (NetBox, LLDP).
//!
//! Hosts and switches are numbered in the order in which they are met; what is a host is said by the file, or follows from
//! it: see each format.

use std::collections::BTreeMap;

use fabric::graph::Graph;
use fabric::units::{Rate, Span, parse_rate};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::text::TextError;
use crate::wiring::{Wire, Wiring};

/// What links are where a file does not say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Rate.
    pub rate: Rate,
    /// Delay.
    pub delay: Span,
}

/// A node as far as it is known.
#[derive(Clone, Debug, Default)]
struct Named {
    host: Option<bool>,
    links: u32,
}

/// Nodes by name, and links between them.
struct Builder {
    order: BTreeMap<String, usize>,
    nodes: Vec<Named>,
    links: Vec<(usize, usize, Rate, Span)>,
    defaults: Defaults,
}

impl Builder {
    fn new(defaults: Defaults) -> Builder {
        Builder { order: BTreeMap::new(), nodes: Vec::new(), links: Vec::new(), defaults }
    }

    fn node(&mut self, name: &str, host: Option<bool>) -> usize {
        let fresh = self.nodes.len();
        let place = *self.order.entry(name.to_owned()).or_insert(fresh);
        if place == fresh {
            self.nodes.push(Named::default());
        }
        self.nodes[place].host = host.or(self.nodes[place].host);
        place
    }

    fn link(&mut self, a: usize, b: usize, rate: Option<Rate>, delay: Option<Span>) {
        self.nodes[a].links += 1;
        self.nodes[b].links += 1;
        let Defaults { rate: usual, delay: far } = self.defaults;
        self.links.push((a, b, rate.unwrap_or(usual), delay.unwrap_or(far)));
    }

    /// The graph. A node of which nothing is said is a host if it has one link.
    fn build(self) -> Result<Graph, TextError> {
        let whole = |message: String| TextError { line: 0, column: 0, message };
        let is_host = |node: &Named| node.host.unwrap_or(node.links == 1);
        let hosts = self.nodes.iter().filter(|node| is_host(node)).count() as u32;
        if hosts < 2 {
            let message = format!("{hosts} of {} nodes are hosts; expected two", self.nodes.len());
            return Err(whole(message));
        }
        let mut next = [0, hosts];
        let number = |node: &Named| {
            let place = &mut next[usize::from(!is_host(node))];
            *place += 1;
            *place - 1
        };
        let numbers: Vec<u32> = self.nodes.iter().map(number).collect();
        let wire = |(a, b, rate, delay): (usize, usize, Rate, Span)| Wire {
            a: numbers[a],
            b: numbers[b],
            rate,
            delay,
        };
        let wires = self.links.into_iter().map(wire).collect();
        Wiring { hosts, nodes: self.nodes.len() as u32, inner: 0, wires }.build().map_err(whole)
    }
}

/// Whether `text` looks like GraphML.
pub fn is_graphml(text: &str) -> bool {
    text.trim_start().starts_with('<') && text.contains("<graphml")
}

/// Reads GraphML. A node is a host where its data `kind` or `type` is `host` or `server`, and a switch where it is anything
/// else; without such data a node of one link is a host. Edges may have `rate_gbps` and `delay_ns`.
///
/// # Errors
/// [`TextError`] with the line of what cannot be read.
pub fn graphml(text: &str, defaults: Defaults) -> Result<Graph, TextError> {
    let mut reader = Reader::from_str(text);
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut builder = Builder::new(defaults);
    let mut data: Option<String> = None;
    let mut edge: Option<(usize, usize, Option<Rate>, Option<Span>)> = None;
    let mut node: Option<String> = None;
    loop {
        let place = reader.buffer_position() as usize;
        let line = text[..place.min(text.len())].matches('\n').count() + 1;
        let wrong = |message: String| TextError { line, column: 1, message };
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                "key" => {
                    let name = get(tag, "attr.name").or(get(tag, "id")).unwrap_or_default();
                    keys.insert(get(tag, "id").unwrap_or_default(), name);
                }
                "node" => {
                    let id = get(tag, "id");
                    let id = id.ok_or_else(|| wrong("a node has no `id`".to_owned()))?;
                    builder.node(&id, None);
                    node = matches!(event, Event::Start(_)).then_some(id);
                }
                "edge" => {
                    let mut end = |name: &str| {
                        let id = get(tag, name);
                        id.ok_or_else(|| wrong(format!("an edge has no `{name}`")))
                            .map(|id| builder.node(&id, None))
                    };
                    let found = (end("source")?, end("target")?, None, None);
                    match event {
                        Event::Empty(_) => builder.link(found.0, found.1, None, None),
                        _ => edge = Some(found),
                    }
                }
                "data" => {
                    let key = get(tag, "key").unwrap_or_default();
                    data = Some(keys.get(&key).cloned().unwrap_or(key));
                }
                _ => {}
            },
            Event::Text(value) => {
                let value = value.as_ref().trim().to_owned();
                match (data.as_deref(), &node, &mut edge) {
                    (Some("kind" | "type"), Some(id), _) if !value.is_empty() => {
                        let host = ["host", "server"].contains(&value.to_lowercase().as_str());
                        builder.node(id, Some(host));
                    }
                    (Some("rate_gbps"), _, Some(edge)) => {
                        let rate = parse_rate(&format!("{value} Gb/s"));
                        edge.2 = Some(rate.map_err(|error| wrong(error.to_string()))?);
                    }
                    (Some("delay_ns"), _, Some(edge)) => {
                        let delay = value.parse::<f64>().ok().filter(|delay| *delay >= 0.0);
                        let delay = delay.ok_or_else(|| {
                            wrong(format!("the delay is `{value}`; expected nanoseconds"))
                        })?;
                        edge.3 = Some(Span((delay * 1e3) as u64));
                    }
                    _ => {}
                }
            }
            Event::End(tag) => match tag.name().as_ref() {
                "data" => data = None,
                "node" => node = None,
                "edge" => {
                    if let Some((a, b, rate, delay)) = edge.take() {
                        builder.link(a, b, rate, delay);
                    }
                }
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    builder.build()
}

fn get(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    tag.try_get_attribute(name).ok().flatten().map(|found| found.value.into_owned())
}

/// Whether `text` looks like the output of `ibnetdiscover`: it has lines that begin with `Switch` and `Ca`.
pub fn is_ibnetdiscover(text: &str) -> bool {
    let begins = |word: &str| text.lines().any(|line| line.starts_with(word));
    begins("Switch\t") || begins("Switch ") && begins("Ca")
}

/// Lanes and signalling of InfiniBand links: Gb/s of four lanes.
const SIGNALLING: [(&str, u64); 8] = [
    ("4xXDR", 800),
    ("4xNDR", 400),
    ("4xHDR", 200),
    ("2xHDR", 100),
    ("4xEDR", 100),
    ("4xFDR10", 40),
    ("4xFDR", 56),
    ("4xQDR", 40),
];

/// Reads the output of `ibnetdiscover`: blocks of ports under `Switch N "GUID"` and `Ca N "GUID"`, a link a port, told by both of
/// its ends. Adapters are hosts; one with several ports is one host.
///
/// # Errors
/// [`TextError`] with the place of what cannot be read.
pub fn ibnetdiscover(text: &str, defaults: Defaults) -> Result<Graph, TextError> {
    let mut builder = Builder::new(defaults);
    let mut own: Option<usize> = None;
    let mut seen: BTreeMap<(String, String), ()> = BTreeMap::new();
    let mut name = String::new();
    for (number, line) in text.lines().enumerate() {
        let wrong =
            |message: &str| TextError { line: number + 1, column: 1, message: message.to_owned() };
        let quoted = || line.split('"').nth(1).map(str::to_owned);
        if line.starts_with("Switch") || line.starts_with("Ca") {
            name = quoted().ok_or_else(|| wrong("expected a GUID in quotes"))?;
            own = Some(builder.node(&name, Some(line.starts_with("Ca"))));
        } else if line.starts_with('[') {
            let own = own.ok_or_else(|| wrong("a port outside of a switch or adapter"))?;
            let port = line.split(['[', ']']).nth(1).unwrap_or_default().to_owned();
            let peer = quoted().ok_or_else(|| wrong("expected the peer's GUID in quotes"))?;
            let rest = line.split('"').nth(2).unwrap_or_default();
            let other = rest.split(['[', ']']).nth(1).unwrap_or_default().to_owned();
            let (here, there) = (format!("{name}/{port}"), format!("{peer}/{other}"));
            let key = if here <= there { (here, there) } else { (there, here) };
            if seen.insert(key, ()).is_none() {
                let known = SIGNALLING.iter().find(|(signal, _)| line.contains(signal));
                let host = peer.starts_with("H-").then_some(true);
                let peer = builder.node(&peer, host);
                builder.link(own, peer, known.map(|(_, gbps)| Rate::from_gbps(*gbps)), None);
            }
        }
    }
    builder.build()
}

/// Names of columns, in lower case and without blanks or signs.
const OWN: [&str; 6] = ["device", "hostname", "localdevice", "localhost", "devicea", "sidea"];
const OWN_PORT: [&str; 5] = ["interface", "port", "localinterface", "localport", "interfacea"];
const PEER: [&str; 7] =
    ["neighbor", "neighbour", "peer", "remotedevice", "remotehost", "deviceb", "sideb"];
const PEER_PORT: [&str; 6] = [
    "neighborinterface",
    "neighbourinterface",
    "neighborport",
    "peerinterface",
    "remoteport",
    "interfaceb",
];
const SPEED: [&str; 3] = ["speed", "rate", "bandwidth"];
const ROLES: [&str; 4] = ["role", "devicerole", "neighborrole", "peerrole"];

fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

/// Whether `text` looks like a table of neighbours: its first line names a device and its neighbour.
pub fn is_neighbours(text: &str) -> bool {
    let heads: Vec<String> =
        text.lines().next().unwrap_or_default().split(',').map(plain).collect();
    let has = |names: &[&str]| heads.iter().any(|head| names.contains(&head.as_str()));
    has(&OWN) && has(&PEER)
}

/// Reads a table of neighbours as CSV, as exports of NetBox and LLDP are: a link a line, with columns for the device, its
/// interface, its neighbour, that one's interface, and if there are any, `speed` (like `400 Gb/s`, or Mb/s as a number) and `role`
/// or `neighbor_role` (`host`, `server`, or of a switch). Links told by both ends count once. Without roles a device of one
/// link is a host.
///
/// # Errors
/// [`TextError`] with the line of what cannot be read.
pub fn neighbours(text: &str, defaults: Defaults) -> Result<Graph, TextError> {
    let mut builder = Builder::new(defaults);
    let mut lines = text.lines().enumerate();
    let heads: Vec<String> =
        lines.next().map(|(_, line)| line.split(',').map(plain).collect()).unwrap_or_default();
    let column = |names: &[&str]| heads.iter().position(|head| names.contains(&head.as_str()));
    let (own, peer) = (column(&OWN), column(&PEER));
    let (own_port, peer_port) = (column(&OWN_PORT), column(&PEER_PORT));
    let speed = column(&SPEED);
    let [own_role, peer_role] = [&ROLES[..2], &ROLES[2..]].map(column);
    let mut seen: BTreeMap<(String, String), ()> = BTreeMap::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| TextError { line: number + 1, column: 1, message };
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |place: Option<usize>| place.and_then(|place| cells.get(place)).copied();
        let (Some(a), Some(b)) = (cell(own), cell(peer)) else {
            return Err(wrong(format!(
                "the line has {} columns; expected {}",
                cells.len(),
                heads.len()
            )));
        };
        if a.is_empty() || b.is_empty() {
            return Err(wrong("a device without a name".to_owned()));
        }
        let end = |name: &str, port: Option<&str>| format!("{name}/{}", port.unwrap_or_default());
        let ends = [end(a, cell(own_port)), end(b, cell(peer_port))];
        let key = if ends[0] <= ends[1] {
            (ends[0].clone(), ends[1].clone())
        } else {
            (ends[1].clone(), ends[0].clone())
        };
        let role = |place: Option<usize>| {
            let role = cell(place).map(str::to_lowercase).filter(|role| !role.is_empty());
            role.map(|role| ["host", "server"].contains(&role.as_str()))
        };
        let (a, b) = (builder.node(a, role(own_role)), builder.node(b, role(peer_role)));
        let with_ports = own_port.is_some() && peer_port.is_some();
        if with_ports && seen.insert(key, ()).is_some() {
            continue;
        }
        let rate = cell(speed).filter(|speed| !speed.is_empty()).map(|speed| {
            let mega = speed.parse::<u64>().map(|mega| format!("{mega} Mb/s"));
            parse_rate(&mega.unwrap_or(speed.to_owned())).map_err(|error| wrong(error.to_string()))
        });
        builder.link(a, b, rate.transpose()?, None);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, FatTree};
    use crate::describe::Description;
    use crate::export;

    fn defaults() -> Defaults {
        Defaults { rate: Rate::from_gbps(100), delay: Span::from_nanos(300) }
    }

    /// What is exported as GraphML comes back as the same fabric.
    #[test]
    fn graphml_comes_back() {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_nanos(500),
            switch_latency: Span::ZERO,
        };
        let graph = FatTree::new(16).build(&common).unwrap();
        let text = export::graphml(&graph);
        assert!(is_graphml(&text));
        let back = graphml(&text, defaults()).unwrap();
        let [found, built] = [&back, &graph].map(Description::of);
        assert_eq!((found.switches, found.bisection_gbps), (built.switches, built.bisection_gbps));
        assert_eq!((found.diameter_ns, found.paths), (built.diameter_ns, built.paths));
        let error =
            graphml(&text.replace("source=\"n3\"", "origin=\"n3\""), defaults()).unwrap_err();
        assert!(error.to_string().contains("an edge has no `source`"), "{error}");
    }

    const IB: &str = "vendid=0x2c9\nSwitch\t36 \"S-01\"\t# \"leaf1\" enhanced port 0 lid 2\n\
        [1]\t\"H-0a\"[1](0a)\t\t# \"node1 HCA-1\" lid 4 4xHDR\n[2]\t\"H-0b\"[1](0b)\t\t# \"node2 HCA-1\" lid 5 4xHDR\n\
        [3]\t\"S-02\"[1]\t\t# \"leaf2\" lid 3 4xHDR\n\nSwitch\t36 \"S-02\"\t# \"leaf2\"\n[1]\t\"S-01\"[3]\t\t# \"leaf1\" lid 2 4xHDR\n\
        [2]\t\"H-0c\"[1](0c)\t\t# \"node3 HCA-1\" lid 6 4xEDR\n\nCa\t1 \"H-0a\"\t\t# \"node1 HCA-1\"\n\
        [1](0a)\t\"S-01\"[1]\t\t# lid 4 lmc 0 \"leaf1\" lid 2 4xHDR\n";

    /// Each link of a discovery counts once, at its signalling rate.
    #[test]
    fn discoveries_are_read() {
        assert!(is_ibnetdiscover(IB));
        let graph = ibnetdiscover(IB, defaults()).unwrap();
        assert_eq!((graph.hosts, graph.switches.len(), graph.links.len()), (3, 2, 4));
        let rates: Vec<u64> =
            graph.links.iter().map(|link| link.rate.bits_per_second() / 1_000_000_000).collect();
        assert_eq!(rates, [200, 200, 100, 200]);
        let error = ibnetdiscover("Switch\t36 S-01\n", defaults()).unwrap_err().to_string();
        assert!(error.starts_with("1:1: expected a GUID in quotes"), "{error}");
    }

    const TABLE: &str = "Device,Interface,Neighbor,Neighbor Interface,Speed\n\
        leaf1,e1,gpu1,eth0,400 Gb/s\nleaf1,e2,gpu2,eth0,400 Gb/s\nleaf2,e1,gpu3,eth0,400000\nleaf1,e9,spine1,e1,800 Gb/s\n\
        leaf2,e9,spine1,e2,800 Gb/s\nspine1,e1,leaf1,e9,800 Gb/s\nleaf2,e2,gpu4,eth0,400 Gb/s\n";

    /// A table of neighbours in which one link is told by both ends; mistakes have a line.
    #[test]
    fn neighbours_are_read() {
        assert!(is_neighbours(TABLE));
        let graph = neighbours(TABLE, defaults()).unwrap();
        assert_eq!((graph.hosts, graph.switches.len(), graph.links.len()), (4, 3, 6));
        assert_eq!(graph.tier_names, ["leaf", "spine"]);
        let error = neighbours(&TABLE.replace("400000", "fast"), defaults()).unwrap_err();
        assert!(error.to_string().starts_with("4:1: "), "{error}");
        let error = neighbours(&TABLE.replace("gpu2", ""), defaults()).unwrap_err();
        assert_eq!(error.to_string(), "3:1: a device without a name");
    }
}
