//! Follows the blocks of a collective, to prove that each rank ends with the right contributions.

use std::collections::{BTreeMap, BTreeSet};

use crate::algorithms::Recipe;
use crate::collective::Kind;
use crate::steps::{Action, Steps};

/// What a rank has of a block: whose contributions are in it.
type Content = BTreeSet<u32>;

/// A buffer: what there is of each block.
type Buffer = BTreeMap<u32, Content>;

/// The owner of a block: blocks are dealt out to ranks in equal runs.
fn owner(recipe: &Recipe, block: u32) -> u32 {
    block / (recipe.blocks() / recipe.ranks)
}

/// What a rank begins with.
fn first(recipe: &Recipe, rank: u32) -> Buffer {
    let all = 0..recipe.blocks();
    let own = |block: &u32| match recipe.kind {
        Kind::AllReduce | Kind::ReduceScatter | Kind::Reduce | Kind::Barrier => true,
        Kind::AllGather | Kind::Gather | Kind::SendReceive => owner(recipe, *block) == rank,
        Kind::AllToAll => block / recipe.ranks == rank,
        Kind::Broadcast | Kind::Scatter => rank == recipe.root,
    };
    all.filter(own).map(|block| (block, Content::from([rank]))).collect()
}

/// What of a block a rank has to end with; `None` if it does not matter.
fn last(recipe: &Recipe, rank: u32, block: u32) -> Option<Content> {
    let everyone: Content = (0..recipe.ranks).collect();
    let only = |rank: u32| Some(Content::from([rank]));
    match recipe.kind {
        Kind::AllReduce | Kind::Barrier => Some(everyone),
        Kind::ReduceScatter => (owner(recipe, block) == rank).then_some(everyone),
        Kind::Reduce => (rank == recipe.root).then_some(everyone),
        Kind::AllGather => only(owner(recipe, block)),
        Kind::Gather if rank == recipe.root => only(owner(recipe, block)),
        Kind::Gather => None,
        Kind::SendReceive => {
            let before = (rank + recipe.ranks - 1) % recipe.ranks;
            if owner(recipe, block) == before { only(before) } else { None }
        }
        Kind::AllToAll => {
            if block % recipe.ranks == rank {
                only(block / recipe.ranks)
            } else {
                None
            }
        }
        Kind::Broadcast => only(recipe.root),
        Kind::Scatter => {
            if owner(recipe, block) == rank {
                only(recipe.root)
            } else {
                None
            }
        }
    }
}

/// One rank while its steps are played.
struct Player {
    steps: Steps,
    buffer: Buffer,
    done: Vec<bool>,
}

impl Player {
    fn ready(&self, step: usize) -> bool {
        !self.done[step] && self.steps.after[step].iter().all(|before| self.done[*before as usize])
    }
}

/// A message under way: its receiver, its bytes, and what it has of each block.
type Flying = (u32, u64, Vec<(u32, Content)>);

/// Plays a collective and looks at every buffer at the end.
///
/// # Errors
/// A sentence: a step sends what its rank does not have, adds a contribution twice, waits for ever, or a rank ends
/// with something else than it should; two messages of a sender have one tag, or a message nobody receives.
pub fn check(recipe: &Recipe) -> Result<(), String> {
    recipe.check()?;
    play(recipe, (0..recipe.ranks).map(|rank| recipe.steps(rank, true)).collect())
}

