//! Cyclic buffer dependencies: ports that hold each other back in a circle.
//!
//! A paused egress port waits until packets that it sent earlier leave the peer. Those that stand
//! there in queues that are paused themselves wait for the next switch in turn. If that comes back to
//! the first port, none of them will ever send again (`roce-dcqcn.md` §4.4). With routes that go up and then
//! down it cannot happen.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::shard::{Role, Shard};
use crate::layout::Layout;
use crate::packet::{CLASSES, Label};
use crate::probe::Blocked;

/// A class of an egress port, by the port's number.
type Queue = (u32, usize);

/// A queue of a switch that has packets and is held back, and by which ports of the switch they came in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Standing {
    queue: Queue,
    /// Each with the class by which they came in.
    ingress: BTreeSet<(u16, u8)>,
}

/// What stands in the switches of these shards.
pub(crate) fn standing<E, P>(shards: &[Shard<E, P>]) -> Vec<Standing> {
    let mut found = Vec::new();
    for shard in shards {
        for node in &shard.nodes {
            let Role::Switch(number) = node.role else { continue };
            let Some(shared) = &shard.switches[number as usize].shared else { continue };
            let origin = |label: &Label| {
                let (port, class) = shared.origin(label);
                (port as u16, class.0)
            };
            for port in &shard.ports[node.first as usize..(node.first + node.ports) as usize] {
                let held = |class: &usize| port.paused & (1 << class) != 0 && port.occupied(*class);
                found.extend((0..CLASSES).filter(held).map(|class| Standing {
                    queue: (port.id.0, class),
                    ingress: port.queue(class).map(origin).collect(),
                }));
            }
        }
    }
    found
}

/// The ports of switches that hold each other back in a circle, in the order in which they wait; empty
/// if there is no circle. The one that is found does not depend on how the fabric is split.
pub(crate) fn find(standing: &[Standing], layout: &Layout) -> Vec<Blocked> {
    let blocked: BTreeMap<Queue, &BTreeSet<(u16, u8)>> =
        standing.iter().map(|standing| (standing.queue, &standing.ingress)).collect();
    let next = |queue: Queue| waits_for(queue, &blocked, layout);
    let Some(circle) = circle(blocked.keys().copied(), next) else { return Vec::new() };
    let name = |(port, class): Queue| {
        let port = port as usize;
        let peer = layout.node[layout.peer[port] as usize];
        Blocked { node: layout.node[port], peer, class: class as u8 }
    };
    circle.into_iter().map(name).collect()
}

/// The blocked queues of the peer in which packets stand that came over this port.
fn waits_for(
    (port, class): Queue,
    blocked: &BTreeMap<Queue, &BTreeSet<(u16, u8)>>,
    layout: &Layout,
) -> Vec<Queue> {
    let ingress = layout.peer[port as usize];
    let node = layout.node[ingress as usize];
    let own = layout.ports_of(node);
    let origin = ((ingress - own.start) as u16, class as u8);
    let stands = |queue: &Queue| blocked.get(queue).is_some_and(|from| from.contains(&origin));
    own.flat_map(|port| (0..CLASSES).map(move |class| (port, class))).filter(stands).collect()
}

/// A circle in the graph of `next`, from its first member on: depth first from each start in order.
fn circle(
    starts: impl Iterator<Item = Queue>,
    next: impl Fn(Queue) -> Vec<Queue>,
) -> Option<Vec<Queue>> {
    let mut done: BTreeSet<Queue> = BTreeSet::new();
    for start in starts {
        let mut path = vec![(start, next(start))];
        while let Some((_, open)) = path.last_mut() {
            let Some(queue) = open.pop() else {
                done.extend(path.pop().map(|(queue, _)| queue));
                continue;
            };
            if let Some(place) = path.iter().position(|(member, _)| *member == queue) {
                let mut circle: Vec<Queue> =
                    path[place..].iter().map(|(member, _)| *member).collect();
                let first = (0..circle.len()).min_by_key(|place| circle[*place]).unwrap_or(0);
                circle.rotate_left(first);
                return Some(circle);
            }
            if !done.contains(&queue) {
                path.push((queue, next(queue)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(u32, u32)]) -> Option<Vec<u32>> {
        let next = |(port, class): Queue| {
            edges.iter().filter(|edge| edge.0 == port).map(|edge| (edge.1, class)).collect()
        };
        let starts: BTreeSet<u32> = edges.iter().map(|edge| edge.0).collect();
        circle(starts.into_iter().map(|port| (port, 1)), next)
            .map(|circle| circle.into_iter().map(|(port, _)| port).collect())
    }

    /// Chains and diamonds are no circles; a circle is found behind them, and begins with its least port.
    #[test]
    fn circles_are_found() {
        assert_eq!(found(&[(1, 2), (2, 4), (1, 3), (3, 4), (4, 5)]), None);
        assert_eq!(found(&[(1, 9), (9, 4), (4, 7), (7, 9), (4, 2)]), Some(vec![4, 7, 9]));
        assert_eq!(found(&[(3, 3)]), Some(vec![3]));
    }
}
