//! Executors: one thread, or many with the shards dealt out in runs of about equal work.

use crate::endpoint::Endpoint;
use crate::engine::ranks::{Ranks, Split};
use crate::engine::shard::Shard;
use crate::engine::window::{Limits, Outcome, Progress, Seat, Shared, Stage, work};
use crate::program::Program;

/// Windows before work is measured for the first time; then after twice as many, and so on.
const FIRST_DEAL: u64 = 256;

/// Runs all shards of this rank on `threads` threads (at most one a shard) from `outcome` on, until the run has
/// ended or `limits` or `progress` say that it pauses.
///
/// What shards cost is not known before: they are dealt out by ports at first, and again by the work measured
/// since, ever less often.
///
/// Never inlined: by its name `tests/instructions.sh` knows where the engine begins and ends.
#[inline(never)]
pub(crate) fn execute<E: Endpoint, P: Program, R: Ranks>(
    shards: &mut [Shard<E, P>],
    split: &Split,
    threads: usize,
    limits: Limits,
    progress: &Progress,
    ranks: &R,
    mut outcome: Outcome,
) -> Outcome {
    let fixed = split.ranks() > 1 || threads == 1 || shards.len() <= threads;
    let mut done = vec![0; shards.len()];
    let mut length = FIRST_DEAL;
    let mut lengths = dealt(shards.iter().map(|shard| shard.ports.len() as u64), threads);
    loop {
        let pause_after = if fixed { u64::MAX } else { outcome.windows + length };
        let limits = Limits { pause_after, ..limits };
        outcome = on_threads(shards, split, &lengths, limits, progress, ranks, outcome);
        if outcome.stage != Stage::Paused || outcome.windows < pause_after {
            return outcome;
        }
        length *= 2;
        let work = shards.iter().map(|shard| shard.outlet.work.hops + shard.outlet.work.events);
        let work: Vec<u64> = work.collect();
        lengths = dealt(work.iter().zip(&done).map(|(now, before)| now - before), threads);
        done = work;
    }
}

fn on_threads<E: Endpoint, P: Program, R: Ranks>(
    shards: &mut [Shard<E, P>],
    split: &Split,
    lengths: &[usize],
    limits: Limits,
    progress: &Progress,
    ranks: &R,
    outcome: Outcome,
) -> Outcome {
    let shared = Shared::new(lengths.len(), split, limits, progress);
    let (own, mut rest) = shards.split_at_mut(lengths[0]);
    let mut first = lengths[0];
    std::thread::scope(|scope| {
        let mut others = Vec::new();
        for (worker, length) in lengths.iter().enumerate().skip(1) {
            let (part, after) = rest.split_at_mut(*length);
            rest = after;
            let (shared, at) = (&shared, first);
            others.push(scope.spawn(move || {
                let seat = Seat::<R> { worker, first: at, ranks: None };
                work(&seat, part, shared, outcome)
            }));
            first += length;
        }
        let outcome =
            work(&Seat { worker: 0, first: 0, ranks: Some(ranks) }, own, &shared, outcome);
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
        outcome
    })
}

/// How many shards each of at most `threads` workers gets, so that the most loaded has little more than its share:
/// a run ends where it comes nearest to what all runs up to it should have.
fn dealt(weights: impl Iterator<Item = u64>, threads: usize) -> Vec<usize> {
    let weights: Vec<u64> = weights.map(|weight| weight + 1).collect();
    let total: u64 = weights.iter().sum();
    let workers = threads.clamp(1, weights.len().max(1));
    let mut lengths = Vec::new();
    let (mut place, mut sum) = (0, 0);
    for worker in 1..=workers {
        let from = place;
        let share = total * worker as u64 / workers as u64;
        // One shard at least, and one for each worker to come.
        let most = weights.len() - (workers - worker);
        while place < most
            && (place == from || worker == workers || sum + weights[place] / 2 <= share)
        {
            sum += weights[place];
            place += 1;
        }
        lengths.push(place - from);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(weights: &[u64], threads: usize) -> Vec<usize> {
        dealt(weights.iter().copied(), threads)
    }

    /// Equal work is dealt equally; a heavy shard gets a worker of its own; nobody is left without a shard.
    #[test]
    fn work_is_dealt_evenly() {
        assert_eq!(deal(&[100; 8], 2), [4, 4]);
        assert_eq!(deal(&[100; 8], 3), [3, 2, 3]);
        assert_eq!(deal(&[700, 100, 100, 100, 100, 100, 100, 100], 2), [1, 7]);
        assert_eq!(deal(&[0, 0, 0, 900], 3), [2, 1, 1]);
        assert_eq!(deal(&[900, 0, 0, 0], 4), [1, 1, 1, 1]);
        assert_eq!(deal(&[5, 5], 8), [1, 1]);
        assert_eq!(deal(&[], 4), [0]);
    }

    /// Whatever the weights, all shards are dealt out once.
    #[test]
    fn all_shards_are_dealt_out() {
        for threads in 1..6 {
            for seed in 0..200u64 {
                let weights: Vec<u64> = (0..seed % 17).map(|place| (place * seed) % 97).collect();
                let lengths = deal(&weights, threads);
                assert_eq!(lengths.iter().sum::<usize>(), weights.len());
                assert!(weights.is_empty() || lengths.iter().all(|length| *length > 0));
            }
        }
    }
}
