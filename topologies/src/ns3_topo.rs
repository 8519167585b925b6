//! Topology files of the HPCC authors' ns-3 model (`formats.md`): nodes, switches, links.
//!
//! Line 1 counts nodes, switches and links; line 2 lists the switches; then comes a link a line:
//! `A B RATE DELAY ERROR`. Nodes that are not switches are hosts, numbered in their order.
//!
//! The file knows no tiers and no routes. Tiers follow from the distance to the hosts, and routes go up,
//! then down, which in trees of tiers are the shortest paths that the model takes. Other shapes are
//! refused.

use std::collections::BTreeMap;

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Span, parse_rate, parse_span};

use crate::check::arrives;
use crate::text::{TextError, Word, words};

/// What switches of each tier are called, by the number of tiers.
const NAMES: [&[&str]; 3] = [&["switch"], &["leaf", "spine"], &["leaf", "agg", "core"]];

/// Most nodes a file may have.
const MOST_NODES: u64 = 16 << 20;

/// A link with the nodes' numbers in the graph.
#[derive(Clone, Copy)]
struct Wire {
    a: u32,
    b: u32,
    rate: Rate,
    delay: Span,
}

/// Whether `text` looks like such a file: its first line is three or more numbers.
pub fn is_one(text: &str) -> bool {
    let first = text.lines().map(|line| words(line, 1)).find(|line| !line.is_empty());
    first
        .is_some_and(|line| line.len() >= 3 && line[..3].iter().all(|word| word.number("").is_ok()))
}

/// Reads a topology file.
///
/// # Errors
/// [`TextError`] with the line and column of what cannot be read or does not fit.
pub fn parse(text: &str) -> Result<Graph, TextError> {
    let whole = |message: String| TextError { line: 0, column: 0, message };
    let mut lines = text.lines().enumerate().map(|(number, line)| words(line, number + 1));
    let mut next = || lines.by_ref().find(|line| !line.is_empty());
    let head = next().ok_or_else(|| whole("the file is empty".to_owned()))?;
    let [nodes, switches, links] = counts(&head)?;
    let listed = if switches == 0 { Vec::new() } else { next().unwrap_or_default() };
    if listed.len() as u64 != switches {
        let message = format!("{switches} switches are announced, but {} listed", listed.len());
        return Err(listed.first().map_or(whole(message.clone()), |w| TextError::at(w, message)));
    }
    let number_of = renumber(nodes, &listed)?;
    let hosts = (nodes - switches) as u32;
    let mut wires = Vec::new();
    for line in std::iter::from_fn(next) {
        wires.push(wire(&line, &number_of)?);
    }
    if wires.len() as u64 != links {
        return Err(whole(format!("{links} links are announced, but {} listed", wires.len())));
    }
    graph(hosts, nodes as u32, wires).map_err(whole)
}

