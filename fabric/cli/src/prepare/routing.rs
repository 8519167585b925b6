//! How switches choose paths: by rule, around dead links, or pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fabric::config::{Pin, Routing};
use fabric::graph::{Graph, Link};
use fabric::ids::{HostId, NodeId};
use fabric::units::Span;
use serde::Deserialize;

use crate::csv_file::placed;
use crate::error::{Source, UserError};
use crate::scenario::model::{Convergence, Pinned, Profile, RoutingOptions};

/// When switches know of a dead link: detection, withdrawal and new tables, as tuned clusters have it. Ours;
/// the reference simulators never route around anything.
const CONVERGENCE: Span = Span::from_millis(1);

/// The routing of a variant, without pins.
pub(super) fn routing(options: &RoutingOptions, profile: Profile) -> Routing {
    let convergence = match (options.convergence, profile) {
        (Some(Convergence::After(delay)), _) => Some(delay),
        (None, Profile::Ethernet) => Some(CONVERGENCE),
        (Some(Convergence::Never), _) | (None, Profile::Htsim | Profile::Ns3Rdma) => None,
    };
    let RoutingOptions { choice, flowlet_gap, paths, .. } = *options;
    let (pins, known_at_start) = (Vec::new(), false);
    Routing { choice, flowlet_gap, convergence, known_at_start, pins, paths }
}

/// A line of a file of paths.
#[derive(Deserialize)]
struct Line {
    case: Option<String>,
    src: u32,
    dst: u32,
    /// Number of a switch of the top tier.
    spine: Option<u32>,
    /// All switches by name, from the source's to the destination's.
    path: Option<String>,
}

/// The pins of a file: `src,dst,spine` or `src,dst,path`, with a column `case` of which one value is wanted.
///
/// # Errors
/// What is wrong in the file, with its line.
pub(super) fn pins(
    pinned: &Pinned,
    source: &Arc<Source>,
    graph: &Graph,
) -> Result<Vec<Pin>, UserError> {
    let paths = Paths::new(graph);
    let mut pins: BTreeMap<(NodeId, NodeId, HostId), NodeId> = BTreeMap::new();
    let mut lines = 0;
    for (line, found) in placed::<Line>(source)? {
        if pinned.case.is_some() && found.case != pinned.case {
            continue;
        }
        lines += 1;
        let wrong = |message: String| UserError::in_text(source, line, 1, &message);
        for Pin { at, from, dst, to } in paths.pins(&found).map_err(wrong)? {
            let before = pins.insert((at, from, dst), to);
            if let Some(other) = before.filter(|other| *other != to) {
                return Err(wrong(format!(
                    "at {} packets from {} to host {dst} would go to {} and, by an earlier line, to {}",
                    graph.name(at),
                    graph.name(from),
                    graph.name(to),
                    graph.name(other)
                )));
            }
        }
    }
    match &pinned.case {
        Some(case) if lines == 0 => {
            let message = format!("{} has no line of the case `{case}`", source.name);
            Err(UserError::at(&pinned.file.origin, message))
        }
        _ => {
            let pin = |((at, from, dst), to)| Pin { at, from, dst, to };
            Ok(pins.into_iter().map(pin).collect())
        }
    }
}

/// What paths are looked up in.
struct Paths<'a> {
    graph: &'a Graph,
    neighbours: BTreeSet<(NodeId, NodeId)>,
}

impl Paths<'_> {
    fn new(graph: &Graph) -> Paths<'_> {
        let both = |link: &Link| [(link.a, link.b), (link.b, link.a)];
        Paths { graph, neighbours: graph.links.iter().flat_map(both).collect() }
    }

    fn pins(&self, line: &Line) -> Result<Vec<Pin>, String> {
        let hosts = self.graph.hosts;
        for host in [line.src, line.dst] {
            if host >= hosts {
                return Err(format!("host {host} is not there; the fabric has {hosts}"));
            }
        }
        match (&line.path, line.spine) {
            (Some(path), None) => self.along(line, path),
            (None, Some(spine)) => self.over(line, spine),
            _ => Err("a line has either a `spine` or a `path`".to_owned()),
        }
    }

    /// Over a spine: the source's switch sends there, and goes by its rule otherwise.
    fn over(&self, line: &Line, spine: u32) -> Result<Vec<Pin>, String> {
        let top = self.graph.top_tier();
        let spines = || self.graph.switches.iter().filter(|switch| switch.tier == top);
        let place = self.graph.switches.iter().position(|s| s.tier == top && s.index == spine);
        let Some(place) = place else {
            return Err(format!("spine {spine} is not there; the fabric has {}", spines().count()));
        };
        let (from, to) = (NodeId(line.src), NodeId(self.graph.hosts + place as u32));
        let own = self.neighbours.range((from, NodeId(0))..).take_while(|pair| pair.0 == from);
        let own = own.map(|pair| pair.1).filter(|at| self.neighbours.contains(&(*at, to)));
        Ok(own.map(|at| Pin { at, from, dst: HostId(line.dst), to }).collect())
    }

    /// Along a path: every switch of it sends to the next.
    fn along(&self, line: &Line, path: &str) -> Result<Vec<Pin>, String> {
        let mut nodes = vec![NodeId(line.src)];
        for name in path.split_whitespace() {
            let node = self.graph.find(name).filter(|node| self.graph.switch(*node).is_some());
            let tiers = self.graph.tier_names.join(":N, ");
            nodes.push(node.ok_or_else(|| format!("`{name}` is no switch; they are {tiers}:N"))?);
        }
        nodes.push(NodeId(line.dst));
        for step in nodes.windows(2) {
            if !self.neighbours.contains(&(step[0], step[1])) {
                let [a, b] = [step[0], step[1]].map(|node| self.graph.name(node));
                return Err(format!("there is no link between {a} and {b}"));
            }
        }
        let pin = |step: &[NodeId]| Pin {
            at: step[1],
            from: step[0],
            dst: HostId(line.dst),
            to: step[2],
        };
        Ok(nodes.windows(3).map(pin).collect())
    }
}
