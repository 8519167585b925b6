//! Arguments of what surrounds runs: sweeps, comparisons, checks, figures, reports, timelines, explanations.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fabric::units::parse_bytes;

use crate::args::{Output, Table};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct Sweep {
    /// Scenario file with a `[sweep]`.
    pub scenario: PathBuf,
    /// Override a key of the scenario; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Seed of all random streams, where the sweep does not say seeds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Folder for the runs, tables and plots; must not exist, or be empty, unless the sweep goes on [default:
    /// results/runs/NAME-sweep, numbered if taken].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a sweep that was stopped, by whatever: runs that are there are kept, the rest is done. Needs --out.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Runs at a time, each on one thread [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub jobs: Option<u64>,
    /// Memory that runs may need together, by their forecasts; one run alone may need more [default: 80 % of what is free].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Do only this share of the runs, like 2/8; all shares of a sweep write to the same --out.
    #[arg(long, value_name = "I/N", value_parser = parse_share, requires = "out")]
    pub shard: Option<(u64, u64)>,
    /// Write a Slurm job-array script that does the sweep in so many tasks (--tasks), and run nothing.
    #[arg(long, value_name = "FILE", requires = "out")]
    pub slurm: Option<PathBuf>,
    /// Tasks of the job array.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub tasks: u64,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// `I/N`, from 1 to N.
fn parse_share(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, n)) if (1..=n).contains(&i) => Ok((i, n)),
        _ => Err("write I/N with I from 1 to N, like 2/8".to_owned()),
    }
}

/// By how much figures may become worse, for `compare` and `check`.
#[derive(Clone, Debug, Args)]
pub struct Allowed {
    /// Share by which figures may become worse, like 2% or 0.02; of one figure, like `fct_p99_us=5%`, which also makes
    /// figures count that only say how (`trimmed`, `dropped`); repeatable [default: 1%].
    #[arg(long, value_name = "[FIGURE=]SHARE", value_parser = parse_allowed)]
    pub tolerance: Vec<(Option<String>, f64)>,
    /// Write the verdicts as JUnit XML as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `SHARE` or `FIGURE=SHARE`.
fn parse_allowed(text: &str) -> Result<(Option<String>, f64), String> {
    let (name, share) = match text.split_once('=') {
        Some((name, share)) => (Some(name.trim().to_owned()), share.trim()),
        None => (None, text.trim()),
    };
    let number = match share.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => share.parse::<f64>(),
    };
    match number {
        Ok(share) if share >= 0.0 && share.is_finite() => Ok((name, share)),
        _ => Err("write a share like 2% or 0.02, or FIGURE=SHARE like fct_p99_us=5%".to_owned()),
    }
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The old run: its folder, its summary.json, or a baseline.
    pub old: PathBuf,
    /// The new run.
    pub new: PathBuf,
    /// By how much figures may become worse.
    #[command(flatten)]
    pub allowed: Allowed,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Table,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Scenario files, or folders of them.
    #[arg(required = true)]
    pub scenarios: Vec<PathBuf>,
    /// Folder of baselines, NAME.json for NAME.toml; a scenario without one is checked by its claims alone.
    #[arg(long, value_name = "DIR")]
    pub baselines: Option<PathBuf>,
    /// Write the baselines anew instead of comparing.
    #[arg(long, requires = "baselines")]
    pub update: bool,
    /// Only scenarios with this in their file name.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Override a key of all scenarios; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Threads; changes speed, never results [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// By how much figures may become worse.
    #[command(flatten)]
    pub allowed: Allowed,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Table,
}

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub struct Plot {
    /// A run's folder.
    pub run: PathBuf,
    /// Folder for the figures, each as SVG and PNG [default: plots in the run's folder].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only this figure, by the name of its file; repeatable.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Folders of runs and of sweeps.
    #[arg(required = true)]
    pub folders: Vec<PathBuf>,
    /// Where to write [default: report.html in the first folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Slowest flows that are listed, of each workload of each variant.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub slowest: u64,
    /// Whether a run is repeated to explain where the time of its slowest flows went: `auto` does it if the run took less
    /// than a minute.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t)]
    pub explain: Explained,
}

/// Whether a report explains the slowest flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Explained {
    /// If the run took less than a minute.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// Arguments of `timeline`.
#[derive(Debug, Args)]
pub struct Timeline {
    /// A run's folder.
    pub run: PathBuf,
    /// Where to write; standard output if `-` [default: timeline.json in the run's folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only this variant.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Only this workload.
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// Most messages of each workload, the slowest first.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub messages: u64,
    /// Ports whose queue is shown, the longest first.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub ports: u64,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A run's folder.
    pub run: PathBuf,
    /// The message, by its number in the table `flows`; repeatable [default: the slowest of each workload].
    #[arg(long, value_name = "N", conflicts_with = "slowest")]
    pub flow: Vec<u32>,
    /// So many of the slowest messages of each workload of each variant.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub slowest: u64,
    /// Only this variant.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Only this workload.
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// Threads; changes speed, never results [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
