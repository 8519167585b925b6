//! How switches choose paths: by rule, around dead links, or pinned.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::config::{Pin, Routing};
use fabric::graph::Graph;
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
    let RoutingOptions { choice, flowlet_gap, .. } = *options;
    Routing { choice, flowlet_gap, convergence, pins: Vec::new() }
}

/// A line of a file of paths.
#[derive(Deserialize)]
struct Line {
    case: Option<String>,
    src: u32,
    dst: u32,
    /// Number of a switch of the top tier.
    spine: u32,
}

/// The pins of a file: `src,dst,spine`, with a column `case` of which one value is wanted.
///
/// # Errors
/// What is wrong in the file, with its line.
pub(super) fn pins(
    pinned: &Pinned,
    source: &Arc<Source>,
    graph: &Graph,
) -> Result<Vec<Pin>, UserError> {
    let top = graph.tier_names.len() as u8 - 1;
    let spines: BTreeMap<u32, NodeId> = graph
        .switches
        .iter()
        .zip(graph.hosts..)
        .filter(|(switch, _)| switch.tier == top)
        .map(|(switch, node)| (switch.index, NodeId(node)))
        .collect();
    let mut pins = Vec::new();
    for (line, found) in placed::<Line>(source)? {
        if pinned.case.is_some() && found.case != pinned.case {
            continue;
        }
        let wrong = |message: String| UserError::in_text(source, line, 1, &message);
        let Some(via) = spines.get(&found.spine) else {
            let message =
                format!("spine {} is not there; the fabric has {}", found.spine, spines.len());
            return Err(wrong(message));
        };
        for host in [found.src, found.dst] {
            if host >= graph.hosts {
                return Err(wrong(format!(
                    "host {host} is not there; the fabric has {}",
                    graph.hosts
                )));
            }
        }
        pins.push(Pin { src: HostId(found.src), dst: HostId(found.dst), via: *via });
    }
    match &pinned.case {
        Some(case) if pins.is_empty() => {
            let message = format!("{} has no line of the case `{case}`", source.name);
            Err(UserError::at(&pinned.file.origin, message))
        }
        _ => Ok(pins),
    }
}
