//! Training: an iteration of a model, from its shape and how it is shared.
//!
//! - [`model`]: operations and parameters; [`layout`]: groups of ranks
//! - [`schedule`]: the order of micro-batches in a pipeline; [`experts`]: who exchanges how many tokens
//! - `iteration`: what a rank computes and communicates
//!
//! What is left out: norms, the optimiser's arithmetic, the norm of gradients, and anything bound by memory.

pub mod experts;
mod iteration;
pub mod layout;
pub mod model;
pub mod schedule;

use fabric::units::Span;

use crate::traces::Trace;
use experts::Skew;
use layout::{Groups, Layout};
use model::Model;

/// How optimiser state, gradients and parameters are spread over replicas (Rajbhandari et al. 2020).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Zero {
    /// Each replica has all: gradients are all-reduced.
    Off,
    /// Optimiser state is spread: gradients are reduce-scattered at the end, parameters gathered after the update.
    One,
    /// Gradients too: they are reduce-scattered with each micro-batch.
    Two,
    /// Parameters too: they are gathered before each use.
    Three,
}

/// Training, as asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Training {
    /// The model.
    pub model: Model,
    /// How it is shared.
    pub layout: Layout,
    /// Tensor-parallel ranks share the tokens between matrices: an all-gather and a reduce-scatter for each all-reduce.
    pub sequence_parallel: bool,
    /// Micro-batches of a replica in an iteration.
    pub micro_batches: u32,
    /// Sequences of a micro-batch.
    pub micro_batch: u32,
    /// Chunks of layers of a stage: more than 1 is the interleaved schedule.
    pub chunks: u32,
    /// What is spread over replicas.
    pub zero: Zero,
    /// Gradients and parameters are communicated behind computing.
    pub overlap: bool,
    /// Activations are computed again before going back.
    pub recompute: bool,
    /// Bytes of a gradient when it is reduced.
    pub gradient_bytes: u64,
    /// Iterations.
    pub iterations: u32,
    /// Operations a second of an accelerator at its best.
    pub peak: f64,
    /// The share of it that computing gets when it does not wait.
    pub efficiency: f64,
    /// How tokens spread over experts.
    pub skew: Skew,
    /// Ranks that compute more slowly.
    pub stragglers: Vec<u32>,
    /// How many times longer they take.
    pub straggler_factor: f64,
    /// Each piece of computing takes up to this share longer or shorter.
    pub jitter: f64,
    /// Decides about jitter, and which experts are popular.
    pub seed: u64,
}

impl Training {
    /// What does not fit together.
    ///
    /// # Errors
    /// A sentence that names it.
    pub fn check(&self) -> Result<(), String> {
        let Layout { tensor, context, pipeline, expert, .. } = self.layout;
        let Model { layers, hidden, heads, key_value_heads, sequence, .. } = self.model;
        let virtual_stages = pipeline * self.chunks;
        if heads == 0 || !hidden.is_multiple_of(heads) || !heads.is_multiple_of(key_value_heads) {
            return Err(format!(
                "a width of {hidden} is not shared evenly by {heads} heads, and these by {key_value_heads} of keys and values"
            ));
        }
        if !heads.is_multiple_of(u64::from(tensor)) {
            return Err(format!(
                "{heads} heads are not shared evenly by {tensor} tensor-parallel ranks"
            ));
        }
        if !sequence.is_multiple_of(u64::from(context * tensor)) {
            return Err(format!(
                "a sequence of {sequence} tokens is not shared evenly by {context} context-parallel times {tensor} \
                 tensor-parallel ranks"
            ));
        }
        if layers < virtual_stages {
            return Err(format!(
                "{layers} layers are fewer than {pipeline} stages of {} chunks",
                self.chunks
            ));
        }
        if self.chunks > 1 && pipeline == 1 {
            return Err(format!(
                "{} chunks a stage are for pipelines; `pipeline_parallel` is 1",
                self.chunks
            ));
        }
        if self.chunks > 1 && !self.micro_batches.is_multiple_of(pipeline) {
            return Err(format!(
                "the interleaved schedule needs whole groups of {pipeline} micro-batches, as many as stages; there are {}",
                self.micro_batches
            ));
        }
        match self.model.experts {
            None if expert > 1 => {
                return Err(format!("`expert_parallel` is {expert}; the model has no experts"));
            }
            Some(experts) if !experts.count.is_multiple_of(expert) => {
                return Err(format!(
                    "{} experts are not shared evenly by {expert} expert-parallel ranks",
                    experts.count
                ));
            }
            Some(_) if tensor > 1 && !self.sequence_parallel => {
                return Err(
                    "experts beside tensor parallelism need `sequence_parallel`, which shares the tokens"
                        .to_owned(),
                );
            }
            _ => {}
        }
        if let Some(rank) = self.stragglers.iter().find(|rank| **rank >= self.layout.ranks()) {
            return Err(format!("there is no rank {rank}; there are {}", self.layout.ranks()));
        }
        Ok(())
    }

