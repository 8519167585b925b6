//! A shard: some nodes with their ports, run window by window by one thread.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::endpoint::Endpoint;
use crate::engine::recorder::Recorder;
use crate::fault::Change;
use crate::ids::HostId;
use crate::net::host::{Host, after_frame};
use crate::net::outlet::Outlet;
use crate::net::port::{Port, special};
use crate::net::profile::PortProfile;
use crate::net::shared::Guard;
use crate::net::switch::{Ports, Scratch, Switch, gate};
use crate::program::Program;
use crate::table::Table;
use crate::units::Time;

/// What a node is, by index into the shard's tables.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    Host(u32),
    Switch(u32),
}

/// A node of the shard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) role: Role,
    /// Its first port in the shard.
    pub(crate) first: u32,
    pub(crate) ports: u32,
}

/// A change of a port's link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PortFault {
    pub(crate) at: Time,
    /// Port of the shard.
    pub(crate) port: u32,
    /// The node sends on the direction that changes (else it receives on it).
    pub(crate) sends: bool,
    pub(crate) change: Change,
    /// Profile that the port takes on.
    pub(crate) profile: u16,
}

/// A change that waits for a node.
#[derive(Clone, Debug)]
pub(crate) enum NodeFault {
    /// One of its links changes.
    Port(PortFault),
    /// The switch fails: what stands in its queues is lost.
    Fail(Time),
    /// The switch's routes change; `None`: back to its rule.
    Route(Time, Option<Arc<Table>>),
}

impl NodeFault {
    pub(crate) fn at(&self) -> Time {
        match self {
            NodeFault::Port(fault) => fault.at,
            NodeFault::Fail(at) | NodeFault::Route(at, _) => *at,
        }
    }

