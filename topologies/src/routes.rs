//! Routes by table: the shortest ways through a graph whose rules do not say them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use fabric::graph::Graph;
use fabric::ids::HostId;
use fabric::shape::LinkKind;
use fabric::table::{Table, TableBuilder};

/// Of a switch that does not reach a destination.
const FAR: u16 = u16::MAX;
/// How long a global link is, in local ones: so that no shortest way takes two where one is enough.
const GLOBAL: u16 = 16;

/// Hosts that all switches reach alike.
struct Destinations {
    /// Of each host its destination.
    of: Arc<[u32]>,
    /// The first host of each.
    example: Vec<HostId>,
}

/// Ports of switches, each with the switch at its other end and the length of the link; `None` a host.
struct Ports {
    peers: Vec<Vec<Option<(u32, u16)>>>,
    /// For each host the switches that it is joined to, each with the port there.
    homes: Vec<Vec<(u32, u16)>>,
}

impl Ports {
    fn new(graph: &Graph, kinds: &[LinkKind]) -> Ports {
        let hosts = graph.hosts;
        let mut peers: Vec<Vec<Option<(u32, u16)>>> = vec![Vec::new(); graph.switches.len()];
        let mut homes = vec![Vec::new(); hosts as usize];
        for (number, link) in graph.links.iter().enumerate() {
            let global = kinds.get(number) == Some(&LinkKind::Global);
            let length = if global { GLOBAL } else { 1 };
            for (own, peer) in [(link.a, link.b), (link.b, link.a)] {
                let Some(place) = own.0.checked_sub(hosts) else { continue };
                match peer.0.checked_sub(hosts) {
                    Some(other) => peers[place as usize].push(Some((other, length))),
                    None => {
                        let port = peers[place as usize].len() as u16;
                        homes[peer.index()].push((place, port));
                        peers[place as usize].push(None);
                    }
                }
            }
        }
        Ports { peers, homes }
    }

    /// Hosts behind the same switch share a destination where the rule of that switch tells them apart.
    fn destinations(&self, graph: &Graph) -> Destinations {
        let mut known: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut example = Vec::new();
        let mut fresh = |host: u32| {
            example.push(HostId(host));
            example.len() as u32 - 1
        };
        let number = |host: u32| {
            let homes = &self.homes[host as usize];
            let knows =
                |home: &(u32, u16)| graph.switches[home.0 as usize].route.is_below(HostId(host));
            if !homes.iter().all(knows) {
                return fresh(host);
            }
            let switches = homes.iter().map(|home| home.0).collect();
            *known.entry(switches).or_insert_with(|| fresh(host))
        };
        let of: Vec<u32> = (0..graph.hosts).map(number).collect();
        Destinations { of: of.into(), example }
    }

    /// How far every switch is from the nearest of those that a host is joined to.
    fn lengths(&self, host: HostId) -> Vec<u16> {
        let mut lengths = vec![FAR; self.peers.len()];
        let homes = self.homes[host.index()].iter().map(|home| Reverse((0, home.0)));
        let mut front: BinaryHeap<Reverse<(u16, u32)>> = homes.collect();
        while let Some(Reverse((length, switch))) = front.pop() {
            if lengths[switch as usize] != FAR {
                continue;
            }
            lengths[switch as usize] = length;
            let fresh = self.peers[switch as usize].iter().flatten();
            let fresh = fresh.filter(|(peer, _)| lengths[*peer as usize] == FAR);
            front.extend(fresh.map(|(peer, more)| Reverse((length + more, *peer))));
        }
        lengths
    }
}

/// Tables, and the hops between destinations.
pub struct Routes {
    /// One a switch.
    pub tables: Vec<Arc<Table>>,
    /// Hops between the switches of destinations a and b, at a × destinations + b; empty unless asked for.
    pub hops: Vec<u8>,
    /// Number of destinations.
    pub destinations: u32,
    /// A host of each destination.
    pub example: Vec<HostId>,
}

/// Routes by all shortest ways. Of the ports that a shortest way could take, `allowed` leaves those that shall be used: it is
/// asked with the switch, the switch of the destination, and the next switch. With `kinds` of links, a way with fewer global
/// ones is shorter, and hops between destinations are kept.
///
/// Links of the network within domains take no part: [`Graph::scale_up`] is to be added afterwards.
pub fn shortest(
    graph: &Graph,
    kinds: &[LinkKind],
    allowed: impl Fn(u32, u32, u32) -> bool,
) -> Routes {
    let ports = Ports::new(graph, kinds);
    let hops = !kinds.is_empty();
    let global = kinds.contains(&LinkKind::Global);
    let destinations = ports.destinations(graph);
    let count = destinations.example.len();
    let mut builders: Vec<TableBuilder> =
        graph.switches.iter().map(|_| TableBuilder::new(&destinations.of, count)).collect();
    let mut between = vec![0; if hops { count * count } else { 0 }];
    for (number, example) in destinations.example.iter().enumerate() {
        let length = ports.lengths(*example);
        let homes = &ports.homes[example.index()];
        for (switch, builder) in builders.iter_mut().enumerate() {
            let own: Vec<u16> =
                homes.iter().filter(|home| home.0 as usize == switch).map(|home| home.1).collect();
            if !own.is_empty() {
                if !graph.switches[switch].route.is_below(*example) {
                    builder.set(number as u32, &own);
                }
                continue;
            }
            let closer = |(peer, more): (u32, u16)| {
                length[switch] != FAR
                    && length[peer as usize] + more == length[switch]
                    && homes.first().is_some_and(|home| allowed(switch as u32, home.0, peer))
            };
            let peers = ports.peers[switch].iter().enumerate();
            let towards = peers.filter(|(_, peer)| peer.is_some_and(closer));
            let towards: Vec<u16> = towards.map(|(port, _)| port as u16).collect();
            builder.set(number as u32, &towards);
        }
        if hops {
            for (other, far) in destinations.example.iter().enumerate() {
                let home = ports.homes[far.index()].first().map_or(0, |home| home.0);
                let far = length[home as usize];
                let hops = if global { far / GLOBAL + far % GLOBAL } else { far };
                between[other * count + number] = hops as u8;
            }
        }
    }
    Routes {
        tables: builders.into_iter().map(|builder| Arc::new(builder.finish())).collect(),
        hops: between,
        destinations: count as u32,
        example: destinations.example,
    }
}
