//! Models: how many operations and parameters their layers have.
//!
//! Operations are those of matrix products, two for each multiplication with addition, and of attention, of which the causal
//! half counts. Norms, activations and positions are left out: they are bound by memory and small.

/// Experts in place of a layer's feed-forward network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Experts {
    /// How many a layer has.
    pub count: u32,
    /// How many each token goes to.
    pub top: u32,
    /// Width of one expert's feed-forward network.
    pub feed_forward: u64,
    /// Width of the network that every token goes through besides; 0: there is none.
    pub shared: u64,
}

/// A decoder-only transformer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Model {
    /// Layers.
    pub layers: u32,
    /// Width of a token between layers.
    pub hidden: u64,
    /// Width within the feed-forward network of a dense layer.
    pub feed_forward: u64,
    /// Whether that network has three matrices (gated, as SwiGLU) and not two.
    pub gated: bool,
    /// Attention heads.
    pub heads: u64,
    /// Heads of keys and values: fewer where queries share them.
    pub key_value_heads: u64,
    /// Words.
    pub vocabulary: u64,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Experts, if it has them in all layers.
    pub experts: Option<Experts>,
}

/// Bytes of an activation or a parameter in 16-bit numbers.
pub const HALF: u64 = 2;

/// Models by name, from their papers: GPT-3 (Brown et al. 2020, table 2.1), Llama 3 (Grattafiori et al. 2024, table 3), Mixtral
/// (Jiang et al. 2024, table 1), DeepSeek-V3 (2024, section 4.2; its first three layers have no experts and its attention is
/// compressed, which is left out: all layers have experts here, and attention is the usual one).
pub const MODELS: [(&str, Model); 6] = [
    ("gpt-3-175b", dense(96, 12_288, 49_152, false, (96, 96), 50_257, 2_048)),
    ("llama-3-8b", dense(32, 4_096, 14_336, true, (32, 8), 128_256, 8_192)),
    ("llama-3-70b", dense(80, 8_192, 28_672, true, (64, 8), 128_256, 8_192)),
    ("llama-3-405b", dense(126, 16_384, 53_248, true, (128, 8), 128_256, 8_192)),
    (
        "mixtral-8x7b",
        Model {
            experts: Some(Experts { count: 8, top: 2, feed_forward: 14_336, shared: 0 }),
            ..dense(32, 4_096, 14_336, true, (32, 8), 32_000, 8_192)
        },
    ),
    (
        "deepseek-v3",
        Model {
            experts: Some(Experts { count: 256, top: 8, feed_forward: 2_048, shared: 2_048 }),
            ..dense(61, 7_168, 18_432, true, (128, 128), 129_280, 4_096)
        },
    ),
];

const fn dense(
    layers: u32,
    hidden: u64,
    feed_forward: u64,
    gated: bool,
    (heads, key_value_heads): (u64, u64),
    vocabulary: u64,
    sequence: u64,
) -> Model {
    Model {
        layers,
        hidden,
        feed_forward,
        gated,
        heads,
        key_value_heads,
        vocabulary,
        sequence,
        experts: None,
    }
}

impl Model {
    /// Width of keys and values together, over all their heads.
    pub fn key_value_width(&self) -> u64 {
        2 * self.key_value_heads * self.hidden / self.heads
    }

    /// Parameters of a layer's attention: queries, keys, values and the output.
    pub fn attention_parameters(&self) -> u64 {
        self.hidden * (2 * self.hidden + self.key_value_width())
    }

    fn network(&self, width: u64) -> u64 {
        let matrices = if self.gated { 3 } else { 2 };
        matrices * self.hidden * width
    }

    /// Parameters of a layer's part that all tokens go through after attention.
    pub fn dense_parameters(&self) -> u64 {
        self.network(self.experts.map_or(self.feed_forward, |experts| experts.shared))
    }

    /// Parameters of one expert.
    pub fn expert_parameters(&self) -> u64 {
        self.experts.map_or(0, |experts| self.network(experts.feed_forward))
    }

    /// Parameters of the whole model, the embedding and the head counted apart.
    pub fn parameters(&self) -> u64 {
        let experts =
            self.experts.map_or(0, |experts| u64::from(experts.count) * self.expert_parameters());
        let layer = self.attention_parameters() + self.dense_parameters() + experts;
        u64::from(self.layers) * layer + 2 * self.vocabulary * self.hidden
    }

    /// Operations of a token in a layer's attention, forward.
    pub fn attention_operations(&self) -> f64 {
        // Scores and values: two products of `sequence` by `hidden`, of which half is masked.
        (2 * self.attention_parameters() + 2 * self.sequence * self.hidden) as f64
    }

    /// Operations of a token in a layer's dense part, forward.
    pub fn dense_operations(&self) -> f64 {
        (2 * self.dense_parameters()) as f64
    }

    /// Operations of a token in one expert, forward.
    pub fn expert_operations(&self) -> f64 {
        (2 * self.expert_parameters()) as f64
    }

    /// Operations of a token at the head, forward.
    pub fn head_operations(&self) -> f64 {
        (2 * self.vocabulary * self.hidden) as f64
    }

    /// Operations of a token in a training iteration: forward, and twice that backward.
    pub fn training_operations(&self) -> f64 {
        let top = self.experts.map_or(0, |experts| experts.top);
        let layer = self.attention_operations()
            + self.dense_operations()
            + f64::from(top) * self.expert_operations();
        3.0 * (f64::from(self.layers) * layer + self.head_operations())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Models have about as many parameters as their names say, and six operations a parameter and token, roughly.
    #[test]
    fn parameters_are_those_of_the_names() {
        for (name, billions, active) in [
            ("gpt-3-175b", 175.0, 175.0),
            ("llama-3-8b", 8.0, 8.0),
            ("llama-3-70b", 70.0, 70.0),
            ("llama-3-405b", 405.0, 405.0),
            ("mixtral-8x7b", 46.7, 12.9),
            // Of its published 671, three layers have no experts.
            ("deepseek-v3", 700.0, 37.0),
        ] {
            let model = MODELS.iter().find(|(known, _)| *known == name).unwrap().1;
            let parameters = model.parameters() as f64 / 1e9;
            assert!((parameters / billions - 1.0).abs() < 0.03, "{name}: {parameters}");
            let model = Model { sequence: 1, ..model };
            let each = model.training_operations() / (active * 6e9);
            assert!((each - 1.0).abs() < 0.1, "{name}: {each}");
        }
    }
}
