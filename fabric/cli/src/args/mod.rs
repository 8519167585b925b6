//! The command line.
//!
//! - `run`: of `ultraloom run`; `experiments`: of what surrounds runs; `tools`: of fabrics, workloads, fidelity and speed;
//!   `endpoint`: of transports over real sockets; `help`: of lists, schemas and shells

mod endpoint;
mod experiments;
mod help;
mod run;
mod tools;

use clap::{Parser, Subcommand, ValueEnum};

pub use endpoint::{Endpoint, EndpointJob, Transport};
pub use experiments::{Allowed, Check, Compare, Explain, Explained, Plot, Report, Sweep, Timeline};
pub use help::{Completions, List, Listed, Man, New, Schema};
pub use run::Run;
pub use tools::{Bench, Convert, Form, Live, Topology, Validate};

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
    /// Run a scenario with all settings of its `[sweep]`, in parallel; a sweep that was stopped can go on.
    Sweep(Sweep),
    /// Compare two runs; exit code 1 if a figure became worse by more than it may.
    Compare(Compare),
    /// Run scenarios, check their claims and compare them with baselines: regression tests.
    Check(Check),
    /// Attach real hosts to a scenario's fabric, in wall-clock time: namespaces or interfaces.
    Live(Live),
    /// Run UET or RoCE over UDP sockets between real hosts: send, receive, ping-pong, all-reduce.
    Endpoint(Endpoint),
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
    /// Where the time of single messages went: on wires, in queues, paused, limited by window or credit, sent again.
    Explain(Explain),
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
