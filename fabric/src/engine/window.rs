//! The window loop, the same for one thread, many threads and many processes: agree on the next window, collect
//! mail, run, post mail.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::Endpoint;
use crate::engine::barrier::Barrier;
use crate::engine::exchange::Exchange;
use crate::engine::ranks::{Note, Ranks, Split};
use crate::engine::shard::Shard;
use crate::program::Program;
use crate::units::{Span, Time};

/// What a run tells while it goes on, and how it is told to stop. Written once a window.
#[derive(Debug, Default)]
pub struct Progress {
    /// Simulated picoseconds so far.
    pub sim_ps: AtomicU64,
    /// Packet-hops so far, of all ranks.
    pub hops: AtomicU64,
    /// Messages acknowledged so far, of all ranks.
    pub messages_done: AtomicU64,
    /// Set it to end the run after the present window.
    pub stop: AtomicBool,
    /// Set it to pause the run after the present window; it is unset when that happens.
    pub pause: AtomicBool,
}

/// How far a run goes, and in what steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Width of a window.
    pub(crate) lookahead: Span,
    /// Least time that a packet takes from one rank to another.
    pub(crate) reach: Span,
    /// No event after this time is run.
    pub(crate) until: Time,
    /// The first window that begins then or later is not run yet.
    pub(crate) pause_at: Time,
    /// Windows after which a run of one rank pauses.
    pub(crate) pause_after: u64,
}

/// How a run stands between two windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Stage {
    /// There is more to run.
    #[default]
    Paused,
    /// No event is left.
    Finished,
    /// Events are left that will not be run.
    Stopped,
}

/// What a run has come to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) windows: u64,
    /// Most packets in the fabric at the end of a window.
    pub(crate) in_flight_max: u64,
    /// Start of the last window.
    pub(crate) last: Time,
    /// Start of the next one.
    pub(crate) next: Time,
    pub(crate) stage: Stage,
}

/// Orders: bits of [`Note::orders`].
mod order {
    pub(super) const STOP: u64 = 1 << 0;
    pub(super) const PAUSE: u64 = 1 << 1;
}

/// What the workers of one run share.
pub(crate) struct Shared<'a> {
    barrier: Barrier,
    exchange: Exchange,
    /// By parity of the window, then worker: earliest event and packets in flight.
    earliest: [Vec<AtomicU64>; 2],
    in_flight: [Vec<AtomicU64>; 2],
    orders: [AtomicU64; 2],
    /// Start, packets in flight, and orders that all ranks agreed on.
    agreed: [AtomicU64; 3],
    /// What was done on this rank.
    hops: AtomicU64,
    messages_done: AtomicU64,
    /// Mail to and from other ranks, kept so that it need not be made anew; only the first worker locks it.
    mail: Mutex<Vec<Vec<u64>>>,
    progress: &'a Progress,
    limits: Limits,
    alone: bool,
}

/// What all workers do next.
#[derive(Clone, Copy)]
struct Next {
    start: Time,
    in_flight: u64,
    orders: u64,
    /// No window may go beyond.
    horizon: Time,
}