fn play(recipe: &Recipe, steps: Vec<Steps>) -> Result<(), String> {
    let player = |(rank, steps): (usize, Steps)| {
        let done = vec![false; steps.steps.len()];
        Player { steps, buffer: first(recipe, rank as u32), done }
    };
    let mut players: Vec<Player> = steps.into_iter().enumerate().map(player).collect();
    // Messages under way by sender, tag and receiver; and all that were ever sent.
    let mut flying: BTreeMap<(u32, u32), Flying> = BTreeMap::new();
    let mut sent = BTreeSet::new();
    loop {
        let mut moved = false;
        for rank in 0..recipe.ranks {
            let player = &mut players[rank as usize];
            for place in 0..player.done.len() {
                if !player.ready(place) {
                    continue;
                }
                let step = player.steps.steps[place];
                let blocks = player.steps.blocks.as_ref().expect("kept")[place].numbers();
                match step.action {
                    Action::Send { to } | Action::SendAndWait { to } => {
                        if !sent.insert((rank, step.tag)) {
                            return Err(format!("rank {rank} uses tag {} twice", step.tag));
                        }
                        if step.tag >= recipe.tags() {
                            return Err(format!("tag {} of {}", step.tag, recipe.tags()));
                        }
                        let mut content = Vec::new();
                        for block in blocks {
                            let have = player.buffer.get(&block);
                            let have = have.ok_or(format!("rank {rank} has no block {block}"))?;
                            content.push((block, have.clone()));
                        }
                        flying.insert((rank, step.tag), (to, step.bytes, content));
                    }
                    Action::Receive { from } | Action::Reduce { from } => {
                        let Some((to, bytes, content)) = flying.get(&(from, step.tag)) else {
                            continue;
                        };
                        let numbers: Vec<u32> = content.iter().map(|(block, _)| *block).collect();
                        if *to != rank || numbers != blocks || *bytes != step.bytes {
                            return Err(format!(
                                "rank {rank} expects {blocks:?} from {from}; tag {} has {numbers:?} for {to}",
                                step.tag
                            ));
                        }
                        let reduces = matches!(step.action, Action::Reduce { .. });
                        let (_, _, content) = flying.remove(&(from, step.tag)).expect("found");
                        for (block, content) in content {
                            let own = player.buffer.entry(block).or_default();
                            let twice = own.intersection(&content).next().is_some();
                            if reduces && twice && recipe.kind != Kind::Barrier {
                                return Err(format!("rank {rank} adds to block {block} twice"));
                            }
                            if !reduces {
                                own.clear();
                            }
                            own.extend(content);
                        }
                    }
                }
                player.done[place] = true;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for (rank, player) in players.iter().enumerate() {
        if let Some(step) = player.done.iter().position(|done| !done) {
            return Err(format!("rank {rank} waits for ever at step {step}"));
        }
        for block in 0..recipe.blocks() {
            let want = last(recipe, rank as u32, block);
            if let Some(want) = want
                && player.buffer.get(&block) != Some(&want)
            {
                let found = player.buffer.get(&block);
                return Err(format!(
                    "rank {rank} ends with {found:?} of block {block}, not {want:?}"
                ));
            }
        }
    }
    if let Some(((from, tag), _)) = flying.first_key_value() {
        return Err(format!("nobody receives tag {tag} of rank {from}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::Algorithm;

    fn each(ranks: u32, mut try_one: impl FnMut(Recipe)) {
        for (_, kind) in Kind::NAMES {
            for algorithm in Algorithm::of(kind) {
                for (channels, chunks) in [(1, 1), (3, 1), (1, 4), (2, 3)] {
                    for domain in [1, 2, 4] {
                        let bytes = 1_000_003;
                        let root = (ranks - 1).min(2);
                        let recipe = Recipe::new(kind, ranks, bytes);
                        let algorithm = *algorithm;
                        try_one(Recipe { algorithm, channels, chunks, domain, root, ..recipe });
                    }
                }
            }
        }
    }

    /// Every algorithm of every collective, for many numbers of ranks, channels, chunks and domains, leaves every rank with
    /// the right contributions.
    #[test]
    fn every_rank_ends_with_the_right_contributions() {
        let mut tried = 0;
        for ranks in [2, 3, 4, 5, 7, 8, 12, 16, 17] {
            each(ranks, |recipe| {
                if recipe.check().is_ok() {
                    tried += 1;
                    check(&recipe).unwrap_or_else(|error| panic!("{recipe:?}: {error}"));
                }
            });
        }
        assert!(tried > 1_500, "{tried}");
    }

    /// The check finds steps that are wrong: a sum that is a copy, one added twice, one that is left out, one that has another
    /// tag, one that waits for what comes later.
    #[test]
    fn wrong_steps_are_found() {
        let recipe = Recipe::new(Kind::AllReduce, 4, 4_000);
        let wrong = |change: &dyn Fn(&mut Steps)| {
            let mut steps: Vec<Steps> = (0..4).map(|rank| recipe.steps(rank, true)).collect();
            change(&mut steps[1]);
            play(&recipe, steps).unwrap_err()
        };
        let copy = wrong(&|steps| steps.steps[1].action = Action::Receive { from: 0 });
        assert!(copy.starts_with("rank") && copy.contains("ends with"), "{copy}");
        let twice = wrong(&|steps| steps.steps[7].action = Action::Reduce { from: 0 });
        assert!(twice.contains("adds to block"), "{twice}");
        let tag = wrong(&|steps| steps.steps[0].tag = 1);
        assert!(tag.contains("tag 1 twice") || tag.contains("expects"), "{tag}");
        let late = wrong(&|steps| steps.after[1] = vec![11]);
        assert!(late.contains("waits for ever"), "{late}");
        let to = wrong(&|steps| steps.steps[0].action = Action::Send { to: 3 });
        assert!(to.contains("expects"), "{to}");
    }

    /// Recipes that cannot work say why.
    #[test]
    fn impossible_recipes_say_why() {
        let recipe = Recipe::new(Kind::AllGather, 6, 600);
        for (changed, expected) in [
            (
                Recipe { algorithm: Algorithm::HalvingDoubling, ..recipe.clone() },
                "halving-doubling all-gather needs a power of two of ranks, not 6",
            ),
            (
                Recipe { algorithm: Algorithm::DoubleTree, ..recipe.clone() },
                "there is no double-tree all-gather; there is ring, halving-doubling, bruck",
            ),
            (
                Recipe { algorithm: Algorithm::Hierarchical, domain: 4, ..recipe.clone() },
                "hierarchical all-gather needs several whole domains; 6 ranks in domains of 4",
            ),
            (Recipe { bytes: 5, ..recipe.clone() }, "5 B cannot be cut into 6 parts"),
        ] {
            let found = changed.check().unwrap_err();
            assert!(found.starts_with(expected), "{found}");
        }
    }
}
