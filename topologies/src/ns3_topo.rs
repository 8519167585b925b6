//! Topology files of the HPCC authors' ns-3 model and of SimAI (`formats.md`): nodes, switches, links.
//!
//! Line 1 counts nodes, switches and links, and in SimAI's form servers' accelerators and their switches too:
//! `NODES ACCELERATORS INNER SWITCHES LINKS TYPE`. Line 2 lists the switches (SimAI: those within servers first); then comes
//! a link a line: `A B RATE DELAY ERROR`. Nodes that are not switches are hosts, numbered in their order.
//!
//! The file knows no tiers and no routes: see [`crate::wiring`].

use fabric::graph::Graph;
use fabric::units::{parse_rate, parse_span};

use crate::text::{TextError, Word, words};
use crate::wiring::{Wire, Wiring};

/// Most nodes a file may have.
const MOST_NODES: u64 = 16 << 20;

/// Whether `text` looks like such a file: its first line is three or more numbers.
pub fn is_one(text: &str) -> bool {
    let first = text.lines().map(|line| words(line, 1)).find(|line| !line.is_empty());
    first
        .is_some_and(|line| line.len() >= 3 && line[..3].iter().all(|word| word.number("").is_ok()))
}

/// The counts of the first line.
struct Counts {
    nodes: u64,
    /// Switches within servers.
    inner: u64,
    /// All other switches.
    switches: u64,
    links: u64,
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
    let counts = counts(&head)?;
    let all = counts.inner + counts.switches;
    let listed = if all == 0 { Vec::new() } else { next().unwrap_or_default() };
    if listed.len() as u64 != all {
        let message = format!("{all} switches are announced, but {} listed", listed.len());
        return Err(listed.first().map_or(whole(message.clone()), |w| TextError::at(w, message)));
    }
    let (inner, outer) = listed.split_at(counts.inner as usize);
    let number_of = renumber(counts.nodes, outer, inner)?;
    let mut wires = Vec::new();
    for line in std::iter::from_fn(next) {
        wires.push(wire(&line, &number_of)?);
    }
    if wires.len() as u64 != counts.links {
        let message = format!("{} links are announced, but {} listed", counts.links, wires.len());
        return Err(whole(message));
    }
    let (nodes, inner) = (counts.nodes as u32, counts.inner as u32);
    let hosts = nodes - all as u32;
    Wiring { hosts, nodes, inner, wires }.build().map_err(whole)
}

/// The first line.
fn counts(line: &[Word<'_>]) -> Result<Counts, TextError> {
    let (nodes, inner, switches, links) = match line {
        [nodes, switches, links] => (nodes, None, switches, links),
        [nodes, _, inner, switches, links, _] => (nodes, Some(inner), switches, links),
        _ => {
            let message = format!(
                "the first line has {} words; expected three: nodes, switches and links; or six, SimAI's form",
                line.len()
            );
            return Err(TextError::at(&line[0], message));
        }
    };
    let count = nodes.number("the number of nodes")?;
    if !(2..=MOST_NODES).contains(&count) {
        let message = format!("the number of nodes is {count}; expected 2 to {MOST_NODES}");
        return Err(TextError::at(nodes, message));
    }
    let inner = inner.map_or(Ok(0), |inner| inner.number("the number of switches in servers"))?;
    let of = switches.number("the number of switches")?;
    if inner.saturating_add(of).saturating_add(2) > count {
        let message =
            format!("{} of {count} nodes are switches; expected two hosts at least", inner + of);
        return Err(TextError::at(switches, message));
    }
    let links = links.number("the number of links")?;
    Ok(Counts { nodes: count, inner, switches: of, links })
}

/// The graph's number of each node of the file: hosts first, switches within servers last.
fn renumber(nodes: u64, outer: &[Word<'_>], inner: &[Word<'_>]) -> Result<Vec<u32>, TextError> {
    let mut kind = vec![0; nodes as usize];
    for (word, which) in outer.iter().map(|w| (w, 1)).chain(inner.iter().map(|w| (w, 2))) {
        let number = node(word, nodes)?;
        if std::mem::replace(&mut kind[number], which) != 0 {
            return Err(TextError::at(word, format!("switch {number} is listed twice")));
        }
    }
    let hosts = nodes as u32 - (outer.len() + inner.len()) as u32;
    let mut next = [0, hosts, hosts + outer.len() as u32];
    let number = |kind: &usize| {
        let place = &mut next[*kind];
        *place += 1;
        *place - 1
    };
    Ok(kind.iter().map(number).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::deadlock_free;
    use crate::properties::Diameter;
    use fabric::graph::ScaleUp;
    use fabric::ids::{HostId, NodeId};
    use fabric::shape::Paths;
    use fabric::units::Rate;

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
            ("2 3 ", "1 3 ", "0:0: host 2 has no link"),
            ("4 1 3", "4 1 4", "0:0: 4 links are announced, but 3 listed"),
        ] {
            let found = error(&STAR.replacen(from, to, 1));
            assert!(found.starts_with(expected), "{found}");
        }
    }

    /// A wiring that is no tree, here a ring, has tables of shortest ways: across, there are two.
    #[test]
    fn a_ring_of_switches_has_tables() {
        let ring = "8 4 8\n4 5 6 7\n0 4 1Gbps 1us 0\n1 5 1Gbps 1us 0\n2 6 1Gbps 1us 0\n\
            3 7 1Gbps 1us 0\n4 5 1Gbps 1us 0\n5 6 1Gbps 1us 0\n6 7 1Gbps 1us 0\n7 4 1Gbps 1us 0\n";
        let graph = parse(ring).unwrap();
        let towards = |dst| graph.towards(NodeId(4), HostId(dst)).count();
        assert_eq!([0, 1, 2, 3].map(towards), [1, 1, 2, 1]);
        assert!(deadlock_free(&graph, Paths::Minimal).is_err());
    }

    /// SimAI's form: servers of two accelerators with a switch of their own, each joined to two ToRs.
    #[test]
    fn servers_have_switches_of_their_own() {
        let text = "8 2 2 2 12 H100\n4 5 6 7\n0 4 2880Gbps 25ns 0\n1 4 2880Gbps 25ns 0\n\
            2 5 2880Gbps 25ns 0\n3 5 2880Gbps 25ns 0\n0 6 200Gbps 500ns 0\n0 7 200Gbps 500ns 0\n\
            1 6 200Gbps 500ns 0\n1 7 200Gbps 500ns 0\n2 6 200Gbps 500ns 0\n2 7 200Gbps 500ns 0\n\
            3 6 200Gbps 500ns 0\n3 7 200Gbps 500ns 0\n";
        let graph = parse(text).unwrap();
        assert_eq!(graph.scale_up, Some(ScaleUp { domain: 2, first_port: 2 }));
        assert_eq!(graph.host_ports(HostId(0), HostId(2)), 0..2);
        assert_eq!(graph.links[0].rate, Rate::from_gbps(200));
        let wrong = text.replace("1 4 2880", "2 4 2880").replace("2 5 2880", "1 5 2880");
        assert!(error(&wrong).contains("no whole domain of 2"), "{}", error(&wrong));
    }
}
