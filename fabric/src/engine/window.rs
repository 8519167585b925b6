//! The window loop, the same for one thread and many: agree on the next window, collect mail, run,
//! post mail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::endpoint::Endpoint;
use crate::engine::barrier::Barrier;
use crate::engine::exchange::Exchange;
use crate::engine::shard::Shard;
use crate::program::Program;
use crate::units::{Span, Time};

/// What a run tells while it goes on, and how it is told to stop. Written once a window.
#[derive(Debug, Default)]
pub struct Progress {
    /// Simulated picoseconds so far.
    pub sim_ps: AtomicU64,
    /// Packet-hops so far.
    pub hops: AtomicU64,
    /// Messages acknowledged so far.
    pub messages_done: AtomicU64,
    /// Set it to end the run after the present window.
    pub stop: AtomicBool,
}

/// How far a run goes, and in what steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Width of a window.
    pub(crate) lookahead: Span,
    /// No event after this time is run.
    pub(crate) until: Time,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) windows: u64,
    /// Most packets in the fabric at the end of a window.
    pub(crate) in_flight_max: u64,
    /// Start of the last window.
    pub(crate) last: Time,
    /// Events were left.
    pub(crate) stopped: bool,
}

/// What the workers of one run share.
pub(crate) struct Shared<'a> {
    barrier: Barrier,
    exchange: Exchange,
    /// By parity of the window, then worker: earliest event and packets in flight.
    earliest: [Vec<AtomicU64>; 2],
    in_flight: [Vec<AtomicU64>; 2],
    stop: [AtomicBool; 2],
    progress: &'a Progress,
    limits: Limits,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        workers: usize,
        shards: usize,
        limits: Limits,
        progress: &'a Progress,
    ) -> Shared<'a> {
        let row = || (0..workers).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Shared {
            barrier: Barrier::new(workers),
            exchange: Exchange::new(shards),
            earliest: [row(), row()],
            in_flight: [row(), row()],
            stop: [AtomicBool::new(false), AtomicBool::new(false)],
            progress,
            limits,
        }
    }

    /// Publishes this worker's state before window `number` and learns all others'. Returns the
    /// earliest event of all and the packets in flight; `None` when the run was told to stop.
    fn agree(&self, worker: usize, number: u64, earliest: Time, live: u64) -> Option<(Time, u64)> {
        let set = (number & 1) as usize;
        self.earliest[set][worker].store(earliest.0, Ordering::Relaxed);
        self.in_flight[set][worker].store(live, Ordering::Relaxed);
        if worker == 0 {
            self.stop[set].store(self.progress.stop.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.barrier.wait();
        let start = self.earliest[set].iter().map(|e| e.load(Ordering::Relaxed)).min();
        let live = self.in_flight[set].iter().map(|e| e.load(Ordering::Relaxed)).sum();
        let stop = self.stop[set].load(Ordering::Relaxed);
        (!stop).then_some((Time(start.unwrap_or(u64::MAX)), live))
    }
}

/// Runs this worker's shards (`first` is the number of the first) to the end.
pub(crate) fn work<E: Endpoint, P: Program>(
    worker: usize,
    first: usize,
    shards: &mut [Shard<E, P>],
    shared: &Shared<'_>,
) -> Outcome {
    let _guard = shared.barrier.guard();
    let mut outcome = Outcome::default();
    let mut reported = (0, 0);
    loop {
        let earliest = shards.iter().map(Shard::earliest).min().unwrap_or(Time::NEVER);
        let live = shards.iter().map(|shard| shard.in_flight).sum();
        let agreed = shared.agree(worker, outcome.windows, earliest, live);
        let Some((start, in_flight)) = agreed else {
            outcome.stopped = true;
            return outcome;
        };
        outcome.in_flight_max = outcome.in_flight_max.max(in_flight);
        if start > shared.limits.until {
            outcome.stopped = start < Time::NEVER;
            return outcome;
        }
        outcome.last = start;
        let end = Time((start + shared.limits.lookahead).0.min(shared.limits.until.0 + 1));
        for (number, shard) in shards.iter_mut().enumerate() {
            shared.exchange.collect(
                outcome.windows.wrapping_sub(1),
                first + number,
                &mut shard.outlet,
            );
            shard.run_window(start, end);
            shared.exchange.post(outcome.windows, first + number, &mut shard.outlet);
        }
        outcome.windows += 1;
        report(worker, start, shards, shared.progress, &mut reported);
    }
}

/// Adds what was done since the last report to the shared progress.
fn report<E, P>(
    worker: usize,
    start: Time,
    shards: &[Shard<E, P>],
    progress: &Progress,
    reported: &mut (u64, u64),
) {
    let hops: u64 = shards.iter().map(|shard| shard.outlet.work.hops).sum();
    let done: u64 = shards.iter().map(|shard| shard.outlet.messages_done).sum();
    progress.hops.fetch_add(hops - reported.0, Ordering::Relaxed);
    progress.messages_done.fetch_add(done - reported.1, Ordering::Relaxed);
    *reported = (hops, done);
    if worker == 0 {
        progress.sim_ps.store(start.0, Ordering::Relaxed);
    }
}
