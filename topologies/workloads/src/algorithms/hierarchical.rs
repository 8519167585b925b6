//! Two levels: ranks of a domain exchange directly, then ranks of the same place in all domains, so that what leaves a
//! domain does so once, over the rank's own NIC, and on rails stays on its rail.

use crate::algorithms::Recipe;
use crate::steps::{Blocks, Steps};

/// A rank's place in both levels.
struct Place<'a> {
    recipe: &'a Recipe,
    domain: u32,
    within: u32,
}

impl Place<'_> {
    fn new(recipe: &Recipe, rank: u32) -> Place<'_> {
        Place { recipe, domain: rank / recipe.domain, within: rank % recipe.domain }
    }

    fn domains(&self) -> u32 {
        self.recipe.ranks / self.recipe.domain
    }

    fn rank(&self, domain: u32, within: u32) -> u32 {
        domain * self.recipe.domain + within
    }

    /// Other places within the domain, the next first.
    fn neighbours(&self) -> impl Iterator<Item = u32> + use<> {
        let (own, size) = (self.within, self.recipe.domain);
        (1..size).map(move |further| (own + further) % size)
    }

    /// The blocks of all ranks of one place within their domains.
    fn column(&self, within: u32) -> Blocks {
        Blocks::List((0..self.domains()).map(|domain| self.rank(domain, within)).collect())
    }

    /// Tags of the four parts of a collective.
    fn tag(&self, part: u32, number: u32) -> u32 {
        part * self.recipe.ranks + number
    }

    /// Sums of the own column over the domain.
    fn sum_within(&self, steps: &mut Steps) -> Vec<u32> {
        for to in self.neighbours() {
            steps.send(self.rank(self.domain, to), self.tag(0, to), self.column(to), &[]);
        }
        let tag = self.tag(0, self.within);
        let own = self.column(self.within);
        let add = |from: u32| (self.rank(self.domain, from), own.clone());
        let from: Vec<(u32, Blocks)> = self.neighbours().map(add).collect();
        from.into_iter().map(|(from, own)| steps.reduce(from, tag, own, &[])).collect()
    }

    /// The own column to all of the domain.
    fn share_within(&self, after: &[u32], steps: &mut Steps) {
        for to in self.neighbours() {
            let column = self.column(self.within);
            steps.send(self.rank(self.domain, to), self.tag(3, to), column, after);
        }
        for from in self.neighbours() {
            let tag = self.tag(3, self.within);
            steps.receive(self.rank(self.domain, from), tag, self.column(from), &[]);
        }
    }

    /// The block of the rank of this place so many domains back.
    fn block(&self, back: u32) -> Blocks {
        let all = self.domains();
        Blocks::one(self.rank((self.domain + 2 * all - back % all) % all, self.within))
    }

    /// A ring over the domains that leaves the sum of its own block with each rank.
    fn ring_sums(&self, start: &[u32], steps: &mut Steps) -> Vec<u32> {
        let all = self.domains();
        let next = self.rank((self.domain + 1) % all, self.within);
        let before = self.rank((self.domain + all - 1) % all, self.within);
        let mut after = start.to_vec();
        for step in 0..all - 1 {
            steps.send(next, self.tag(1, step), self.block(step + 1), &after);
            after = vec![steps.reduce(before, self.tag(1, step), self.block(step + 2), &after)];
        }
        after
    }

    /// A ring over the domains that brings each rank's own block to all of its place.
    fn ring_gather(&self, start: &[u32], steps: &mut Steps) -> Vec<u32> {
        let all = self.domains();
        let next = self.rank((self.domain + 1) % all, self.within);
        let before = self.rank((self.domain + all - 1) % all, self.within);
        let mut after = start.to_vec();
        for step in 0..all - 1 {
            steps.send(next, self.tag(2, step), self.block(step), &after);
            after = vec![steps.receive(before, self.tag(2, step), self.block(step + 1), &after)];
        }
        after
    }
}

pub(super) fn all_reduce(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let place = Place::new(recipe, rank);
    let sums = place.sum_within(steps);
    let own = place.ring_sums(&sums, steps);
    let all = place.ring_gather(&own, steps);
    place.share_within(&all, steps);
}

pub(super) fn reduce_scatter(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let place = Place::new(recipe, rank);
    let sums = place.sum_within(steps);
    place.ring_sums(&sums, steps);
}

pub(super) fn all_gather(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let place = Place::new(recipe, rank);
    let all = place.ring_gather(&[], steps);
    place.share_within(&all, steps);
}

/// What is for a place of any domain goes to that place within the own domain first.
pub(super) fn all_to_all(recipe: &Recipe, rank: u32, steps: &mut Steps) {
    let place = Place::new(recipe, rank);
    let (n, domains, size) = (recipe.ranks, place.domains(), recipe.domain);
    // From one source, for one place of all domains.
    let for_place = |source: u32, within: u32| {
        Blocks::List((0..domains).map(|to| source * n + place.rank(to, within)).collect())
    };
    for to in place.neighbours() {
        let peer = place.rank(place.domain, to);
        steps.send(peer, place.tag(0, to), for_place(rank, to), &[]);
    }
    let mut here = Vec::new();
    for from in place.neighbours() {
        let peer = place.rank(place.domain, from);
        let blocks = for_place(peer, place.within);
        here.push(steps.receive(peer, place.tag(0, place.within), blocks, &[]));
    }
    // From all of one domain, for one rank.
    let from_domain = |domain: u32, to: u32| {
        Blocks::List((0..size).map(|within| place.rank(domain, within) * n + to).collect())
    };
    for further in 1..domains {
        let to = place.rank((place.domain + further) % domains, place.within);
        steps.send(to, place.tag(1, to), from_domain(place.domain, to), &here);
    }
    for back in 1..domains {
        let domain = (place.domain + domains - back) % domains;
        let from = place.rank(domain, place.within);
        steps.receive(from, place.tag(1, rank), from_domain(domain, rank), &[]);
    }
}
