//! What there is to choose from: scenarios, topologies, transports, workloads, presets, figures, each with a sentence.

use results::metrics::METRICS;

use crate::scenario::presets::PRESETS;

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../topologies/scenarios/", $name, ".toml")))),*]
    };
}

/// Every scenario that comes with the program, with its text.
pub const SCENARIOS: [(&str, &str); 37] = scenarios![
    "agents",
    "atomics",
    "checkpoint",
    "collectives",
    "default",
    "dragonfly",
    "goal",
    "incast",
    "incast-fairness",
    "irn",
    "jobs",
    "lab",
    "leaf-spine",
    "link-flap",
    "moe",
    "ndp",
    "one-flow",
    "perm128",
    "pfc-deadlock",
    "pfc-unfairness",
    "pfc-victim",
    "pipeline",
    "presets",
    "qp-scaling",
    "rails",
    "remote-memory",
    "scheduled-fabric",
    "serving",
    "shapes",
    "shootout",
    "simai",
    "sprayed-permutation",
    "srd",
    "sweep",
    "switch-down",
    "training",
    "websearch-hpcc",
];

/// Shapes of fabrics: `topology.kind`.
pub const TOPOLOGIES: [(&str, &str); 14] = [
    ("fat-tree", "k-ary fat tree of two or three tiers, perhaps oversubscribed, with bundles"),
    ("leaf-spine", "leaves and spines"),
    ("scheduled-fabric", "leaves that spray over fast uplinks to spines with deep buffers"),
    ("single-switch", "all hosts on one switch"),
    ("dumbbell", "two switches with one link between"),
    ("rail-optimised", "accelerators of the same number share a leaf, spines join all leaves"),
    ("rail-only", "rails that nothing joins but the servers"),
    ("dragonfly", "groups of switches, all joined to all by global links"),
    ("dragonfly-plus", "groups of leaves and spines, joined by global links"),
    ("hyperx", "a grid of switches, all of a line joined"),
    ("torus", "a grid of switches whose lines are rings"),
    ("mesh", "a grid of switches, neighbours joined"),
    ("slim-fly", "switches at most two links apart (McKay, Miller, Siran)"),
    ("file", "a file of another tool: .topo, ns-3, SimAI, astra-sim, GraphML, ibnetdiscover, CSV"),
];

/// Transports: `transport.kind`.
pub const TRANSPORTS: [(&str, &str); 6] = [
    ("uet", "Ultra Ethernet Transport: sprayed, trimmed, NSCC and RCCC"),
    (
        "roce",
        "RoCEv2 with PFC; DCQCN, HPCC, TIMELY, Swift or DCTCP; go-back-N, selective repeat, IRN",
    ),
    ("ndp", "NDP: receivers pull every packet after the first window"),
    ("srd", "what is public of Amazon's SRD"),
    ("strack", "what is public of STrack"),
    ("tcp", "TCP of smoltcp on a dilated clock: CUBIC, Reno"),
];

/// Traffic: `workload.kind`.
pub const WORKLOADS: [(&str, &str); 25] = [
    ("matrix", "flows of a file: an htsim connection matrix, an ns-3 flow file, a table"),
    ("permutation", "every host sends to one other"),
    ("poisson", "flows at random by a published distribution of sizes"),
    ("incast", "many hosts send to one"),
    ("incast-bursts", "incasts that come again and again"),
    ("trace", "a trace of another tool: Chakra, GOAL, MSCCL, SimAI, AICB"),
    ("pipeline", "messages through ranks in a line, each of which computes"),
    ("training", "iterations of a model: data, tensor, context, pipeline and expert parallel"),
    ("memory-pool", "pages of a pool, read and written"),
    ("key-value", "gets and puts with popular keys"),
    ("storage", "reads and writes of striped objects"),
    ("checkpoint", "all ranks write their state"),
    ("agents", "agents that call tools and wait for all answers"),
    ("serving", "inference with prefill and decoding apart"),
    ("jobs", "several of the others side by side"),
    ("all-reduce", "collective: sums of all at all"),
    ("all-gather", "collective: parts of all at all"),
    ("reduce-scatter", "collective: a part of the sums at each"),
    ("all-to-all", "collective: a part of each for each"),
    ("broadcast", "collective: one to all"),
    ("reduce", "collective: sums of all at one"),
    ("gather", "collective: parts of all at one"),
    ("scatter", "collective: parts of one to all"),
    ("barrier", "collective: all wait for all"),
    ("send-receive", "collective: each to the next"),
];

/// Clusters by name: `topology.preset`, with what their file says first.
pub fn presets() -> Vec<(&'static str, String)> {
    PRESETS.iter().map(|(name, text)| (*name, first_sentence(text))).collect()
}

/// Scenarios, with what their file says first.
pub fn scenarios() -> Vec<(&'static str, String)> {
    SCENARIOS.iter().map(|(name, text)| (*name, first_sentence(text))).collect()
}

/// Figures that sweeps and comparisons have.
pub fn figures() -> Vec<(&'static str, String)> {
    let unit = |unit: &str| if unit.is_empty() { String::new() } else { format!(", {unit}") };
    METRICS.iter().map(|m| (m.name, format!("{}{}", m.meaning, unit(m.unit)))).collect()
}

/// Whether a scenario names files, which are not in the program.
pub fn has_files(text: &str) -> bool {
    text.lines().any(|line| {
        let code = line.split('#').next().unwrap_or("");
        code.contains("file =") || code.contains("file=")
    })
}

/// The first sentence of the comment at a file's beginning.
fn first_sentence(text: &str) -> String {
    let comment = text.lines().take_while(|line| line.starts_with('#'));
    let words: Vec<&str> = comment.map(|line| line.trim_start_matches('#').trim()).collect();
    let whole = words.join(" ");
    let end = whole.find(". ").map_or(whole.len(), |end| end + 1);
    whole[..end].trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::Source;
    use crate::scenario::from_source;

    /// The words that a key takes, as the error about a wrong one lists them.
    fn expected(text: &str) -> Vec<String> {
        let source = Source { name: "x.toml".into(), text: text.into(), folder: None };
        let message = from_source(&Arc::new(source), &[], None).unwrap_err().message;
        let list = message.split("expected ").nth(1).expect("a list").replace(" or ", ", ");
        list.split(", ").map(str::to_owned).collect()
    }

    /// The lists are those that scenarios take, in their order.
    #[test]
    fn the_lists_are_what_scenarios_take() {
        let names = |list: &[(&str, &str)]| -> Vec<String> {
            list.iter().map(|(name, _)| (*name).to_owned()).collect()
        };
        let workload = "[workload]\nkind = \"incast\"\nbytes = 1\n";
        assert_eq!(names(&TOPOLOGIES), expected(&format!("[topology]\nkind = \"?\"\n{workload}")));
        assert_eq!(names(&TRANSPORTS), expected(&format!("[transport]\nkind = \"?\"\n{workload}")));
        assert_eq!(names(&WORKLOADS), expected("[workload]\nkind = \"?\"\n"));
    }

    /// Every scenario of the folder is in the list, and says what it is.
    #[test]
    fn every_scenario_is_listed() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/scenarios");
        let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let count = files.filter(|path| path.extension().is_some_and(|e| e == "toml")).count();
        assert_eq!(count, SCENARIOS.len());
        for (name, sentence) in scenarios().into_iter().chain(presets()) {
            assert!(sentence.len() > 10, "{name}: {sentence}");
        }
    }
}
