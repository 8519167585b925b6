//! What the shards of one rank leave behind, and how all ranks' make one record.

use serde::{Deserialize, Serialize};

use crate::capture::CaptureRecord;
use crate::deadlock::{self, Standing};
use crate::digest::Digest;
use crate::engine::shard::Shard;
use crate::engine::window::{Outcome, Stage};
use crate::ids::{HostId, LinkId, MessageId, PortId};
use crate::layout::Layout;
use crate::net::host::Posted;
use crate::net::tap;
use crate::probe::{EndpointCounters, MessageRecord, PortCounters, PortRecord, RunRecord, Work};
use crate::program::{Program, Report};
use crate::series::{Sampling, Series};
use crate::units::Time;

/// See the module.
#[derive(Serialize, Deserialize)]
pub(crate) struct Part {
    posted: Vec<(HostId, Posted)>,
    received: Vec<(MessageId, Time)>,
    unposted: u64,
    reports: Vec<(HostId, Report)>,
    ports: Vec<(PortId, PortCounters)>,
    endpoints: Vec<(HostId, EndpointCounters)>,
    work: Work,
    digest: Digest,
    capture: CaptureRecord,
    series: Option<Series>,
    standing: Vec<Standing>,
    outcome: Outcome,
}

impl Part {
    /// The part of these shards, whose run came to `outcome`.
    pub(crate) fn of<E, P: Program>(shards: Vec<Shard<E, P>>, outcome: Outcome) -> Part {
        let mut part = Part {
            posted: Vec::new(),
            received: Vec::new(),
            unposted: 0,
            reports: Vec::new(),
            ports: Vec::new(),
            endpoints: Vec::new(),
            work: Work::default(),
            digest: Digest::default(),
            capture: CaptureRecord::default(),
            series: None,
            standing: deadlock::standing(&shards),
            outcome,
        };
        for Shard { nodes, outlet, mut ports, hosts, recorder, .. } in shards {
            if let Some(recorder) = recorder {
                let nodes: Vec<_> = nodes.iter().map(|node| (node.first, node.ports)).collect();
                let series = recorder.finish(&nodes, &mut ports);
                part.series.get_or_insert_default().append(series);
            }
            part.digest.merge(outlet.digest);
            part.work.hops += outlet.work.hops;
            part.work.events += outlet.work.events + outlet.work.hops;
            // Packets and wires go before the lists are made: else these would be on top of the most that a run took.
            let (capture, observed) = outlet.into_records();
            part.capture.append(capture);
            if let (Some(series), Some(observed)) = (&mut part.series, observed) {
                series.observe(&observed);
            }
            part.ports.extend(ports.iter().map(|port| (port.id, port.counters)));
            drop(ports);
            for host in hosts {
                part.posted.extend(host.log.into_iter().map(|posted| (host.id, posted)));
                part.received.extend(host.received);
                part.endpoints.push((host.id, host.counters));
                part.unposted += host.program.unposted();
                part.reports.extend(host.program.report().map(|report| (host.id, report)));
            }
        }
        part
    }

    /// As bytes, to another rank.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("records are plain data")
    }

    /// From the bytes of [`Part::encode`].
    pub(crate) fn decode(bytes: &[u8]) -> Part {
        postcard::from_bytes(bytes).expect("ranks run the same program")
    }

    fn append(&mut self, other: Part) {
        self.posted.extend(other.posted);
        self.received.extend(other.received);
        self.unposted += other.unposted;
        self.reports.extend(other.reports);
        self.ports.extend(other.ports);
        self.endpoints.extend(other.endpoints);
        self.work.hops += other.work.hops;
        self.work.events += other.work.events;
        self.digest.merge(other.digest);
        self.capture.append(other.capture);
        if let Some(series) = other.series {
            self.series.get_or_insert_default().append(series);
        }
        self.standing.extend(other.standing);
        // Ranks whose links to others are longer than their own have windows of their own.
        let (own, other) = (&mut self.outcome, other.outcome);
        own.windows = own.windows.max(other.windows);
        own.in_flight_max = own.in_flight_max.max(other.in_flight_max);
        own.last = own.last.max(other.last);
    }
}

/// The record of a run from the parts of all its ranks; `None` where there are none.
pub(crate) fn merge(
    parts: impl IntoIterator<Item = Part>,
    layout: &Layout,
    sampling: Option<Sampling>,
) -> Option<RunRecord> {
    let mut parts = parts.into_iter();
    let mut all = parts.next()?;
    parts.for_each(|part| all.append(part));
    all.ports.sort_unstable_by_key(|(port, _)| *port);
    all.endpoints.sort_unstable_by_key(|(host, _)| *host);
    all.reports.sort_unstable_by_key(|(host, _)| *host);
    tap::sort(&mut all.capture);
    if let (Some(series), Some(sampling)) = (&mut all.series, sampling) {
        series.settle(sampling);
    }
    let work = Work {
        windows: all.outcome.windows,
        packets_in_flight_max: all.outcome.in_flight_max,
        ..all.work
    };
    Some(RunRecord {
        messages: messages(all.posted, all.received),
        unposted: all.unposted,
        reports: all.reports,
        ports: all.ports.iter().map(|port| port_record(layout, *port)).collect(),
        endpoints: all.endpoints.into_iter().map(|(_, counters)| counters).collect(),
        work,
        end: all.outcome.last,
        digest: all.digest.0,
        capture: all.capture,
        series: all.series,
        stopped: all.outcome.stage == Stage::Stopped,
        deadlock: deadlock::find(&all.standing, layout),
    })
}

fn port_record(layout: &Layout, (port, counters): (PortId, PortCounters)) -> PortRecord {
    let node = layout.node[port.index()];
    PortRecord {
        node,
        port: (port.0 - layout.first[node.index()]) as u16,
        peer: layout.node[layout.peer[port.index()] as usize],
        link: LinkId(layout.link[port.index()]),
        counters,
    }
}

/// All messages by id, senders' and receivers' halves joined.
fn messages(
    posted: Vec<(HostId, Posted)>,
    mut received: Vec<(MessageId, Time)>,
) -> Vec<MessageRecord> {
    received.sort_unstable();
    let arrival = |id: MessageId| {
        let place = received.binary_search_by_key(&id, |(id, _)| *id);
        place.map_or(Time::NEVER, |place| received[place].1)
    };
    let record = |(src, posted): (HostId, Posted)| MessageRecord {
        id: posted.message.id,
        src,
        dst: posted.message.dst,
        bytes: posted.message.bytes,
        posted: posted.posted,
        received: arrival(posted.message.id),
        acked: posted.acked,
        failed: posted.failed,
    };
    let mut records: Vec<MessageRecord> = posted.into_iter().map(record).collect();
    records.sort_unstable_by_key(|record| record.id);
    records
}
