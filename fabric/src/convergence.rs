//! When switches route around what failed.
//!
//! A delay after every change of a link, all switches route by what was alive at the change; where all faults are known
//! beforehand, so are those moments. Nothing is exchanged in
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
    let mut routes = Routes::new(graph);
    for moment in changes.chunk_by(|a, b| a.at == b.at) {
        for (at, node, detour) in routes.change(moment, delay(moment[0].at)) {
            plan.entry(node).or_insert_with(Vec::new).push((at, detour));
        }
    }
    plan
}

/// Most sets of dead links whose detours are kept.
const KNOWN: usize = 64;

/// What switches know of dead links, or will once what has changed is known.
pub(crate) struct Routes<'a> {
    planner: Planner<'a>,
    /// A flapping link dies many times in the same way.
    known: BTreeMap<BTreeSet<LinkId>, Detours>,
    down: BTreeSet<(LinkId, bool)>,
    present: Detours,
}

impl<'a> Routes<'a> {
    /// All follow their rules.
    pub(crate) fn new(graph: &'a Graph) -> Routes<'a> {
        let (known, down, present) = (BTreeMap::new(), BTreeSet::new(), Detours::new());
        Routes { planner: Planner::new(graph), known, down, present }
    }

    /// Changes of one moment, which are known after `delay`, or never: the switches whose routes change, when, and to what.
    pub(crate) fn change(
        &mut self,
        moment: &[Fault],
        delay: Option<Span>,
    ) -> Vec<(Time, NodeId, Option<Arc<Table>>)> {
        let Routes { planner, known, down, present } = self;
        moment.iter().filter(|fault| planner.matters(fault.link)).for_each(|f| note(f, down));
        let Some((delay, at)) = delay.zip(moment.first().map(|fault| fault.at)) else {
            return Vec::new();
        };
        let dead: BTreeSet<LinkId> = down.iter().map(|(link, _)| *link).collect();
        if known.len() > KNOWN && !known.contains_key(&dead) {
            known.clear();
        }
        let next = known.entry(dead).or_insert_with_key(|dead| planner.detours(dead));
        let at = Time(at.0.saturating_add(delay.0));
        let nodes: BTreeSet<NodeId> = present.keys().chain(next.keys()).copied().collect();
        let differs = |node: &NodeId| present.get(node) != next.get(node);
        let changed = nodes.into_iter().filter(differs);
        let changed = changed.map(|node| (at, node, next.get(&node).cloned())).collect();
        present.clone_from(next);
        changed
    }
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
