//! What a run leaves behind, as tables: one schema, with the meaning and unit of every column in the file.
//!
//! - [`table`]: columns, and the forms in which tables are written; [`read`]: tables read back
//! - `flows`, `hosts`, `steps`, `jobs`: a row a message, a host, a named stretch of a program, a job
//! - `ports`: counters; `series`: samples of ports, shared buffers and connections over time
//! - `fabric`: nodes, links and faults
//! - [`histograms`]: distributions as HDR histograms

mod fabric;
mod flows;
pub mod histograms;
mod hosts;
mod jobs;
mod ports;
pub mod read;
mod series;
mod steps;
pub mod table;

use ::fabric::fault::{Fault, SwitchFault};
use ::fabric::graph::Graph;
use ::fabric::probe::{MessageRecord, RunRecord};
use ::fabric::units::Time;

use crate::summary::{Context, JobShape};
use table::{Column, Table};

/// One workload of one variant, over.
#[derive(Clone, Debug)]
pub struct Run {
    /// Variant.
    pub variant: String,
    /// Workload.
    pub workload: String,
    /// What the engine recorded.
    pub record: RunRecord,
    /// What it does not know of it.
    pub context: Context,
}

impl Run {
    /// The job of a message; nothing where there are none.
    fn job(&self, message: &MessageRecord) -> String {
        let own = |job: &&JobShape| (job.numbers.0..job.numbers.1).contains(&message.id.0);
        self.context.jobs.iter().find(own).map_or_else(String::new, |job| job.name.clone())
    }

    /// `fct_us` or `slowdown` of a message that finished.
    pub fn figure_of(&self, message: u32, figure: &str) -> Option<f64> {
        let messages = &self.record.messages;
        let place = messages.iter().position(|m| m.id.0 == message)?;
        let message = &messages[place];
        let time = (message.acked != Time::NEVER).then(|| message.acked.since(message.posted))?;
        match figure {
            "fct_us" => Some(time.as_micros()),
            "slowdown" => Some(time.0 as f64 / self.context.ideals.get(place)?.0.max(1) as f64),
            _ => None,
        }
    }
}

/// The fabric of a variant, and what happens to it.
#[derive(Clone, Copy, Debug)]
pub struct Fabric<'a> {
    /// Variant.
    pub variant: &'a str,
    /// Nodes and links.
    pub graph: &'a Graph,
    /// Changes of links.
    pub faults: &'a [Fault],
    /// Switches that fail or come back.
    pub switch_faults: &'a [SwitchFault],
}

/// How much is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Ports whose samples are written: of each run those through which most bytes went.
    pub ports: usize,
    /// Most rows of flows of each run: beyond it the slowest ones and every so many-th other.
    pub flows: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { ports: 4_096, flows: 1_000_000 }
    }
}

/// Everything that is written.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// Runs, variant by variant.
    pub runs: &'a [Run],
    /// The fabric of each variant.
    pub fabrics: &'a [Fabric<'a>],
    /// How much of it.
    pub bounds: Bounds,
}

impl Records<'_> {
    /// All tables, each made when it is asked for; those of which a run has nothing are empty.
    pub fn each(&self) -> impl Iterator<Item = Table> {
        let make: [fn(&Records<'_>) -> Table; 11] = [
            |all| flows::table(all.runs, all.bounds.flows),
            |all| hosts::table(all.runs),
            |all| steps::table(all.runs),
            |all| jobs::table(all.runs),
            ports::table,
            series::ports,
            series::buffers,
            |all| series::connections(all.runs),
            |all| fabric::nodes(all.fabrics),
            |all| fabric::links(all.fabrics),
            |all| fabric::faults(all.fabrics),
        ];
        make.into_iter().map(|make| make(self))
    }

    /// The same, all at once.
    pub fn tables(&self) -> Vec<Table> {
        self.each().collect()
    }

    /// The graph of a run's variant.
    fn graph(&self, run: &Run) -> Option<&Graph> {
        let own = self.fabrics.iter().find(|fabric| fabric.variant == run.variant);
        own.map(|fabric| fabric.graph)
    }
}

/// The tables without rows: what there is to describe.
pub fn schema() -> Vec<Table> {
    Records { runs: &[], fabrics: &[], bounds: Bounds::default() }.tables()
}

/// The first columns of tables of runs: which variant and workload a row is of. `rows` gives the run of each row.
fn keys<'a>(rows: impl Iterator<Item = &'a Run> + Clone) -> Vec<Column> {
    vec![
        Column::text(
            "variant",
            "variant of the scenario",
            rows.clone().map(|run| run.variant.clone()),
        ),
        Column::text("workload", "workload of the variant", rows.map(|run| run.workload.clone())),
    ]
}

/// A time that may never have come.
fn moment(time: Time) -> Option<u64> {
    (time != Time::NEVER).then_some(time.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::summary::tests::record;
    use ::fabric::units::Span;

    /// A run of `uec` whose messages took so many microseconds; the first belongs to job `a`, all others to `b`.
    pub(crate) fn run(times: &[Option<u64>]) -> Run {
        let job = |name: &str, numbers| JobShape {
            name: name.into(),
            hosts: Vec::new(),
            start: Span::ZERO,
            numbers,
            messages: 1,
            labels: (0, 0),
            collective: None,
        };
        let context = Context {
            messages: times.len() as u64,
            ideals: vec![Span::from_micros(2); times.len()],
            jobs: vec![job("a", (0, 1)), job("b", (1, u32::MAX))],
            ..Context::default()
        };
        let (variant, workload) = ("uec".into(), "all-reduce".into());
        Run { variant, workload, record: record(times), context }
    }

    /// Every table and column says what it is, and names of tables are those of files.
    #[test]
    fn everything_is_described() {
        let names: Vec<&str> = schema().iter().map(|table| table.name).collect();
        for table in schema() {
            assert!(table.title.starts_with("a row for every "), "{}", table.title);
            let columns = table.describe();
            assert!(!columns.is_empty() && columns[0].name == "variant", "{}", table.name);
            assert!(columns.iter().all(|column| !column.meaning.is_empty()));
        }
        assert!(names.contains(&"flows") && names.contains(&"port_samples"));
    }
}
