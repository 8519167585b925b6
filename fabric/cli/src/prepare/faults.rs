//! Faults by name to changes of links and switches by number.

use fabric::fault::{Change, Direction, Fault, SwitchFault};
use fabric::graph::{Graph, Switch};
use fabric::ids::{LinkId, NodeId};
use fabric::units::Time;
use topologies::links;
use workloads::matrix::{Failure, Matrix};

use crate::error::{Origin, UserError};
use crate::scenario::model::{self, FaultKind, LinkName, SwitchName, Variant};

/// What happens to links and switches.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Changes of links.
    pub links: Vec<Fault>,
    /// Switches that fail or come back.
    pub switches: Vec<SwitchFault>,
}

impl Faults {
    /// The faults of a variant on its graph.
    ///
    /// # Errors
    /// When a link or switch is not there.
    pub fn new(variant: &Variant, graph: &Graph) -> Result<Faults, UserError> {
        Faults::of(&variant.faults, graph)
    }

    /// These faults on a graph.
    ///
    /// # Errors
    /// When a link or switch is not there.
    pub fn of(all: &[model::Fault], graph: &Graph) -> Result<Faults, UserError> {
        let mut faults = Faults::default();
        for fault in all {
            faults.add(fault, graph)?;
        }
        Ok(faults)
    }

    fn add(&mut self, fault: &model::Fault, graph: &Graph) -> Result<(), UserError> {
        let start = Time(fault.at.0);
        let mut add = |at, link, direction, change| {
            self.links.push(Fault { at, link, direction, change });
        };
        match &fault.kind {
            FaultKind::Link { link, direction, change, end } => {
                let links = match link {
                    Some(name) => vec![find_link(graph, name, &fault.origin)?],
                    None => (0..graph.links.len() as u32).map(LinkId).collect(),
                };
                for link in links {
                    add(start, link, *direction, *change);
                    if let Some((until, end)) = end {
                        add(Time(until.0), link, *direction, *end);
                    }
                }
            }
            FaultKind::Flap { link, period, down, count } => {
                let link = find_link(graph, link, &fault.origin)?;
                for turn in 0..u64::from(*count) {
                    let at = start.0.saturating_add(turn.saturating_mul(period.0));
                    add(Time(at), link, Direction::Both, Change::Down);
                    add(Time(at.saturating_add(down.0)), link, Direction::Both, Change::Up);
                }
            }
            FaultKind::Switch { switch, up, until } => {
                let switch = find_switch(graph, switch)?;
                self.switches.push(SwitchFault { at: start, switch, up: *up });
                self.switches.extend(until.map(|until| SwitchFault {
                    at: Time(until.0),
                    switch,
                    up: true,
                }));
            }
            FaultKind::DegradeCoreLinks { count, ratio } => {
                let links = links::core_links(graph, *count);
                if links.len() < *count {
                    let message = format!("the fabric has only {} such links", links.len());
                    return Err(UserError::at(&fault.origin, message));
                }
                let change = Change::Rate { ratio: *ratio, queues: true };
                links.into_iter().for_each(|link| add(start, link, Direction::Down, change));
            }
        }
        Ok(())
    }
}

/// The links that a matrix says are not there.
///
/// # Errors
/// When the fabric has no such switch or link.
pub fn missing(graph: &Graph, matrix: &Matrix) -> Result<Vec<Fault>, (usize, String)> {
    matrix.failures.iter().map(|failure| missing_link(graph, failure)).collect()
}

fn missing_link(graph: &Graph, failure: &Failure) -> Result<Fault, (usize, String)> {
    let Failure { tier, switch, link, line } = *failure;
    let is_it = |known: &Switch| (known.tier, known.index) == (tier, switch);
    let Some(place) = graph.switches.iter().position(is_it) else {
        return Err((line, format!("the fabric has no switch {switch} of tier {tier}")));
    };
    let node = NodeId(graph.hosts + place as u32);
    let of_node = graph.links.iter().zip(0..).filter(|(l, _)| l.a == node || l.b == node);
    let of_node: Vec<u32> = of_node.map(|(_, number)| number).collect();
    // Links of a switch are those of its ports, in order; a switch that has none above fails downwards.
    let (first, count) = graph.switches[place].route.up();
    let (first, count) = if count == 0 { (0, first) } else { (first, count) };
    match of_node.get(usize::from(first) + link as usize) {
        Some(number) if link < u32::from(count) => Ok(Fault {
            at: Time::ZERO,
            link: LinkId(*number),
            direction: Direction::Both,
            change: Change::Down,
        }),
        _ => Err((line, format!("link_id is {link}; that switch has {count} such links, from 0"))),
    }
}

/// The node of that name.
///
/// # Errors
/// When there is none, with the names that there are.
pub fn find_node(graph: &Graph, name: &str, origin: &Origin) -> Result<NodeId, UserError> {
    graph.find(name).ok_or_else(|| {
        let tiers = graph.tier_names.join(":N, ");
        let message = format!("there is no node `{name}` in this fabric");
        UserError::at(origin, message).help(format!("nodes are host:N, {tiers}:N, from 0"))
    })
}

fn find_switch(graph: &Graph, switch: &SwitchName) -> Result<NodeId, UserError> {
    let node = find_node(graph, &switch.name, &switch.origin)?;
    if graph.switch(node).is_none() {
        let message = format!("`{}` is no switch", switch.name);
        let help = format!("switches are {}:N", graph.tier_names.join(":N, "));
        return Err(UserError::at(&switch.origin, message).help(help));
    }
    Ok(node)
}

fn find_link(graph: &Graph, name: &LinkName, origin: &Origin) -> Result<LinkId, UserError> {
    let [a, b] = [&name.a, &name.b].map(|name| find_node(graph, name, origin));
    let found = links::between(graph, a?, b?).first().copied();
    found.ok_or_else(|| {
        UserError::at(origin, format!("there is no link between {} and {}", name.a, name.b))
    })
}
