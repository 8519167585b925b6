//! The window loop, the same for one thread, many threads and many processes: agree on the next window, collect
//! mail, run, post mail.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::Endpoint;
use crate::engine::barrier::Barrier;
use crate::engine::exchange::Exchange;
use crate::engine::ranks::{Note, Ranks, Split};
use crate::engine::shard::{Shard, Turn};
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
    pub(crate) paces: Paces,
    /// No event after this time is run.
    pub(crate) until: Time,
    /// The first window that begins then or later is not run yet.
    pub(crate) pause_at: Time,
    /// Windows after which a run of one rank pauses.
    pub(crate) pause_after: u64,
}

/// How far nodes and ranks may run ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paces {
    /// Least time that a packet takes over a link.
    pub(crate) lookahead: Span,
    /// Least time that a packet takes from one rank to another.
    pub(crate) reach: Span,
    /// Classes of nodes that take turns: two, if no link joins nodes of the same class, else one.
    pub(crate) classes: usize,
}

/// Ranks meet for every window unless a packet between them takes at least so many lookaheads.
const FAR: u64 = 4;

/// And after so many lookaheads at the latest, to hear of each other.
const MEETING: u64 = 1_024;

impl Paces {
    /// Up to when ranks that have agreed that the next event of all is at `start` need not meet; `None`: they have to.
    fn horizon(&self, start: Time) -> Option<Time> {
        let lookahead = self.lookahead.0;
        let reach = self.reach.0.min(lookahead.saturating_mul(MEETING));
        (reach >= lookahead.saturating_mul(FAR)).then(|| Time(start.0.saturating_add(reach)))
    }

    /// Whose turn it is when the next event of each class is as said, from when and up to when.
    ///
    /// A class may run until the next event of the other could reach it, and until what it sends itself could come
    /// back. With all nodes busy, classes take turns with windows twice as wide as the lookahead: so a node is
    /// brought into cache half as often as if all ran the same windows.
    fn turn(&self, earliest: [Time; 2]) -> (Turn, Time, Time) {
        let class = usize::from(earliest[1] < earliest[0]);
        let (start, other) = (earliest[class].0, earliest[1 - class].0);
        let lookahead = self.lookahead.0;
        let (towards, end) = match self.classes {
            1 => (class, start.saturating_add(lookahead)),
            _ => {
                let back = start.saturating_add(2 * lookahead);
                (1 - class, back.min(other.saturating_add(lookahead)))
            }
        };
        (Turn { class, towards }, Time(start), Time(end))
    }
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
    /// By parity of the window, then worker: earliest event of each class, and packets in flight.
    earliest: [Vec<[AtomicU64; 2]>; 2],
    in_flight: [Vec<AtomicU64>; 2],
    orders: [AtomicU64; 2],
    /// Earliest events, packets in flight, and orders that all ranks agreed on.
    agreed: [AtomicU64; 4],
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
    /// The next event of each class.
    earliest: [Time; 2],
    in_flight: u64,
    orders: u64,
    /// Windows up to then concern nobody but this rank, and none goes beyond; `None`: all concern all.
    horizon: Option<Time>,
    /// All ranks have agreed on this, and so may pause here.
    is_common: bool,
}

