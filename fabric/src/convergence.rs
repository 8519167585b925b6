//! When switches route around what failed.
//!
//! All faults are known beforehand, so the moments at which routing has converged are, too: a delay after
//! every change of a link, all switches route by what was alive at the change. Nothing is exchanged in
//! the simulation; a switch's routes change like a link does, at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detour::Planner;
use crate::fault::{Change, Direction, Fault};
use crate::graph::Graph;
use crate::ids::{LinkId, NodeId};
use crate::table::Table;
use crate::units::{Span, Time};

/// When a switch's routes change, and to what: `None` is the return to its rule.
pub(crate) type RouteChange = (Time, Option<Arc<Table>>);

/// What switches do instead of following their rules.
type Detours = BTreeMap<NodeId, Arc<Table>>;

/// The changes of each switch's routes in order of time. `changes`
/// are all changes of links, in order of time; `delay` is the time from a change at a moment to its being known, `None` if it never is.
pub(crate) fn route_changes(
    graph: &Graph,
    changes: &[Fault],
    delay: impl Fn(Time) -> Option<Span>,
) -> BTreeMap<NodeId, Vec<RouteChange>> {
    let mut plan = BTreeMap::new();
    if !changes.iter().any(|fault| fault.change == Change::Down) {
        return plan;
    }
    let planner = Planner::new(graph);
    // A flapping link dies many times in the same way.
    let mut known: BTreeMap<BTreeSet<LinkId>, Detours> = BTreeMap::new();
    let mut down: BTreeSet<(LinkId, bool)> = BTreeSet::new();
    let mut present = Detours::new();
    for moment in changes.chunk_by(|a, b| a.at == b.at) {
        moment.iter().filter(|fault| planner.matters(fault.link)).for_each(|f| note(f, &mut down));
        let dead: BTreeSet<LinkId> = down.iter().map(|(link, _)| *link).collect();
        let next = known.entry(dead).or_insert_with_key(|dead| planner.detours(dead));
        let Some(delay) = delay(moment[0].at) else { continue };
        let at = Time(moment[0].at.0.saturating_add(delay.0));
        let nodes: BTreeSet<NodeId> = present.keys().chain(next.keys()).copied().collect();
        for node in nodes {
            if present.get(&node) != next.get(&node) {
                plan.entry(node).or_insert_with(Vec::new).push((at, next.get(&node).cloned()));
            }
        }
        present.clone_from(next);
    }
    plan
}

/// Keeps the set of directions that are down.
fn note(fault: &Fault, down: &mut BTreeSet<(LinkId, bool)>) {
    for (upwards, other) in [(true, Direction::Down), (false, Direction::Up)] {
        if fault.direction != other {
            match fault.change {
                Change::Down => {
                    down.insert((fault.link, upwards));
                }
                Change::Up => {
                    down.remove(&(fault.link, upwards));
                }
                _ => {}
            }
        }
    }
}
