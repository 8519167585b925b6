//! How ports are numbered: node by node, in the order of the links that touch the node.

use crate::fault::Direction;
use crate::graph::Graph;
use crate::ids::{LinkId, NodeId, PortId};

/// Where the ports of each node begin, over the whole fabric, and which port faces which.
pub struct Layout {
    /// First port of each node; one more entry than nodes.
    pub(crate) first: Vec<u32>,
    /// The node of each port.
    pub(crate) node: Vec<NodeId>,
    /// The port at the other end of each port's link.
    pub(crate) peer: Vec<u32>,
    /// The link of each port.
    pub(crate) link: Vec<u32>,
    /// The ports of each link, at its ends `a` and `b`.
    pub(crate) ends: Vec<(u32, u32)>,
}

impl Layout {
    /// Numbers the ports of a graph.
    pub fn new(graph: &Graph) -> Layout {
        let nodes = graph.nodes() as usize;
        let mut first = vec![0u32; nodes + 1];
        for link in &graph.links {
            first[link.a.index() + 1] += 1;
            first[link.b.index() + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let ports = first[nodes] as usize;
        let mut layout = Layout {
            node: vec![NodeId(0); ports],
            peer: vec![0; ports],
            link: vec![0; ports],
            ends: Vec::with_capacity(graph.links.len()),
            first,
        };
        let mut free: Vec<u32> = layout.first.clone();
        for (number, link) in graph.links.iter().enumerate() {
            let [a, b] = [link.a, link.b].map(|node| {
                let port = free[node.index()];
                free[node.index()] += 1;
                layout.node[port as usize] = node;
                layout.link[port as usize] = number as u32;
                port
            });
            layout.peer[a as usize] = b;
            layout.peer[b as usize] = a;
            layout.ends.push((a, b));
        }
        layout
    }

    /// The ports that a change of a link's direction concerns, and whether it is what they send.
    pub(crate) fn concerned(
        &self,
        link: LinkId,
        direction: Direction,
    ) -> impl Iterator<Item = (u32, bool)> + use<> {
        let (a, b) = self.ends[link.index()];
        let up = (direction != Direction::Down).then_some([(a, true), (b, false)]);
        let down = (direction != Direction::Up).then_some([(b, true), (a, false)]);
        up.into_iter().chain(down).flatten()
    }

    /// The ports of a node.
    pub fn ports_of(&self, node: NodeId) -> std::ops::Range<u32> {
        self.first[node.index()]..self.first[node.index() + 1]
    }
}

impl Layout {
    /// How many ports there are.
    pub fn ports(&self) -> u32 {
        self.node.len() as u32
    }

    /// The node of a port.
    pub fn node_of(&self, port: PortId) -> NodeId {
        self.node[port.index()]
    }

    /// The port at the other end of a port's link.
    pub fn peer_of(&self, port: PortId) -> PortId {
        PortId(self.peer[port.index()])
    }

    /// The link of a port, and whether the port is at its end `a`.
    pub fn link_of(&self, port: PortId) -> (LinkId, bool) {
        let link = self.link[port.index()];
        (LinkId(link), self.ends[link as usize].0 == port.0)
    }
}

/// A port's node, the node at the other end of its link, and the link.
pub fn ends_of(graph: &Graph, port: PortId) -> (NodeId, NodeId, LinkId) {
    let layout = Layout::new(graph);
    let [own, peer] = [port.index(), layout.peer[port.index()] as usize];
    (layout.node[own], layout.node[peer], LinkId(layout.link[own]))
}

/// The ports of a node, each with the node at the other end of its link.
pub fn ports_of(graph: &Graph, node: NodeId) -> Vec<(PortId, NodeId)> {
    let layout = Layout::new(graph);
    let peer = |port: u32| layout.node[layout.peer[port as usize] as usize];
    layout.ports_of(node).map(|port| (PortId(port), peer(port))).collect()
}
