//! Arguments of `topology`, `convert`, `validate`, `bench` and `live`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use fabric::units::parse_bytes;

use crate::args::{Output, Table};

/// Arguments of `topology`.
#[derive(Debug, Args)]
pub struct Topology {
    /// Scenario file; without it, the default scenario.
    pub scenario: Option<PathBuf>,
    /// Override a key of the scenario; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Only the fabric of this variant [default: every fabric that some variant has].
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Write the fabric as GraphML.
    #[arg(long, value_name = "FILE")]
    pub graphml: Option<PathBuf>,
    /// Write the fabric as DOT, for Graphviz.
    #[arg(long, value_name = "FILE")]
    pub dot: Option<PathBuf>,
    /// Draw the fabric, as SVG.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Draw the fabric, as PNG.
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// A file of flows or a trace of any form that is read (`*` in its name stands for the rank), or a scenario (`.toml`),
    /// whose first workload it is.
    pub input: PathBuf,
    /// Where to write; its ending (.goal, .cm, .csv) says the form.
    pub output: PathBuf,
    /// The form, if the name does not say it.
    #[arg(long, value_enum)]
    pub to: Option<Form>,
    /// Ranks, where the file does not say how many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=16_777_216))]
    pub ranks: Option<u64>,
    /// Buffer of a MSCCL file's collective, like 16MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub bytes: Option<u64>,
    /// Of a scenario: this variant [default: the first].
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Of a scenario: override a key; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
}

/// Forms of workloads that can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    /// GOAL text (LogGOPSim, ATLAHS).
    Goal,
    /// An htsim connection matrix.
    Cm,
    /// A flow file of the ns-3 models.
    Ns3,
    /// Our own table: of flows, or of a trace.
    Table,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// Only cases with this in their name.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Also cases that take long or much memory.
    #[arg(long)]
    pub large: bool,
    /// Runs of each case; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub runs: u64,
    /// Threads of the engine [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Store the result.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Compare with a stored result; exit code 1 if a case is slower.
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Draw the speed of permutations over the size of the fabric, beside that of the stored result: as SVG and PNG.
    #[arg(long, value_name = "FILE")]
    pub figure: Option<PathBuf>,
    /// Share of speed that a case may have lost and not be called slower.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub tolerance: f64,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    /// Run this case here and print its summary.
    #[arg(long, value_name = "CASE", hide = true)]
    pub only: Option<String>,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Folder with `data/uet-htsim` of the reference: its published results and their inputs; adds a row
    /// for each.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Recorded figures to compare with, instead of those that come with the program
    /// (results/baselines/reference.csv).
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,
    /// Run only rows whose case, rate and set-up contain this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Seeds that each row is run with, from 1.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// Runs at a time [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Folder for validate.json and the plot; must not exist, or be empty [default: none].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Table,
}

/// Arguments of `live`.
#[derive(Debug, Args)]
pub struct Live {
    /// Scenario file that attaches hosts (`[[host]]`).
    #[arg(required_unless_present = "replay")]
    pub scenario: Option<PathBuf>,
    /// Override a key of the scenario; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Seed of all random streams.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// The variant [default: the first].
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Name of the session, which is in the names of its namespaces [default: the scenario's].
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Record every injected frame and every change of the fabric with its time, to be run again.
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Look at the session and change its fabric over HTTP: a page, an API, metrics; at this address, or a free port of
    /// 127.0.0.1. Changes need the token that is printed.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:0")]
    pub control: Option<SocketAddr>,
    /// The token of `--control`, at least 8 letters or digits [default: drawn at random].
    #[arg(long, value_name = "TOKEN", requires = "control", value_parser = token)]
    pub token: Option<String>,
    /// Show the session on this terminal: q stops it, p pauses, arrows choose a link, d takes it down or up.
    #[arg(long, conflicts_with = "replay")]
    pub tui: bool,
    /// Folder for what `[capture]` records; must not exist, or be empty [default: results/runs/NAME, numbered if taken].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Run a journal again, offline, and compare the digests; exit code 1 if they differ.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "journal", "sets", "seed", "variant", "control"])]
    pub replay: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// A token that fits into a header.
fn token(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if text.len() < 8 || text.len() > 128 || !text.chars().all(fits) {
        return Err("a token has 8 to 128 letters, digits or -._~+/=".to_owned());
    }
    Ok(text.to_owned())
}
