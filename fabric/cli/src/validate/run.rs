//! Runs rows, several at a time, each run on one thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fabric::assemble::Extent;
use fabric::engine::Progress;
use fabric::probe::{PortCounters, RunRecord};
use fabric::units::Time;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Source, UserError};
use crate::execute::{Cut, STOP, assembled, until};
use crate::prepare::Prepared;
use crate::scenario;
use crate::validate::rows::{Row, Sample, Scene};

/// Time between two looks at Ctrl-C.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a row gave, one sample a seed, or why it gave nothing.
pub type Outcome = Result<Vec<Sample>, String>;

/// Runs each row with the seeds from 1 to `seeds`, on `threads` threads; `None` when Ctrl-C ended it.
pub fn run(rows: &[Row], seeds: u64, threads: usize, show: bool) -> Option<Vec<Outcome>> {
    let jobs: Vec<(usize, u64)> =
        (0..rows.len()).flat_map(|row| (1..=seeds).map(move |seed| (row, seed))).collect();
    let results: Mutex<Vec<Option<Result<Sample, String>>>> = Mutex::new(vec![None; jobs.len()]);
    let (next, left) = (AtomicUsize::new(0), AtomicUsize::new(jobs.len()));
    let progress = Progress::default();
    let bar = bar(jobs.len() as u64, show);
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some((row, seed)) = jobs.get(job) else { return };
            let result = match &rows[*row].scene {
                _ if STOP.load(Ordering::Relaxed) => Err("interrupted".to_owned()),
                Ok(scene) => {
                    bar.set_message(format!("{}, seed {seed}", rows[*row].title()));
                    play(scene, *seed, &progress)
                }
                Err(problem) => Err(problem.clone()),
            };
            results.lock().unwrap_or_else(PoisonError::into_inner)[job] = Some(result);
            bar.inc(1);
            left.fetch_sub(1, Ordering::Release);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        // A worker that panics leaves its job undone: its end ends the waiting too.
        while left.load(Ordering::Acquire) > 0 && workers.iter().any(|w| !w.is_finished()) {
            if STOP.load(Ordering::Relaxed) {
                progress.stop.store(true, Ordering::Relaxed);
            }
            std::thread::park_timeout(INTERVAL);
        }
    });
    bar.finish_and_clear();
    if STOP.load(Ordering::Relaxed) {
        return None;
    }
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Some(results.chunks(seeds as usize).map(together).collect())
}

/// The samples of a row, or the first thing that went wrong.
fn together(results: &[Option<Result<Sample, String>>]) -> Outcome {
    results.iter().map(|result| result.clone().unwrap_or(Err("not run".to_owned()))).collect()
}

/// Runs a scene with a seed.
fn play(scene: &Scene, seed: u64, progress: &Progress) -> Result<Sample, String> {
    record(scene, seed, progress).map_err(|error| error.message)?
}

fn record(
    scene: &Scene,
    seed: u64,
    progress: &Progress,
) -> Result<Result<Sample, String>, UserError> {
    let folder = scene.folder.clone();
    let source = Source { name: "row.toml".into(), text: scene.text.clone(), folder };
    let scenario = scenario::from_source(&Arc::new(source), &[], Some(seed))?;
    let variant = &scenario.variants[0];
    let prepared = Prepared::with(variant, scene.files.clone())?;
    let programs = prepared.workload(&variant.workloads[0], seed)?;
    let messages = programs.messages;
    let run =
        assembled(&prepared, programs, seed, Cut { shards: 1, ranks: 1 }, Extent::default(), None)?;
    Ok(sample(&run.execute(1, until(variant), progress), messages))
}

/// The figures of a run, as the reference counts them: completions from time zero.
fn sample(record: &RunRecord, messages: u64) -> Result<Sample, String> {
    let done: Vec<f64> = record
        .messages
        .iter()
        .filter(|message| message.acked != Time::NEVER)
        .map(|message| message.acked.as_micros())
        .collect();
    if (done.len() as u64) < messages {
        return Err(format!("{} of {messages} flows did not finish", messages - done.len() as u64));
    }
    let own: Vec<f64> = record
        .messages
        .iter()
        .filter(|message| message.acked != Time::NEVER)
        .map(|message| message.acked.since(message.posted).as_micros())
        .collect();
    let ports = || record.ports.iter().map(|port| &port.counters);
    let retransmitted: u64 = record.endpoints.iter().map(|counters| counters.retransmitted).sum();
    Ok(Sample {
        mean_us: done.iter().sum::<f64>() / done.len().max(1) as f64,
        max_us: done.iter().copied().fold(0.0, f64::max),
        retransmitted: retransmitted as f64,
        own_mean_us: own.iter().sum::<f64>() / own.len().max(1) as f64,
        own_max_us: own.iter().copied().fold(0.0, f64::max),
        pauses: ports().map(|port| port.pauses_sent).sum::<u64>() as f64,
        dropped: ports().map(PortCounters::dropped).sum::<u64>() as f64,
    })
}

fn bar(jobs: u64, show: bool) -> ProgressBar {
    let bar = ProgressBar::new(jobs);
    if !show {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) =
        ProgressStyle::with_template("[{bar:24}] {pos}/{len} runs, {eta} left, {msg}")
    {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
