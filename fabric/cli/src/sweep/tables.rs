//! What is made of the folders of all runs of a sweep: tables and figures.

use std::fs;
use std::path::Path;

use results::plots::{self, lines};
use results::records::table::Format;
use results::summary::RunSummary;
use results::sweep::{self, SweepRun};

use crate::error::UserError;
use crate::sweep::plan::Plan;

/// What was made.
pub(super) struct Made {
    /// A table for people.
    pub(super) text: String,
    /// The same for scripts.
    pub(super) json: String,
    /// Runs with flows that did not finish, and claims that were missed.
    pub(super) wrong: Vec<String>,
}

/// Makes them anew.
///
/// # Errors
/// When a folder cannot be read, or the sweep's not written.
pub(super) fn make(folder: &Path, name: &str, plan: &Plan) -> Result<Made, UserError> {
    let runs = plan.runs.iter().map(|run| read(folder, &run.name, &run.step.settings));
    let runs: Vec<SweepRun> = runs.collect::<Result<_, _>>()?;
    let write = |file: &str, content: &[u8]| {
        let path = folder.join(file);
        // Shares that end at the same time write the same.
        let partial = folder.join(format!(".{file}-{}", std::process::id()));
        fs::write(&partial, content)
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))
    };
    for format in [Format::Parquet, Format::Csv] {
        let ending = format.ending();
        write(&format!("runs.{ending}"), &sweep::runs_table(&runs).encode(format))?;
        write(&format!("sweep.{ending}"), &sweep::table(&runs).encode(format))?;
    }
    let text = sweep::text(&runs);
    write("sweep.txt", text.as_bytes())?;
    let charts = sweep::charts(name, &runs);
    if !charts.is_empty() {
        let svg = lines::svg(&charts).map_err(UserError::new)?;
        write("sweep.svg", svg.as_bytes())?;
        write("sweep.png", &plots::png(&svg).map_err(UserError::new)?)?;
    }
    let rows = String::from_utf8(sweep::table(&runs).encode(Format::Json)).unwrap_or_default();
    let rows: Vec<serde_json::Value> =
        rows.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let json = serde_json::json!({ "name": name, "runs": runs.len(), "sweep": rows }).to_string();
    Ok(Made { text, json, wrong: wrong(&runs, plan) })
}

/// A run of the sweep.
pub(super) fn read(
    folder: &Path,
    name: &str,
    settings: &[(String, String)],
) -> Result<SweepRun, UserError> {
    let path = folder.join("runs").join(name).join("summary.json");
    let failed = |why: String| UserError::new(format!("cannot read {}: {why}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
    let summary: RunSummary =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    Ok(SweepRun { settings: settings.to_vec(), summary })
}

fn wrong(runs: &[SweepRun], plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for (run, planned) in runs.iter().zip(&plan.runs) {
        for variant in &run.summary.variants {
            let left = variant.figures.flows - variant.figures.completed;
            if left > 0 {
                let (name, variant) = (&planned.name, &variant.name);
                found.push(format!("unfinished: {name}, {variant}: {left} flows did not finish"));
            }
        }
        let missed = run.summary.claims.iter().filter(|claim| !claim.holds);
        found.extend(missed.map(|claim| format!("{}: claim {}", planned.name, claim.line())));
    }
    found
}
