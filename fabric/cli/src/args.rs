//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fabric::units::parse_bytes;

use crate::checkpoint::{Every, parse_every};

/// Packet-level emulation of Ultra Ethernet fabrics.
#[derive(Debug, Parser)]
#[command(name = "ultraloom", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; `run` with the default scenario if left out.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  ultraloom run
  ultraloom run topologies/scenarios/incast.toml --set topology.hosts=64 --seed 7
  ultraloom sweep topologies/scenarios/sweep.toml --out results/runs/sizes --jobs 2
  ultraloom compare results/runs/before results/runs/after --tolerance 2%
  ultraloom check topologies/scenarios --filter incast
  ultraloom topology topologies/scenarios/dragonfly.toml --set topology.hosts=1056
  ultraloom run my.toml --threads 1 --output json --out results/runs/mine
  ultraloom run my.toml --out results/runs/long --checkpoint-every '10min wall' --resume";

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario, all its variants, and compare them.
    Run(Run),
    /// Run a scenario with all settings of its [sweep], in parallel; a sweep that was stopped can go on.
    Sweep(Sweep),
    /// Compare two runs; exit code 1 if a figure became worse by more than it may.
    Compare(Compare),
    /// Run scenarios, check their claims and compare them with baselines: regression tests.
    Check(Check),
    /// Describe a scenario's fabric: switches, links, bisection, routes, memory; export it.
    Topology(Topology),
    /// Write a workload in another form: flows as .cm, ns-3 flow file or table; traces and generated programs as GOAL or table.
    Convert(Convert),
    /// Run the fidelity table: our figures beside recorded ones of the reference simulators.
    Validate(Validate),
    /// Measure the engine's speed on this machine.
    Bench(Bench),
    /// Make the figures of a run from its records: completion times, queues, load of links, fairness, windows.
    Plot(Plot),
    /// Write one self-contained HTML page about runs and sweeps: tables, interactive charts, the fabric over time.
    Report(Report),
    /// Write a run as a timeline for Perfetto (ui.perfetto.dev) and Chrome: ranks, steps, messages, queues, faults.
    Timeline(Timeline),
    /// What there is to choose from: scenarios, topologies, presets, transports, workloads, figures.
    List(List),
    /// Write a scenario to begin with, with comments.
    New(New),
    /// Print completions for a shell.
    Completions(Completions),
    /// Write man pages.
    Man(Man),
    /// What the records of a run mean: tables, columns, units; distributions.
    Schema(Schema),
}

/// Arguments of `run`.
#[derive(Debug, Default, Args)]
pub struct Run {
    /// Scenario file (keys: fabric/cli/SCENARIO.md); without it, all-reduce and all-to-all with Ultra
    /// Ethernet against RoCE on 128 hosts.
    pub scenario: Option<PathBuf>,
    /// Override a key of the scenario; repeatable.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub sets: Vec<String>,
    /// Seed of all random streams; overrides the scenario's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Threads; changes speed, never results [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Parts the fabric is cut into; changes speed, never results [default: one a thread].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub shards: Option<u64>,
    /// Refuse what would need more memory than this, like 8GiB; runs forecast it before they start.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Store the state every so often, so that a run that was stopped can go on: simulated time, like `50us`, or time
    /// on the clock, like `10min wall`.
    #[arg(long, value_name = "TIME", value_parser = parse_every)]
    pub checkpoint_every: Option<Every>,
    /// Go on from the last checkpoint of the same run that was stopped, by whatever; from the start if there is none.
    /// Without SCENARIO, `--out DIR` says which.
    #[arg(long)]
    pub resume: bool,
    /// Folder for records, summary and plots; must not exist, or be empty [default:
    /// results/runs/NAME, numbered if taken].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Arguments of `sweep`.
#[derive(Debug, Args)]
pub struct Sweep {
    /// Scenario file with a [sweep].
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

/// What is listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Listed {
    /// Scenarios that come with the program.
    Scenarios,
    /// Shapes of fabrics.
    Topologies,
    /// Clusters by name.
    Presets,
    /// Transports.
    Transports,
    /// Kinds of traffic.
    Workloads,
    /// Figures of sweeps and comparisons.
    Figures,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only these.
    #[arg(value_enum)]
    pub what: Option<Listed>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Table,
}

/// Arguments of `new`.
#[derive(Debug, Args)]
pub struct New {
    /// Where to write, or `-` to print it; must not exist.
    pub file: PathBuf,
    /// A copy of this scenario that comes with the program (`ultraloom list scenarios`).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["topology", "workload", "hosts"])]
    pub from: Option<String>,
    /// Its topology (`ultraloom list topologies`).
    #[arg(long, value_name = "KIND", default_value = "fat-tree")]
    pub topology: String,
    /// Its hosts.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(2..=16_777_216))]
    pub hosts: u64,
    /// Its workload (`ultraloom list workloads`).
    #[arg(long, value_name = "KIND", default_value = "all-reduce")]
    pub workload: String,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages.
    #[arg(default_value = "man")]
    pub out: PathBuf,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Only this table.
    pub table: Option<String>,
    /// Instead, the JSON Schema of scenarios, for editors.
    #[arg(long, conflicts_with = "table")]
    pub scenario: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub output: Table,
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

/// What `validate` prints on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Table {
    /// A table.
    #[default]
    Human,
    /// The same in Markdown.
    Markdown,
    /// One JSON object.
    Json,
    /// Nothing.
    Quiet,
}

/// What a run prints on standard output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Output {
    /// A table, variants side by side.
    #[default]
    Human,
    /// One JSON object.
    Json,
    /// Nothing.
    Quiet,
}
