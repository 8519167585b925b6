//! `ultraloom compare`: two runs, what became worse.

use std::path::Path;
use std::process::ExitCode;

use results::compare::{Comparison, Tolerances, compare as compared};
use results::junit::{self, Case};
use results::metrics::METRICS;
use results::summary::{EngineFigures, Figures, RunSummary};
use serde::{Deserialize, Serialize};

use crate::UNFINISHED;
use crate::args::{Allowed, Compare, Table};
use crate::error::{UserError, unknown};
use crate::say::{say, say_line};
use crate::stored::refuse_sweep;

/// Share by which figures may become worse, unless said otherwise.
const TOLERANCE: f64 = 0.01;

/// A stored run to compare with: what it gave, and how it was made.
#[derive(Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Makes it anew.
    pub(crate) command: String,
    /// What it gave; what the engine did for it, which differs by machine, is left out.
    pub(crate) summary: RunSummary,
}

impl Baseline {
    pub(crate) fn new(command: String, mut summary: RunSummary) -> Baseline {
        let bare = |figures: &mut Figures| figures.engine = EngineFigures::default();
        for variant in &mut summary.variants {
            bare(&mut variant.figures);
            variant.workloads.iter_mut().for_each(|workload| bare(&mut workload.figures));
        }
        Baseline { command, summary }
    }
}

/// Compares two runs.
///
/// # Errors
/// When one of them cannot be read.
pub fn compare(arguments: &Compare) -> Result<ExitCode, UserError> {
    let tolerances = tolerances(&arguments.allowed)?;
    let (old, new) = (load(&arguments.old)?, load(&arguments.new)?);
    let found = compared(&old, &new, &tolerances);
    write_junit(&arguments.allowed, "ultraloom compare", &cases(&found, 0.0))?;
    match arguments.output {
        Table::Human => say(&found.text()),
        Table::Markdown => say(&found.markdown()),
        Table::Json => say_line(&serde_json::to_string(&found).unwrap_or_default()),
        Table::Quiet => {}
    }
    Ok(ExitCode::from(if found.passes { 0 } else { UNFINISHED }))
}

/// The tolerances asked for.
pub(crate) fn tolerances(allowed: &Allowed) -> Result<Tolerances, UserError> {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let mut tolerances = Tolerances { all: TOLERANCE, named: Vec::new() };
    for (name, share) in &allowed.tolerance {
        match name {
            None => tolerances.all = *share,
            Some(name) if names.contains(&name.as_str()) => {
                tolerances.named.push((name.clone(), *share));
            }
            Some(name) => return Err(unknown("figure", name, &names)),
        }
    }
    Ok(tolerances)
}

/// A test for each workload of each variant: it fails with all that became worse.
pub(crate) fn cases(found: &Comparison, seconds: f64) -> Vec<Case> {
    let groups = found.rows.chunk_by(|a, b| (&a.variant, &a.workload) == (&b.variant, &b.workload));
    let case = |rows: &[results::compare::Row]| {
        let failed: Vec<String> =
            rows.iter().filter(|row| row.fails()).map(|row| row.line()).collect();
        Case {
            group: found.name.clone(),
            name: format!("{}, {}: against the baseline", rows[0].variant, rows[0].workload),
            failure: (!failed.is_empty()).then(|| failed.join("\n")),
            seconds,
        }
    };
    groups.map(case).collect()
}

/// Writes the JUnit file, if one is asked for.
pub(crate) fn write_junit(allowed: &Allowed, suite: &str, cases: &[Case]) -> Result<(), UserError> {
    let Some(path) = &allowed.junit else { return Ok(()) };
    std::fs::write(path, junit::xml(suite, cases))
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))
}

/// A run's summary: from its folder, from the file, or from a baseline.
pub(crate) fn load(path: &Path) -> Result<RunSummary, UserError> {
    refuse_sweep(path)?;
    let file = if path.is_dir() { path.join("summary.json") } else { path.to_path_buf() };
    let text = std::fs::read_to_string(&file).map_err(|error| {
        let message = format!("cannot read {}: {error}", file.display());
        UserError::new(message).help("give a run's folder, its summary.json, or a baseline")
    })?;
    let own = serde_json::from_str::<Baseline>(&text).map(|baseline| baseline.summary);
    own.or_else(|_| serde_json::from_str(&text)).map_err(|error| {
        UserError::new(format!("{} is no summary of a run: {error}", file.display()))
    })
}
