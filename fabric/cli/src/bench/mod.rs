//! `ultraloom bench`: how fast the engine is, on this machine, beside stored results and the reference.
//!
//! - [`cases`]: the work that is measured
//! - [`report`]: the table, the file, and the comparison
//!
//! Every run is a process of its own, so that memory is that of one run and nothing is warm from another.

pub mod cases;
pub mod report;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use results::plots::lines::{self, Chart};
use serde_json::Value;

use crate::args::{Bench, Output};
use crate::error::{Source, UserError};
use crate::say::{say, say_line};

use crate::execute::{self, Settings};
use crate::scenario;
use cases::{CASES, Case};
use report::{Machine, Measured, Report};

/// Measures the cases asked for.
///
/// # Errors
/// What the user has to mend; nothing has run then.
pub fn bench(arguments: &Bench) -> Result<ExitCode, UserError> {
    if let Some(name) = &arguments.only {
        return only(name, arguments);
    }
    let asked = arguments.filter.as_deref().unwrap_or("");
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.name.contains(asked) && (arguments.large || !case.large))
        .collect();
    if cases.is_empty() {
        let large = CASES.iter().any(|case| case.name.contains(asked));
        let beside = if large { ", but for those of --large" } else { "" };
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        return Err(UserError::new(format!("no case has `{asked}` in its name{beside}"))
            .help(format!("cases are {}", names.join(", "))));
    }
    if !(0.0..1.0).contains(&arguments.tolerance) {
        let message = format!("`--tolerance` is {}; expected 0 to 1", arguments.tolerance);
        return Err(UserError::new(message).help("0.2 lets a case lose a fifth of its speed"));
    }
    for path in arguments.save.iter().chain(&arguments.figure) {
        report::check_place(path)?;
    }
    let stored = arguments.against.as_deref().map(report::read).transpose()?;
    let mut measured = Vec::new();
    for case in cases {
        let runs: Vec<Value> =
            (0..arguments.runs).map(|_| child(case, arguments)).collect::<Result<_, _>>()?;
        measured.push(Measured::of(case, &runs));
        if arguments.output == Output::Human {
            report::progress(measured.last());
        }
    }
    let (runs, threads) = (arguments.runs, threads(arguments));
    let report = Report { machine: Machine::here(), runs, threads, cases: measured };
    if let Some(path) = &arguments.save {
        report::write(&report, path)?;
    }
    if let Some(path) = &arguments.figure {
        draw(path, &report::figure(&report, stored.as_ref()))?;
    }
    match arguments.output {
        Output::Human => say(&report::table(&report, stored.as_ref())),
        Output::Json => say_line(&report.to_json()),
        Output::Quiet => {}
    }
    let slower =
        stored.is_some_and(|stored| report::is_slower(&report, &stored, arguments.tolerance));
    Ok(if slower { ExitCode::from(crate::UNFINISHED) } else { ExitCode::SUCCESS })
}

/// Draws charts as SVG, and as PNG beside it.
fn draw(path: &Path, charts: &[Chart]) -> Result<(), UserError> {
    let svg = lines::svg(charts).map_err(UserError::new)?;
    let png = results::plots::png(&svg).map_err(UserError::new)?;
    for (path, bytes) in
        [(path.with_extension("svg"), svg.as_bytes()), (path.with_extension("png"), &png[..])]
    {
        std::fs::write(&path, bytes)
            .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

/// Threads of the engine: one unless said, because that is what the reference is compared on.
fn threads(arguments: &Bench) -> u64 {
    arguments.threads.unwrap_or(1)
}

/// One run of a case in a process of its own.
fn child(case: &Case, arguments: &Bench) -> Result<Value, UserError> {
    let failed = |why: String| UserError::new(format!("the run of {} failed: {why}", case.name));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let threads = threads(arguments).to_string();
    let output = Command::new(program)
        .args(["bench", "--only", case.name, "--threads", &threads])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
}

/// Runs one case here and prints its figures: what [`child`] calls.
fn only(name: &str, arguments: &Bench) -> Result<ExitCode, UserError> {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| UserError::new(format!("there is no case `{name}`")))?;
    let source =
        Source { name: format!("{name}.toml"), text: case.scenario.to_owned(), folder: None };
    // The engine alone: what recording costs is another question.
    let sets = ["records.series=false".to_owned()];
    let scenario = scenario::from_source(&Arc::new(source), &sets, None)?;
    let prepared = execute::prepare(&scenario)?;
    let threads = threads(arguments);
    let settings = Settings::quiet(threads as usize);
    let outcome = execute::execute(&scenario, &prepared, &settings)?;
    say_line(&outcome.summary.to_json());
    Ok(if outcome.unfinished.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::UNFINISHED)
    })
}
