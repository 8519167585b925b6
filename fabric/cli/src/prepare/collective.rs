//! Programs of collectives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fabric::ids::HostId;
use fabric::units::{Rate, Span};
use workloads::Workload as Programs;
use workloads::algorithms::{Algorithm, Recipe};
use workloads::choice::{Network, fastest};
use workloads::collective::{Collective, Kind};
use workloads::plan::Plan;
use workloads::tasks::Costs;
use workloads::{all_to_all, exchange, ring};

use crate::error::UserError;
use crate::forecast::Traffic;
use crate::prepare::{Files, Prepared};
use crate::scenario::model::{
    CollectiveCosts, CollectiveOptions, Protocol, TopologyKind, Variant, WorkloadKind,
};

/// Tables of bytes by path, each with its number of ranks.
pub(super) type Exchanges = BTreeMap<PathBuf, (u32, Arc<[u64]>)>;

/// What collectives cost, as the engine's programs count it.
pub(super) fn costs(options: &CollectiveCosts) -> Costs {
    let picoseconds = |rate: Rate| (8_000_000_000_000 << 16) / u128::from(rate.bits_per_second());
    Costs {
        reduce: options.reduce_rate.map_or(0, |rate| picoseconds(rate) as u64),
        step: options.step_overhead.unwrap_or(Span::ZERO),
        wire: match options.protocol {
            Protocol::Simple => 120,
            Protocol::Ll => 240,
            Protocol::Ll128 => 128,
        },
    }
}

/// The exchanges that all-to-alls of a variant name.
pub(super) fn exchanges(variant: &Variant, files: &Files) -> Result<Exchanges, UserError> {
    let mut found = BTreeMap::new();
    for workload in variant.every_workload() {
        let WorkloadKind::Collective(options) = &workload.kind else { continue };
        let Some(file) = &options.matrix else { continue };
        let source = files.read(file)?;
        let exchange = exchange::parse(&source.text).map_err(|error| {
            UserError::in_text(&source, error.line, error.column, &error.message)
        })?;
        found.insert(file.path.clone(), exchange);
    }
    Ok(found)
}

/// Hosts of a domain where the topology has such: its scale-up network's, or a server's on rails.
pub(super) fn domain(variant: &Variant, scale_up: Option<u32>) -> Option<u32> {
    match variant.topology.kind {
        _ if scale_up.is_some() => scale_up,
        TopologyKind::Rails { rails, .. } => Some(rails),
        _ => None,
    }
}

impl Prepared {
    /// What the choice of an algorithm knows of the fabric.
    pub(super) fn network(&self, costs: &CollectiveCosts) -> Network {
        let rate = self.behaviour.nic_rate.bits_per_second() as f64 / 8e12;
        let step = costs.step_overhead.unwrap_or(Span::ZERO);
        let latency = Span(self.behaviour.base_rtt.0 / 2) + step;
        Network { latency: latency.0 as f64, bytes_per_picosecond: rate }
    }

    /// The recipe of a collective.
    pub(crate) fn recipe(&self, options: &CollectiveOptions, ranks: u32) -> Result<Recipe, String> {
        let per_rank = options.kind == Kind::AllToAll;
        let bytes = if per_rank { options.bytes * u64::from(ranks) } else { options.bytes };
        let mut recipe = Recipe {
            root: options.root,
            channels: options.channels,
            chunks: options.chunks,
            domain: options.domain.or(self.domain).unwrap_or(1),
            window: options.window,
            ..Recipe::new(options.kind, ranks, bytes)
        };
        if let Some(file) = &options.matrix {
            let (size, matrix) = &self.exchanges[&file.path];
            if *size != ranks {
                let path = file.path.display();
                return Err(format!("{path} has {size} rows; there are {ranks} ranks"));
            }
            recipe.bytes = matrix.iter().sum::<u64>() / u64::from(ranks);
            recipe.matrix = Some(Arc::clone(matrix));
        }
        recipe.algorithm = match options.algorithm {
            Some(algorithm) => algorithm,
            None => fastest(&recipe, &self.network(&options.costs)),
        };
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether a program of a few words does it: a plain ring, or an all-to-all with a window.
    fn is_plain(options: &CollectiveOptions, recipe: &Recipe) -> bool {
        let plain = recipe.channels == 1 && recipe.chunks == 1 && recipe.matrix.is_none();
        let free = costs(&options.costs) == Costs { wire: 120, ..Costs::default() };
        plain
            && free
            && matches!(
                (recipe.kind, recipe.algorithm),
                (Kind::AllReduce, Algorithm::Ring) | (Kind::AllToAll, Algorithm::Windowed)
            )
    }

    pub(super) fn collective(
        &self,
        options: &CollectiveOptions,
        places: &[HostId],
    ) -> Result<Programs, String> {
        let hosts = self.graph.hosts;
        let recipe = self.recipe(options, places.len() as u32)?;
        if Prepared::is_plain(options, &recipe) {
            return match options.kind {
                Kind::AllReduce => ring::all_reduce(hosts, places, options.bytes),
                _ => all_to_all::all_to_all(hosts, places, options.bytes, options.window),
            };
        }
        let mut plan = Plan::new(places, costs(&options.costs));
        let label = plan.label(&format!("{} ({})", recipe.kind.name(), recipe.algorithm.name()));
        let members: Vec<u32> = (0..recipe.ranks).collect();
        let nothing = vec![Vec::new(); members.len()];
        let (kind, ranks, bytes) = (recipe.kind, recipe.ranks, recipe.bytes);
        plan.all_enter(&Arc::new(recipe), &members, label, &nothing)?;
        let mut programs = plan.finish(hosts);
        programs.collective = Some(Collective { kind, ranks, bytes });
        Ok(programs)
    }

    /// A collective as far as the memory of its run depends on it.
    pub(super) fn collective_traffic(&self, options: &CollectiveOptions, ranks: u32) -> Traffic {
        let Ok(recipe) = self.recipe(options, ranks) else {
            return Traffic { messages: 0, at_once: 0, bytes: 0, pairs: 0 };
        };
        let n = u64::from(ranks);
        let messages = workloads::choice::messages(&recipe);
        let bytes = workloads::choice::bytes_sent(&recipe) / messages.max(1);
        let plain = Prepared::is_plain(options, &recipe);
        match recipe.algorithm {
            Algorithm::Ring => Traffic {
                messages,
                at_once: n * u64::from(recipe.channels * recipe.chunks),
                bytes,
                pairs: n * u64::from(recipe.channels),
            },
            Algorithm::Windowed if plain => {
                let at_once = (n * u64::from(recipe.window)).min(messages);
                Traffic { messages, at_once, bytes: options.bytes, pairs: messages }
            }
            Algorithm::Windowed => {
                let at_once = (n * u64::from(recipe.window)).min(messages);
                Traffic { messages, at_once, bytes, pairs: messages }
            }
            Algorithm::Direct | Algorithm::Hierarchical => {
                Traffic { messages, at_once: messages, bytes, pairs: messages }
            }
            _ => Traffic { messages, at_once: (2 * n).min(messages), bytes, pairs: messages },
        }
    }
}
