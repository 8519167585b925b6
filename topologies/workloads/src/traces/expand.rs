//! Collectives written out as messages, for forms that know no collectives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Action, Node, Trace};
use crate::algorithms::Recipe;
use crate::collective::Kind;
use crate::steps;

impl Trace {
    /// The same with all collectives as messages. `recipe` says how each of a kind, ranks and bytes is done.
    ///
    /// A send that waits for its acknowledgement becomes one that does not.
    pub fn expanded(
        &self,
        recipe: impl Fn(Kind, u32, u64, Option<&Arc<[u64]>>) -> Recipe,
    ) -> Trace {
        let tag = |node: &Node| match node.action {
            Action::Send { tag, .. } | Action::Receive { tag, .. } => tag + 1,
            _ => 0,
        };
        let mut next = self.ranks.iter().flatten().map(tag).max().unwrap_or(0);
        // The first tag of each collective: by its members, and how many of them came before.
        let mut tags: BTreeMap<(Arc<[u32]>, u32), u64> = BTreeMap::new();
        let mut all = self.clone();
        for (rank, nodes) in (0..).zip(&mut all.ranks) {
            let mut turns: BTreeMap<Arc<[u32]>, u32> = BTreeMap::new();
            for place in 0..nodes.len() {
                let Action::Collective { kind, bytes, members, root, matrix, .. } =
                    nodes[place].action.clone()
                else {
                    continue;
                };
                let found = recipe(kind, members.len() as u32, bytes, matrix.as_ref());
                let recipe = Recipe { root, ..found };
                let turn = turns.entry(Arc::clone(&members)).or_insert(0);
                *turn += 1;
                let first = *tags.entry((Arc::clone(&members), *turn)).or_insert_with(|| {
                    let first = next;
                    next += u64::from(recipe.tags());
                    first
                });
                let own = members.iter().position(|member| *member == rank).unwrap_or(0) as u32;
                write_out(nodes, place, &recipe, own, &members, first);
            }
        }
        all
    }
}

/// The steps of a rank in place of a collective, which becomes the place where they have met.
fn write_out(
    nodes: &mut Vec<Node>,
    place: usize,
    recipe: &Recipe,
    own: u32,
    members: &[u32],
    first: u64,
) {
    let written = recipe.steps(own, false);
    let after = std::mem::take(&mut nodes[place].after);
    let after_begin = std::mem::take(&mut nodes[place].after_begin);
    // The node that is done when a step is.
    let mut ends: Vec<u32> = Vec::new();
    for (step, before) in written.steps.iter().zip(&written.after) {
        let (mut own_after, mut own_begin) = (Vec::new(), Vec::new());
        match before.is_empty() {
            true => (own_after, own_begin) = (after.clone(), after_begin.clone()),
            false => own_after.extend(before.iter().map(|before| ends[*before as usize])),
        }
        let tag = first + u64::from(step.tag);
        let other = |member: u32| members[member as usize];
        let action = match step.action {
            steps::Action::Send { to } | steps::Action::SendAndWait { to } => {
                Action::Send { to: other(to), bytes: step.bytes, tag }
            }
            steps::Action::Receive { from } | steps::Action::Reduce { from } => {
                Action::Receive { from: other(from), tag }
            }
        };
        nodes.push(Node { action, after: own_after, after_begin: own_begin });
        let mut end = nodes.len() as u32 - 1;
        if matches!(step.action, steps::Action::Reduce { .. }) {
            nodes.push(Node::new(Action::Add { bytes: step.bytes }, vec![end]));
            end += 1;
        }
        ends.push(end);
    }
    nodes[place] = Node::new(Action::Join, if ends.is_empty() { after } else { ends });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::play;
    use crate::tasks::Costs;
    use fabric::ids::HostId;

    /// Written out, collectives send the same messages as when they are played.
    #[test]
    fn messages_are_the_same() {
        let members: Arc<[u32]> = Arc::from([0, 1, 2, 3]);
        let node = |kind, after| {
            let members = Arc::clone(&members);
            let name = "".into();
            let action =
                Action::Collective { kind, bytes: 64, members, root: 0, name, matrix: None };
            Node::new(action, after)
        };
        let rank = vec![node(Kind::AllReduce, vec![]), node(Kind::AllGather, vec![0])];
        let trace = Trace { ranks: vec![rank; 4], is_service: false };
        let recipe = |kind, ranks, bytes, _: Option<&Arc<[u64]>>| Recipe::new(kind, ranks, bytes);
        let places: Vec<HostId> = (0..4).map(HostId).collect();
        let sent = |trace: &Trace| {
            let with = |k, r, b, m: Option<&Arc<[u64]>>| Ok(recipe(k, r, b, m));
            let mut workload = trace.tasks(4, &places, Costs::default(), with).unwrap();
            let mut sent: Vec<_> =
                play(&mut workload).iter().map(|sent| (sent.src, sent.dst, sent.bytes)).collect();
            sent.sort();
            sent
        };
        let expanded = trace.expanded(recipe);
        assert!(
            expanded.ranks.iter().flatten().all(|n| !matches!(n.action, Action::Collective { .. }))
        );
        assert_eq!(sent(&expanded), sent(&trace));
        assert_eq!(sent(&trace).len(), 4 * (6 + 3));
    }
}
