//! `ultraloom check`: scenarios as regression tests, by their claims and by baselines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use results::claims::Claim;
use results::compare::{Tolerances, compare};
use results::junit::Case;
use results::summary::RunSummary;
use serde_json::json;

use crate::args::{Check, Table};
use crate::compare::{Baseline, cases, load, tolerances, write_junit};
use crate::error::UserError;
use crate::execute::{self, Outcome, STOP, Settings};
use crate::say::{say, say_line};
use crate::scenario;
use crate::{INTERRUPTED, UNFINISHED};

/// Runs and checks scenarios.
///
/// # Errors
/// When one cannot be read, or is wrong: nothing has run then.
pub fn check(arguments: &Check) -> Result<ExitCode, UserError> {
    let tolerances = tolerances(&arguments.allowed)?;
    let files = files(arguments)?;
    for file in &files {
        let scenario = scenario::load(Some(file), &arguments.sets, None)?;
        execute::prepare(&scenario)?;
    }
    execute::stop_on_signals();
    let mut all: Vec<Case> = Vec::new();
    for file in &files {
        let found = one(file, arguments, &tolerances)?;
        if STOP.load(Ordering::Relaxed) {
            eprintln!("interrupted: {} was not finished", file.display());
            break;
        }
        if arguments.output == Table::Human {
            tell(file, &found);
        }
        all.extend(found);
    }
    write_junit(&arguments.allowed, "ultraloom check", &all)?;
    let failed = all.iter().filter(|case| case.failure.is_some()).count();
    match arguments.output {
        Table::Human => say_line(&format!("{} checks, {failed} failed", all.len())),
        Table::Markdown => say(&markdown(&all)),
        Table::Json => say_line(&in_json(&all, failed)),
        Table::Quiet => {}
    }
    Ok(ExitCode::from(match (STOP.load(Ordering::Relaxed), failed) {
        (true, _) => INTERRUPTED,
        (false, 0) => 0,
        _ => UNFINISHED,
    }))
}

/// The scenarios asked for: files, and what of folders is one.
fn files(arguments: &Check) -> Result<Vec<PathBuf>, UserError> {
    let mut found = Vec::new();
    for path in &arguments.scenarios {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let failed = |error| UserError::new(format!("cannot read {}: {error}", path.display()));
        let entries = std::fs::read_dir(path).map_err(failed)?;
        let mut own: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        own.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
        own.sort();
        found.extend(own);
    }
    if let Some(part) = &arguments.filter {
        found.retain(|path| path.file_name().is_some_and(|n| n.to_string_lossy().contains(part)));
    }
    if found.is_empty() {
        return Err(UserError::new("there is no scenario to check")
            .help("scenarios are files that end in .toml"));
    }
    Ok(found)
}

/// Runs a scenario; what it says of itself, and how it compares with its baseline.
fn one(file: &Path, arguments: &Check, tolerances: &Tolerances) -> Result<Vec<Case>, UserError> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.threads.unwrap_or(cores);
    let scenario = scenario::load(Some(file), &arguments.sets, None)?;
    let prepared = execute::prepare(&scenario)?;
    let settings = Settings::quiet(threads as usize);
    #[allow(clippy::disallowed_methods, reason = "the command measures how long a check takes")]
    let start = Instant::now();
    let outcome = execute::execute(&scenario, &prepared, &settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let mut found = own(&scenario.claims, &outcome, seconds);
    if let Some(folder) = &arguments.baselines
        && !STOP.load(Ordering::Relaxed)
    {
        let stem = file.file_stem().unwrap_or_default();
        let place = folder.join(stem).with_extension("json");
        if arguments.update {
            let command = command(arguments);
            store(&place, command, outcome.summary)?;
        } else if place.exists() {
            let old = load(&place)?;
            found.extend(cases(&compare(&old, &outcome.summary, tolerances), seconds));
        }
    }
    Ok(found)
}

/// What a run says of itself: that all flows finish, unless it claims how many do, and its claims.
fn own(claims: &[Claim], outcome: &Outcome, seconds: f64) -> Vec<Case> {
    let group = &outcome.summary.name;
    let is_claimed = claims.iter().any(|claim| claim.metric.ends_with(".completed"));
    let unfinished = (!outcome.unfinished.is_empty()).then(|| outcome.unfinished.join("\n"));
    let finishes = Case {
        group: group.clone(),
        name: "all flows finish".to_owned(),
        failure: unfinished,
        seconds,
    };
    let claims = outcome.summary.claims.iter().map(|claim| Case {
        group: group.clone(),
        name: claim.name.clone(),
        failure: (!claim.holds).then(|| claim.line()),
        seconds: 0.0,
    });
    Some(finishes).filter(|_| !is_claimed).into_iter().chain(claims).collect()
}

/// The command that makes the baselines anew.
fn command(arguments: &Check) -> String {
    let mut text = "ultraloom check".to_owned();
    for path in &arguments.scenarios {
        text += &format!(" {}", path.display());
    }
    if let Some(folder) = &arguments.baselines {
        text += &format!(" --baselines {} --update", folder.display());
    }
    if let Some(filter) = &arguments.filter {
        text += &format!(" --filter {filter}");
    }
    arguments.sets.iter().fold(text, |text, set| text + &format!(" --set '{set}'"))
}

fn store(place: &Path, command: String, summary: RunSummary) -> Result<(), UserError> {
    let failed = |error: std::io::Error| {
        UserError::new(format!("cannot write {}: {error}", place.display()))
    };
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let baseline = Baseline::new(command, summary);
    let text = serde_json::to_string_pretty(&baseline).unwrap_or_default();
    std::fs::write(place, text + "\n").map_err(failed)
}

fn tell(file: &Path, found: &[Case]) {
    let failed = found.iter().filter(|case| case.failure.is_some()).count();
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = found.first().map_or(0.0, |case| case.seconds);
    say_line(&format!("{verdict:<6} {} ({} checks, {seconds:.1} s)", file.display(), found.len()));
    for case in found {
        if let Some(failure) = &case.failure {
            say_line(&format!("       {}: {}", case.name, failure.replace('\n', "\n         ")));
        }
    }
}

fn markdown(all: &[Case]) -> String {
    let failed: Vec<&Case> = all.iter().filter(|case| case.failure.is_some()).collect();
    let mut text = format!("### {} checks, {} failed\n\n", all.len(), failed.len());
    if !failed.is_empty() {
        text += "| scenario | check | found |\n|---|---|---|\n";
    }
    for case in failed {
        let failure = case.failure.as_deref().unwrap_or_default().replace('\n', "<br>");
        text += &format!("| {} | {} | {failure} |\n", case.group, case.name);
    }
    text
}

fn in_json(all: &[Case], failed: usize) -> String {
    let checks: Vec<_> = all
        .iter()
        .map(|case| {
            json!({
                "scenario": case.group,
                "check": case.name,
                "passes": case.failure.is_none(),
                "failure": case.failure,
            })
        })
        .collect();
    json!({ "checks": checks, "failed": failed }).to_string()
}
