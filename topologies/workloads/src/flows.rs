//! The program that plays flows: each starts at its time or when its trigger fires.
//!
//! A trigger lives on the host of its first flow. A host whose flow fires it signals that host, which
//! counts, and signals the hosts of the flows to start; all of that takes no time.

use std::collections::BTreeMap;
use std::sync::Arc;

use fabric::ids::{HostId, MessageId};
use fabric::program::{Program, ProgramCx};
use serde::{Deserialize, Serialize};

use crate::matrix::{Connection, Matrix, Start, TriggerKind};
use crate::{AnyProgram, Workload};

/// A trigger with its flows and its home.
#[derive(Serialize, Deserialize)]
struct Trigger {
    kind: TriggerKind,
    home: HostId,
    /// Flows that it starts.
    flows: Vec<u32>,
}

/// What all hosts of a matrix share.
#[derive(Serialize, Deserialize)]
struct Plan {
    connections: Vec<Connection>,
    triggers: Vec<Trigger>,
}

/// Signals at or above this start a flow; below, they fire a trigger.
const START: u32 = 1 << 31;

/// The flows of one host.
#[derive(Serialize, Deserialize)]
pub struct Flows {
    plan: Arc<Plan>,
    /// Flows that start by time.
    timed: Vec<u32>,
    /// Firings of the triggers that live here.
    fired: BTreeMap<u32, u64>,
    /// Flows of this host not posted yet.
    left: u64,
}

impl Flows {
    fn post(&mut self, cx: &mut ProgramCx<'_>, flow: u32) {
        let connection = &self.plan.connections[flow as usize];
        cx.post(MessageId(flow), connection.dst, connection.bytes);
        self.left -= 1;
    }

    fn fire(&self, cx: &mut ProgramCx<'_>, trigger: Option<usize>) {
        if let Some(trigger) = trigger {
            cx.signal(self.plan.triggers[trigger].home, trigger as u32);
        }
    }

    /// A trigger that lives here fires.
    fn on_fired(&mut self, cx: &mut ProgramCx<'_>, number: u32) {
        let count = self.fired.entry(number).or_insert(0);
        *count += 1;
        let trigger = &self.plan.triggers[number as usize];
        let starts: &[u32] = match trigger.kind {
            TriggerKind::Oneshot if *count == 1 => &trigger.flows,
            TriggerKind::Barrier(needed) if *count == needed => &trigger.flows,
            TriggerKind::Multishot => {
                let next = *count as usize - 1;
                trigger.flows.get(next..=next).unwrap_or(&[])
            }
            _ => &[],
        };
        for flow in starts {
            cx.signal(self.plan.connections[*flow as usize].src, START | flow);
        }
    }
}

impl Program for Flows {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        for flow in std::mem::take(&mut self.timed) {
            if let Start::At(at) = self.plan.connections[flow as usize].start {
                cx.wake_at(at, flow);
            }
        }
    }

    fn on_sent(&mut self, cx: &mut ProgramCx<'_>, message: MessageId) {
        self.fire(cx, self.plan.connections[message.index()].send_done);
    }

    fn on_received(&mut self, cx: &mut ProgramCx<'_>, _: HostId, message: MessageId) {
        self.fire(cx, self.plan.connections[message.index()].recv_done);
    }

    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, flow: u32) {
        self.post(cx, flow);
    }

    fn on_signal(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        if token >= START {
            self.post(cx, token & !START);
        } else {
            self.on_fired(cx, token);
        }
    }

    fn unposted(&self) -> u64 {
        self.left
    }
}

