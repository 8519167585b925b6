//! A run: shards executed to the end, then read out.

use crate::deadlock;
use crate::digest::Digest;
use crate::endpoint::Endpoint;
use crate::engine::Progress;
use crate::engine::shard::Shard;
use crate::engine::threads::execute;
use crate::engine::window::{Limits, Outcome};
use crate::ids::{MessageId, NodeId};
use crate::layout::Layout;
use crate::net::host::Host;
use crate::net::tap::merge;
use crate::probe::{EndpointCounters, MessageRecord, PortCounters, PortRecord, RunRecord, Work};
use crate::program::Program;
use crate::units::{Span, Time};

/// A fabric that is ready to run.
pub struct Run<E, P> {
    shards: Vec<Shard<E, P>>,
    layout: Layout,
    lookahead: Span,
}

impl<E: Endpoint, P: Program> Run<E, P> {
    pub(crate) fn new(shards: Vec<Shard<E, P>>, layout: Layout, lookahead: Span) -> Run<E, P> {
        Run { shards, layout, lookahead }
    }

    /// The width of a window: the shortest latency of all links.
    pub fn lookahead(&self) -> Span {
        self.lookahead
    }

    /// Shards that have nodes.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Runs until no event is left, none is due before `until`, or [`Progress::stop`] is set.
    ///
    /// # Panics
    /// If an invariant of the model breaks: conservation of packets or buffer bytes, order of time.
    pub fn execute(mut self, threads: usize, until: Time, progress: &Progress) -> RunRecord {
        let limits = Limits { lookahead: self.lookahead, until: Time(until.0.min(u64::MAX - 1)) };
        let outcome = execute(&mut self.shards, threads, limits, progress);
        self.shards.iter().for_each(Shard::audit);
        self.read_out(outcome)
    }

    fn read_out(self, outcome: Outcome) -> RunRecord {
        let deadlock = deadlock::find(&self.shards, &self.layout);
        let mut digest = Digest::default();
        let mut work = Work { windows: outcome.windows, ..Work::default() };
        work.packets_in_flight_max = outcome.in_flight_max;
        let nodes = self.layout.first.len() - 1;
        let mut ports: Vec<Option<PortCounters>> = vec![None; self.layout.node.len()];
        let mut hosts: Vec<Option<Host<E, P>>> = Vec::new();
        hosts.resize_with(nodes, || None);
        let mut captures = Vec::new();
        for shard in self.shards {
            digest.merge(shard.outlet.digest);
            work.hops += shard.outlet.work.hops;
            captures.push(shard.outlet.taps.record);
            work.events += shard.outlet.work.events + shard.outlet.work.hops;
            shard.ports.iter().for_each(|port| ports[port.id.index()] = Some(port.counters));
            for host in shard.hosts {
                let place = host.id.index();
                hosts[place] = Some(host);
            }
        }
        let hosts: Vec<Host<E, P>> = hosts.into_iter().flatten().collect();
        RunRecord {
            messages: messages(&hosts),
            unposted: hosts.iter().map(|host| host.program.unposted()).sum(),
            ports: port_records(&self.layout, &ports),
            endpoints: hosts.iter().map(|host| host.counters).collect::<Vec<EndpointCounters>>(),
            work,
            end: outcome.last,
            digest: digest.0,
            capture: merge(captures.into_iter()),
            stopped: outcome.stopped,
            deadlock,
        }
    }
}

fn port_records(layout: &Layout, counters: &[Option<PortCounters>]) -> Vec<PortRecord> {
    let record = |(place, counters): (usize, &Option<PortCounters>)| {
        let node: NodeId = layout.node[place];
        PortRecord {
            node,
            port: (place as u32 - layout.first[node.index()]) as u16,
            peer: layout.node[layout.peer[place] as usize],
            counters: counters.expect("every port belongs to a shard"),
        }
    };
    counters.iter().enumerate().map(record).collect()
}

/// All messages by id, senders' and receivers' halves joined.
fn messages<E, P>(hosts: &[Host<E, P>]) -> Vec<MessageRecord> {
    let mut received: Vec<(MessageId, Time)> =
        hosts.iter().flat_map(|host| host.received.iter().copied()).collect();
    received.sort_unstable();
    let arrival = |id: MessageId| {
        let place = received.binary_search_by_key(&id, |(id, _)| *id);
        place.map_or(Time::NEVER, |place| received[place].1)
    };
    let sent = hosts.iter().flat_map(|host| host.log.iter().map(move |posted| (host.id, posted)));
    let mut records: Vec<MessageRecord> = sent
        .map(|(src, posted)| MessageRecord {
            id: posted.message.id,
            src,
            dst: posted.message.dst,
            bytes: posted.message.bytes,
            posted: posted.posted,
            received: arrival(posted.message.id),
            acked: posted.acked,
            failed: posted.failed,
        })
        .collect();
    records.sort_unstable_by_key(|record| record.id);
    records
}