impl Next {
    fn start(&self) -> Time {
        self.earliest[0].min(self.earliest[1])
    }
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
        let pairs = || (0..workers).map(|_| Default::default()).collect::<Vec<_>>();
        Shared {
            barrier: Barrier::new(workers),
            exchange: Exchange::new(split),
            earliest: [pairs(), pairs()],
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

    /// Publishes this worker's state before window `number` and learns all others'.
    fn agree<R: Ranks>(
        &self,
        seat: &Seat<'_, R>,
        number: u64,
        (earliest, live): ([Time; 2], u64),
        horizon: Option<Time>,
    ) -> Next {
        let set = (number & 1) as usize;
        let relaxed = Ordering::Relaxed;
        for (own, earliest) in self.earliest[set][seat.worker].iter().zip(earliest) {
            own.store(earliest.0, relaxed);
        }
        self.in_flight[set][seat.worker].store(live, relaxed);
        if seat.worker == 0 {
            self.orders[set].store(self.orders(), relaxed);
        }
        self.barrier.wait();
        let first = |class: usize| {
            let all = self.earliest[set].iter().map(|earliest| earliest[class].load(relaxed));
            Time(all.min().unwrap_or(u64::MAX))
        };
        let in_flight = self.in_flight[set].iter().map(|e| e.load(relaxed)).sum();
        let orders = self.orders[set].load(relaxed);
        let earliest = [first(0), first(1)];
        let own = Next { earliest, in_flight, orders, horizon, is_common: self.alone };
        if self.alone {
            return own;
        }
        let start = own.start();
        if start <= self.limits.until && horizon.is_some_and(|horizon| start < horizon) {
            return Next { orders: 0, ..own };
        }
        if let Some(ranks) = seat.ranks {
            self.meet(ranks, own);
        }
        self.barrier.wait();
        let [first, second, in_flight, orders] =
            [0, 1, 2, 3].map(|place| self.agreed[place].load(relaxed));
        let earliest = [Time(first), Time(second)];
        let horizon = self.limits.paces.horizon(earliest[0].min(earliest[1]));
        Next { earliest, in_flight, orders, horizon, is_common: true }
    }

    /// What this process was told to do.
    fn orders(&self) -> u64 {
        let told = |flag: &AtomicBool, order| if flag.load(Ordering::Relaxed) { order } else { 0 };
        told(&self.progress.stop, order::STOP) | told(&self.progress.pause, order::PAUSE)
    }

    /// Meets the other ranks: mail changes hands, and all learn the earliest events of all.
    fn meet<R: Ranks>(&self, ranks: &R, own: Next) {
        let mut mail = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
        mail.resize_with(ranks.count(), Vec::new);
        // Mail of earlier windows is in no shard's reckoning any more.
        let leaving = self.exchange.take_leaving(&mut mail);
        let note = Note {
            earliest: [0, 1].map(|class| own.earliest[class].min(leaving[class])),
            in_flight: own.in_flight,
            hops: self.hops.load(Ordering::Relaxed),
            messages_done: self.messages_done.load(Ordering::Relaxed),
            orders: own.orders,
        };
        let notes = ranks.meet(note, &mut mail);
        self.exchange.hand_out(&mut mail);
        let first = |class: usize| {
            notes.iter().map(|note| note.earliest[class].0).min().unwrap_or(u64::MAX)
        };
        let in_flight = notes.iter().map(|note| note.in_flight).sum();
        let orders = notes.iter().fold(0, |orders, note| orders | note.orders);
        for (place, value) in [first(0), first(1), in_flight, orders].into_iter().enumerate() {
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
        if next.start() > self.limits.until {
            let left = next.start() < Time::NEVER;
            return Some(if left { Stage::Stopped } else { Stage::Finished });
        }
        let asked = next.orders & order::PAUSE != 0 || next.start() >= self.limits.pause_at;
        let asked = asked || windows >= self.limits.pause_after;
        (asked && next.is_common).then_some(Stage::Paused)
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
    let mut horizon = None;
    loop {
        let earliest = [0, 1].map(|class| {
            let of_class = shards.iter().map(|shard| shard.earliest()[class]);
            of_class.min().unwrap_or(Time::NEVER)
        });
        let live = shards.iter().map(|shard| shard.in_flight).sum();
        let next = shared.agree(seat, outcome.windows, (earliest, live), horizon);
        horizon = next.horizon;
        outcome.in_flight_max = outcome.in_flight_max.max(next.in_flight);
        let before = outcome.windows.wrapping_sub(1);
        if let Some(stage) = shared.stage(&next, outcome.windows) {
            for (number, shard) in shards.iter_mut().enumerate() {
                exchange.collect(before, seat.first + number, &mut shard.outlet);
            }
            return Outcome { stage, next: next.start(), ..outcome };
        }
        let (turn, start, end) = limits.paces.turn(next.earliest);
        outcome.last = start;
        let end = end.min(horizon.unwrap_or(end)).min(Time(limits.until.0 + 1));
        for (number, shard) in shards.iter_mut().enumerate() {
            exchange.collect(before, seat.first + number, &mut shard.outlet);
            shard.run_window(turn, start, end);
            exchange.post(outcome.windows, seat.first + number, &mut shard.outlet);
        }
        outcome.windows += 1;
        shared.report(seat.worker, start, shards, &mut said);
    }
}
