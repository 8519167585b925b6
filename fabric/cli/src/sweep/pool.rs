//! Runs side by side, within a budget of memory.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Output;
use crate::error::UserError;
use crate::execute::{self, STOP, Settings};
use crate::output::Folder;
use crate::scenario::sweep::Sweep;
use crate::sweep::plan::Planned;

/// How runs are done.
pub(super) struct Pool<'a> {
    pub(super) sweep: &'a Sweep,
    /// The sweep's folder.
    pub(super) folder: &'a Path,
    /// Runs at a time.
    pub(super) jobs: usize,
    /// Bytes that they may need together.
    pub(super) memory: u64,
    pub(super) output: Output,
}

/// What has been begun.
#[derive(Default)]
struct Begun {
    /// The first run that has not.
    next: usize,
    /// Runs under way, and what they need.
    running: Vec<(String, u64)>,
    failed: Vec<String>,
    done: usize,
}

impl Pool<'_> {
    /// Does the runs; says which have failed.
    pub(super) fn run(&self, runs: &[Planned]) -> Vec<String> {
        let begun = Mutex::new(Begun::default());
        let free = Condvar::new();
        let bar = self.bar(runs.len() as u64);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(runs.len()) {
                scope.spawn(|| self.work(runs, &begun, &free, &bar));
            }
        });
        bar.finish_and_clear();
        begun.into_inner().unwrap_or_else(PoisonError::into_inner).failed
    }

    /// One worker: takes the next run when there is memory for it, until there is none left.
    fn work(&self, runs: &[Planned], begun: &Mutex<Begun>, free: &Condvar, bar: &ProgressBar) {
        let lock = || begun.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut state = lock();
            let run = loop {
                let Some(run) = runs.get(state.next) else { return };
                if STOP.load(Ordering::Relaxed) {
                    return;
                }
                let used: u64 = state.running.iter().map(|(_, memory)| memory).sum();
                if state.running.is_empty() || used.saturating_add(run.memory) <= self.memory {
                    break run;
                }
                state = free.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.next += 1;
            state.running.push((run.name.clone(), run.memory));
            show(bar, &state);
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(|| self.one(run)));
            let mut state = lock();
            state.running.retain(|(name, _)| *name != run.name);
            state.done += 1;
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => state.failed.push(format!("{}: {}", run.name, error.render())),
                Err(_) => state.failed.push(format!("{}: an invariant broke, see above", run.name)),
            }
            bar.inc(1);
            show(bar, &state);
            if self.output == Output::Human && !std::io::stderr().is_terminal() {
                eprintln!("[{}/{}] {}", state.done, runs.len(), run.name);
            }
            drop(state);
            free.notify_all();
        }
    }

    /// A run, from its scenario to its folder.
    fn one(&self, run: &Planned) -> Result<(), UserError> {
        let scenario = self.sweep.scenario(&run.step)?;
        let prepared = execute::prepare(&scenario)?;
        let place = Folder::place(Some(&self.folder.join("runs").join(&run.name)), "", false)?;
        let folder = Folder::prepare(place, None)?;
        let settings = Settings::quiet(1);
        let outcome = execute::execute(&scenario, &prepared, &settings)?;
        // What was cut short by Ctrl-C is done again.
        if !outcome.interrupted {
            folder.finish(&scenario, &prepared, &outcome)?;
        }
        Ok(())
    }

    fn bar(&self, count: u64) -> ProgressBar {
        let bar = ProgressBar::new(count);
        if self.output == Output::Quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "[{bar:24}] {pos}/{len} runs, {eta} left: {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(250));
        bar
    }
}

fn show(bar: &ProgressBar, state: &Begun) {
    let names: Vec<&str> = state.running.iter().map(|(name, _)| name.as_str()).collect();
    bar.set_message(names.join(", "));
}
