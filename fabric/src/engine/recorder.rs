//! What a shard records over time: see [`crate::series`].

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, NodeId};
use crate::net::port::Port;
use crate::probe::PortCounters;
use crate::series::{
    BufferSample, ConnectionSample, ConnectionState, PortSample, Sampling, Series, coarsen,
};
use crate::units::Time;

/// What is recorded of a port.
#[derive(Default, Serialize, Deserialize)]
struct Recorded {
    samples: Vec<PortSample>,
    /// Its counters at the last instant.
    last: PortCounters,
    /// The longest queue up to then: the port counts anew after each instant.
    queue_max: u64,
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recorder {
    sampling: Sampling,
    /// The first instant of each local node that has not been recorded.
    next: Vec<Time>,
    /// What local nodes are called outside.
    nodes: Vec<NodeId>,
    ports: Vec<Recorded>,
    series: Series,
    /// What a host's transport tells; reused.
    #[serde(skip)]
    states: Vec<ConnectionState>,
}

impl Recorder {
    /// For these nodes with so many ports together.
    pub(crate) fn new(sampling: Sampling, nodes: Vec<NodeId>, ports: usize) -> Recorder {
        Recorder {
            sampling,
            next: vec![sampling.instant_after(Time::ZERO); nodes.len()],
            nodes,
            ports: (0..ports).map(|_| Recorded::default()).collect(),
            series: Series::default(),
            states: Vec::new(),
        }
    }

    /// When a node is to be looked at next.
    #[inline]
    pub(crate) fn due(&self, node: u32) -> Time {
        self.next[node as usize]
    }

    /// The instant of `node` is over.
    pub(crate) fn advance(&mut self, node: u32) {
        let next = &mut self.next[node as usize];
        *next = self.sampling.instant_after(*next);
    }

    /// Records the ports of `node`, of which the first is the shard's port `first`.
    pub(crate) fn ports(&mut self, node: u32, first: u32, ports: &mut [Port]) {
        let at = self.due(node);
        for (port, recorded) in ports.iter_mut().zip(&mut self.ports[first as usize..]) {
            recorded.take(at, port, &self.sampling);
        }
    }

    /// Records how full a switch's shared buffer is.
    pub(crate) fn buffer(&mut self, node: u32, used: u64) {
        if used > 0 {
            let (at, node) = (self.due(node), self.nodes[node as usize]);
            self.series.buffers.push(BufferSample { at, node, used });
        }
    }

    /// Records a host's connections; `tell` lists as many as asked for.
    pub(crate) fn connections(
        &mut self,
        node: u32,
        tell: impl FnOnce(usize, &mut Vec<ConnectionState>),
    ) {
        let at = self.due(node);
        let host = HostId(self.nodes[node as usize].0);
        tell(self.sampling.connections as usize, &mut self.states);
        let states = self.states.drain(..).map(|state| ConnectionSample { at, host, state });
        self.series.connections.extend(states);
    }

    /// What was recorded. `ports` are the shard's, as they are at the end; their longest queues are put right.
    pub(crate) fn finish(mut self, nodes: &[(u32, u32)], ports: &mut [Port]) -> Series {
        for (node, (first, count)) in nodes.iter().enumerate() {
            let own = *first as usize..(first + count) as usize;
            self.ports(node as u32, *first, &mut ports[own]);
        }
        for (port, recorded) in ports.iter_mut().zip(self.ports) {
            let most = &mut port.counters.queue_bytes_max;
            *most = recorded.queue_max.max(*most);
            self.series.ports.extend(recorded.samples);
        }
        self.series
    }
}

impl Recorded {
    fn take(&mut self, at: Time, port: &mut Port, sampling: &Sampling) {
        let (now, last) = (port.counters, self.last);
        let queue = port.queue_bytes();
        let dropped = now.dropped() - last.dropped();
        if now.packets == last.packets && queue == 0 && now.queue_bytes_max == 0 && dropped == 0 {
            return;
        }
        let less = |now: u64, last: u64| u32::try_from(now - last).unwrap_or(u32::MAX);
        self.samples.push(PortSample {
            at,
            port: port.id,
            bytes: now.bytes - last.bytes,
            queue,
            queue_max: now.queue_bytes_max,
            packets: less(now.packets, last.packets),
            marked: less(now.ecn_marked, last.ecn_marked),
            trimmed: less(now.trimmed, last.trimmed),
            dropped: u32::try_from(dropped).unwrap_or(u32::MAX),
            paused: port.paused,
        });
        self.last = now;
        self.queue_max = self.queue_max.max(now.queue_bytes_max);
        port.counters.queue_bytes_max = queue;
        if self.samples.len() > 2 * sampling.most as usize {
            coarsen(&mut self.samples, sampling.interval_after(Time(at.0 - 1)));
        }
    }
}
