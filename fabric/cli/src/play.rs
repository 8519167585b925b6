//! One run of the engine: on all ranks, with progress, from checkpoint to checkpoint.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fabric::engine::Progress;
use fabric::engine::ranks::Ranks;
use fabric::probe::RunRecord;
use fabric::run::{Run, Stage, Until};
use fabric::units::Time;
use transports::AnyEndpoint;
use workloads::AnyProgram;

use crate::args::Output;
use crate::checkpoint::Checkpoints;
use crate::error::UserError;
use crate::execute::{STOP, Settings};
use crate::progress::Display;

/// What a run came to.
pub(crate) enum Played {
    /// To its end, or to a stop that keeps what there is. The record is the first rank's.
    Over {
        /// What it gave.
        record: Option<Box<RunRecord>>,
        /// Seconds of running, those before a stop included.
        wall_s: f64,
    },
    /// It was stopped, and its state is stored.
    Later,
}

/// The run of a scenario that is played.
pub(crate) struct Part<'a> {
    /// Its number in the scenario.
    pub(crate) number: usize,
    /// What it is called.
    pub(crate) title: String,
    /// Messages that it has.
    pub(crate) messages: u64,
    /// No event after this is run.
    pub(crate) end: Time,
    /// Where its state is stored.
    pub(crate) checkpoints: Option<&'a Checkpoints>,
}

/// Plays a run.
///
/// # Errors
/// When the state to go on from is damaged.
pub(crate) fn play<R: Ranks>(
    part: &Part<'_>,
    mut run: Run<AnyEndpoint, AnyProgram>,
    settings: &Settings<'_, R>,
) -> Result<Played, UserError> {
    let ranks = settings.ranks;
    let taken_up = part.checkpoints.map(|states| states.take_up(part.number, &mut run));
    let before = crate::together(ranks, taken_up.transpose())?.flatten().unwrap_or(0.0);
    let progress = Arc::new(Progress::default());
    let output = if ranks.is_first() { settings.output } else { Output::Quiet };
    let clock = part.checkpoints.and_then(Checkpoints::clock).filter(|_| ranks.is_first());
    let shown = Arc::clone(&progress);
    let display = Display::start(&part.title, part.messages, output, shown, &STOP, clock);
    #[allow(clippy::disallowed_methods, reason = "the command measures how long the engine takes")]
    let start = Instant::now();
    let seconds = || before + start.elapsed().as_secs_f64();
    loop {
        let pause = part.checkpoints.map_or(Time::NEVER, |states| states.pause_after(run.next()));
        let until = Until { end: part.end, pause };
        let stage = run.proceed(settings.threads, until, &progress, ranks);
        let told = stage == Stage::Stopped && ranks.any(STOP.load(Ordering::Relaxed));
        if stage == Stage::Finished || stage == Stage::Stopped && !told {
            break;
        }
        progress.pause.store(false, Ordering::Relaxed);
        let Some(states) = part.checkpoints else { break };
        let kept = states.keep(part.number, &run, seconds(), ranks);
        if let Err(error) = &kept {
            let then = if told { "a resume begins earlier" } else { "the run goes on" };
            eprintln!("no checkpoint, {then}: {}", error.message);
        }
        if told {
            break;
        }
    }
    drop(display);
    let told = ranks.any(STOP.load(Ordering::Relaxed));
    STOP.fetch_or(told, Ordering::Relaxed);
    if told && part.checkpoints.is_some() && run.stage() != Stage::Finished {
        return Ok(Played::Later);
    }
    let record = run.finish(ranks).map(Box::new);
    Ok(Played::Over { record, wall_s: seconds() })
}