/// The flows of `matrix` on a fabric of `hosts`, as many as the matrix has or more.
pub fn flows(matrix: &Matrix, hosts: u32) -> Workload {
    let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); matrix.triggers.len()];
    let mut timed: Vec<Vec<u32>> = vec![Vec::new(); hosts as usize];
    let mut left = vec![0; hosts as usize];
    for (flow, connection) in matrix.connections.iter().enumerate() {
        left[connection.src.index()] += 1;
        match connection.start {
            Start::At(_) => timed[connection.src.index()].push(flow as u32),
            Start::On(trigger) => waiting[trigger].push(flow as u32),
        }
    }
    let source = |flow: &u32| matrix.connections[*flow as usize].src;
    let triggers = matrix.triggers.iter().zip(waiting).map(|(trigger, flows)| Trigger {
        kind: trigger.kind,
        home: flows.first().map_or(HostId(0), source),
        flows,
    });
    let plan =
        Arc::new(Plan { triggers: triggers.collect(), connections: matrix.connections.clone() });
    let couplings = couplings(&plan, hosts);
    let program = |(timed, left)| {
        AnyProgram::Flows(Flows { plan: Arc::clone(&plan), timed, fired: BTreeMap::new(), left })
    };
    let programs = timed.into_iter().zip(left).map(program).collect();
    let numbers = matrix.connections.len().max(matrix.triggers.len()) as u64;
    let messages = matrix.connections.len() as u64;
    Workload { couplings, numbers, ..Workload::new(programs, messages) }
}

/// Groups of hosts that signal each other: connected by a trigger's home, its firing flows' ends and its
/// flows' sources.
fn couplings(plan: &Plan, hosts: u32) -> Vec<Vec<HostId>> {
    let mut parent: Vec<u32> = (0..hosts).collect();
    let mut join = |a: HostId, b: HostId| {
        let (a, b) = (root(&mut parent, a.0), root(&mut parent, b.0));
        parent[a.max(b) as usize] = a.min(b);
    };
    for connection in &plan.connections {
        if let Some(trigger) = connection.send_done {
            join(connection.src, plan.triggers[trigger].home);
        }
        if let Some(trigger) = connection.recv_done {
            join(connection.dst, plan.triggers[trigger].home);
        }
        if let Start::On(trigger) = connection.start {
            join(connection.src, plan.triggers[trigger].home);
        }
    }
    let mut groups: BTreeMap<u32, Vec<HostId>> = BTreeMap::new();
    for host in 0..hosts {
        groups.entry(root(&mut parent, host)).or_default().push(HostId(host));
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

fn root(parent: &mut [u32], mut node: u32) -> u32 {
    while parent[node as usize] != node {
        parent[node as usize] = parent[parent[node as usize] as usize];
        node = parent[node as usize];
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use crate::matrix::parse;

    fn ids(text: &str) -> Vec<u64> {
        let matrix = parse(text).unwrap();
        let sent = play(&mut flows(&matrix, matrix.nodes));
        sent.iter().map(|message| matrix.connections[message.id.index()].id).collect()
    }

    /// A chain of triggers plays in its order, across hosts.
    #[test]
    fn a_chain_of_triggers_plays_in_order() {
        let text = "Nodes 6\nConnections 3\nTriggers 2\n\
            4->5 id 30 trigger 2 size 10\n\
            0->1 id 10 start 5 size 10 send_done_trigger 1\n\
            2->3 id 20 trigger 1 size 10 recv_done_trigger 2\n\
            trigger id 1 oneshot\ntrigger id 2 oneshot\n";
        assert_eq!(ids(text), [10, 20, 30]);
        let matrix = parse(text).unwrap();
        let groups = flows(&matrix, 8).couplings;
        assert_eq!(groups, [[0, 2].map(HostId), [3, 4].map(HostId)]);
    }

    /// A barrier waits for its count; a multishot starts one flow a firing.
    #[test]
    fn barriers_and_multishots_count() {
        let barrier = "Nodes 4\nConnections 4\nTriggers 1\n\
            0->1 id 1 start 0 size 10 send_done_trigger 1\n\
            1->2 id 2 start 9 size 10 send_done_trigger 1\n\
            2->3 id 3 trigger 1 size 10\n3->0 id 4 trigger 1 size 10\n\
            trigger id 1 barrier count 2\n";
        assert_eq!(ids(barrier), [1, 2, 3, 4]);
        let multishot = barrier.replace("barrier count 2", "multishot");
        assert_eq!(ids(&multishot), [1, 3, 2, 4]);
    }
}
