//! What tests across packages share: scenarios run from text, and recorded figures of references.

pub mod ranks;

use fabric::engine::ranks::{Alone, Ranks};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use results::summary::Figures;
use ultraloom::args::Output;
use ultraloom::error::Source;
use ultraloom::execute::{Cut, Outcome, Settings, execute, prepare};
use ultraloom::scenario::model::Scenario;
use ultraloom::scenario::{from_source, load};

use ranks::Channels;

/// A scenario from text.
///
/// # Panics
/// If it is wrong.
pub fn scenario(text: &str, sets: &[String]) -> Scenario {
    let source = Source { name: "test.toml".into(), text: text.into(), folder: None };
    from_source(&Arc::new(source), sets, None).unwrap_or_else(|error| panic!("{}", error.render()))
}

/// Runs a scenario on the given threads and shards, as one of `ranks`.
fn execute_as<R: Ranks>(scenario: &Scenario, ranks: &R, threads: usize, shards: u32) -> Outcome {
    let prepared = prepare(scenario).unwrap_or_else(|error| panic!("{}", error.render()));
    let cut = Cut { shards, ranks: ranks.count() as u32 };
    let settings = Settings { ranks, threads, cut, output: Output::Quiet, checkpoints: None };
    execute(scenario, &prepared, &settings).unwrap_or_else(|error| panic!("{}", error.render()))
}

/// Runs a scenario's text on the given threads and shards.
///
/// # Panics
/// If the scenario is wrong.
pub fn run_on(text: &str, sets: &[String], threads: usize, shards: u32) -> Outcome {
    execute_as(&scenario(text, sets), &Alone, threads, shards)
}

/// Runs a scenario's text on several ranks, each with the given threads, over all of which there are the given
/// shards.
///
/// # Panics
/// If the scenario is wrong.
pub fn run_among(text: &str, ranks: usize, threads: usize, shards: u32) -> Outcome {
    let scenario = scenario(text, &[]);
    std::thread::scope(|scope| {
        let ranks: Vec<_> = Channels::among(ranks)
            .into_iter()
            .map(|rank| scope.spawn(|| (execute_as(&scenario, &rank, threads, shards), rank)))
            .collect();
        let outcomes: Vec<_> =
            ranks.into_iter().map(|rank| rank.join().expect("no panic")).collect();
        outcomes.into_iter().next().expect("at least one rank").0
    })
}

/// Runs a scenario's file on one thread.
///
/// # Panics
/// If the scenario is wrong.
pub fn run_file(path: &Path) -> Outcome {
    let scenario = load(Some(path), &[], None).unwrap_or_else(|error| panic!("{}", error.render()));
    execute_as(&scenario, &Alone, 1, 1)
}

/// Runs a scenario's text on one thread.
pub fn run(text: &str) -> Outcome {
    run_on(text, &[], 1, 1)
}

/// Figures of a scenario with one variant and one workload.
pub fn figures(text: &str) -> Figures {
    run(text).summary.variants.remove(0).figures
}

/// The folder of recorded cases; `None`, with the reason printed, where it is not there.
pub fn cases() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIP: the recorded cases are not at {}", folder.display());
    None
}

/// The folder of other tools' files; `None`, with the reason printed, where it is not there.
pub fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/uet-htsim");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIP: the other tools' files are not at {}", folder.display());
    None
}

/// A folder of files of one tool; `None`, with the reason printed, where it is not there.
pub fn files(tool: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(tool);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIP: the files of {tool} are not at {}", folder.display());
    None
}

/// Why a scenario's text is refused, as a user reads it.
///
/// # Panics
/// If it is not.
pub fn refusal(text: &str) -> String {
    let source = Source { name: "test.toml".into(), text: text.into(), folder: None };
    let scenario = from_source(&Arc::new(source), &[], None);
    scenario.and_then(|scenario| prepare(&scenario).map(drop)).expect_err("it is wrong").render()
}

/// A recorded run of the reference simulator.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Mean completion, us.
    pub mean: f64,
    /// Tail, us.
    pub max: f64,
    /// Retransmissions.
    pub retransmitted: f64,
}

/// The reference's runs of a case and set-up, one a seed.
///
/// # Panics
/// If the file is not as described, or has no such rows.
pub fn references(cases: &Path, case: &str, gbps: u32, setup: &str) -> Vec<Reference> {
    let text = std::fs::read_to_string(cases.join("reference.csv")).expect("recorded figures");
    let prefix = format!("{case},{gbps},{setup},");
    let rows: Vec<Reference> = text
        .lines()
        .filter_map(|line| line.replace('"', "").strip_prefix(&prefix).map(str::to_owned))
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        .map(|rest| {
            let fields: Vec<f64> = rest.split(',').map(|f| f.parse().expect("a number")).collect();
            Reference { mean: fields[4], max: fields[6], retransmitted: fields[8] }
        })
        .collect();
    assert!(!rows.is_empty(), "no figures of {prefix}");
    rows
}
