//! `ultraloom validate`: the fidelity table, our figures beside the reference simulator's.
//!
//! - [`rows`]: what is run and what it is held to; [`matrices`]: traffic by rule
//! - [`ns3`]: rows of the HPCC authors' model
//! - [`published`], [`flags`]: results of the reference with its command lines
//! - [`run`](mod@run): rows and seeds over threads
//! - [`compare`]: what counts as agreement; [`explained`]: rows known to disagree, and why
//! - [`report`]: the table, files and plot

pub mod compare;
pub mod explained;
pub mod flags;
pub mod matrices;
pub mod ns3;
pub mod published;
pub mod report;
pub mod rows;
pub mod run;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use results::fidelity::{Fidelity, Group};

use crate::args::{Table, Validate};
use crate::error::UserError;
use crate::execute::STOP;
use rows::{Expected, Row};

/// Published results that may differ: single runs, some of them of chaotic traffic.
const PUBLISHED_SPARE: u64 = 5;

/// Rows of one origin, and how many of them must agree.
struct Part {
    name: &'static str,
    rows: Vec<Row>,
    /// Rows that may disagree.
    spare: u64,
}

/// Runs the fidelity table.
///
/// # Errors
/// What the user has to mend; nothing has run or been written then.
pub fn validate(arguments: &Validate) -> Result<ExitCode, UserError> {
    let parts = parts(arguments)?;
    let folder = arguments.out.as_deref().map(report::prepare).transpose()?;
    // Without a handler Ctrl-C ends the process as usual.
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.threads.unwrap_or(cores) as usize;
    let all: Vec<Row> = parts.iter().flat_map(|part| part.rows.iter().cloned()).collect();
    let show = arguments.output != Table::Quiet;
    let Some(outcomes) = run::run(&all, arguments.seeds, threads, show) else {
        eprintln!("interrupted: nothing is kept");
        return Ok(ExitCode::from(crate::INTERRUPTED));
    };
    let mut groups = Vec::new();
    let mut done = 0;
    for part in &parts {
        let outcomes = &outcomes[done..done + part.rows.len()];
        done += part.rows.len();
        groups.push(group(part, outcomes));
    }
    let fidelity = Fidelity {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seeds: arguments.seeds,
        agrees: groups.iter().all(|group| group.agrees),
        groups,
    };
    if let Some(folder) = folder {
        report::write(folder, &fidelity)?;
    }
    report::print(&fidelity, arguments.output);
    Ok(if fidelity.agrees { ExitCode::SUCCESS } else { ExitCode::from(crate::UNFINISHED) })
}

fn group(part: &Part, outcomes: &[run::Outcome]) -> Group {
    let held = part.rows.iter().zip(outcomes).filter(|(row, _)| row.expected != Expected::Nothing);
    let mut verdicts: Vec<_> = held.map(|(row, outcome)| compare::verdict(row, outcome)).collect();
    verdicts.extend(compare::order(&part.rows, outcomes));
    let needed = (verdicts.len() as u64).saturating_sub(part.spare);
    Group::new(part.name, needed, verdicts)
}

/// The rows asked for.
fn parts(arguments: &Validate) -> Result<Vec<Part>, UserError> {
    let mut recorded = rows::recorded(arguments.reference.as_deref())?;
    recorded.extend(rows::for_the_order(&recorded));
    let mut parts = vec![Part { name: "recorded runs of the reference", rows: recorded, spare: 0 }];
    if arguments.reference.is_none() {
        parts.push(Part { name: "recorded runs of the ns-3 model", rows: ns3::rows()?, spare: 0 });
    }
    if let Some(data) = &arguments.data {
        let rows = published::published(data)?;
        let name = "published results of the reference";
        parts.push(Part { name, rows, spare: PUBLISHED_SPARE });
    }
    let text = arguments.filter.as_deref().unwrap_or("");
    for part in &mut parts {
        // Of a few rows, all must agree.
        part.spare = if text.is_empty() { part.spare } else { 0 };
        part.rows.retain(|row| row.title().contains(text));
    }
    parts.retain(|part| !part.rows.is_empty());
    if parts.is_empty() {
        let help =
            "a row is its case, rate and set-up, for example `perm128_s1_2MB 400 nscc mixed`";
        return Err(UserError::new(format!("no row contains `{text}`")).help(help));
    }
    Ok(parts)
}
