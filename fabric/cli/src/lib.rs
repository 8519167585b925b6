//! The `ultraloom` command: scenario in, comparison out.
//!
//! # Map of the code
//! - [`args`]: the command line; [`run`]: what `ultraloom run` does
//! - [`scenario`]: TOML to checked data; [`error`]: errors that show their place;
//!   [`csv_file`]: tables with places
//! - [`prepare`]: a variant to graph, behaviour, programs, faults; [`execute`]: the engine
//! - [`validate`](mod@validate): the fidelity table; [`bench`](mod@bench): the engine's speed
//! - [`forecast`]: memory, before a run
//! - [`progress`], [`output`]: what a user sees and keeps; [`captures`]: captured frames as pcapng

pub mod args;
pub mod bench;
pub mod captures;
pub mod csv_file;
pub mod error;
pub mod execute;
pub mod forecast;
pub mod output;
pub mod prepare;
pub mod progress;
pub mod scenario;
pub mod validate;

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use dist::World;
use fabric::engine::ranks::Ranks;

use args::{Cli, Command, Output, Run};
use error::UserError;
use execute::{Outcome, STOP, Settings};
use prepare::Prepared;
use scenario::model::Scenario;

/// Some flows did not finish, figures do not agree, or a claim is missed.
const UNFINISHED: u8 = 1;
/// Something the user has to mend.
const WRONG: u8 = 2;
/// Ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Does what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    let code = match cli.command {
        Some(Command::Run(arguments)) => return run_among(&arguments),
        Some(Command::Validate(arguments)) => validate::validate(&arguments),
        Some(Command::Bench(arguments)) => bench::bench(&arguments),
        None => return run_among(&Run::default()),
    };
    match code {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", error.render());
            ExitCode::from(WRONG)
        }
    }
}

/// Runs a scenario with all processes that were started together; the first one speaks.
fn run_among(arguments: &Run) -> ExitCode {
    let world = match World::join() {
        Ok(world) => world,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(WRONG);
        }
    };
    run(arguments, &world).unwrap_or_else(|error| {
        if world.is_first() {
            eprintln!("{}", error.render());
        }
        ExitCode::from(WRONG)
    })
}

/// What went well on all ranks; else their own error, or that of another rank.
fn together<T>(world: &World, own: Result<T, UserError>) -> Result<T, UserError> {
    let failed = world.first_failure(own.as_ref().err().map(|error| error.message.as_str()));
    match (own, failed) {
        (Ok(_), Some((rank, message))) => Err(UserError::new(format!("rank {rank}: {message}"))),
        (own, _) => own,
    }
}

/// Reads a scenario and prepares its variants.
fn load(arguments: &Run) -> Result<(Scenario, Vec<Prepared>), UserError> {
    let scenario = scenario::load(arguments.scenario.as_deref(), &arguments.sets, arguments.seed)?;
    let prepared = execute::prepare(&scenario)?;
    if let Some(limit) = arguments.memory {
        forecast::check(&scenario, &prepared, limit)?;
    }
    Ok((scenario, prepared))
}

/// Runs a scenario and writes its folder.
///
/// # Errors
/// What the user has to mend; nothing has run or been written then.
pub fn run(arguments: &Run, world: &World) -> Result<ExitCode, UserError> {
    let (scenario, prepared) = together(world, load(arguments))?;
    let folder = || output::Folder::prepare(arguments.out.as_deref(), &scenario.name);
    let folder = together(world, world.is_first().then(folder).transpose())?;
    // Without a handler Ctrl-C ends the process as usual.
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.threads.unwrap_or(cores);
    let settings = Settings {
        ranks: world,
        threads: threads as usize,
        shards: arguments.shards.unwrap_or(threads * world.count() as u64) as u32,
        output: arguments.output,
    };
    let outcome = execute::execute(&scenario, &prepared, &settings)?;
    let Some(folder) = folder else { return Ok(ExitCode::SUCCESS) };
    let place = folder.finish(&scenario, &outcome)?;
    match arguments.output {
        Output::Human => {
            print!("{}", results::table::table(&outcome.summary));
            if results::slowdown::is_worth_it(&outcome.summary) {
                println!("{}", results::slowdown::text(&outcome.summary));
            }
            for claim in outcome.summary.claims.iter().filter(|claim| claim.holds) {
                println!("{}", claim.line());
            }
            println!("\nrecords, plots and summary: {}", place.display());
        }
        Output::Json => println!("{}", outcome.summary.to_json()),
        Output::Quiet => {}
    }
    Ok(verdict(&outcome))
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
