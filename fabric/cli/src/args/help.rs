//! Arguments of what helps along: lists, new scenarios, schemas, completions, man pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::args::Table;

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
