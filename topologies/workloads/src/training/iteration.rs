//! What a rank computes and communicates in training iterations.

use std::ops::Range;
use std::sync::Arc;

use fabric::rng::SplitMix64;
use fabric::units::Span;

use super::experts::Exchange;
use super::layout::{Group, Groups, Layout};
use super::model::HALF;
use super::schedule::{Turn, turns};
use super::{Training, Zero};
use crate::collective::Kind;
use crate::traces::writer::Writer;
use crate::traces::{Action, Node};

/// The exchanges of experts in each layer; none without experts.
pub(super) fn exchanges(training: &Training) -> Result<Vec<Exchange>, String> {
    let Some(experts) = training.model.experts else { return Ok(Vec::new()) };
    let Layout { tensor, context, expert, .. } = training.layout;
    let tokens = u64::from(training.micro_batch) * training.model.sequence;
    let visits = (tokens / u64::from(context * tensor) * u64::from(experts.top)) as f64;
    let layer = |layer| {
        let shares = training.skew.shares(layer, experts.count, training.seed)?;
        Ok(Exchange::new(&shares, expert, visits, training.model.hidden * HALF))
    };
    (0..training.model.layers).map(layer).collect()
}

/// A rank while its nodes are written.
struct Rank<'a> {
    training: &'a Training,
    rank: u32,
    stage: u32,
    groups: [Arc<[u32]>; 5],
    exchanges: &'a [Exchange],
    random: SplitMix64,
    /// How many times longer than others it computes.
    slower: f64,
    writer: Writer,
    /// What parameters of the next layer may be gathered after.
    early: Option<u32>,
    iteration: u32,
}

/// The nodes of a rank.
pub(super) fn rank(
    training: &Training,
    rank: u32,
    groups: &mut Groups,
    exchanges: &[Exchange],
) -> Vec<Node> {
    let slow = training.stragglers.contains(&rank);
    let mut rank = Rank {
        training,
        rank,
        stage: training.layout.stage_of(rank),
        groups: Group::ALL.map(|group| groups.of(&training.layout, rank, group)),
        exchanges,
        random: SplitMix64::new(training.seed ^ (u64::from(rank) << 20)),
        slower: if slow { training.straggler_factor } else { 1.0 },
        writer: Writer::default(),
        early: None,
        iteration: 0,
    };
    for iteration in 0..training.iterations {
        rank.iteration = iteration;
        rank.one();
    }
    rank.writer.nodes
}

