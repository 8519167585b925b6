//! A sweep as a Slurm job array: each task does its share, and whichever is last makes the tables.

use std::path::Path;

use crate::args::Sweep as Arguments;
use crate::error::UserError;
use crate::sweep::plan::Plan;

/// Memory asked for over what is forecast.
const SPARE: f64 = 1.5;

/// Writes the script.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(file: &Path, arguments: &Arguments, plan: &Plan) -> Result<(), UserError> {
    let text = script(arguments, plan);
    std::fs::write(file, text)
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", file.display())))
}

fn script(arguments: &Arguments, plan: &Plan) -> String {
    let jobs = arguments.jobs.unwrap_or(1);
    let tasks = arguments.tasks.min(plan.runs.len() as u64);
    let most = plan.runs.iter().map(|run| run.memory).max().unwrap_or(0);
    let megabytes = (most as f64 * jobs as f64 * SPARE / f64::from(1u32 << 20)).ceil() as u64 + 64;
    let out =
        arguments.out.as_deref().map_or_else(String::new, |out| quoted(&out.display().to_string()));
    let mut command =
        format!("ultraloom sweep {}", quoted(&arguments.scenario.display().to_string()));
    for set in &arguments.sets {
        command += &format!(" --set {}", quoted(set));
    }
    if let Some(seed) = arguments.seed {
        command += &format!(" --seed {seed}");
    }
    format!(
        "#!/bin/bash\n\
         # {} runs in {tasks} tasks. A task that was stopped goes on with its share when it is submitted again; tables and\n\
         # plots are made by the task that finds all runs complete.\n\
         #SBATCH --job-name=ultraloom\n\
         #SBATCH --array=1-{tasks}\n\
         #SBATCH --cpus-per-task={jobs}\n\
         #SBATCH --mem={megabytes}M\n\
         set -euo pipefail\n\
         {command} --out {out} --jobs {jobs} --shard \"$SLURM_ARRAY_TASK_ID/{tasks}\"\n",
        plan.runs.len()
    )
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
