//! How ranks share a model: which groups a rank is in.
//!
//! From the inside out: tensor, context, data, pipeline. So tensor-parallel ranks are neighbours, and a pipeline's stages are
//! far apart. Within a stage, experts are spread over `expert` neighbouring ranks of all three inner kinds together (expert
//! layers are folded over the others, as Megatron-Core does), and each of these groups has all experts.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Degrees of parallelism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Ranks that share each matrix.
    pub tensor: u32,
    /// Ranks that share each sequence.
    pub context: u32,
    /// Ranks with the same parameters and other sequences.
    pub data: u32,
    /// Stages.
    pub pipeline: u32,
    /// Ranks over which a layer's experts are spread.
    pub expert: u32,
}

/// A kind of group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// Shares matrices.
    Tensor,
    /// Shares sequences.
    Context,
    /// Has the same parameters outside of experts: context and data together.
    Replicas,
    /// Shares experts.
    Expert,
    /// Has the same experts.
    ExpertReplicas,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 5] =
        [Group::Tensor, Group::Context, Group::Replicas, Group::Expert, Group::ExpertReplicas];
}

impl Layout {
    /// The same over so many ranks: with as many replicas as they make.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn over(self, ranks: u32) -> Result<Layout, String> {
        let Layout { tensor, context, pipeline, expert, .. } = self;
        let model = u64::from(tensor) * u64::from(context) * u64::from(pipeline);
        if u64::from(ranks) < model || !u64::from(ranks).is_multiple_of(model) {
            return Err(format!(
                "{ranks} ranks are no whole replicas of {tensor} tensor-parallel times {context} context-parallel \
                 times {pipeline} pipeline-parallel ones"
            ));
        }
        let data = ranks / model as u32;
        let layout = Layout { data, ..self };
        if !layout.stage().is_multiple_of(expert) {
            return Err(format!(
                "a stage has {} ranks, which are no whole groups of {expert} expert-parallel ones",
                layout.stage()
            ));
        }
        Ok(layout)
    }

    /// Ranks of a stage.
    pub fn stage(&self) -> u32 {
        self.tensor * self.context * self.data
    }

    /// Ranks in all.
    pub fn ranks(&self) -> u32 {
        self.stage() * self.pipeline
    }

    /// The stage of a rank.
    pub fn stage_of(&self, rank: u32) -> u32 {
        rank / self.stage()
    }

    /// The members of a rank's group.
    pub fn members(&self, rank: u32, group: Group) -> Vec<u32> {
        let (tensor, stage) = (self.tensor, self.stage());
        let (first, within) = (rank - rank % stage, rank % stage);
        let run =
            |from: u32, step: u32, count: u32| (0..count).map(move |k| from + k * step).collect();
        match group {
            Group::Tensor => run(rank - rank % tensor, 1, tensor),
            Group::Context => {
                let model = tensor * self.context;
                run(first + within - within % model + within % tensor, tensor, self.context)
            }
            Group::Replicas => run(first + within % tensor, tensor, stage / tensor),
            Group::Expert => run(first + within - within % self.expert, 1, self.expert),
            Group::ExpertReplicas => {
                run(first + within % self.expert, self.expert, stage / self.expert)
            }
        }
    }
}

/// Groups of ranks, each list of members kept once.
#[derive(Default)]
pub struct Groups(BTreeMap<Vec<u32>, Arc<[u32]>>);

impl Groups {
    /// The members of a rank's group.
    pub fn of(&mut self, layout: &Layout, rank: u32, group: Group) -> Arc<[u32]> {
        let members = layout.members(rank, group);
        Arc::clone(self.0.entry(members).or_insert_with_key(|m| Arc::from(m.as_slice())))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of ranks with these degrees: tensor, context, pipeline, expert.
    pub(crate) fn layout(
        ranks: u32,
        (tensor, context, pipeline, expert): (u32, u32, u32, u32),
    ) -> Result<Layout, String> {
        Layout { tensor, context, data: 1, pipeline, expert }.over(ranks)
    }

    /// Each rank is in its own groups, which all of their members see alike, and groups of a kind cover all ranks.
    #[test]
    fn groups_are_the_same_for_all_members() {
        let layout = layout(96, (2, 2, 3, 4)).unwrap();
        assert_eq!((layout.data, layout.ranks()), (8, 96));
        for group in Group::ALL {
            for rank in 0..96 {
                let members = layout.members(rank, group);
                assert!(members.contains(&rank), "{group:?} {rank}");
                let stage = |member: &u32| layout.stage_of(*member) == layout.stage_of(rank);
                assert!(members.iter().all(stage), "{group:?} {rank}");
                for member in &members {
                    assert_eq!(layout.members(*member, group), members, "{group:?}");
                }
            }
        }
        assert_eq!(layout.members(37, Group::Context), [37, 39]);
        assert_eq!(layout.members(37, Group::Expert), [36, 37, 38, 39]);
    }

    /// What does not fit is refused.
    #[test]
    fn what_does_not_fit_is_refused() {
        let error = layout(96, (8, 1, 5, 1)).unwrap_err();
        assert!(error.starts_with("96 ranks are no whole replicas of 8"), "{error}");
        let error = layout(96, (8, 1, 3, 5)).unwrap_err();
        assert!(error.starts_with("a stage has 32 ranks"), "{error}");
    }
}
