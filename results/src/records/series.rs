//! Samples over time: ports, shared buffers, connections.

use std::cmp::Reverse;

use fabric::graph::Graph;
use fabric::series::{BufferSample, ConnectionSample, ConnectionState, PortSample, Series};

use crate::records::table::{Column, Table};
use crate::records::{Records, Run, keys};

/// The runs of which something was recorded over time.
fn recorded(runs: &[Run]) -> impl Iterator<Item = (&Run, &Series)> + Clone {
    runs.iter().filter_map(|run| run.record.series.as_ref().map(|series| (run, series)))
}

/// The samples of the ports through which most bytes went.
fn busiest<'a>(run: &'a Run, series: &'a Series, most: usize) -> Vec<&'a PortSample> {
    let ports = &run.record.ports;
    let mut order: Vec<usize> = (0..ports.len()).collect();
    order.sort_by_key(|place| Reverse(ports[*place].counters.bytes));
    let mut is_kept = vec![false; ports.len()];
    order.iter().take(most).for_each(|place| is_kept[*place] = true);
    series.ports.iter().filter(|sample| is_kept[sample.port.index()]).collect()
}

pub(super) fn ports(records: &Records<'_>) -> Table {
    let rows: Vec<(&Run, &Series, &PortSample)> = recorded(records.runs)
        .flat_map(|(run, series)| {
            let kept = busiest(run, series, records.bounds.ports);
            kept.into_iter().map(move |sample| (run, series, sample))
        })
        .collect();
    let rows = || rows.iter();
    let graph = |run: &Run| records.graph(run);
    let of = |run: &Run, sample: &PortSample| run.record.ports[sample.port.index()];
    let name = |graph: Option<&Graph>, node| graph.map_or_else(String::new, |g| g.name(node));
    let mut columns = keys(rows().map(|(run, ..)| *run));
    columns.extend([
        Column::numbers(
            "at_ps",
            "ps",
            "end of the interval, from the start of the workload",
            rows().map(|(.., sample)| sample.at.0),
        ),
        Column::numbers(
            "interval_ps",
            "ps",
            "its length",
            rows().map(|(_, series, _)| series.interval.0),
        ),
        Column::text(
            "node",
            "node of the port",
            rows().map(|(run, _, sample)| name(graph(run), of(run, sample).node)),
        ),
        Column::numbers(
            "port",
            "",
            "number of the port at its node",
            rows().map(|(run, _, sample)| of(run, sample).port.into()),
        ),
        Column::text(
            "peer",
            "node at the other end of the link",
            rows().map(|(run, _, sample)| name(graph(run), of(run, sample).peer)),
        ),
        Column::numbers(
            "link",
            "",
            "number of the link, as in `links`",
            rows().map(|(run, _, sample)| of(run, sample).link.0.into()),
        ),
        Column::numbers(
            "bytes",
            "B",
            "frame bytes sent in the interval",
            rows().map(|(.., sample)| sample.bytes),
        ),
        Column::reals(
            "utilisation",
            "",
            "those bytes over what the link as built carries in the interval, preambles and gaps left out",
            rows().map(|(run, series, sample)| {
                let rate = graph(run)?.links[of(run, sample).link.index()].rate;
                Some(sample.bytes as f64 / rate.bytes_in(series.interval).max(1) as f64)
            }),
        ),
        Column::numbers(
            "packets",
            "",
            "packets sent in the interval",
            rows().map(|(.., sample)| sample.packets.into()),
        ),
        Column::numbers(
            "queue_bytes",
            "B",
            "egress queue at its end, all classes",
            rows().map(|(.., sample)| sample.queue),
        ),
        Column::numbers(
            "queue_bytes_max",
            "B",
            "longest egress queue in it",
            rows().map(|(.., sample)| sample.queue_max),
        ),
        Column::numbers(
            "ecn_marked",
            "",
            "packets marked in it",
            rows().map(|(.., sample)| sample.marked.into()),
        ),
        Column::numbers(
            "trimmed",
            "",
            "packets trimmed in it",
            rows().map(|(.., sample)| sample.trimmed.into()),
        ),
        Column::numbers(
            "dropped",
            "",
            "packets lost in it, all causes",
            rows().map(|(.., sample)| sample.dropped.into()),
        ),
        Column::numbers(
            "paused_classes",
            "",
            "mask of traffic classes that the peer holds back at its end",
            rows().map(|(.., sample)| sample.paused.into()),
        ),
    ]);
    let title = "a row for every port and interval in which something passed it or stood in it";
    Table::new("port_samples", title, columns)
}

pub(super) fn buffers(records: &Records<'_>) -> Table {
    let rows = || {
        recorded(records.runs)
            .flat_map(|(run, series)| series.buffers.iter().map(move |sample| (run, sample)))
    };
    let name = |run: &Run, sample: &BufferSample| {
        records.graph(run).map_or_else(String::new, |graph| graph.name(sample.node))
    };
    let mut columns = keys(rows().map(|(run, _)| run));
    columns.extend([
        Column::numbers(
            "at_ps",
            "ps",
            "when, from the start of the workload",
            rows().map(|(_, sample)| sample.at.0),
        ),
        Column::text("node", "the switch", rows().map(|(run, sample)| name(run, sample))),
        Column::numbers(
            "used_bytes",
            "B",
            "bytes of its shared buffer in use, headroom included; with credits, bytes that hold one",
            rows().map(|(_, sample)| sample.used),
        ),
    ]);
    let title =
        "a row for every switch with lossless classes and instant at which its buffer was in use";
    Table::new("buffer_samples", title, columns)
}

/// What is told of a connection: name, unit, meaning, value.
type Told = (&'static str, &'static str, &'static str, fn(&ConnectionState) -> Option<u64>);

const TOLD: [Told; 4] = [
    ("cwnd_bytes", "B", "bytes that may be in flight; missing without a window", |s| s.window),
    ("rate_bps", "b/s", "rate that it is paced at; missing without one", |s| s.rate),
    ("in_flight_bytes", "B", "bytes in flight; of TCP, bytes in its socket", |s| s.in_flight),
    ("rtt_ps", "ps", "last round trip measured; missing before the first", |s| {
        s.rtt.map(|rtt| rtt.0)
    }),
];

pub(super) fn connections(runs: &[Run]) -> Table {
    let rows = || {
        recorded(runs)
            .flat_map(|(run, series)| series.connections.iter().map(move |sample| (run, sample)))
    };
    let number = |name, unit, meaning, value: fn(&ConnectionSample) -> u64| {
        Column::numbers(name, unit, meaning, rows().map(move |(_, sample)| value(sample)))
    };
    let mut columns = keys(rows().map(|(run, _)| run));
    columns.extend([
        number("at_ps", "ps", "when, from the start of the workload", |s| s.at.0),
        number("host", "host", "sending host", |s| s.host.0.into()),
        number("connection", "", "the host's number of the connection", |s| s.state.number.into()),
        number("dst", "host", "receiving host", |s| s.state.dst.0.into()),
    ]);
    for (name, unit, meaning, value) in TOLD {
        let values = rows().map(move |(_, sample)| value(&sample.state));
        columns.push(Column::optional(name, unit, meaning, values));
    }
    let title = "a row for every connection that is looked at (UET PDC, RoCE queue pair, TCP connection) and instant at \
                 which it had something to do";
    Table::new("connection_samples", title, columns)
}
