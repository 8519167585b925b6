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

/// In [`Detour::set_of`]: the rule holds.
const BY_RULE: u32 = u32::MAX;

/// One switch's exceptions from its rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Detour {
    /// The destination that each host belongs to.
    destination_of: Arc<[u32]>,
    /// For each destination its set, or [`BY_RULE`].
    set_of: Vec<u32>,
    /// Where the ports of each set begin; one more entry than sets.
    first: Vec<u32>,
    /// Ports of all sets.
    ports: Vec<u16>,
}

impl Detour {
    /// The ports towards `dst` that are left, none if there is none; `None` where the rule holds.
    #[inline]
    pub fn towards(&self, dst: HostId) -> Option<&[u16]> {
        let set = self.set_of[self.destination_of[dst.index()] as usize];
        if set == BY_RULE {
            return None;
        }
        let [first, end] = [set, set + 1].map(|set| self.first[set as usize] as usize);
        Some(&self.ports[first..end])
    }

    fn new(destination_of: &Arc<[u32]>, destinations: usize) -> Detour {
        Detour {
            destination_of: Arc::clone(destination_of),
            set_of: vec![BY_RULE; destinations],
            first: vec![0],
            ports: Vec::new(),
        }
    }

    fn add(&mut self, destination: u32, ports: &[u16], known: &mut BTreeMap<Vec<u16>, u32>) {
        let set = *known.entry(ports.to_vec()).or_insert_with(|| {
            self.ports.extend(ports);
            self.first.push(self.ports.len() as u32);
            self.first.len() as u32 - 2
        });
        self.set_of[destination as usize] = set;
    }
}

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
        let leaves = graph.switches.iter().filter(|switch| switch.tier == 0);
        let bounds: BTreeSet<u32> = leaves
            .map(|leaf| leaf.route.below())
            .flat_map(|hosts| [hosts.start, hosts.end])
            .collect();
        let mut destination_of = Vec::with_capacity(graph.hosts as usize);
        let mut example: Vec<HostId> = Vec::new();
        for host in 0..graph.hosts {
            if host == 0 || bounds.contains(&host) {
                example.push(HostId(host));
            }
            destination_of.push(example.len() as u32 - 1);
        }
        let destination_of = destination_of.into();
        Planner { graph, layout: Layout::new(graph), destination_of, example }
    }

    /// Whether detours depend on this link: those to hosts have no other way.
    pub fn matters(&self, link: LinkId) -> bool {
        self.graph.links[link.index()].a.0 >= self.graph.hosts
    }

    /// The switches that cannot follow their rule while the links `dead` are dead, and what they do
    /// instead. A link with one dead direction counts as dead.
    pub fn detours(&self, dead: &BTreeSet<LinkId>) -> BTreeMap<NodeId, Arc<Detour>> {
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
        let switch = self.graph.switch(node).expect("links between switches");
        let (first, count) = switch.route.towards(self.example[destination as usize]);
        let number = (port - self.layout.first[node.index()]) as u16;
        if !(first..first + count).contains(&number) {
            return;
        }
        let ports = removed.entry((node.0, destination)).or_default();
        if ports.insert(number) && ports.len() == usize::from(count) {
            spread.push_back((node.0, destination));
        }
    }

    fn collect(&self, removed: &Removed) -> BTreeMap<NodeId, Arc<Detour>> {
        let mut detours: BTreeMap<NodeId, Detour> = BTreeMap::new();
        let mut known: BTreeMap<u32, BTreeMap<Vec<u16>, u32>> = BTreeMap::new();
        for (&(node, destination), gone) in removed {
            let switch = self.graph.switch(NodeId(node)).expect("only switches have detours");
            let (first, count) = switch.route.towards(self.example[destination as usize]);
            let left: Vec<u16> =
                (first..first + count).filter(|port| !gone.contains(port)).collect();
            let fresh = || Detour::new(&self.destination_of, self.example.len());
            let detour = detours.entry(NodeId(node)).or_insert_with(fresh);
            detour.add(destination, &left, known.entry(node).or_default());
        }
        detours.into_iter().map(|(node, detour)| (node, Arc::new(detour))).collect()
    }
}
