//! A record for every port.

use fabric::probe::{PortCounters, PortRecord};

use crate::columns::{Column, parquet};

/// The ports of one workload of one variant, with the names of their nodes.
#[derive(Clone, Debug)]
pub struct PortSet {
    /// Variant.
    pub variant: String,
    /// Workload.
    pub workload: String,
    /// Ports, each with the names of its node and of the peer.
    pub ports: Vec<(PortRecord, String, String)>,
}

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

/// All ports as a Parquet file: one row a port.
pub fn ports(sets: &[PortSet]) -> Vec<u8> {
    let rows = || sets.iter().flat_map(|set| set.ports.iter().map(move |port| (set, port)));
    let mut columns = vec![
        Column::text(
            "variant",
            "variant of the scenario",
            rows().map(|(set, _)| set.variant.clone()),
        ),
        Column::text(
            "workload",
            "workload of the variant",
            rows().map(|(set, _)| set.workload.clone()),
        ),
        Column::text("node", "node of the port", rows().map(|(_, port)| port.1.clone())),
        Column::numbers(
            "port",
            "",
            "number of the port at its node",
            rows().map(|(_, port)| u64::from(port.0.port)),
        ),
        Column::text(
            "peer",
            "node at the other end of the link",
            rows().map(|(_, port)| port.2.clone()),
        ),
    ];
    for (name, unit, meaning, value) in COUNTERS {
        let values = rows().map(move |(_, port)| value(&port.0.counters));
        columns.push(Column::numbers(name, unit, meaning, values));
    }
    parquet("Ultraloom ports", columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::ids::NodeId;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// Every counter of a port has its column.
    #[test]
    fn every_counter_has_a_column() {
        let mut names: Vec<&str> = COUNTERS.iter().map(|counter| counter.0).collect();
        names.sort_unstable();
        let counters = PortCounters::default();
        let mut known: Vec<&str> = counters.entries().iter().map(|entry| entry.0).collect();
        known.sort_unstable();
        assert_eq!(names, known);
        let record = PortRecord { node: NodeId(0), port: 3, peer: NodeId(9), counters };
        let set = PortSet {
            variant: "roce".into(),
            workload: "incast".into(),
            ports: vec![(record, "host:0".into(), "tor:1".into())],
        };
        let file = bytes::Bytes::from(ports(&[set]));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        assert_eq!(reader.schema().fields().len(), 5 + COUNTERS.len());
    }
}
