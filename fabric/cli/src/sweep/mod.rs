//! `ultraloom sweep`: a scenario with all settings of its `[sweep]`.
//!
//! Each run has a folder of its own, which appears when it is complete; a sweep that was killed at any moment goes on with those
//! that are not there. Tables and figures are made of the folders alone, so they do not depend on how the sweep came about.
//!
//! - [`plan`]: the runs, their folders and what they need
//! - `pool`: runs side by side within a budget of memory
//! - `tables`: what is made of all of them; `slurm`: a script for clusters

pub mod plan;
mod pool;
mod slurm;
mod tables;

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use crate::args::{Output, Sweep as Arguments};
use crate::error::UserError;
use crate::execute::{self, STOP};
use crate::say::{say, say_line};
use crate::scenario::sweep::Sweep;
use crate::{INTERRUPTED, UNFINISHED};
use results::sweep::SweepRun;

use plan::{About, Plan};
use pool::Pool;

/// Share of the free memory that runs may need together, unless said otherwise.
const FREE: f64 = 0.8;

/// Runs a sweep.
///
/// # Errors
/// What the user has to mend; nothing has run then.
pub fn sweep(arguments: &Arguments) -> Result<ExitCode, UserError> {
    let sweep = Sweep::load(Some(&arguments.scenario), &arguments.sets, arguments.seed)?;
    let loud = arguments.output == Output::Human;
    let plan = Plan::new(&sweep)?;
    if let Some(file) = &arguments.slurm {
        return slurm::write(file, arguments, &plan).map(|()| ExitCode::SUCCESS);
    }
    execute::stop_on_signals();
    let folder = plan::folder(arguments, &sweep)?;
    plan.open(&folder, &sweep, arguments.resume || arguments.shard.is_some())?;
    let all = plan.runs.len();
    let missing = plan.missing(&folder, arguments.shard);
    if loud {
        let (there, left) = (plan.complete(&folder), missing.len());
        eprintln!("{}: {all} runs, {there} of them complete, {left} to do", sweep.name);
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let pool = Pool {
        sweep: &sweep,
        folder: &folder,
        jobs: arguments.jobs.unwrap_or(cores) as usize,
        memory: arguments.memory.unwrap_or_else(free_memory),
        output: arguments.output,
    };
    let failed = pool.run(&missing);
    for text in &failed {
        eprintln!("failed: {text}");
    }
    if STOP.load(Ordering::Relaxed) {
        let there = plan.complete(&folder);
        eprintln!("interrupted: {there} of {all} runs are complete; --resume does the rest");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let there = plan.complete(&folder);
    if there < all {
        let left = all - there;
        eprintln!("{left} of {all} runs are not complete yet; tables follow when all are");
        return Ok(ExitCode::from(if failed.is_empty() { 0 } else { UNFINISHED }));
    }
    let made = tables::make(&folder, &sweep.name, &plan)?;
    match arguments.output {
        Output::Human => {
            say(&made.text);
            say_line(&format!("\nruns, tables and plots: {}", folder.display()));
        }
        Output::Json => say_line(&made.json),
        Output::Quiet => {}
    }
    for text in &made.wrong {
        eprintln!("{text}");
    }
    Ok(ExitCode::from(if made.wrong.is_empty() { 0 } else { UNFINISHED }))
}

/// The runs of a sweep's folder, and what it says of itself.
///
/// # Errors
/// When it cannot be read, or runs are missing.
pub(crate) fn read_back(folder: &Path) -> Result<(Vec<SweepRun>, About), UserError> {
    let about = About::read(folder)?;
    let runs = about.runs.iter().map(|run| tables::read(folder, &run.name, &run.settings));
    Ok((runs.collect::<Result<_, _>>()?, about))
}

/// Bytes that runs may need together, where the system tells what is free (Linux).
fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(u64::MAX, |free| (free as f64 * 1_024.0 * FREE) as u64)
}