    /// Its place among others of a node.
    fn order(&self) -> (Time, u8) {
        let rank = match self {
            NodeFault::Port(_) => 0,
            NodeFault::Fail(_) => 1,
            NodeFault::Route(..) => 2,
        };
        (self.at(), rank)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The class of nodes that run.
    pub(crate) class: usize,
    /// The class to which they are linked: the other one, or their own where there is only one.
    pub(crate) towards: usize,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shard<E, P> {
    pub(crate) nodes: Vec<Node>,
    pub(crate) hosts: Vec<Host<E, P>>,
    pub(crate) switches: Vec<Switch>,
    pub(crate) ports: Vec<Port>,
    #[serde(skip)]
    pub(crate) profiles: Vec<PortProfile>,
    /// When the frame on each port's wire ends; `NEVER` when idle.
    pub(crate) busy: Vec<Time>,
    /// What happens to arrivals at each port: see [`gate`].
    pub(crate) gate: Vec<u8>,
    /// Coupling groups: local nodes of their hosts.
    pub(crate) groups: Vec<Vec<u32>>,
    /// Changes to come, by local node, in order of time.
    #[serde(skip)]
    pub(crate) faults: BTreeMap<u32, VecDeque<NodeFault>>,
    /// How many changes each local node has seen.
    pub(crate) changed: BTreeMap<u32, usize>,
    /// Local node of each host (only for hosts in coupling groups).
    pub(crate) group_nodes: BTreeMap<HostId, u32>,
    pub(crate) outlet: Outlet,
    /// What is recorded over time, if anything is.
    pub(crate) recorder: Option<Box<Recorder>>,
    #[serde(skip)]
    pub(crate) scratch: Scratch,
    /// Packets here, and sent from here, at the end of the last window.
    pub(crate) in_flight: u64,
}

impl<E: Endpoint, P: Program> Shard<E, P> {
    /// Runs every event of a class of nodes in `[start, end)`; afterwards [`Shard::earliest`] is when the next of each
    /// class is due.
    ///
    /// Where all links join nodes of different classes, only the other class can affect this one, and classes take
    /// turns. Else all nodes are in the first class.
    pub(crate) fn run_window(&mut self, turn: Turn, start: Time, end: Time) {
        let Turn { class, towards } = turn;
        let first_class = self.outlet.first_class as usize;
        let nodes = if class == 0 { 0..first_class } else { first_class..self.nodes.len() };
        self.outlet.towards = towards;
        self.outlet.earliest[class] = Time::NEVER;
        let mut earliest = Time::NEVER;
        for node in nodes {
            let mut next = self.outlet.next[node];
            self.touch(node + 1, end);
            if next < end {
                next = self.run_node(node, start, end);
                self.outlet.next[node] = next;
            }
            earliest = earliest.min(next);
        }
        let own = &mut self.outlet.earliest[class];
        *own = earliest.min(*own);
        self.outlet.check();
        self.in_flight = self.outlet.in_flight();
    }

    /// Loads what a node to come will need, while there is something else to do.
    #[inline]
    fn touch(&self, node: usize, end: Time) {
        if let Some(Node { role: Role::Host(_), first, .. }) = self.nodes.get(node)
            && self.outlet.next[node] < end
        {
            self.outlet.warm(*first as usize, end);
        }
        if let Some(Node { role: Role::Host(_), first, .. }) = self.nodes.get(node + 1) {
            self.outlet.touch(*first as usize);
        }
    }

    /// When the next event of each class of this shard's nodes, or of a packet sent to one, is due.
    pub(crate) fn earliest(&self) -> [Time; 2] {
        self.outlet.earliest
    }

    /// The node of a host, if it is here.
    pub(crate) fn node_of(&self, host: HostId) -> Option<u32> {
        let is_it = |node: &Node| match node.role {
            Role::Host(number) => self.hosts[number as usize].id == host,
            Role::Switch(_) => false,
        };
        self.nodes.iter().position(is_it).map(|node| node as u32)
    }

    /// Offers the ports of a host to its transport at `at` at the latest.
    pub(crate) fn knock(&mut self, node: u32, at: Time) {
        self.with_host(node, |host, _, _| host.poll_by(at));
        self.outlet.expect(node, at);
    }

    /// A change waits for a node, among those that do already: in order of time; simultaneous ones links first, routes
    /// last. Everything before it has to have been run, and nothing after it.
    pub(crate) fn schedule(&mut self, node: u32, fault: NodeFault) {
        let list = self.faults.entry(node).or_default();
        let at = fault.at();
        let place = list.partition_point(|known| known.order() <= fault.order());
        list.insert(place, fault);
        self.outlet.expect(node, at);
    }

    fn run_node(&mut self, node: usize, start: Time, end: Time) -> Time {
        if let Role::Host(number) = self.nodes[node].role
            && let Some(group) = self.hosts[number as usize].group
        {
            return self.run_group(group as usize, node, end);
        }
        let mut from = start;
        loop {
            let (fault, look) = (self.fault_due(node as u32), self.look_due(node as u32));
            let at = fault.min(look);
            if at >= end {
                break;
            }
            if at > from {
                self.run_until(node, from, at);
                from = at;
            }
            if look == at { self.look(node as u32) } else { self.apply_fault(node as u32) }
        }
        self.run_until(node, from, end).min(self.fault_due(node as u32))
    }

    /// When the next change of one of the node's links is due.
    fn fault_due(&self, node: u32) -> Time {
        if self.faults.is_empty() {
            return Time::NEVER;
        }
        let first = self.faults.get(&node).and_then(VecDeque::front);
        first.map_or(Time::NEVER, NodeFault::at)
    }

    /// When something of the node is to be recorded.
    #[inline]
    fn look_due(&self, node: u32) -> Time {
        self.recorder.as_ref().map_or(Time::NEVER, |recorder| recorder.due(node))
    }

    /// Records the node as it is just before the instant that is due.
    fn look(&mut self, place: u32) {
        let Some(mut recorder) = self.recorder.take() else { return };
        let node = self.nodes[place as usize];
        let ports = node.first as usize..(node.first + node.ports) as usize;
        recorder.ports(place, node.first, &mut self.ports[ports.clone()]);
        match node.role {
            Role::Switch(number) => {
                if let Some(shared) = &self.switches[number as usize].shared {
                    let used = match &shared.guard {
                        Guard::Pauses(mmu) => mmu.used(),
                        Guard::Credits => self.ports[ports].iter().map(Port::credited_bytes).sum(),
                    };
                    recorder.buffer(place, used);
                }
            }
            Role::Host(number) => {
                let endpoint = &self.hosts[number as usize].nic.endpoint;
                recorder.connections(place, |most, states| endpoint.connections(most, states));
            }
        }
        recorder.advance(place);
        self.recorder = Some(recorder);
    }

    fn run_until(&mut self, place: usize, start: Time, end: Time) -> Time {
        let node = self.nodes[place];
        match node.role {
            Role::Switch(number) => {
                let (ports, switch) = (
                    view(&mut self.ports, &mut self.busy, &self.gate, &self.profiles, node),
                    number,
                );
                let switch = &mut self.switches[switch as usize];
                switch.run(ports, start, end, &mut self.scratch, &mut self.outlet)
            }
            Role::Host(number) => {
                let mut ports =
                    view(&mut self.ports, &mut self.busy, &self.gate, &self.profiles, node);
                self.hosts[number as usize].run(&mut ports, end, &mut self.outlet)
            }
        }
    }

    /// Runs all hosts of a coupling group in joint order of time (ties by place in the group), so that
    /// a signal takes effect at the instant it is sent. Returns when node `asked` is due next.
    fn run_group(&mut self, group: usize, asked: usize, end: Time) -> Time {
        let members = std::mem::take(&mut self.groups[group]);
        loop {
            let due = members.iter().map(|&member| (self.host_due(member), member)).min();
            let Some((now, member)) = due.filter(|(now, _)| *now < end) else { break };
            if self.look_due(member) <= now {
                self.look(member);
                continue;
            }
            if self.fault_due(member) <= now {
                self.apply_fault(member);
                continue;
            }
            self.with_host(member, |host, ports, outlet| host.step(now, ports, outlet));
            self.deliver_signals(now, member);
        }
        for &member in &members {
            self.outlet.next[member as usize] = self.host_due(member);
        }
        self.groups[group] = members;
        self.outlet.next[asked]
    }

    fn deliver_signals(&mut self, now: Time, from: u32) {
        let mut waiting = VecDeque::from([from]);
        while let Some(sender) = waiting.pop_front() {
            while let Some((to, token)) = self.with_host(sender, |host, _, _| host.take_signal()) {
                let target = *self.group_nodes.get(&to).expect("signals stay in the group");
                self.with_host(target, |host, ports, outlet| {
                    host.on_signal(now, token, ports, outlet);
                });
                waiting.push_back(target);
            }
        }
    }

    fn host_due(&mut self, member: u32) -> Time {
        let event = self.with_host(member, |host, ports, outlet| host.next_event(ports, outlet));
        event.min(self.fault_due(member))
    }

    fn with_host<R>(
        &mut self,
        place: u32,
        call: impl FnOnce(&mut Host<E, P>, &mut Ports<'_>, &mut Outlet) -> R,
    ) -> R {
        let node = self.nodes[place as usize];
        let Role::Host(number) = node.role else { panic!("node {place} is no host") };
        let mut ports = view(&mut self.ports, &mut self.busy, &self.gate, &self.profiles, node);
        call(&mut self.hosts[number as usize], &mut ports, &mut self.outlet)
    }

    /// Applies the first change that waits for the node.
    fn apply_fault(&mut self, node: u32) {
        let list = self.faults.get_mut(&node).expect("a node with a change due");
        let fault = list.pop_front().expect("a list of changes is never empty");
        if list.is_empty() {
            self.faults.remove(&node);
        }
        *self.changed.entry(node).or_default() += 1;
        match fault {
            NodeFault::Port(fault) => self.change_port(node, &fault),
            NodeFault::Fail(at) => self.with_switch(node, |switch, ports, outlet| {
                switch.fail(at, ports, outlet);
            }),
            NodeFault::Route(_, detour) => {
                self.with_switch(node, |switch, _, _| switch.set_detour(detour));
            }
        }
    }

    /// Renews what a change that was applied before the shard's state was stored has left outside of it.
    pub(crate) fn renew(&mut self, node: u32, change: NodeFault) {
        if let NodeFault::Route(_, detour) = change {
            self.with_switch(node, |switch, _, _| switch.set_detour(detour));
        }
    }

    fn change_port(&mut self, node: u32, fault: &PortFault) {
        let port = fault.port as usize;
        if fault.change.is_loss() {
            self.ports[port].change_link(fault.change, fault.sends);
            return;
        }
        match (fault.change, fault.sends) {
            (Change::Down, true) => {
                self.ports[port].special |= special::DOWN;
                self.restart(node, fault);
            }
            (Change::Up, true) => {
                self.ports[port].special &= !special::DOWN;
                // Credits of what was lost come back by counting anew.
                let at = match self.nodes[node as usize].role {
                    Role::Host(_) => after_frame(fault.at, self.busy[port]),
                    Role::Switch(_) => fault.at,
                };
                self.ports[port].send_credits(at, &mut self.outlet);
                self.restart(node, fault);
            }
            (Change::Down, false) => self.gate[port] |= gate::DOWN,
            (Change::Up, false) => self.gate[port] &= !gate::DOWN,
            (Change::Rate { ratio, .. }, true) => {
                self.ports[port].rate = self.ports[port].built_rate.scaled(ratio);
                self.ports[port].profile = fault.profile;
            }
            _ => {}
        }
    }

    /// A link that goes down or comes up forgets what was paused, so that neither end waits for a resume
    /// that was lost: the port sends (into the void, while the link is down), and says again what it
    /// holds paused itself.
    fn restart(&mut self, node: u32, fault: &PortFault) {
        let place = fault.port as usize - self.nodes[node as usize].first as usize;
        let port = &mut self.ports[fault.port as usize];
        port.forget_peer();
        port.note_paused(fault.at, &mut self.outlet);
        if port.pausing != 0 {
            port.request_pfc();
        }
        match self.nodes[node as usize].role {
            Role::Host(_) => self.with_host(node, |host, _, _| host.poll_by(fault.at)),
            Role::Switch(_) => {
                self.with_switch(node, |switch, ports, _| switch.kick(ports, fault.at, place));
            }
        }
    }

    fn with_switch(
        &mut self,
        place: u32,
        call: impl FnOnce(&mut Switch, &mut Ports<'_>, &mut Outlet),
    ) {
        let node = self.nodes[place as usize];
        let Role::Switch(number) = node.role else { panic!("node {place} is no switch") };
        let mut ports = view(&mut self.ports, &mut self.busy, &self.gate, &self.profiles, node);
        call(&mut self.switches[number as usize], &mut ports, &mut self.outlet);
    }

    /// Every packet of this shard stands in a queue or flies on a wire, and every pool is exact.
    pub(crate) fn audit(&self) {
        let queued: u64 = self.ports.iter().map(Port::queue_packets).sum();
        let live = self.outlet.arena.live();
        assert_eq!(live, queued + self.outlet.flying(), "packets in the arena but nowhere else");
        for node in &self.nodes {
            let Role::Switch(number) = node.role else { continue };
            let Some(shared) = &self.switches[number as usize].shared else { continue };
            let ports = &self.ports[node.first as usize..(node.first + node.ports) as usize];
            let queued: u64 = ports.iter().map(|p| p.lossless_bytes(&self.profiles)).sum();
            let used = match &shared.guard {
                Guard::Pauses(mmu) => mmu.used(),
                Guard::Credits => ports.iter().map(Port::credited_bytes).sum(),
            };
            assert_eq!(used, queued, "buffer accounting of a switch");
        }
    }
}

fn view<'a>(
    ports: &'a mut [Port],
    busy: &'a mut [Time],
    gate: &'a [u8],
    profiles: &'a [PortProfile],
    node: Node,
) -> Ports<'a> {
    let range = node.first as usize..(node.first + node.ports) as usize;
    Ports {
        first: node.first as usize,
        ports: &mut ports[range.clone()],
        busy: &mut busy[range.clone()],
        gate: &gate[range],
        profiles,
    }
}
