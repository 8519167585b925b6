//! A record for every port.

use fabric::probe::PortCounters;

use crate::records::table::{Column, Table};
use crate::records::{Records, keys};

/// Counters in file order: name, meaning, value.
type Counter = (&'static str, &'static str, &'static str, fn(&PortCounters) -> u64);

const COUNTERS: [Counter; 21] = [
    ("packets", "", "packets sent: packet-hops", |c| c.packets),
    ("bytes", "B", "frame bytes sent, without preamble and gap", |c| c.bytes),
    ("dropped_full", "", "packets dropped because the queue was full", |c| c.dropped_full),
    ("dropped_buffer", "", "packets that came in here and found the shared buffer full", |c| {
        c.dropped_buffer
    }),
    ("dropped_link_down", "", "packets lost because the link was down", |c| c.dropped_link_down),
    ("dropped_error", "", "packets that arrived in error at the other end", |c| c.dropped_error),
    ("dropped_injected", "", "packets lost on the wire by a fault", |c| c.dropped_injected),
    ("dropped_unroutable", "", "packets that came in here and had no port to leave by", |c| {
        c.dropped_unroutable
    }),
    ("dropped_watchdog", "", "packets dropped by the PFC watchdog", |c| c.dropped_watchdog),
    ("trimmed", "", "packets trimmed", |c| c.trimmed),
    ("ecn_marked", "", "packets marked", |c| c.ecn_marked),
    ("pauses_sent", "", "PFC pauses sent", |c| c.pauses_sent),
    ("resumes_sent", "", "PFC resumes sent", |c| c.resumes_sent),
    ("pauses_received", "", "PFC pauses received", |c| c.pauses_received),
    ("watchdog_storms", "", "times a queue was paused for too long", |c| c.watchdog_storms),
    ("llr_replayed", "", "frames sent again by link-level retry", |c| c.llr_replayed),
    ("llr_nacks", "", "NACKs of link-level retry received", |c| c.llr_nacks),
    ("llr_timeouts", "", "replays because no NACK came", |c| c.llr_timeouts),
    ("credit_stalls", "", "times a class ran out of credits", |c| c.credit_stalls),
    ("credit_updates", "", "credit updates sent", |c| c.credit_updates),
    ("queue_bytes_max", "B", "longest egress queue, all classes", |c| c.queue_bytes_max),
];

pub(super) fn table(records: &Records<'_>) -> Table {
    let rows =
        || records.runs.iter().flat_map(|run| run.record.ports.iter().map(move |p| (run, p)));
    let name = |run, node| records.graph(run).map_or_else(String::new, |graph| graph.name(node));
    let mut columns = keys(rows().map(|(run, _)| run));
    columns.extend([
        Column::text("node", "node of the port", rows().map(|(run, port)| name(run, port.node))),
        Column::numbers(
            "port",
            "",
            "number of the port at its node",
            rows().map(|(_, port)| u64::from(port.port)),
        ),
        Column::text(
            "peer",
            "node at the other end of the link",
            rows().map(|(run, port)| name(run, port.peer)),
        ),
        Column::numbers(
            "link",
            "",
            "number of the link, as in `links`",
            rows().map(|(_, port)| u64::from(port.link.0)),
        ),
    ]);
    for (name, unit, meaning, value) in COUNTERS {
        let values = rows().map(move |(_, port)| value(&port.counters));
        columns.push(Column::numbers(name, unit, meaning, values));
    }
    Table::new("ports", "a row for every port: what it counted", columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every counter of a port has its column.
    #[test]
    fn every_counter_has_a_column() {
        let mut names: Vec<&str> = COUNTERS.iter().map(|counter| counter.0).collect();
        names.sort_unstable();
        let counters = PortCounters::default();
        let mut known: Vec<&str> = counters.entries().iter().map(|entry| entry.0).collect();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
