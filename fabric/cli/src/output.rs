//! The output folder: written beside its place and moved there whole, so that nothing is half-written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use results::records::{Fabric, Records, histograms, table};
use serde::Serialize;

use crate::captures;
use crate::checkpoint::beside;
use crate::error::UserError;
use crate::execute::Outcome;
use crate::prepare::Prepared;
use crate::scenario::model::{Scenario, Variant};

/// Where runs go unless said otherwise.
const RUNS: &str = "results/runs";

/// A folder that will appear when it is complete.
pub struct Folder {
    place: PathBuf,
    partial: PathBuf,
}

/// What has been written of a folder.
#[derive(Default)]
struct Written {
    files: Vec<String>,
    /// Rows of tables.
    tables: BTreeMap<&'static str, usize>,
}

/// What made the folder, and how to make it again. Only `wall_s` differs between two runs of the same.
#[derive(Serialize)]
struct Manifest<'a> {
    name: &'a str,
    version: &'static str,
    schema_version: &'static str,
    seed: u64,
    /// Runs the same again: `ultraloom run scenario.toml`.
    scenario: &'static str,
    variants: Vec<&'a str>,
    rows: BTreeMap<&'static str, usize>,
    files: Vec<String>,
    /// Seconds of running, all variants.
    wall_s: f64,
}

impl Folder {
    /// The folder asked for, or a free one for a scenario of this name; with `resume`, the last one of this name
    /// whose run was stopped, if there is any.
    ///
    /// # Errors
    /// When something is in the way.
    pub fn place(asked: Option<&Path>, name: &str, resume: bool) -> Result<PathBuf, UserError> {
        let name = name.replace(' ', "-");
        match asked {
            Some(path) if resume && path.join("manifest.json").is_file() => {
                let text = format!("the run in {} is complete", path.display());
                Err(UserError::new(text)
                    .help("leave out --resume, and choose another --out, to run it again"))
            }
            Some(path) => asked_for(path),
            None if resume => Ok(stopped(Path::new(RUNS), &name)),
            None => Ok(free(Path::new(RUNS), &name)),
        }
    }

    /// Prepares a folder; until it is complete it is `partial`, or hidden beside its place.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn prepare(place: PathBuf, partial: Option<PathBuf>) -> Result<Folder, UserError> {
        let file_name = place.file_name().ok_or_else(|| {
            UserError::new(format!("{} is no name for an output folder", place.display()))
        })?;
        let hidden = format!(".{}.partial-", file_name.to_string_lossy());
        sweep(place.parent().unwrap_or(Path::new(".")), &hidden);
        let hidden = format!("{hidden}{}", std::process::id());
        let partial = partial.unwrap_or_else(|| place.with_file_name(hidden));
        fs::create_dir_all(&partial).map_err(|error| cannot("make", &partial, &error))?;
        Ok(Folder { place, partial })
    }

    /// Writes everything and moves the folder to its place; returns where that is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(
        self,
        scenario: &Scenario,
        prepared: &[Prepared],
        outcome: &Outcome,
    ) -> Result<PathBuf, UserError> {
        let mut written = Written::default();
        let fabric = |(variant, prepared)| fabric_of(variant, prepared);
        let fabrics: Vec<Fabric<'_>> = scenario.variants.iter().zip(prepared).map(fabric).collect();
        let options = &scenario.records;
        let records = Records { runs: &outcome.runs, fabrics: &fabrics, bounds: options.bounds };
        self.write(&mut written, "summary.json", outcome.summary.to_json().as_bytes())?;
        self.write(&mut written, "scenario.toml", scenario.resolved.as_bytes())?;
        for table in records.each() {
            written.tables.insert(table.name, table.rows());
            for format in &options.formats {
                let name = format!("{}.{}", table.name, format.ending());
                self.write(&mut written, &name, &table.clone().encode(*format))?;
            }
        }
        for log in histograms::logs(&records) {
            let text = log.encode().map_err(UserError::new)?;
            self.write(&mut written, &format!("{}.hlog", log.name), &text)?;
        }
        let svg = results::plots::completion::svg(&scenario.name, &outcome.panels)
            .map_err(UserError::new)?;
        self.write_figure(&mut written, "completion", &svg)?;
        if results::slowdown::is_worth_it(&outcome.summary) {
            let table = results::slowdown::markdown(&outcome.summary);
            self.write(&mut written, "slowdown.md", table.as_bytes())?;
            let svg = results::slowdown::svg(&outcome.summary).map_err(UserError::new)?;
            self.write_figure(&mut written, "slowdown", &svg)?;
        }
        written.files.extend(self.write_captures(outcome)?);
        let manifest = Manifest {
            name: &scenario.name,
            version: env!("CARGO_PKG_VERSION"),
            schema_version: table::SCHEMA_VERSION,
            seed: scenario.seed,
            scenario: "scenario.toml",
            variants: scenario.variants.iter().map(|variant| variant.name.as_str()).collect(),
            rows: written.tables,
            files: written.files,
            wall_s: outcome.summary.variants.iter().map(|v| v.figures.engine.wall_s).sum(),
        };
        let manifest = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| UserError::new(format!("the manifest cannot be written: {error}")))?;
        self.keep(&[("manifest.json", manifest)])
    }

    /// Writes a file of the folder to be.
    fn write(&self, written: &mut Written, name: &str, content: &[u8]) -> Result<(), UserError> {
        let path = self.partial.join(name);
        fs::write(&path, content).map_err(|error| cannot("write", &path, &error))?;
        written.files.push(name.to_owned());
        Ok(())
    }

    /// Writes a figure as SVG and PNG.
    fn write_figure(&self, written: &mut Written, name: &str, svg: &str) -> Result<(), UserError> {
        let png = results::plots::png(svg).map_err(UserError::new)?;
        self.write(written, &format!("{name}.svg"), svg.as_bytes())?;
        self.write(written, &format!("{name}.png"), &png)
    }

    /// Writes the captures, one file a variant; returns the names.
    fn write_captures(&self, outcome: &Outcome) -> Result<Vec<String>, UserError> {
        let mut names = Vec::new();
        for sets in outcome.captures.chunk_by(|a, b| a.variant == b.variant) {
            let name = captures::file_name(&sets[0].variant);
            captures::write(&sets.iter().collect::<Vec<_>>(), &self.partial.join(&name))?;
            names.push(name);
        }
        Ok(names)
    }

    /// Writes files and moves the folder to its place; returns where that is.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(self, files: &[(&str, Vec<u8>)]) -> Result<PathBuf, UserError> {
        for (name, content) in files {
            let path = self.partial.join(name);
            fs::write(&path, content).map_err(|error| cannot("write", &path, &error))?;
        }
        if self.place.is_dir() {
            fs::remove_dir(&self.place).map_err(|error| cannot("replace", &self.place, &error))?;
        }
        fs::rename(&self.partial, &self.place)
            .map_err(|error| cannot("make", &self.place, &error))?;
        Ok(self.place.clone())
    }
}

