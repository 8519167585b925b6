//! Which ports switches use when links are dead: a pure function of the graph and the dead links.
//!
//! Routing goes up, then down, as without faults: a switch uses those of the rule's ports behind which the
//! destination is still reached. So a switch in another pod leaves out a spine whose only link to the
//! destination's pod is dead. What differs from the rule spreads from the dead links, switch by switch,
//! so the work grows with what a fault touches, not with the fabric.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::graph::Graph;
use crate::ids::{HostId, LinkId, NodeId};
use crate::layout::Layout;
use crate::table::{Table, TableBuilder};

/// Finds detours in one graph.
pub struct Planner<'a> {
    graph: &'a Graph,
    layout: Layout,
    /// The destination that each host belongs to: hosts below the same switches next to the hosts.
    destination_of: Arc<[u32]>,
    /// A host of each destination.
    example: Vec<HostId>,
}

/// Ports that a switch cannot use towards a destination, by (switch, destination).
type Removed = BTreeMap<(u32, u32), BTreeSet<u16>>;

impl<'a> Planner<'a> {
    /// A planner for `graph`.
    pub fn new(graph: &'a Graph) -> Planner<'a> {
        let layout = Layout::new(graph);
        let (destination_of, example) = destinations(graph, &layout);
        Planner { graph, layout, destination_of, example }
    }

    /// Whether detours depend on this link: those to hosts have no other way.
    pub fn matters(&self, link: LinkId) -> bool {
        self.graph.links[link.index()].a.0 >= self.graph.hosts
    }

    /// The switches that cannot follow their rule while the links `dead` are dead, and what they do
    /// instead. A link with one dead direction counts as dead.
    pub fn detours(&self, dead: &BTreeSet<LinkId>) -> BTreeMap<NodeId, Arc<Table>> {
        let mut removed = Removed::new();
        let mut spread: VecDeque<(u32, u32)> = VecDeque::new();
        for link in dead.iter().filter(|link| self.matters(**link)) {
            let (a, b) = self.layout.ends[link.index()];
            for port in [a, b] {
                for destination in 0..self.example.len() as u32 {
                    self.remove(port, destination, &mut removed, &mut spread);
                }
            }
        }
        while let Some((node, destination)) = spread.pop_front() {
            for port in self.layout.ports_of(NodeId(node)) {
                let peer = self.layout.peer[port as usize];
                if self.layout.node[peer as usize].0 >= self.graph.hosts {
                    self.remove(peer, destination, &mut removed, &mut spread);
                }
            }
        }
        self.collect(&removed)
    }

    /// A switch cannot use a port towards a destination. If it was the last one, the switch does not
    /// reach the destination, which its neighbours have to know.
    fn remove(
        &self,
        port: u32,
        destination: u32,
        removed: &mut Removed,
        spread: &mut VecDeque<(u32, u32)>,
    ) {
        let node = self.layout.node[port as usize];
        let equal = self.graph.towards(node, self.example[destination as usize]);
        let number = (port - self.layout.first[node.index()]) as u16;
        if !equal.contains(number) {
            return;
        }
        let ports = removed.entry((node.0, destination)).or_default();
        if ports.insert(number) && ports.len() == usize::from(equal.count()) {
            spread.push_back((node.0, destination));
        }
    }

    fn collect(&self, removed: &Removed) -> BTreeMap<NodeId, Arc<Table>> {
        let mut detours: BTreeMap<NodeId, TableBuilder> = BTreeMap::new();
        for (&(node, destination), gone) in removed {
            let equal = self.graph.towards(NodeId(node), self.example[destination as usize]);
            let mut left = equal.to_vec();
            left.retain(|port| !gone.contains(port));
            let fresh = || TableBuilder::new(&self.destination_of, self.example.len());
            detours.entry(NodeId(node)).or_insert_with(fresh).set(destination, &left);
        }
        detours.into_iter().map(|(node, detour)| (node, Arc::new(detour.finish()))).collect()
    }
}

/// The destination that each host belongs to, and a host of each: hosts behind the same switches share one, but not where
/// a table tells them apart.
fn destinations(graph: &Graph, layout: &Layout) -> (Arc<[u32]>, Vec<HostId>) {
    let mut known: BTreeMap<(Vec<NodeId>, Option<u32>), u32> = BTreeMap::new();
    let mut example = Vec::new();
    let number = |host: u32| {
        let peers = layout.ports_of(NodeId(host)).map(|port| layout.peer[port as usize] as usize);
        let switches: Vec<NodeId> = peers.map(|port| layout.node[port]).collect();
        let told = graph.tables.first().map(|table| table.destination_of(HostId(host)));
        *known.entry((switches, told)).or_insert_with(|| {
            example.push(HostId(host));
            example.len() as u32 - 1
        })
    };
    let destination_of: Vec<u32> = (0..graph.hosts).map(number).collect();
    (destination_of.into(), example)
}
