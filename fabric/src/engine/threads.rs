//! Executors: one thread, or many with the shards dealt out in runs of equal length.

use crate::endpoint::Endpoint;
use crate::engine::shard::Shard;
use crate::engine::window::{Limits, Outcome, Progress, Shared, work};
use crate::program::Program;

/// Runs all shards on `threads` threads (at most one a shard).
pub(crate) fn execute<E: Endpoint, P: Program>(
    shards: &mut [Shard<E, P>],
    threads: usize,
    limits: Limits,
    progress: &Progress,
) -> Outcome {
    let count = shards.len();
    let each = count.div_ceil(threads.clamp(1, count));
    let workers = count.div_ceil(each);
    let shared = Shared::new(workers, count, limits, progress);
    let mut parts = shards.chunks_mut(each).enumerate();
    let (_, own) = parts.next().expect("a run has at least one shard");
    std::thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|(worker, part)| {
                let shared = &shared;
                scope.spawn(move || work(worker, worker * each, part, shared))
            })
            .collect();
        let outcome = work(0, 0, own, &shared);
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
        outcome
    })
}
