//! Several workloads side by side, and bursts that come between.

use fabric::units::Span;
use topologies::placement::Spread;

use crate::error::UserError;
use crate::scenario::model::{Workload, WorkloadKind};
use crate::scenario::sections::MANY;
use crate::scenario::tree::{Item, Section};
use crate::scenario::workload::workload;

/// Jobs, as asked for.
#[derive(Clone, Debug)]
pub struct JobsOptions {
    /// How hosts are given to them.
    pub spread: Spread,
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// One of several jobs.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it does.
    pub workload: Workload,
    /// Its hosts.
    pub seats: Seats,
    /// When it begins.
    pub start: Span,
}

/// Hosts of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seats {
    /// So many, which no other job has.
    Own(u32),
    /// All of the fabric's, beside the other jobs.
    Everywhere,
}

/// Bursts, as asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BurstOptions {
    /// Hosts that send in each.
    pub senders: u32,
    /// Bytes of each flow.
    pub bytes: u64,
    /// Mean time from one to the next.
    pub interval: Span,
    /// They come up to then.
    pub duration: Span,
    /// Decides about times and hosts.
    pub seed: u64,
}

/// Several workloads side by side.
pub(super) fn jobs(
    section: &Section<'_>,
    item: &Item,
    seed: u64,
) -> Result<JobsOptions, UserError> {
    let fragment = section.count("fragment", 1, MANY)?.unwrap_or(4) as u32;
    let spread = section.word(
        "placement",
        &[
            ("packed", Spread::Packed),
            ("random", Spread::Random),
            ("fragmented", Spread::Fragmented(fragment)),
            ("topology-aware", Spread::TopologyAware),
        ],
    )?;
    let tables = section.tables("jobs")?;
    if tables.is_empty() {
        let message = format!("`{}` is missing", section.name("jobs"));
        let help = "write for example [[workload.jobs]] kind = \"all-reduce\", ranks = 32 and bytes = \"16 MiB\"";
        return Err(UserError::at(&item.origin, message).help(help));
    }
    let jobs = tables.into_iter().map(|(section, item)| job(&section, item, seed));
    let jobs: Vec<Job> = jobs.collect::<Result<_, UserError>>()?;
    Ok(JobsOptions { spread: spread.unwrap_or(Spread::Packed), jobs: named_apart(jobs) })
}

fn job(section: &Section<'_>, item: &Item, seed: u64) -> Result<Job, UserError> {
    let start = section.span("start")?.unwrap_or(Span::ZERO);
    let everywhere = section.truth("everywhere")?.unwrap_or(false);
    let count = crate::scenario::sections::hosts(section, "ranks")?;
    for key in ["placement", "stride"] {
        if let Some(item) = section.get(key) {
            return Err(section.wrong(
                key,
                item,
                "nothing here: `workload.placement` is of all jobs",
            ));
        }
    }
    if let (true, Some(_), Some(item)) = (everywhere, count, section.get("ranks")) {
        return Err(section.wrong("ranks", item, "nothing beside `everywhere`, which gives all"));
    }
    let workload = workload(section, item, seed)?;
    let own = match &workload.kind {
        WorkloadKind::Jobs(_) => {
            return Err(UserError::at(&item.origin, "a job cannot consist of jobs"));
        }
        WorkloadKind::Serving(options) => Some(options.serving.ranks()),
        _ => count,
    };
    let seats = match (everywhere, own) {
        (true, _) => Seats::Everywhere,
        (false, Some(count)) => Seats::Own(count),
        (false, None) => {
            let message = format!("`{}` is missing", section.name("ranks"));
            let help = "it says how many hosts the job has; `everywhere = true` gives it all, beside the others";
            return Err(UserError::at(&item.origin, message).help(help));
        }
    };
    Ok(Job { workload, seats, start })
}

/// Jobs of the same name get numbers.
fn named_apart(mut jobs: Vec<Job>) -> Vec<Job> {
    let names: Vec<String> = jobs.iter().map(|job| job.workload.name.clone()).collect();
    for (place, job) in jobs.iter_mut().enumerate() {
        let same = |until: usize| names[..until].iter().filter(|name| **name == names[place]);
        if same(names.len()).count() > 1 {
            job.workload.name = format!("{} {}", names[place], same(place).count() + 1);
        }
    }
    jobs
}
