//! Progress of a run: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fabric::engine::Progress;
use fabric::units::Span;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Output;

/// Time between two looks at the engine.
const INTERVAL: Duration = Duration::from_millis(100);

/// Shows an engine's progress until it is finished or dropped.
pub struct Display {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Begins to show `progress` of a run with `messages` messages; passes `stop` on to it, and asks for a pause
    /// whenever `clock` has gone by.
    pub fn start(
        title: &str,
        messages: u64,
        output: Output,
        progress: Arc<Progress>,
        stop: &'static AtomicBool,
        clock: Option<Duration>,
    ) -> Display {
        let over = Arc::new(AtomicBool::new(false));
        let bar = bar(title, messages, output);
        let told = Arc::clone(&over);
        let mut paused = Duration::ZERO;
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) {
                    progress.stop.store(true, Ordering::Relaxed);
                }
                if clock.is_some_and(|clock| bar.elapsed() >= paused + clock) {
                    paused = bar.elapsed();
                    progress.pause.store(true, Ordering::Relaxed);
                }
                show(&bar, &progress);
                std::thread::park_timeout(INTERVAL);
            }
            bar.finish_and_clear();
        });
        Display { over, thread: Some(thread) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A display that panicked must not take the run's results with it.
            let _ = thread.join();
        }
    }
}

fn bar(title: &str, messages: u64, output: Output) -> ProgressBar {
    let bar = ProgressBar::new(messages);
    if output == Output::Quiet || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let template = "{prefix} [{bar:24}] {pos}/{len} flows, {msg}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(title.to_owned());
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_position(progress.messages_done.load(Ordering::Relaxed));
    let hops = progress.hops.load(Ordering::Relaxed) as f64;
    let rate = hops / bar.elapsed().as_secs_f64().max(1e-3);
    let time = Span(progress.sim_ps.load(Ordering::Relaxed));
    bar.set_message(format!(
        "{:.1} us simulated, {} packet-hops/s",
        time.as_micros(),
        HumanCount(rate as u64)
    ));
}
