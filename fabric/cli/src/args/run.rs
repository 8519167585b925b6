//! Arguments of `run`.

use std::path::PathBuf;

use clap::Args;
use fabric::units::parse_bytes;

use crate::args::Output;
use crate::checkpoint::{Every, parse_every};

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
