//! Everyone to everyone, without anyone in between.

use crate::algorithms::{Algorithm, Recipe};
use crate::steps::{Blocks, Steps};

/// The other ranks, the next one first, so that in each moment the receivers differ.
fn others(recipe: &Recipe, rank: u32) -> impl Iterator<Item = u32> {
    let n = recipe.ranks;
    (1..n).map(move |further| (rank + further) % n)
}

/// The other ranks, the one before first: in the order in which they send.
fn senders(recipe: &Recipe, rank: u32) -> impl Iterator<Item = u32> {
    let n = recipe.ranks;
    (1..n).map(move |back| (rank + n - back) % n)
}

/// Sends every other rank its block; returns the sums of the own one.
fn scatter_sums(recipe: &Recipe, rank: u32, steps: &mut Steps) -> Vec<u32> {
    for to in others(recipe, rank) {
        steps.send(to, to, Blocks::one(to), &[]);
    }
    senders(recipe, rank).map(|from| steps.reduce(from, rank, Blocks::one(rank), &[])).collect()
}

/// Sends the own block to all after some steps, and receives theirs.
fn gather_all(recipe: &Recipe, rank: u32, first_tag: u32, after: &[u32], steps: &mut Steps) {
    for to in others(recipe, rank) {
        steps.send(to, first_tag + to, Blocks::one(rank), after);
    }
    for from in senders(recipe, rank) {
        steps.receive(from, first_tag + rank, Blocks::one(from), &[]);
    }
}

pub(super) fn all_reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let sums = scatter_sums(recipe, rank, steps);
    gather_all(recipe, rank, recipe.ranks, &sums, steps);
}

pub(super) fn reduce_scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    scatter_sums(recipe, rank, steps);
}

pub(super) fn all_gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    gather_all(recipe, rank, 0, &[], steps);
}

/// All at once, or so many as the window lets.
pub(super) fn all_to_all(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let mut sent: Vec<u32> = Vec::new();
    for to in others(recipe, rank).filter(|to| has(recipe, rank, *to)) {
        let block = Blocks::one(rank * n + to);
        if recipe.algorithm == Algorithm::Windowed {
            let before = sent.len().checked_sub(recipe.window as usize).map(|place| sent[place]);
            let after: Vec<u32> = before.into_iter().collect();
            sent.push(steps.send_and_wait(to, to, block, &after));
        } else {
            steps.send(to, to, block, &[]);
        }
    }
    for from in senders(recipe, rank).filter(|from| has(recipe, *from, rank)) {
        steps.receive(from, rank, Blocks::one(from * n + rank), &[]);
    }
}

/// One exchange after the other: to the rank i further, from the rank i back, and on when both are over.
pub(super) fn pairwise(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let mut after = Vec::new();
    for further in 1..n {
        let (to, from) = ((rank + further) % n, (rank + n - further) % n);
        let mut both = Vec::new();
        if has(recipe, rank, to) {
            both.push(steps.send_and_wait(to, to, Blocks::one(rank * n + to), &after));
        }
        if has(recipe, from, rank) {
            both.push(steps.receive(from, rank, Blocks::one(from * n + rank), &after));
        }
        if !both.is_empty() {
            after = both;
        }
    }
}

/// Whether there is anything to send.
fn has(recipe: &Recipe, from: u32, to: u32) -> bool {
    recipe.matrix.as_ref().is_none_or(|matrix| matrix[(from * recipe.ranks + to) as usize] > 0)
}

pub(super) fn gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    if rank != recipe.root {
        steps.send(recipe.root, 0, Blocks::one(rank), &[]);
        return;
    }
    for from in senders(recipe, rank) {
        steps.receive(from, 0, Blocks::one(from), &[]);
    }
}

pub(super) fn scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    if rank != recipe.root {
        steps.receive(recipe.root, rank, Blocks::one(rank), &[]);
        return;
    }
    for to in others(recipe, rank) {
        steps.send(to, to, Blocks::one(to), &[]);
    }
}

/// Each rank sends its buffer to the next.
pub(super) fn send_receive(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let (to, from) = ((rank + 1) % n, (rank + n - 1) % n);
    steps.send(to, 0, Blocks::one(rank), &[]);
    steps.receive(from, 0, Blocks::one(from), &[]);
}
