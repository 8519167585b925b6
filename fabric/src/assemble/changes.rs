//! Faults as changes of nodes.

use std::collections::{BTreeMap, VecDeque};

use crate::assemble::build::Builder;
use crate::convergence::route_changes;
use crate::endpoint::Endpoint;
use crate::engine::shard::{NodeFault, PortFault};
use crate::fault::{Change, Fault, SwitchFault, link_changes};
use crate::units::Rate;

impl<E: Endpoint> Builder<'_, E> {
    /// Faults as changes of nodes, by node, in order of time; simultaneous ones: links, switches, routes.
    pub(super) fn node_faults(
        &mut self,
        faults: &[Fault],
        switch_faults: &[SwitchFault],
    ) -> BTreeMap<u32, VecDeque<NodeFault>> {
        let changes = link_changes(self.graph, faults, switch_faults);
        let mut by_node = self.port_faults(&changes);
        for fault in switch_faults.iter().filter(|fault| !fault.up) {
            let list = by_node.entry(fault.switch.0).or_default();
            list.push_back(NodeFault::Fail(fault.at));
        }
        let routing = &self.config.routing;
        if routing.convergence.is_some() || routing.known_at_start {
            for (node, routes) in route_changes(self.graph, &changes, |at| routing.known_after(at))
            {
                let routes = routes.into_iter().map(|(at, detour)| NodeFault::Route(at, detour));
                by_node.entry(node.0).or_default().extend(routes);
            }
        }
        for list in by_node.values_mut() {
            list.make_contiguous().sort_by_key(NodeFault::at);
        }
        by_node
    }

    fn port_faults(&mut self, changes: &[Fault]) -> BTreeMap<u32, VecDeque<NodeFault>> {
        let mut by_node: BTreeMap<u32, VecDeque<NodeFault>> = BTreeMap::new();
        for fault in changes {
            for (port, sends) in self.layout.concerned(fault.link, fault.direction) {
                let node = self.layout.node[port as usize];
                let change = self.port_fault(fault, port, sends);
                by_node.entry(node.0).or_default().push_back(NodeFault::Port(change));
            }
        }
        by_node
    }

    fn port_fault(&mut self, fault: &Fault, port: u32, sends: bool) -> PortFault {
        let rate = queue_rate(self.graph.links[fault.link.index()].rate, &fault.change);
        let host_facing = self.is_host_facing(port);
        self.profiles.add(self.config, rate, host_facing);
        PortFault {
            at: fault.at,
            port: self.place[port as usize],
            sends,
            change: fault.change,
            profile: self.profiles.get(rate, host_facing),
        }
    }
}

/// The rate that the queues of a link built with rate `built` are made for after a change.
fn queue_rate(built: Rate, change: &Change) -> Rate {
    match *change {
        Change::Rate { ratio, queues: true } => built.scaled(ratio),
        _ => built,
    }
}
