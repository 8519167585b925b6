//! Trees: binary ones for all-reduce, binomial ones for collectives with a root.

use crate::algorithms::{Algorithm, Recipe};
use crate::steps::{Blocks, Steps};

/// A rank's neighbours in a tree.
struct Neighbours {
    parent: Option<u32>,
    children: Vec<u32>,
}

/// A binary tree whose in-order is the order of ranks: a rank's height is the number of zeros that its number ends in, so
/// every second rank is a leaf.
fn binary(rank: u32, ranks: u32) -> Neighbours {
    let top = ranks.next_power_of_two();
    let low = if rank == 0 { top } else { 1 << rank.trailing_zeros() };
    let parent = (rank > 0).then(|| {
        let above = (rank - low) | (low << 1);
        if above < ranks { above } else { rank - low }
    });
    let mut children = Vec::new();
    if rank > 0 && low > 1 {
        children.push(rank - low / 2);
    }
    // To the right; where that is beyond the last rank, the highest that is not.
    let mut step = low / 2;
    while step > 0 {
        if rank + step < ranks && binary_parent(rank + step, ranks) == Some(rank) {
            children.push(rank + step);
            break;
        }
        step /= 2;
    }
    Neighbours { parent, children }
}

fn binary_parent(rank: u32, ranks: u32) -> Option<u32> {
    let low = 1 << rank.trailing_zeros();
    let above = (rank - low) | (low << 1);
    Some(if above < ranks { above } else { rank - low })
}

/// The tree of one half of the data: the second one is the first with ranks exchanged such that its leaves are not the
/// first one's, mirrored for an even number of ranks, moved by one for an odd one.
fn of_half(rank: u32, ranks: u32, half: u32) -> Neighbours {
    if half == 0 {
        return binary(rank, ranks);
    }
    let even = ranks.is_multiple_of(2);
    let there = |rank: u32| if even { ranks - 1 - rank } else { (rank + ranks - 1) % ranks };
    let back = |rank: u32| if even { ranks - 1 - rank } else { (rank + 1) % ranks };
    let Neighbours { parent, children } = binary(there(rank), ranks);
    Neighbours { parent: parent.map(back), children: children.into_iter().map(back).collect() }
}

/// Sums go up, results come down, chunk by chunk.
pub(super) fn all_reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let halves = if recipe.algorithm == Algorithm::DoubleTree { 2 } else { 1 };
    let parts = recipe.channels * recipe.chunks;
    for half in 0..halves {
        let own = of_half(rank, recipe.ranks, half);
        let number = |parent: u32| {
            let siblings = of_half(parent, recipe.ranks, half).children;
            siblings.iter().position(|child| *child == rank).expect("a child of its parent") as u32
        };
        for part in 0..parts {
            let block = Blocks::one(half * parts + part);
            let tag = (half * parts + part) * 3;
            let up = |steps: &mut Steps, child: &u32| steps.reduce(*child, tag, block.clone(), &[]);
            let mut ready: Vec<u32> = own.children.iter().map(|child| up(steps, child)).collect();
            if let Some(parent) = own.parent {
                steps.send(parent, tag, block.clone(), &ready);
                let down = tag + 1 + number(parent);
                ready = vec![steps.receive(parent, down, block.clone(), &ready)];
            }
            for (place, child) in own.children.iter().enumerate() {
                steps.send(*child, tag + 1 + place as u32, block.clone(), &ready);
            }
        }
    }
}

/// In a binomial tree of numbers counted from the root, the parent lacks the lowest bit; the subtree of a number with lowest
/// bit b is the b numbers from it on.
struct Binomial<'a> {
    recipe: &'a Recipe,
    number: u32,
}

impl Binomial<'_> {
    fn new(recipe: &Recipe, rank: u32) -> Binomial<'_> {
        Binomial { recipe, number: (rank + recipe.ranks - recipe.root) % recipe.ranks }
    }

    fn rank(&self, number: u32) -> u32 {
        (number + self.recipe.root) % self.recipe.ranks
    }

    fn low(number: u32, ranks: u32) -> u32 {
        if number == 0 { ranks.next_power_of_two() } else { 1 << number.trailing_zeros() }
    }

    fn parent(&self) -> Option<u32> {
        (self.number > 0).then(|| self.number & (self.number - 1))
    }

    /// Numbers of the children, the largest subtree first.
    fn children(&self) -> Vec<u32> {
        let mut step = Binomial::low(self.number, self.recipe.ranks) / 2;
        let mut children = Vec::new();
        while step > 0 {
            if self.number + step < self.recipe.ranks {
                children.push(self.number + step);
            }
            step /= 2;
        }
        children
    }

    /// The blocks of all ranks of the subtree of a number.
    fn subtree(&self, number: u32) -> Blocks {
        let end = (number + Binomial::low(number, self.recipe.ranks)).min(self.recipe.ranks);
        Blocks::List((number..end).map(|number| self.rank(number)).collect())
    }
}

/// One child after the other: two at once would both get it late.
pub(super) fn broadcast(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let tree = Binomial::new(recipe, rank);
    for part in 0..recipe.channels * recipe.chunks {
        let tag = |number: u32| part * 32 + number.trailing_zeros();
        let mut after = Vec::new();
        if let Some(parent) = tree.parent() {
            let from = tree.rank(parent);
            after.push(steps.receive(from, tag(tree.number), Blocks::one(part), &[]));
        }
        for child in tree.children() {
            let sent = steps.send_and_wait(tree.rank(child), tag(child), Blocks::one(part), &after);
            after = vec![sent];
        }
    }
}

pub(super) fn reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let tree = Binomial::new(recipe, rank);
    for part in 0..recipe.channels * recipe.chunks {
        let add = |child: u32| (tree.rank(child), Blocks::one(part));
        let children: Vec<(u32, Blocks)> = tree.children().into_iter().rev().map(add).collect();
        let after: Vec<u32> = children
            .into_iter()
            .map(|(child, block)| steps.reduce(child, part, block, &[]))
            .collect();
        if let Some(parent) = tree.parent() {
            steps.send(tree.rank(parent), part, Blocks::one(part), &after);
        }
    }
}

pub(super) fn gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let tree = Binomial::new(recipe, rank);
    let mut after = Vec::new();
    for child in tree.children().into_iter().rev() {
        after.push(steps.receive(tree.rank(child), 0, tree.subtree(child), &[]));
    }
    if let Some(parent) = tree.parent() {
        steps.send(tree.rank(parent), 0, tree.subtree(tree.number), &after);
    }
}

pub(super) fn scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let tree = Binomial::new(recipe, rank);
    let tag = |number: u32| number.trailing_zeros();
    let mut after = Vec::new();
    if let Some(parent) = tree.parent() {
        let own = tree.subtree(tree.number);
        after.push(steps.receive(tree.rank(parent), tag(tree.number), own, &[]));
    }
    for child in tree.children() {
        let sent = steps.send_and_wait(tree.rank(child), tag(child), tree.subtree(child), &after);
        after = vec![sent];
    }
}
