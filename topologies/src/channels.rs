//! Proof that lossless traffic cannot deadlock: no channel waits for itself.
//!
//! A packet that stands in a queue holds the channel (link and virtual channel) that it came by, and waits for the one that
//! it leaves by. If no chain of such dependencies comes back to its beginning, some packet can always move (Dally, Seitz
//! 1987).

use std::collections::BTreeSet;

use fabric::graph::Graph;
use fabric::ids::{HostId, NodeId};
use fabric::shape::{LinkKind, Paths, Shape};

/// A directed link with a virtual channel.
type Channel = (u32, u8);

/// A packet at a switch: by which channel it came, and whether it is still on its way to another region.
type State = (u32, Option<Channel>, bool);

/// One side of a link, as its sender sees it.
struct Port {
    peer: NodeId,
    /// The directed link: twice the link's number, plus one downwards.
    directed: u32,
    kind: Option<LinkKind>,
}

struct Walk<'a> {
    graph: &'a Graph,
    ports: Vec<Vec<Port>>,
    /// What each directed link is.
    kinds: Vec<Option<LinkKind>>,
    waits: BTreeSet<(Channel, Channel)>,
    paths: Paths,
    /// A link that takes more channels than the shape says.
    beyond: Option<u32>,
}

impl<'a> Walk<'a> {
    fn new(graph: &'a Graph, paths: Paths) -> Walk<'a> {
        let mut ports: Vec<Vec<Port>> = (0..graph.nodes()).map(|_| Vec::new()).collect();
        let mut kinds = Vec::new();
        for (number, link) in graph.links.iter().enumerate() {
            let between = link.a.0 >= graph.hosts && link.b.0 >= graph.hosts;
            let known = graph.shape.as_ref().map_or(LinkKind::Local, |shape| shape.kinds[number]);
            let kind = between.then_some(known);
            for (turn, (own, peer)) in [(link.a, link.b), (link.b, link.a)].into_iter().enumerate()
            {
                let directed = 2 * number as u32 + turn as u32;
                ports[own.index()].push(Port { peer, directed, kind });
                kinds.push(kind);
            }
        }
        Walk { graph, ports, kinds, waits: BTreeSet::new(), paths, beyond: None }
    }

    /// All that packets to `dst` by way of `via` may do.
    fn follow(&mut self, dst: HostId, via: Option<HostId>, shape: Option<&Shape>) {
        let region = |switch: u32| shape.map(|shape| shape.region_of[switch as usize]);
        let target = via.map(|host| {
            let homes = self.ports[host.index()].first().expect("a host has a port");
            region(homes.peer.0 - self.graph.hosts)
        });
        let starts = (0..self.graph.switches.len() as u32).filter(|switch| {
            let rule = self.graph.switches[*switch as usize].route;
            let apart = target.is_none_or(|target| target != region(*switch));
            apart
                && self.ports[(self.graph.hosts + switch) as usize]
                    .iter()
                    .any(|port| port.kind.is_none())
                && !rule.is_below(dst)
        });
        let mut waiting: Vec<State> = starts.map(|switch| (switch, None, via.is_some())).collect();
        let mut seen: BTreeSet<State> = waiting.iter().copied().collect();
        while let Some((switch, came, on_way)) = waiting.pop() {
            let turned = on_way && target == Some(region(switch));
            let still = on_way && !turned;
            let to = if still { via.unwrap_or(dst) } else { dst };
            for place in self.graph.towards(NodeId(self.graph.hosts + switch), to).to_vec() {
                let port = &self.ports[(self.graph.hosts + switch) as usize][usize::from(place)];
                if port.peer.0 < self.graph.hosts {
                    continue;
                }
                let (ingress, now) = match came {
                    Some((directed, channel)) => (self.kinds[directed as usize], channel),
                    None => (None, 0),
                };
                let channel =
                    shape.map_or(0, |shape| shape.channels.next(now, ingress, port.kind, turned));
                if shape
                    .is_some_and(|shape| u32::from(channel) >= shape.channels.needed(self.paths))
                {
                    self.beyond = Some(port.directed);
                    return;
                }
                let next = (port.directed, channel);
                if let Some(came) = came {
                    self.waits.insert((came, next));
                }
                let state = (port.peer.0 - self.graph.hosts, Some(next), still);
                if seen.insert(state) {
                    waiting.push(state);
                }
            }
        }
    }

    /// A channel that waits for itself.
    fn circle(&self) -> Option<Channel> {
        // Channels that nothing waits for any more are taken away until none is left, or all that are left wait.
        let mut waits: Vec<(Channel, Channel)> = self.waits.iter().copied().collect();
        loop {
            let waiting: BTreeSet<Channel> = waits.iter().map(|(first, _)| *first).collect();
            let before = waits.len();
            waits.retain(|(_, second)| waiting.contains(second));
            if waits.len() == before {
                return waits.first().map(|(first, _)| *first);
            }
        }
    }
}

/// Whether lossless traffic is free of deadlock on its ways, with as many virtual channels as the shape asks for.
///
/// # Errors
/// A sentence with a link of the circle, or with the channels that it would take.
pub fn deadlock_free(graph: &Graph, paths: Paths) -> Result<(), String> {
    let shape = graph.shape.as_deref();
    if let Some(shape) = shape {
        let (needed, most) = (shape.channels.needed(paths), fabric::shape::Channels::MOST);
        if needed > most {
            return Err(format!("{needed} virtual channels are needed, {most} are possible"));
        }
    }
    let mut walk = Walk::new(graph, paths);
    for dst in (0..graph.hosts).map(HostId) {
        walk.follow(dst, None, shape);
        if let (true, Some(shape)) = (paths != Paths::Minimal, shape) {
            shape.hosts.iter().for_each(|via| walk.follow(dst, Some(*via), Some(shape)));
        }
    }
    let name = |directed: u32| {
        let link = &graph.links[directed as usize / 2];
        format!("{} - {}", graph.name(link.a), graph.name(link.b))
    };
    if let Some(directed) = walk.beyond {
        return Err(format!("the link {} takes a channel too many", name(directed)));
    }
    match walk.circle() {
        None => Ok(()),
        Some((directed, channel)) => {
            Err(format!("channel {channel} of the link {} waits for itself", name(directed)))
        }
    }
}
