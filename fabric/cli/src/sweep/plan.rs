//! The runs of a sweep: what they are called, where they go, what they need.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args::Sweep as Arguments;
use crate::error::UserError;
use crate::execute;
use crate::forecast;
use crate::output::Folder;
use crate::scenario::sweep::{Step, Sweep};

/// A run to be.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its folder's name: number and settings.
    pub name: String,
    /// What it sets.
    pub step: Step,
    /// Memory that it will need, in bytes.
    pub memory: u64,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order of the sweep.
    pub runs: Vec<Planned>,
}

/// What a sweep's folder says of itself.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    version: String,
    pub(crate) runs: Vec<Named>,
    /// The scenario that was swept, after all overrides.
    pub(crate) scenario: String,
}

/// A run, as a sweep's folder names it.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) settings: Vec<(String, String)>,
}

impl Named {
    fn of(run: &Planned) -> Named {
        Named { name: run.name.clone(), settings: run.step.settings.clone() }
    }
}

impl About {
    /// What a sweep's folder says.
    pub(crate) fn read(folder: &Path) -> Result<About, UserError> {
        let path = folder.join("sweep.json");
        let failed = |why: String| UserError::new(format!("cannot read {}: {why}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
    }
}

impl Plan {
    /// The runs of a sweep. Each setting is prepared once, so that whatever the user has to mend shows before any run begins; seeds
    /// of a setting differ in nothing that could be wrong.
    ///
    /// # Errors
    /// The first thing to mend.
    pub fn new(sweep: &Sweep) -> Result<Plan, UserError> {
        let mut runs: Vec<Planned> = Vec::new();
        for (number, step) in sweep.steps().enumerate() {
            let label = step.label();
            let name =
                format!("{:04}{}{label}", number + 1, if label.is_empty() { "" } else { "_" });
            if let Some(Planned { step: last, memory, .. }) = runs.last()
                && last.settings == step.settings
            {
                let memory = *memory;
                runs.push(Planned { name, step, memory });
                continue;
            }
            let scenario = sweep.scenario(&step).map_err(|error| in_run(error, &label))?;
            let prepared = execute::prepare(&scenario).map_err(|error| in_run(error, &label))?;
            let needs = scenario.variants.iter().zip(&prepared).flat_map(|(variant, prepared)| {
                let records = &scenario.records;
                let needed = |workload| forecast::with_records(records, prepared, workload);
                variant.workloads.iter().map(needed)
            });
            let memory = needs.max().unwrap_or(0);
            runs.push(Planned { name, step, memory });
        }
        Ok(Plan { runs })
    }

    /// Begins a sweep's folder, or sees to it that it is of the same sweep.
    ///
    /// # Errors
    /// When it is of another, or cannot be written.
    pub fn open(&self, folder: &Path, sweep: &Sweep, again: bool) -> Result<(), UserError> {
        let about = About {
            name: sweep.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            runs: self.runs.iter().map(Named::of).collect(),
            scenario: sweep.resolved.clone(),
        };
        let path = folder.join("sweep.json");
        if again && path.exists() {
            return match About::read(folder) {
                Ok(known) if known == about => Ok(()),
                _ => {
                    let message = format!("{} is of another sweep", folder.display());
                    let help = "the scenario, its overrides and the version have to be the same";
                    Err(UserError::new(message).help(help))
                }
            };
        }
        let failed = |error: std::io::Error| {
            UserError::new(format!("cannot write {}: {error}", path.display()))
        };
        fs::create_dir_all(folder.join("runs")).map_err(failed)?;
        let text = serde_json::to_string_pretty(&about).unwrap_or_default();
        // Shares of a sweep may begin at the same time: the file is there whole or not at all.
        let partial = folder.join(format!(".sweep.json-{}", std::process::id()));
        fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path)).map_err(failed)
    }

    /// The runs that are not there, of a share if one is asked for.
    pub fn missing(&self, folder: &Path, share: Option<(u64, u64)>) -> Vec<Planned> {
        let there = complete(folder);
        let mine = |number: usize| share.is_none_or(|(i, n)| number as u64 % n == i - 1);
        let runs = self.runs.iter().enumerate();
        let missing = runs.filter(|(number, run)| mine(*number) && !there.contains(&run.name));
        missing.map(|(_, run)| run.clone()).collect()
    }

    /// How many runs are there.
    pub fn complete(&self, folder: &Path) -> usize {
        let there = complete(folder);
        self.runs.iter().filter(|run| there.contains(&run.name)).count()
    }
}

/// The folders of runs that are there, whole.
fn complete(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.join("runs")).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().join("manifest.json").is_file());
    names.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// An error says in which run it is, for what the sweep sets is not where the error is found.
fn in_run(mut error: UserError, label: &str) -> UserError {
    if !label.is_empty() {
        error.message += &format!(" (in the run {label})");
    }
    error
}

/// The folder of a sweep.
///
/// # Errors
/// When something is in the way.
pub fn folder(arguments: &Arguments, sweep: &Sweep) -> Result<PathBuf, UserError> {
    match &arguments.out {
        Some(out) if arguments.resume || arguments.shard.is_some() => {
            let absolute = std::path::absolute(out);
            let failed = |error| UserError::new(format!("cannot find {}: {error}", out.display()));
            let absolute = absolute.map_err(failed)?;
            if arguments.resume && !absolute.join("sweep.json").is_file() {
                let message = format!("there is no sweep in {}", out.display());
                return Err(UserError::new(message).help("leave out --resume to begin one"));
            }
            Ok(absolute)
        }
        out => Folder::place(out.as_deref(), &format!("{}-sweep", sweep.name), false),
    }
}