/// The three counts of the first line.
fn counts(line: &[Word<'_>]) -> Result<[u64; 3], TextError> {
    let [nodes, switches, links] = line else {
        let message = format!(
            "the first line has {} words; expected three: nodes, switches and links",
            line.len()
        );
        return Err(TextError::at(&line[0], message));
    };
    let count = nodes.number("the number of nodes")?;
    if !(2..=MOST_NODES).contains(&count) {
        let message = format!("the number of nodes is {count}; expected 2 to {MOST_NODES}");
        return Err(TextError::at(nodes, message));
    }
    let of = switches.number("the number of switches")?;
    if of + 2 > count {
        let message = format!("{of} of {count} nodes are switches; expected two hosts at least");
        return Err(TextError::at(switches, message));
    }
    Ok([count, of, links.number("the number of links")?])
}

/// The graph's number of each node of the file: hosts first.
fn renumber(nodes: u64, switches: &[Word<'_>]) -> Result<Vec<u32>, TextError> {
    let mut is_switch = vec![false; nodes as usize];
    for word in switches {
        let number = node(word, nodes)?;
        if std::mem::replace(&mut is_switch[number], true) {
            return Err(TextError::at(word, format!("switch {number} is listed twice")));
        }
    }
    let hosts = is_switch.iter().filter(|is| !**is).count() as u32;
    let mut next = [0, hosts];
    let number = |is: &bool| {
        let place = &mut next[usize::from(*is)];
        *place += 1;
        *place - 1
    };
    Ok(is_switch.iter().map(number).collect())
}

fn node(word: &Word<'_>, nodes: u64) -> Result<usize, TextError> {
    let number = word.number("the node")?;
    if number >= nodes {
        let message = format!("node {number} is out of range; the file has {nodes} nodes");
        return Err(TextError::at(word, message));
    }
    Ok(number as usize)
}

fn wire(line: &[Word<'_>], number_of: &[u32]) -> Result<Wire, TextError> {
    let [a, b, rate, delay, error] = line else {
        let message = format!("the link has {} words; expected `A B RATE DELAY ERROR`", line.len());
        return Err(TextError::at(&line[0], message));
    };
    if error.text.parse::<f64>() != Ok(0.0) {
        let message = format!(
            "the link's error rate is `{}`; expected 0 (`[link] fer` loses frames)",
            error.text
        );
        return Err(TextError::at(error, message));
    }
    let nodes = number_of.len() as u64;
    let ends = [node(a, nodes)?, node(b, nodes)?];
    if ends[0] == ends[1] {
        return Err(TextError::at(b, "the link leads back to its own node"));
    }
    Ok(Wire {
        a: number_of[ends[0]],
        b: number_of[ends[1]],
        rate: parse_rate(rate.text).map_err(|error| TextError::at(rate, error.to_string()))?,
        delay: parse_span(delay.text).map_err(|error| TextError::at(delay, error.to_string()))?,
    })
}

/// The graph of the links, with tiers and routes.
fn graph(hosts: u32, nodes: u32, mut wires: Vec<Wire>) -> Result<Graph, String> {
    let tiers = tiers(hosts, nodes, &wires)?;
    let tier = |node: u32| tiers[node as usize];
    for wire in &mut wires {
        if (tier(wire.a), wire.a) > (tier(wire.b), wire.b) {
            std::mem::swap(&mut wire.a, &mut wire.b);
        }
    }
    // Ports follow the order of links: down before up, children and parents by number.
    wires.sort_by_key(|wire| (tier(wire.a), wire.a, wire.b));
    let top = tiers.iter().copied().max().unwrap_or(0);
    let Some(names) = NAMES.get(usize::from(top).wrapping_sub(1)) else {
        return Err(format!("the switches have {top} tiers; expected 1 to 3"));
    };
    let mut counts = BTreeMap::new();
    let rules = rules(hosts, nodes, &tiers, &wires)?;
    let switches = rules.into_iter().zip(hosts..nodes).map(|(route, node)| {
        let index = counts.entry(tier(node)).or_insert(0);
        *index += 1;
        Switch { tier: tier(node) - 1, index: *index - 1, latency: Span::ZERO, route }
    });
    let graph = Graph {
        hosts,
        switches: switches.collect(),
        links: wires
            .iter()
            .map(|wire| Link {
                a: NodeId(wire.a),
                b: NodeId(wire.b),
                rate: wire.rate,
                delay: wire.delay,
            })
            .collect(),
        tier_names: names.to_vec(),
    };
    arrives(&graph).map_err(|problem| {
        format!("the wiring is no tree of tiers with equal branches: {problem}")
    })?;
    Ok(graph)
}

/// The tier of each node: 0 for hosts, else its distance to the nearest host.
fn tiers(hosts: u32, nodes: u32, wires: &[Wire]) -> Result<Vec<u8>, String> {
    const FAR: u8 = u8::MAX;
    let mut tiers = vec![FAR; nodes as usize];
    tiers[..hosts as usize].fill(0);
    for distance in 1..FAR {
        let mut found = false;
        for wire in wires {
            for (near, far) in [(wire.a, wire.b), (wire.b, wire.a)] {
                if tiers[near as usize] == distance - 1 && tiers[far as usize] == FAR {
                    tiers[far as usize] = distance;
                    found = true;
                }
            }
        }
        if !found {
            break;
        }
    }
    match tiers.iter().position(|tier| *tier == FAR) {
        Some(node) => Err(format!("node {node} (hosts counted first) is joined to no host")),
        None => Ok(tiers),
    }
}

/// The routing rule of each switch, from the hosts below each of its neighbours.
fn rules(hosts: u32, nodes: u32, tiers: &[u8], wires: &[Wire]) -> Result<Vec<RouteRule>, String> {
    // First host below and one after the last; hosts are below themselves.
    let mut below: Vec<(u32, u32)> = (0..nodes).map(|node| (node, node + 1)).collect();
    below[hosts as usize..].fill((u32::MAX, 0));
    let mut children: Vec<Vec<(u32, u32)>> = vec![Vec::new(); nodes as usize];
    let mut ups = vec![0u16; nodes as usize];
    // Sorted by tier: what is below a node is known before the node is a child.
    for wire in wires {
        let (low, high) = (wire.a as usize, wire.b as usize);
        ups[low] += 1;
        if tiers[low] == tiers[high] {
            ups[high] += 1;
            continue;
        }
        let child = below[low];
        children[high].push(child);
        below[high] = (below[high].0.min(child.0), below[high].1.max(child.1));
    }
    let rule = |node: u32| {
        let (first, end) = below[node as usize];
        let children = &children[node as usize];
        let each = children.first().map_or(0, |(first, end)| end - first);
        let bundle = children.iter().take_while(|child| **child == children[0]).count();
        if each == 0 {
            return Err(format!("switch {} has nothing below it", node - hosts));
        }
        Ok(RouteRule::UpDown {
            first_host: first,
            host_count: end - first,
            hosts_per_child: each,
            down_base: 0,
            bundle: bundle as u16,
            up_base: children.len() as u16,
            up_count: ups[node as usize],
        })
    };
    (hosts..nodes).map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::Diameter;

    const STAR: &str =
        "4 1 3\n3\n0 3 100Gbps 1000ns 0\n1 3 100Gbps 0.001ms 0.0\n2 3 100Gbps 1us 0\n";

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    /// Two tiers, wired in any order, with switches numbered before, after and among the hosts.
    #[test]
    fn a_leaf_spine_is_read_in_any_order() {
        let wires = ["4 6", "4 7", "5 6", "5 7", "0 4", "1 4", "2 5", "3 5"];
        let text = |wires: &[&str]| {
            let lines: String = wires.iter().map(|w| format!("{w} 100Gbps 1000ns 0\n")).collect();
            format!("8 4 8\n4 5 6 7\n{lines}")
        };
        let graph = parse(&text(&wires)).unwrap();
        assert!(is_one(&text(&wires)));
        assert_eq!((graph.hosts, graph.tier_names.clone()), (4, vec!["leaf", "spine"]));
        assert_eq!(Diameter::of(&graph).links.len(), 4);
        let mut turned = wires;
        turned.reverse();
        assert_eq!(parse(&text(&turned)).unwrap(), graph);
        let renamed = "8 4 8\n0 1 2 3\n4 0 1Gbps 1us 0\n5 0 1Gbps 1us 0\n6 1 1Gbps 1us 0\n\
            7 1 1Gbps 1us 0\n0 2 1Gbps 1us 0\n0 3 1Gbps 1us 0\n1 2 1Gbps 1us 0\n1 3 1Gbps 1us 0\n";
        assert_eq!(parse(renamed).unwrap().switches, graph.switches);
    }

    /// Two switches side by side are one tier.
    #[test]
    fn a_dumbbell_is_read() {
        let text = "6 2 5\n4 5\n0 4 100Gbps 1us 0\n1 4 100Gbps 1us 0\n2 5 100Gbps 1us 0\n\
            3 5 100Gbps 1us 0\n4 5 100Gbps 1us 0\n";
        assert_eq!(Diameter::of(&parse(text).unwrap()).links.len(), 3);
    }

    /// Each kind of mistake names its line, what was found and what was expected.
    #[test]
    fn mistakes_name_their_place() {
        assert!(parse(STAR).is_ok());
        for (from, to, expected) in [
            ("4 1 3", "4 1", "1:1: the first line has 2 words; expected three"),
            ("4 1 3", "4 3 3", "1:3: 3 of 4 nodes are switches; expected two hosts"),
            ("\n3\n", "\n3 2\n", "2:1: 1 switches are announced, but 2 listed"),
            ("\n3\n", "\n7\n", "2:1: node 7 is out of range; the file has 4 nodes"),
            ("100Gbps", "100Gb", "3:5: `100Gb` has the unit `Gb`; allowed are"),
            ("1us 0", "1us 0.01", "5:17: the link's error rate is `0.01`; expected 0"),
            ("2 3 ", "2 2 ", "5:3: the link leads back to its own node"),
            (
                "2 3 ",
                "1 3 ",
                "0:0: the wiring is no tree of tiers with equal branches: host 1 has 2",
            ),
            ("4 1 3", "4 1 4", "0:0: 4 links are announced, but 3 listed"),
        ] {
            let found = error(&STAR.replacen(from, to, 1));
            assert!(found.starts_with(expected), "{found}");
        }
        let ring = "8 4 8\n4 5 6 7\n0 4 1Gbps 1us 0\n1 5 1Gbps 1us 0\n2 6 1Gbps 1us 0\n\
            3 7 1Gbps 1us 0\n4 5 1Gbps 1us 0\n5 6 1Gbps 1us 0\n6 7 1Gbps 1us 0\n7 4 1Gbps 1us 0\n";
        assert!(error(ring).starts_with("0:0: the wiring is no tree of tiers"), "{}", error(ring));
    }
}
