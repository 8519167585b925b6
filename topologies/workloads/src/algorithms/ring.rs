//! Rings. In each step every rank sends one part to the next rank and receives another from the one before it.
//!
//! The buffer has n parts, one a rank. With several channels each has a ring and a share of every part; rings turn ranks
//! within domains, so that each channel crosses between domains at other ranks. With several chunks each part's share is cut
//! again, and chunks follow each other without waiting.

use crate::algorithms::Recipe;
use crate::steps::{Blocks, Steps};

/// One chunk of one channel, seen from one rank.
struct Lane<'a> {
    recipe: &'a Recipe,
    channel: u32,
    chunk: u32,
    /// The rank's place in the ring.
    place: u32,
}

impl Lane<'_> {
    /// All lanes of a rank.
    fn all(recipe: &Recipe, rank: u32) -> impl Iterator<Item = Lane<'_>> {
        (0..recipe.channels).flat_map(move |channel| {
            (0..recipe.chunks).map(move |chunk| {
                let place = place_of(recipe, channel, rank);
                Lane { recipe, channel, chunk, place }
            })
        })
    }

    /// The rank so many places further.
    fn rank(&self, further: u32) -> u32 {
        rank_at(self.recipe, self.channel, (self.place + further) % self.recipe.ranks)
    }

    fn next(&self) -> u32 {
        self.rank(1)
    }

    fn before(&self) -> u32 {
        self.rank(self.recipe.ranks - 1)
    }

    /// The block of the rank that is so many places back.
    fn block(&self, back: u32) -> Blocks {
        let n = self.recipe.ranks;
        let owner = self.rank((2 * n - back) % n);
        let parts = self.recipe.channels * self.recipe.chunks;
        Blocks::one(owner * parts + self.channel * self.recipe.chunks + self.chunk)
    }

    fn tag(&self, step: u32) -> u32 {
        (self.channel * self.recipe.chunks + self.chunk) * 2 * self.recipe.ranks + step
    }

    /// n − 1 steps that leave the sum of its own block with each rank; returns the last one.
    fn reduce_scatter(&self, steps: &mut Steps) -> u32 {
        let mut last = None;
        for step in 0..self.recipe.ranks - 1 {
            let after: Vec<u32> = last.into_iter().collect();
            steps.send(self.next(), self.tag(step), self.block(step + 1), &after);
            last = Some(steps.reduce(self.before(), self.tag(step), self.block(step + 2), &after));
        }
        last.expect("two ranks at least")
    }

    /// n − 1 steps that bring every rank's own block to all, after some step.
    fn all_gather(&self, steps: &mut Steps, first_tag: u32, after: Option<u32>) {
        let mut last = after;
        for step in 0..self.recipe.ranks - 1 {
            let after: Vec<u32> = last.into_iter().collect();
            let tag = self.tag(first_tag + step);
            steps.send(self.next(), tag, self.block(step), &after);
            last = Some(steps.receive(self.before(), tag, self.block(step + 1), &after));
        }
    }
}

/// The rank at a place of a channel's ring: domains in order, ranks of each turned by the channel.
fn rank_at(recipe: &Recipe, channel: u32, place: u32) -> u32 {
    let domain = turned(recipe);
    let within = (place % domain + channel) % domain;
    place - place % domain + within
}

fn place_of(recipe: &Recipe, channel: u32, rank: u32) -> u32 {
    let domain = turned(recipe);
    let within = (rank % domain + domain - channel % domain) % domain;
    rank - rank % domain + within
}

/// Ranks of a domain within which rings turn.
fn turned(recipe: &Recipe) -> u32 {
    let whole = recipe.domain >= 1 && recipe.ranks.is_multiple_of(recipe.domain);
    if whole { recipe.domain } else { 1 }
}

pub(super) fn all_reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    for lane in Lane::all(recipe, rank) {
        let own = lane.reduce_scatter(steps);
        lane.all_gather(steps, recipe.ranks - 1, Some(own));
    }
}

pub(super) fn reduce_scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    for lane in Lane::all(recipe, rank) {
        lane.reduce_scatter(steps);
    }
}

pub(super) fn all_gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    Lane::all(recipe, rank).for_each(|lane| lane.all_gather(steps, 0, None));
}

/// The parts of the buffer, one after the other down the chain from the root.
pub(super) fn broadcast(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let place = (rank + n - recipe.root) % n;
    for part in 0..recipe.channels * recipe.chunks {
        let mut after = Vec::new();
        if place > 0 {
            after.push(steps.receive((rank + n - 1) % n, part, Blocks::one(part), &[]));
        }
        if place < n - 1 {
            steps.send((rank + 1) % n, part, Blocks::one(part), &after);
        }
    }
}

/// The same way back, with sums.
pub(super) fn reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let n = recipe.ranks;
    let place = (rank + n - recipe.root) % n;
    for part in 0..recipe.channels * recipe.chunks {
        let mut after = Vec::new();
        if place < n - 1 {
            after.push(steps.reduce((rank + 1) % n, part, Blocks::one(part), &[]));
        }
        if place > 0 {
            steps.send((rank + n - 1) % n, part, Blocks::one(part), &after);
        }
    }
}