impl Rank<'_> {
    fn collective(
        &self,
        kind: Kind,
        bytes: u64,
        group: Group,
        name: &'static str,
        matrix: Option<Arc<[u64]>>,
    ) -> Action {
        let place = Group::ALL.iter().position(|known| *known == group).expect("all are known");
        let members = Arc::clone(&self.groups[place]);
        // What cannot be cut for all ranks is not worth a collective.
        let bytes = bytes.max(members.len() as u64);
        Action::Collective { kind, bytes, members, root: 0, name: name.into(), matrix }
    }

    /// Computes operations of this rank alone.
    fn compute(&mut self, operations: f64) {
        let Training { peak, efficiency, jitter, .. } = *self.training;
        let uniform = (self.random.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let factor = self.slower * (1.0 + jitter * uniform);
        self.writer.compute(Span((operations / (peak * efficiency) * factor * 1e12) as u64));
    }

    /// Tokens of a micro-batch, and those that this rank has of them besides what tensor-parallel ranks share.
    fn tokens(&self) -> u64 {
        u64::from(self.training.micro_batch) * self.training.model.sequence
            / u64::from(self.training.layout.context)
    }

    /// A piece of computing that tensor-parallel ranks share, with what it takes to bring its tokens together and its results.
    fn shared(&mut self, operations: f64) {
        let Training { layout: Layout { tensor, .. }, sequence_parallel, .. } = *self.training;
        let bytes = self.tokens() * self.training.model.hidden * HALF;
        if sequence_parallel {
            let gather = self.collective(Kind::AllGather, bytes, Group::Tensor, "tensor", None);
            self.writer.blocking(gather);
        }
        self.compute(operations * self.tokens() as f64 / f64::from(tensor));
        let kind = if sequence_parallel { Kind::ReduceScatter } else { Kind::AllReduce };
        let reduce = self.collective(kind, bytes, Group::Tensor, "tensor", None);
        self.writer.blocking(reduce);
    }

    /// Keys and values of all context-parallel ranks.
    fn keys_and_values(&mut self, kind: Kind) {
        let Training { model, layout, .. } = self.training;
        let tokens = u64::from(self.training.micro_batch) * model.sequence;
        let bytes = tokens * model.key_value_width() * HALF / u64::from(layout.tensor);
        let action = self.collective(kind, bytes, Group::Context, "context", None);
        self.writer.blocking(action);
    }

    fn exchange(&mut self, matrix: &Arc<[u64]>) {
        let bytes = matrix.iter().sum::<u64>() / u64::from(self.training.layout.expert);
        let matrix = Some(Arc::clone(matrix));
        let action = self.collective(Kind::AllToAll, bytes, Group::Expert, "experts", matrix);
        self.writer.blocking(action);
    }

    /// Tokens go to experts, are computed with so many times a forward's operations, and come back.
    fn experts(&mut self, layer: u32, factor: f64) {
        let exchanges = self.exchanges;
        let Some(Exchange { there, back, visits }) = exchanges.get(layer as usize) else { return };
        let place = self.rank % self.training.layout.expert;
        self.exchange(there);
        self.compute(visits[place as usize] * self.training.model.expert_operations() * factor);
        self.exchange(back);
    }

    /// Parameters of a layer on this rank: those outside of experts, and those of its experts.
    fn parameters(&self) -> [(u64, Group); 2] {
        let Training { model, layout, .. } = self.training;
        let dense = model.attention_parameters() + model.dense_parameters();
        let experts = model.experts.map_or(0, |experts| u64::from(experts.count / layout.expert));
        [
            (dense / u64::from(layout.tensor), Group::Replicas),
            (experts * model.expert_parameters(), Group::ExpertReplicas),
        ]
    }

    /// Parameters of a layer come together, if they are spread; those of the next one may come meanwhile.
    fn gather(&mut self) {
        if self.training.zero < Zero::Three {
            return;
        }
        let after = if self.training.overlap { self.early } else { self.writer.last };
        self.early = self.writer.last;
        for (parameters, group) in self.parameters() {
            if parameters > 0 {
                let bytes = parameters * HALF;
                let gather = self.collective(Kind::AllGather, bytes, group, "parameters", None);
                if let Some(node) = self.writer.collective(gather, after) {
                    self.writer.wait_for(node);
                }
            }
        }
    }

    /// Gradients of so many parameters are reduced, if it is time.
    fn reduce(&mut self, last: bool, parameters: &[(u64, Group)]) {
        if !(last || self.training.zero >= Zero::Two) {
            return;
        }
        let kind = match self.training.zero {
            Zero::Off => Kind::AllReduce,
            _ => Kind::ReduceScatter,
        };
        for (parameters, group) in parameters.iter().filter(|(parameters, _)| *parameters > 0) {
            let bytes = parameters * self.training.gradient_bytes;
            let reduce = self.collective(kind, bytes, *group, "gradients", None);
            match self.training.overlap {
                true => self.writer.behind(reduce),
                false => self.writer.blocking(reduce),
            }
        }
    }

    fn forward(&mut self, layer: u32) {
        let model = self.training.model;
        self.keys_and_values(Kind::AllGather);
        self.shared(model.attention_operations());
        if model.dense_parameters() > 0 {
            self.shared(model.dense_operations());
        }
        self.experts(layer, 1.0);
    }

    fn backward(&mut self, layer: u32) {
        let model = self.training.model;
        if self.training.recompute {
            self.forward(layer);
        }
        self.experts(layer, 2.0);
        if model.dense_parameters() > 0 {
            self.shared(2.0 * model.dense_operations());
        }
        self.keys_and_values(Kind::AllGather);
        self.shared(2.0 * model.attention_operations());
        self.keys_and_values(Kind::ReduceScatter);
    }

    /// The rank of another stage with which this one exchanges activations.
    fn peer(&self, stage: u32) -> u32 {
        stage * self.training.layout.stage() + self.rank % self.training.layout.stage()
    }

    /// What comes into a place of the pipeline from the one before, or back from the one behind.
    fn receive(&mut self, turn: Turn, place: u32) {
        let Layout { pipeline, .. } = self.training.layout;
        let other = if turn.forward { place + pipeline - 1 } else { place + 1 } % pipeline;
        let tag = self.tag(turn, place);
        let before = self.writer.last;
        self.writer.then(Action::Receive { from: self.peer(other), tag });
        if let Some(since) = before {
            self.writer.aside(Action::Mark { since, name: "pipeline (receive)".into() });
        }
    }

    fn send(&mut self, turn: Turn, place: u32) {
        let Training { layout, model, sequence_parallel, .. } = self.training;
        let other = if turn.forward { place + 1 } else { place - 1 };
        let share = if *sequence_parallel { layout.tensor } else { 1 };
        let bytes = self.tokens() * model.hidden * HALF / u64::from(share);
        let to = self.peer(other % layout.pipeline);
        self.writer.aside(Action::Send { to, bytes, tag: self.tag(turn, other) });
    }

    /// Tells what goes into one place of the pipeline for one micro-batch in one direction from all else.
    fn tag(&self, turn: Turn, into: u32) -> u64 {
        let Training { layout, chunks, micro_batches, .. } = self.training;
        let places = u64::from(layout.pipeline * chunks);
        let batch = u64::from(self.iteration) * u64::from(*micro_batches);
        let number = (batch + u64::from(turn.micro_batch)) * places + u64::from(into);
        2 * number + u64::from(turn.forward)
    }

    /// The layers of a place of the pipeline.
    fn layers(&self, place: u32) -> Range<u32> {
        let Training { layout, chunks, model, .. } = self.training;
        let (layers, places) = (u64::from(model.layers), u64::from(layout.pipeline * chunks));
        let bound = |place: u32| (layers * u64::from(place) / places) as u32;
        bound(place)..bound(place + 1)
    }

    /// One turn of this rank's stage.
    fn turn(&mut self, turn: Turn) {
        let Training { layout, chunks, model, micro_batches, .. } = self.training;
        let places = layout.pipeline * chunks;
        let place = turn.chunk * layout.pipeline + self.stage;
        let layers = self.layers(place);
        let (first, last) = (place == 0, place + 1 == places);
        if (turn.forward && !first) || (!turn.forward && !last) {
            self.receive(turn, place);
        }
        self.early = self.writer.last;
        let is_final = turn.micro_batch + 1 == *micro_batches;
        let embedding = model.vocabulary * model.hidden / u64::from(layout.tensor);
        let head = model.head_operations();
        if turn.forward {
            for layer in layers {
                self.gather();
                self.forward(layer);
            }
            if last {
                self.shared(head);
            }
        } else {
            if last {
                self.shared(2.0 * head);
                self.reduce(is_final, &[(embedding, Group::Replicas)]);
            }
            for layer in layers.rev() {
                self.gather();
                self.backward(layer);
                let parameters = self.parameters();
                self.reduce(is_final, &parameters);
            }
            if first {
                self.reduce(is_final, &[(embedding, Group::Replicas)]);
            }
        }
        if (turn.forward && !last) || (!turn.forward && !first) {
            self.send(turn, place);
        }
    }

    /// One iteration.
    fn one(&mut self) {
        let Training { layout, chunks, micro_batches, zero, .. } = *self.training;
        let start = self.writer.join();
        for turn in turns(self.stage, layout.pipeline, chunks, micro_batches) {
            self.turn(turn);
        }
        self.writer.join();
        if matches!(zero, Zero::One | Zero::Two) {
            let own = (0..chunks).map(|chunk| chunk * layout.pipeline + self.stage);
            let layers: u64 = own.map(|place| self.layers(place).len() as u64).sum();
            for (parameters, group) in self.parameters() {
                if parameters > 0 {
                    let bytes = layers * parameters * HALF;
                    let gather = self.collective(Kind::AllGather, bytes, group, "parameters", None);
                    self.writer.behind(gather);
                }
            }
            self.writer.join();
        }
        self.writer.aside(Action::Mark { since: start, name: "iteration".into() });
    }
}
