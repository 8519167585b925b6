//! A row for every host.

use fabric::ids::HostId;
use fabric::probe::EndpointCounters;
use fabric::program::Report;

use crate::records::table::{Column, Table};
use crate::records::{Run, keys};

/// Counters in file order: name, unit, meaning, value.
type Counter = (&'static str, &'static str, &'static str, fn(&EndpointCounters) -> u64);

const COUNTERS: [Counter; 18] = [
    ("new", "", "data packets sent for the first time", |c| c.new),
    ("retransmitted", "", "data packets sent again", |c| c.retransmitted),
    ("acks", "", "acknowledgements sent", |c| c.acks),
    ("nacks", "", "negative acknowledgements sent", |c| c.nacks),
    ("credits", "", "credits (pulls) sent", |c| c.credits),
    ("cnps", "", "congestion notifications sent, or marks echoed in acknowledgements", |c| c.cnps),
    ("ecn_marked", "", "data packets that arrived marked", |c| c.ecn_marked),
    ("trimmed", "", "data packets that arrived trimmed", |c| c.trimmed),
    ("duplicates", "", "data packets that arrived a second time", |c| c.duplicates),
    ("out_of_order", "", "data packets that arrived before one that was missing", |c| {
        c.out_of_order
    }),
    ("timeouts", "", "retransmission timeouts", |c| c.timeouts),
    ("inferred", "", "losses inferred by this receiver", |c| c.inferred),
    ("probes", "", "tail probes sent", |c| c.probes),
    ("pdcs", "", "UET packet delivery contexts opened", |c| c.pdcs),
    ("closes", "", "contexts closed", |c| c.closes),
    ("pdc_errors", "", "contexts given up", |c| c.pdc_errors),
    ("qp_errors", "", "RoCE queue pairs given up", |c| c.qp_errors),
    ("delivered_bytes", "B", "payload delivered, without duplicates", |c| c.delivered_bytes),
];

/// Times that a program knows: name, meaning, value.
type Spent = (&'static str, &'static str, fn(&Report) -> u64);

const SPENT: [Spent; 4] = [
    ("end_ps", "when its program had done all", |r| r.end.0),
    ("compute_ps", "computing", |r| r.compute.0),
    ("exposed_ps", "waiting for communication without computing", |r| r.exposed.0),
    ("hidden_ps", "communicating behind computing", |r| r.hidden.0),
];

fn report(run: &Run, host: usize) -> Option<&Report> {
    let reports = &run.record.reports;
    let place = reports.binary_search_by_key(&HostId(host as u32), |(host, _)| *host).ok()?;
    Some(&reports[place].1)
}

pub(super) fn table(runs: &[Run]) -> Table {
    let rows = || {
        runs.iter().flat_map(|run| {
            run.record.endpoints.iter().enumerate().map(move |(host, one)| (run, host, one))
        })
    };
    let mut columns = keys(rows().map(|(run, ..)| run));
    let hosts = rows().map(|(_, host, _)| host as u64);
    columns.push(Column::numbers("host", "host", "the host", hosts));
    for (name, unit, meaning, value) in COUNTERS {
        let values = rows().map(move |(.., counters)| value(counters));
        columns.push(Column::numbers(name, unit, meaning, values));
    }
    for (name, meaning, value) in SPENT {
        let values = rows().map(move |(run, host, _)| report(run, host).map(value));
        columns.push(Column::optional(name, "ps", meaning, values));
    }
    let title = "a row for every host: what its transport counted, how its program spent its time";
    Table::new("hosts", title, columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every counter of a host has its column, in the order in which it is declared.
    #[test]
    fn every_counter_has_a_column() {
        let counters = EndpointCounters::default();
        let known: Vec<&str> = counters.entries().iter().map(|entry| entry.0).collect();
        assert_eq!(COUNTERS.map(|counter| counter.0).to_vec(), known);
    }
}