/// A worker's place.
pub(crate) struct Seat<'a, R> {
    pub(crate) worker: usize,
    /// Its first shard, counted from the rank's first.
    pub(crate) first: usize,
    /// The other processes; only the first worker speaks to them.
    pub(crate) ranks: Option<&'a R>,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        workers: usize,
        split: &Split,
        limits: Limits,
        progress: &'a Progress,
    ) -> Shared<'a> {
        let row = || (0..workers).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        Shared {
            barrier: Barrier::new(workers),
            exchange: Exchange::new(split),
            earliest: [row(), row()],
            in_flight: [row(), row()],
            orders: Default::default(),
            agreed: Default::default(),
            hops: AtomicU64::new(0),
            messages_done: AtomicU64::new(0),
            mail: Mutex::default(),
            progress,
            limits,
            alone: split.ranks() == 1,
        }
    }

    /// Publishes this worker's state before window `number` and learns all others'. Windows that begin before
    /// `horizon` concern nobody but this rank.
    fn agree<R: Ranks>(
        &self,
        seat: &Seat<'_, R>,
        number: u64,
        (earliest, live): (Time, u64),
        horizon: Time,
    ) -> Next {
        let set = (number & 1) as usize;
        self.earliest[set][seat.worker].store(earliest.0, Ordering::Relaxed);
        self.in_flight[set][seat.worker].store(live, Ordering::Relaxed);
        if seat.worker == 0 {
            self.orders[set].store(self.orders(), Ordering::Relaxed);
        }
        self.barrier.wait();
        let start = self.earliest[set].iter().map(|e| e.load(Ordering::Relaxed)).min();
        let start = Time(start.unwrap_or(u64::MAX));
        let in_flight = self.in_flight[set].iter().map(|e| e.load(Ordering::Relaxed)).sum();
        let orders = self.orders[set].load(Ordering::Relaxed);
        if self.alone {
            return Next { start, in_flight, orders, horizon: Time::NEVER };
        }
        if start < horizon && start <= self.limits.until {
            return Next { start, in_flight, orders: 0, horizon };
        }
        if let Some(ranks) = seat.ranks {
            self.meet(ranks, start, in_flight, orders);
        }
        self.barrier.wait();
        let [start, in_flight, orders] =
            [0, 1, 2].map(|at| self.agreed[at].load(Ordering::Relaxed));
        let horizon = Time(start.saturating_add(self.limits.reach.0));
        Next { start: Time(start), in_flight, orders, horizon }
    }

    /// What this process was told to do.
    fn orders(&self) -> u64 {
        let told = |flag: &AtomicBool, order| if flag.load(Ordering::Relaxed) { order } else { 0 };
        told(&self.progress.stop, order::STOP) | told(&self.progress.pause, order::PAUSE)
    }

    /// Meets the other ranks: mail changes hands, and all learn the earliest event of all.
    fn meet<R: Ranks>(&self, ranks: &R, earliest: Time, in_flight: u64, orders: u64) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        mail.resize_with(ranks.count(), Vec::new);
        // Mail of earlier windows is in no shard's reckoning any more.
        let earliest = earliest.min(self.exchange.take_leaving(&mut mail));
        let note = Note {
            earliest,
            in_flight,
            hops: self.hops.load(Ordering::Relaxed),
            messages_done: self.messages_done.load(Ordering::Relaxed),
            orders,
        };
        let notes = ranks.meet(note, &mut mail);
        self.exchange.hand_out(&mut mail);
        let start = notes.iter().map(|note| note.earliest.0).min().unwrap_or(u64::MAX);
        let in_flight = notes.iter().map(|note| note.in_flight).sum();
        let orders = notes.iter().fold(0, |orders, note| orders | note.orders);
        for (place, value) in [start, in_flight, orders].into_iter().enumerate() {
            self.agreed[place].store(value, Ordering::Relaxed);
        }
        let progress = self.progress;
        progress.hops.store(notes.iter().map(|note| note.hops).sum(), Ordering::Relaxed);
        let done = notes.iter().map(|note| note.messages_done).sum();
        progress.messages_done.store(done, Ordering::Relaxed);
    }

    /// How the run stands before a window as agreed.
    fn stage(&self, next: &Next, windows: u64) -> Option<Stage> {
        if next.orders & order::STOP != 0 {
            return Some(Stage::Stopped);
        }
        if next.start > self.limits.until {
            let left = next.start < Time::NEVER;
            return Some(if left { Stage::Stopped } else { Stage::Finished });
        }
        let asked = next.orders & order::PAUSE != 0 || next.start >= self.limits.pause_at;
        (asked || windows >= self.limits.pause_after).then_some(Stage::Paused)
    }

    /// Adds what a worker's shards did since it last said, and shows it.
    fn report<E, P>(
        &self,
        worker: usize,
        start: Time,
        shards: &[Shard<E, P>],
        said: &mut (u64, u64),
    ) {
        let hops: u64 = shards.iter().map(|shard| shard.outlet.work.hops).sum();
        let done: u64 = shards.iter().map(|shard| shard.outlet.messages_done).sum();
        let all_hops = self.hops.fetch_add(hops - said.0, Ordering::Relaxed) + hops - said.0;
        let all_done =
            self.messages_done.fetch_add(done - said.1, Ordering::Relaxed) + done - said.1;
        *said = (hops, done);
        if worker == 0 {
            self.progress.sim_ps.store(start.0, Ordering::Relaxed);
            if self.alone {
                self.progress.hops.store(all_hops, Ordering::Relaxed);
                self.progress.messages_done.store(all_done, Ordering::Relaxed);
            }
        }
    }
}

/// Runs this worker's shards on from `outcome`, to the end or to a pause. In a pause no mail is under way.
pub(crate) fn work<E: Endpoint, P: Program, R: Ranks>(
    seat: &Seat<'_, R>,
    shards: &mut [Shard<E, P>],
    shared: &Shared<'_>,
    mut outcome: Outcome,
) -> Outcome {
    let _guard = shared.barrier.guard();
    let (limits, exchange) = (&shared.limits, &shared.exchange);
    let mut said = (0, 0);
    let mut horizon = Time::ZERO;
    loop {
        let earliest = shards.iter().map(Shard::earliest).min().unwrap_or(Time::NEVER);
        let live = shards.iter().map(|shard| shard.in_flight).sum();
        let next = shared.agree(seat, outcome.windows, (earliest, live), horizon);
        horizon = next.horizon;
        outcome.in_flight_max = outcome.in_flight_max.max(next.in_flight);
        let before = outcome.windows.wrapping_sub(1);
        if let Some(stage) = shared.stage(&next, outcome.windows) {
            for (number, shard) in shards.iter_mut().enumerate() {
                exchange.collect(before, seat.first + number, &mut shard.outlet);
            }
            return Outcome { stage, next: next.start, ..outcome };
        }
        outcome.last = next.start;
        let end = (next.start + limits.lookahead).min(horizon).0.min(limits.until.0 + 1);
        for (number, shard) in shards.iter_mut().enumerate() {
            exchange.collect(before, seat.first + number, &mut shard.outlet);
            shard.run_window(next.start, Time(end));
            exchange.post(outcome.windows, seat.first + number, &mut shard.outlet);
        }
        outcome.windows += 1;
        shared.report(seat.worker, next.start, shards, &mut said);
    }
}
