//! A row for every job of a workload that consists of several.

use crate::records::table::{Column, Table};
use crate::records::{Run, keys};
use crate::summary::JobFigures;

pub(super) fn table(runs: &[Run]) -> Table {
    let rows: Vec<(&Run, JobFigures)> = runs
        .iter()
        .flat_map(|run| {
            let jobs = run.context.jobs.iter();
            jobs.map(move |job| (run, JobFigures::of(job, &run.record, &run.context)))
        })
        .collect();
    let rows = || rows.iter();
    let number = |name, unit, meaning, value: fn(&JobFigures) -> u64| {
        Column::numbers(name, unit, meaning, rows().map(move |(_, job)| value(job)))
    };
    let real = |name, unit, meaning, value: fn(&JobFigures) -> Option<f64>| {
        Column::reals(name, unit, meaning, rows().map(move |(_, job)| value(job)))
    };
    let mut columns = keys(rows().map(|(run, _)| *run));
    columns.extend([
        Column::text("job", "its name", rows().map(|(_, job)| job.name.clone())),
        number("hosts", "", "hosts that it has", |job| job.hosts),
        real("start_us", "us", "when it begins", |job| Some(job.start_us)),
        number("flows", "", "messages that it has", |job| job.flows),
        number("completed", "", "messages that were completed", |job| job.completed),
        real("makespan_us", "us", "from its start to its end", |job| Some(job.makespan_us)),
        real("goodput_gbps", "Gb/s", "payload completed over that time", |job| {
            Some(job.goodput_gbps)
        }),
        real("fct_p50_us", "us", "median completion time of its messages", |j| Some(j.fct_us.p50)),
        real("fct_p99_us", "us", "99th percentile of them", |job| Some(job.fct_us.p99)),
        real("slowdown_p99", "", "99th percentile of slowdowns", |job| Some(job.slowdown.p99)),
        real("bus_bandwidth_gbps", "Gb/s", "of its collective, if it is one", |job| {
            job.collective.as_ref().map(|collective| collective.bus_bandwidth_gbps)
        }),
    ]);
    Table::new("jobs", "a row for every job of a workload that consists of several", columns)
}
