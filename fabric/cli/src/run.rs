//! What `ultraloom run` does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dist::World;
use fabric::engine::ranks::Ranks;

use crate::args::{Output, Run};
use crate::checkpoint::{self, Checkpoints};
use crate::error::UserError;
use crate::execute::{self, Cut, Outcome, Settings};
use crate::output::Folder;
use crate::prepare::Prepared;
use crate::say::{say, say_line};
use crate::scenario::model::Scenario;
use crate::{INTERRUPTED, UNFINISHED, WRONG, forecast, refuse, scenario, together};

/// Runs a scenario with all processes that were started together; the first one speaks.
pub(crate) fn run_among(arguments: &Run) -> ExitCode {
    let world = match World::join() {
        Ok(world) => world,
        Err(message) => {
            let help = "build it with `--features mpi`, or start it once";
            return refuse(&UserError::new(message).help(help));
        }
    };
    run(arguments, &world).unwrap_or_else(|error| {
        if world.is_first() { refuse(&error) } else { ExitCode::from(WRONG) }
    })
}

/// What the arguments mean once a stopped run is looked for.
struct Asked<'a> {
    arguments: &'a Run,
    /// The output folder.
    out: Option<&'a Path>,
    /// The scenario's file.
    scenario: Option<PathBuf>,
}

impl Asked<'_> {
    /// `--resume FOLDER` means that output folder; a stopped run knows its scenario.
    fn new(arguments: &Run) -> Asked<'_> {
        let (mut out, mut file) = (arguments.out.as_deref(), arguments.scenario.clone());
        if arguments.resume {
            let is_stopped = |path: &Path| checkpoint::is_begun(&checkpoint::beside(path));
            if out.is_none() && arguments.scenario.as_deref().is_some_and(is_stopped) {
                (out, file) = (arguments.scenario.as_deref(), None);
            }
            let stored = out.map(|out| checkpoint::beside(out).join("scenario.toml"));
            file = file.or(stored.filter(|stored| stored.is_file()));
        }
        Asked { arguments, out, scenario: file }
    }

    /// Reads the scenario and prepares its variants.
    fn load(&self) -> Result<(Scenario, Vec<Prepared>), UserError> {
        let Run { sets, seed, memory, .. } = self.arguments;
        let scenario = scenario::load(self.scenario.as_deref(), sets, *seed)?;
        if let Some(variant) = scenario.variants.iter().find(|v| v.workloads.is_empty()) {
            let text = format!("{} has no `workload`, so there is nothing to run", variant.name);
            return Err(UserError::new(text).help("hosts are attached by `ultraloom live`"));
        }
        let prepared = execute::prepare(&scenario)?;
        if let Some(limit) = *memory {
            forecast::check(&scenario, &prepared, limit)?;
        }
        Ok((scenario, prepared))
    }

    /// Where everything is written, the state of a stopped run included.
    fn destination(&self, scenario: &Scenario, cut: Cut) -> Result<Destination, UserError> {
        let Run { checkpoint_every: every, resume, .. } = *self.arguments;
        let place = Folder::place(self.out, &scenario.name, resume)?;
        let states = checkpoint::beside(&place);
        let text = &scenario.resolved;
        let checkpoints = if resume && checkpoint::is_begun(&states) {
            Some(Checkpoints::open(states, every, text)?)
        } else {
            if resume {
                eprintln!("{} is not there: the run begins at its start", states.display());
            }
            every.map(|_| Checkpoints::begin(states, every, text, cut)).transpose()?
        };
        let partial = checkpoints.as_ref().map(Checkpoints::partial);
        Ok(Destination { folder: Folder::prepare(place, partial)?, checkpoints })
    }
}

/// Where the first rank writes.
struct Destination {
    folder: Folder,
    checkpoints: Option<Checkpoints>,
}

/// Runs a scenario and writes its folder.
///
/// # Errors
/// What the user has to mend; nothing has run or been written then.
pub fn run(arguments: &Run, world: &World) -> Result<ExitCode, UserError> {
    let asked = Asked::new(arguments);
    let (scenario, prepared) = together(world, asked.load())?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.threads.unwrap_or(cores);
    let ranks = world.count() as u64;
    let shards = arguments.shards.unwrap_or(threads * ranks) as u32;
    let cut = Cut { shards, ranks: ranks as u32 };
    // Before there is anything to keep, Ctrl-C ends the process as usual.
    execute::stop_on_signals();
    let destination = || asked.destination(&scenario, cut);
    let destination = together(world, world.is_first().then(destination).transpose())?;
    let (folder, checkpoints) = destination
        .map_or((None, None), |destination| (Some(destination.folder), destination.checkpoints));
    let checkpoints = Checkpoints::share(checkpoints, world);
    let settings = Settings {
        ranks: world,
        threads: threads as usize,
        cut: checkpoints.as_ref().map_or(cut, Checkpoints::cut),
        output: arguments.output,
        checkpoints: checkpoints.as_ref(),
    };
    let outcome = execute::execute(&scenario, &prepared, &settings)?;
    let Some(folder) = folder else { return Ok(ExitCode::SUCCESS) };
    if outcome.interrupted && checkpoints.is_some() {
        eprintln!("interrupted: the same command with --resume goes on from here");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let place = folder.finish(&scenario, &prepared, &outcome)?;
    if let Some(checkpoints) = checkpoints {
        checkpoints.remove();
    }
    show(&outcome, arguments.output, &place);
    Ok(verdict(&outcome))
}

/// Prints what a run gave.
fn show(outcome: &Outcome, output: Output, place: &Path) {
    match output {
        Output::Human => {
            say(&results::table::table(&outcome.summary));
            if results::slowdown::is_worth_it(&outcome.summary) {
                say_line(&results::slowdown::text(&outcome.summary));
            }
            for claim in outcome.summary.claims.iter().filter(|claim| claim.holds) {
                say_line(&claim.line());
            }
            say_line(&format!("\nrecords, plots and summary: {}", place.display()));
        }
        Output::Json => say_line(&outcome.summary.to_json()),
        Output::Quiet => {}
    }
}

fn verdict(outcome: &Outcome) -> ExitCode {
    for set in outcome.captures.iter().filter(|set| set.beyond() > 0) {
        let (variant, workload, beyond) = (&set.variant, &set.workload, set.beyond());
        eprintln!(
            "capture: {variant}, {workload}: {beyond} frames beyond `capture.frames` were left out"
        );
    }
    for text in &outcome.unfinished {
        eprintln!("unfinished: {text}");
    }
    let missed: Vec<_> = outcome.summary.claims.iter().filter(|claim| !claim.holds).collect();
    for claim in &missed {
        eprintln!("claim {}", claim.line());
    }
    if outcome.interrupted {
        eprintln!("interrupted: what was finished is kept");
        ExitCode::from(INTERRUPTED)
    } else if outcome.unfinished.is_empty() && missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(UNFINISHED)
    }
}
