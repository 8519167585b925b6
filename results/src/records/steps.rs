//! A row for every named stretch of a program: collectives, iterations, requests.

use fabric::ids::HostId;
use fabric::program::Mark;

use crate::records::table::{Column, Table};
use crate::records::{Run, keys};

pub(super) fn table(runs: &[Run]) -> Table {
    let rows = || {
        runs.iter().flat_map(|run| {
            let reports = run.record.reports.iter();
            reports.flat_map(move |(host, report)| {
                report.marks.iter().map(move |mark| (run, *host, *mark))
            })
        })
    };
    let name = |run: &Run, mark: Mark| run.context.labels[mark.label as usize].clone();
    let number = |name, unit, meaning, value: fn(HostId, Mark) -> u64| {
        Column::numbers(name, unit, meaning, rows().map(move |(_, host, mark)| value(host, mark)))
    };
    let mut columns = keys(rows().map(|(run, ..)| run));
    columns.extend([
        Column::text("step", "its name", rows().map(|(run, _, mark)| name(run, mark))),
        number("host", "host", "the host of the rank", |host, _| host.0.into()),
        number("start_ps", "ps", "when the rank entered it", |_, mark| mark.start.0),
        number("end_ps", "ps", "when the rank left it", |_, mark| mark.end.0),
    ]);
    let title = "a row for every rank and step of a program that has a name: collectives, iterations, requests";
    Table::new("steps", title, columns)
}