/// Removes what processes that were killed have left under this name; where it cannot be told whether a process
/// is there, nothing.
fn sweep(folder: &Path, hidden: &str) {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(hidden)?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    /// What was not finished leaves nothing behind.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// What is recorded of a variant's fabric.
fn fabric_of<'a>(variant: &'a Variant, prepared: &'a Prepared) -> Fabric<'a> {
    Fabric {
        variant: &variant.name,
        graph: &prepared.graph,
        faults: &prepared.faults.links,
        switch_faults: &prepared.faults.switches,
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> UserError {
    UserError::new(format!("cannot {what} {}: {error}", path.display()))
}

/// The folder asked for: it must not exist, or be empty.
fn asked_for(path: &Path) -> Result<PathBuf, UserError> {
    let in_the_way = |what: &str| {
        let message = format!("the output folder {} {what}", path.display());
        UserError::new(message).help("choose another with --out, or remove it")
    };
    if path.is_dir() {
        let mut entries = fs::read_dir(path).map_err(|error| cannot("read", path, &error))?;
        if entries.next().is_some() {
            return Err(in_the_way("exists and is not empty"));
        }
    } else if path.exists() {
        return Err(in_the_way("is a file"));
    }
    std::path::absolute(path).map_err(|error| cannot("find", path, &error))
}

/// `NAME`, `NAME-2`, `NAME-3`, …
fn numbered(folder: &Path, name: &str, number: u32) -> PathBuf {
    match number {
        1 => folder.join(name),
        _ => folder.join(format!("{name}-{number}")),
    }
}

/// `NAME`, or the first of `NAME-2`, `NAME-3`, … that is free.
fn free(folder: &Path, name: &str) -> PathBuf {
    let numbered = |number: u32| numbered(folder, name, number);
    let is_free = |path: &PathBuf| !path.exists() && !beside(path).exists();
    (1..).map(numbered).find(is_free).unwrap_or_else(|| folder.join(name))
}

/// The last of `NAME`, `NAME-2`, … whose run was stopped; where there is none, a free one.
fn stopped(folder: &Path, name: &str) -> PathBuf {
    let numbered = |number: u32| numbered(folder, name, number);
    let taken = |path: &PathBuf| path.exists() || beside(path).exists();
    let stopped = (1..).map(numbered).take_while(taken).filter(|path| beside(path).exists());
    stopped.last().unwrap_or_else(|| free(folder, name))
}
