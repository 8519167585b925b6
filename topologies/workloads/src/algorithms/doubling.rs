//! Exchanges over distances that double or halve: logarithmic numbers of rounds.

use crate::algorithms::Recipe;
use crate::steps::{Blocks, Steps};

/// Tags of the way back follow those of the way there.
const BACK: u32 = 33;

/// Recursive halving among the first `all` ranks (a power of two), in blocks of one each; returns the last steps. `rank_of`
/// names the rank with a number.
fn halve(
    number: u32,
    all: u32,
    rank_of: impl Fn(u32) -> u32,
    start: &[u32],
    steps: &mut Steps,
) -> Vec<u32> {
    let mut after = start.to_vec();
    let mut distance = all / 2;
    while distance > 0 {
        let partner = number ^ distance;
        // The blocks of all whose bits from `distance` on are the partner's, or one's own.
        let half = |of: u32| Blocks::Run(of & !(distance - 1), distance);
        let tag = distance.trailing_zeros();
        steps.send(rank_of(partner), tag, half(partner), &after);
        after = vec![steps.reduce(rank_of(partner), tag, half(number), &after)];
        distance /= 2;
    }
    after
}

/// Recursive doubling, the way back.
fn double(
    number: u32,
    all: u32,
    rank_of: impl Fn(u32) -> u32,
    start: &[u32],
    steps: &mut Steps,
) -> Vec<u32> {
    let mut after = start.to_vec();
    let mut distance = 1;
    while distance < all {
        let partner = number ^ distance;
        let half = |of: u32| Blocks::Run(of & !(distance - 1), distance);
        let tag = BACK + distance.trailing_zeros();
        steps.send(rank_of(partner), tag, half(number), &after);
        after.push(steps.receive(rank_of(partner), tag, half(partner), &after));
        after = after.split_off(after.len() - 1);
        distance *= 2;
    }
    after
}

/// Ranks beyond the largest power of two give all they have to a neighbour first, and get the result from it.
pub(super) fn all_reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let all = 1 << recipe.ranks.ilog2();
    let extra = recipe.ranks - all;
    let whole = Blocks::Run(0, all);
    let (give, take) = (31, BACK + 31);
    // Of the first 2·extra ranks the even ones only give.
    let rank_of = |number: u32| if number < extra { 2 * number + 1 } else { number + extra };
    if rank < 2 * extra && rank.is_multiple_of(2) {
        let sent = steps.send(rank + 1, give, whole.clone(), &[]);
        steps.receive(rank + 1, take, whole, &[sent]);
        return;
    }
    let mut after = Vec::new();
    let number = if rank < 2 * extra { rank / 2 } else { rank - extra };
    if rank < 2 * extra {
        after.push(steps.reduce(rank - 1, give, whole.clone(), &[]));
    }
    let after = halve(number, all, rank_of, &after, steps);
    let after = double(number, all, rank_of, &after, steps);
    if rank < 2 * extra {
        steps.send(rank - 1, take, whole, &after);
    }
}

pub(super) fn reduce_scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    halve(rank, recipe.ranks, |number| number, &[], steps);
}

pub(super) fn all_gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    double(rank, recipe.ranks, |number| number, &[], steps);
}

/// In round k a rank has the blocks of the 2ᵏ ranks from its own on, and sends them 2ᵏ ranks back.
pub(super) fn bruck_all_gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let mut after = Vec::new();
    let mut distance = 1;
    while distance < n {
        let count = distance.min(n - distance);
        let from = |first: u32| Blocks::List((0..count).map(|i| (first + i) % n).collect());
        let (to, peer) = ((rank + n - distance) % n, (rank + distance) % n);
        let tag = distance.trailing_zeros();
        steps.send(to, tag, from(rank), &after);
        after = vec![steps.receive(peer, tag, from(peer), &after)];
        distance *= 2;
    }
}

/// A block that has j ranks to go moves 2ᵏ ranks in each round k whose bit is set in j.
pub(super) fn bruck_all_to_all(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let mut after = Vec::new();
    let mut distance = 1;
    while distance < n {
        // What stands at a rank before this round and has to move in it.
        let at = |rank: u32| {
            let moves = (0..n).filter(|far| far & distance != 0);
            let block = |far: u32| {
                let source = (rank + n - far % distance) % n;
                source * n + (source + far) % n
            };
            Blocks::List(moves.map(block).collect())
        };
        let (to, from) = ((rank + distance) % n, (rank + n - distance) % n);
        let tag = distance.trailing_zeros();
        steps.send(to, tag, at(rank), &after);
        after = vec![steps.receive(from, tag, at(from), &after)];
        distance *= 2;
    }
}

/// Dissemination (Hensgen, Finkel, Manber 1988): after round k a rank has heard of the 2ᵏ⁺¹ − 1 ranks before it.
pub(super) fn barrier(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let mut after = Vec::new();
    let mut distance = 1;
    while distance < n {
        let tag = distance.trailing_zeros();
        steps.send((rank + distance) % n, tag, Blocks::one(0), &after);
        after = vec![steps.reduce((rank + n - distance) % n, tag, Blocks::one(0), &after)];
        distance *= 2;
    }
}