    /// What all ranks do.
    ///
    /// # Errors
    /// When something does not fit together.
    pub fn trace(&self) -> Result<Trace, String> {
        self.check()?;
        let exchanges = iteration::exchanges(self)?;
        let mut groups = Groups::default();
        let rank = |rank| iteration::rank(self, rank, &mut groups, &exchanges);
        Ok(Trace { ranks: (0..self.layout.ranks()).map(rank).collect(), is_service: false })
    }

    /// Time that the model's own operations take a rank at its peak: over the time that iterations take it is the share that
    /// is known as MFU (Chowdhery et al. 2022), with attention's causal half.
    pub fn ideal(&self) -> Span {
        let Layout { data, .. } = self.layout;
        let sequences = f64::from(self.micro_batch) * f64::from(self.micro_batches * data);
        let tokens = sequences * self.model.sequence as f64 * f64::from(self.iterations);
        let operations = self.model.training_operations() * tokens;
        Span((operations / f64::from(self.layout.ranks()) / self.peak * 1e12) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collective::Kind;
    use crate::driver::play;
    use crate::tasks::Costs;
    use crate::traces::Action;
    use fabric::ids::HostId;
    use model::Experts;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn some(layout: Layout) -> Training {
        let model = Model {
            layers: 8,
            hidden: 512,
            feed_forward: 2_048,
            gated: true,
            heads: 8,
            key_value_heads: 4,
            vocabulary: 1_000,
            sequence: 256,
            experts: None,
        };
        Training {
            model,
            layout,
            sequence_parallel: true,
            micro_batches: 4,
            micro_batch: 2,
            chunks: 1,
            zero: Zero::One,
            overlap: true,
            recompute: false,
            gradient_bytes: 4,
            iterations: 1,
            peak: 1e12,
            efficiency: 0.5,
            skew: Skew::Even,
            stragglers: Vec::new(),
            straggler_factor: 1.0,
            jitter: 0.0,
            seed: 1,
        }
    }

    fn computing(training: &Training) -> f64 {
        let nodes = training.trace().unwrap().ranks;
        let time = |action: &Action| match action {
            Action::Compute { time, .. } => time.0 as f64,
            _ => 0.0,
        };
        nodes.iter().flatten().map(|node| time(&node.action)).sum()
    }

    /// Bytes of all collectives of a name and kind that rank 0 takes part in.
    fn bytes(training: &Training, of: &str, which: Kind) -> u64 {
        let nodes = &training.trace().unwrap().ranks[0];
        let bytes = |action: &Action| match action {
            Action::Collective { kind, bytes, name, .. } if *name == of && *kind == which => *bytes,
            _ => 0,
        };
        nodes.iter().map(|node| bytes(&node.action)).sum()
    }

    /// All ranks together compute the model's operations, however it is shared; computing again adds a third.
    #[test]
    fn ranks_share_the_operations() {
        for layout in [(1, 1, 1, 1), (4, 1, 1, 1), (2, 2, 2, 1), (1, 1, 4, 1)] {
            let layout = layout::tests::layout(16, layout).unwrap();
            let training = some(layout);
            let ideal = training.ideal().0 as f64 * 16.0 / training.efficiency;
            let ratio = computing(&training) / ideal;
            assert!((ratio - 1.0).abs() < 1e-4, "{layout:?}: {ratio}");
            let again = computing(&Training { recompute: true, ..training.clone() });
            let head = training.model.head_operations() / training.model.training_operations();
            let expected = 4.0 / 3.0 - head;
            assert!((again / ideal / expected - 1.0).abs() < 1e-3, "{}", again / ideal);
        }
    }

    /// Skewed experts compute the same together, the busiest rank more; stragglers and jitter are as asked.
    #[test]
    fn some_ranks_compute_longer() {
        let experts = Experts { count: 8, top: 2, feed_forward: 1_024, shared: 0 };
        let even = some(layout::tests::layout(8, (1, 1, 1, 8)).unwrap());
        let even = Training { model: Model { experts: Some(experts), ..even.model }, ..even };
        let skewed = Training { skew: Skew::Zipf(1.0), ..even.clone() };
        let ratio = computing(&skewed) / computing(&even);
        assert!((ratio - 1.0).abs() < 1e-4, "{ratio}");
        let nodes = skewed.trace().unwrap().ranks;
        let of = |rank: usize| {
            let time = |action: &Action| match action {
                Action::Compute { time, .. } => time.0,
                _ => 0,
            };
            nodes[rank].iter().map(|node| time(&node.action)).sum::<u64>()
        };
        assert!((0..8).map(of).max() > (0..8).map(of).min());
        let slow = Training { stragglers: vec![3, 5], straggler_factor: 2.0, ..even.clone() };
        assert!((computing(&slow) / computing(&even) - 1.25).abs() < 1e-4);
        let jitter = Training { jitter: 0.3, ..even.clone() };
        let ratio = computing(&jitter) / computing(&even);
        assert!((ratio - 1.0).abs() < 0.02 && ratio != 1.0, "{ratio}");
    }

    /// What is communicated is what ZeRO's paper and tensor parallelism say.
    #[test]
    fn volumes_are_those_of_the_papers() {
        let training = some(layout::tests::layout(16, (2, 1, 1, 1)).unwrap());
        let Model { layers, hidden, vocabulary, sequence, .. } = training.model;
        let layer = training.model.attention_parameters() + training.model.dense_parameters();
        let layers = u64::from(layers);
        let own = (layers * layer + 2 * vocabulary * hidden) / 2;
        let gradients =
            |zero, kind| bytes(&Training { zero, ..training.clone() }, "gradients", kind);
        assert_eq!(gradients(Zero::Off, Kind::AllReduce), own * 4);
        assert_eq!(gradients(Zero::One, Kind::ReduceScatter), own * 4);
        assert_eq!(gradients(Zero::Two, Kind::ReduceScatter), own * 4 * 4, "each micro-batch");
        let parameters =
            |zero| bytes(&Training { zero, ..training.clone() }, "parameters", Kind::AllGather);
        assert_eq!(parameters(Zero::Off), 0);
        assert_eq!(parameters(Zero::One), layers * layer / 2 * 2);
        assert_eq!(parameters(Zero::Three), layers * layer / 2 * 2 * 2 * 4, "there and back, each");
        // Forward two a layer and one at the head, and backward as many.
        let once = 2 * sequence * hidden * 2;
        assert_eq!(bytes(&training, "tensor", Kind::AllGather), 4 * 2 * (2 * layers + 1) * once);
        let plain = Training { sequence_parallel: false, ..training };
        assert_eq!(bytes(&plain, "tensor", Kind::AllReduce), 4 * 2 * (2 * layers + 1) * once);
    }

    /// What does not fit together is refused in a sentence.
    #[test]
    fn what_does_not_fit_is_refused() {
        let training = some(layout::tests::layout(16, (4, 1, 2, 1)).unwrap());
        let experts = Some(Experts { count: 6, top: 2, feed_forward: 64, shared: 0 });
        let with = |change: &dyn Fn(&mut Training)| {
            let mut training = training.clone();
            change(&mut training);
            training.check().unwrap_err()
        };
        for (change, expected) in [
            (&(|t: &mut Training| t.chunks = 8) as &dyn Fn(&mut Training), "8 layers are fewer"),
            (&|t| (t.chunks, t.micro_batches) = (2, 3), "the interleaved schedule needs"),
            (&|t| t.model.key_value_heads = 3, "a width of 512"),
            (&|t| t.model.sequence = 255, "a sequence of 255"),
            (&|t| t.layout.expert = 2, "`expert_parallel` is 2; the model has no"),
            (&|t| (t.layout.expert, t.model.experts) = (4, experts), "6 experts are not shared"),
            (
                &|t| (t.sequence_parallel, t.model.experts) = (false, experts),
                "experts beside tensor",
            ),
            (&|t| t.stragglers = vec![16], "there is no rank 16"),
        ] {
            let error = with(change);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Whatever is combined, all ranks come to the end.
        #[test]
        fn all_combinations_end(
            tensor in 0u32..3, context in 0u32..2, pipeline in 0u32..3, chunks in 1u32..3,
            zero in 0usize..4, overlap: bool, recompute: bool, moe: bool, expert in 0u32..3,
        ) {
            let expert = if moe { 1 << expert } else { 1 };
            let layout = (1 << tensor, 1 << context, 1 << pipeline, expert);
            let Ok(layout) = layout::tests::layout(32, layout) else { return Ok(()) };
            let chunks = if pipeline == 0 { 1 } else { chunks };
            let training = some(layout);
            let experts = Experts { count: 8, top: 2, feed_forward: 64, shared: 0 };
            let experts = moe.then_some(experts);
            let training = Training {
                model: Model { experts, ..training.model },
                chunks,
                zero: [Zero::Off, Zero::One, Zero::Two, Zero::Three][zero],
                overlap,
                recompute,
                iterations: 2,
                jitter: 0.1,
                skew: Skew::Zipf(0.8),
                ..training
            };
            let trace = training.trace().unwrap();
            let places: Vec<HostId> = (0..32).map(HostId).collect();
            let recipe = |kind, ranks, bytes, matrix: Option<&Arc<[u64]>>| {
                let matrix = matrix.cloned();
                Ok(crate::algorithms::Recipe { matrix, ..crate::algorithms::Recipe::new(kind, ranks, bytes) })
            };
            let mut workload = trace.tasks(32, &places, Costs::default(), recipe).unwrap();
            prop_assert_eq!(play(&mut workload).len() as u64, workload.messages);
        }
    }
}
