//! Traces of other tools as programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fabric::ids::HostId;
use workloads::Workload as Programs;
use workloads::algorithms::Recipe;
use workloads::choice::fastest;
use workloads::collective::{Collective, Kind};
use workloads::traces::simai::{self, Groups};
use workloads::traces::{Action, Trace, chakra, goal, msccl};

use crate::error::{Source, UserError};
use crate::forecast::Traffic;
use crate::prepare::collective::costs;
use crate::prepare::{Files, Prepared};
use crate::scenario::model::{File, TraceOptions, Variant, WorkloadKind};

/// A trace, read.
pub(super) struct Read {
    trace: Trace,
    /// The collective that it is, with its buffer.
    collective: Option<(Kind, u64)>,
}

/// Traces by path.
pub(super) type Traces = BTreeMap<PathBuf, Read>;

/// The traces that workloads of a variant name, on a fabric of `hosts`.
pub(super) fn traces(variant: &Variant, files: &Files, hosts: u32) -> Result<Traces, UserError> {
    let mut found = Traces::new();
    for workload in &variant.workloads {
        if let WorkloadKind::Trace(options) = &workload.kind {
            found.insert(options.file.path.clone(), read(options, files, hosts)?);
        }
    }
    Ok(found)
}

fn read(options: &TraceOptions, files: &Files, hosts: u32) -> Result<Read, UserError> {
    let file = &options.file;
    let wrong = |message: String| UserError::at(&file.origin, message);
    let name = file.path.to_string_lossy().into_owned();
    if name.contains('*') {
        let trace = by_rank(file, &name)?;
        return Ok(Read { trace, collective: None });
    }
    let plain = |trace| Ok(Read { trace, collective: None });
    if name.ends_with(".et") || name.ends_with(".json") {
        let ranks = options.ranks.count.unwrap_or(hosts);
        let one = chakra_file(&file.path, file, ranks)?;
        return plain(Trace { ranks: vec![one] }.spread(ranks).map_err(wrong)?);
    }
    let source = files.read(file)?;
    let in_text = |error: topologies::text::TextError| {
        UserError::in_text(&source, error.line, error.column, &error.message)
    };
    if goal::is_one(&source.text) {
        return plain(goal::parse(&source.text).map_err(in_text)?);
    }
    if msccl::is_one(&source.text) {
        let bytes = options.bytes.ok_or_else(|| {
            wrong(format!(
                "`workload.bytes` is missing: {name} says how a buffer is cut, not its size"
            ))
        })?;
        let found = msccl::parse(&source.text, bytes)
            .map_err(|message| wrong(format!("{name}: {message}")))?;
        let collective = found.kind.map(|kind| (kind, bytes));
        return Ok(Read { trace: found.trace, collective });
    }
    if simai::is_one(&source.text) {
        return simai_file(options, &source, hosts).map_err(|error| match error {
            Wrong::Text(error) => in_text(error),
            Wrong::Whole(message) => wrong(message),
        });
    }
    Err(wrong(format!(
        "{name} is no trace that is known; expected GOAL, MSCCL XML, a SimAI workload, or Chakra (`.et`, `.json`)"
    )))
}

/// Why a file cannot be used: some place in it, or how it is used.
enum Wrong {
    Text(topologies::text::TextError),
    Whole(String),
}

fn simai_file(options: &TraceOptions, source: &Source, hosts: u32) -> Result<Read, Wrong> {
    let iteration = simai::parse(&source.text).map_err(Wrong::Text)?;
    let ranks = options.ranks.count.or(iteration.ranks).unwrap_or(hosts);
    if ranks > hosts {
        return Err(Wrong::Whole(format!(
            "the file is made for {ranks} ranks, the fabric has {hosts} hosts; `ranks` says how many take part"
        )));
    }
    let groups = Groups {
        ranks,
        tensor: options.tensor.or(iteration.tensor).unwrap_or(1),
        expert: options.expert.unwrap_or(iteration.expert),
    };
    let trace = iteration.trace(&groups, options.layers).map_err(Wrong::Whole)?;
    Ok(Read { trace, collective: None })
}

/// A file a rank: `*` is replaced by 0, 1, … as long as there is such a file.
fn by_rank(file: &File, name: &str) -> Result<Trace, UserError> {
    let path = |rank: u32| PathBuf::from(name.replacen('*', &rank.to_string(), 1));
    let count = (0..).take_while(|rank| path(*rank).is_file()).count() as u32;
    if count == 0 {
        let message = format!("there is no {}", path(0).display());
        return Err(UserError::at(&file.origin, message));
    }
    let ranks = (0..count).map(|rank| chakra_file(&path(rank), file, count));
    Ok(Trace { ranks: ranks.collect::<Result<_, _>>()? })
}

fn chakra_file(
    path: &Path,
    file: &File,
    ranks: u32,
) -> Result<Vec<workloads::traces::Node>, UserError> {
    let wrong = |what: String| UserError::at(&file.origin, format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    chakra::parse(&bytes, ranks).map_err(wrong)
}

impl Prepared {
    /// Ranks of a trace.
    pub(super) fn trace_ranks(&self, options: &TraceOptions) -> u32 {
        self.traces[&options.file.path].trace.ranks.len() as u32
    }

    /// How the trace's collectives are done.
    fn trace_recipe(&self, options: &TraceOptions, kind: Kind, ranks: u32, bytes: u64) -> Recipe {
        let mut recipe = Recipe {
            channels: options.channels,
            chunks: options.chunks,
            domain: options.domain.or(self.domain).unwrap_or(1),
            ..Recipe::new(kind, ranks, bytes)
        };
        let usual = recipe.algorithm;
        recipe.algorithm = match options.algorithm {
            None => usual,
            Some(None) => fastest(&recipe, &self.network(&options.costs)),
            Some(Some(asked)) => asked,
        };
        // Short buffers cannot be cut as finely, and not every group has domains or a power of two of ranks.
        if recipe.check().is_err() {
            (recipe.channels, recipe.chunks) = (1, 1);
        }
        if recipe.check().is_err() {
            recipe.algorithm = usual;
        }
        if recipe.check().is_err() {
            recipe.bytes = recipe.bytes.max(u64::from(recipe.blocks()));
        }
        recipe
    }

    /// The programs of a trace.
    pub(super) fn trace(
        &self,
        options: &TraceOptions,
        places: &[HostId],
    ) -> Result<Programs, String> {
        let read = &self.traces[&options.file.path];
        let recipe = |kind, ranks, bytes| Ok(self.trace_recipe(options, kind, ranks, bytes));
        let mut programs =
            read.trace.tasks(self.graph.hosts, places, costs(&options.costs), recipe)?;
        let ranks = places.len() as u32;
        programs.collective =
            read.collective.map(|(kind, bytes)| Collective { kind, ranks, bytes });
        Ok(programs)
    }

    /// A trace as far as the memory of its run depends on it.
    pub(super) fn trace_traffic(&self, options: &TraceOptions) -> Traffic {
        let mut counts: BTreeMap<(Kind, u32, u64), (u64, u64)> = BTreeMap::new();
        let (mut messages, mut bytes, mut entered) = (0u64, 0u64, BTreeMap::<_, u64>::new());
        for node in self.traces[&options.file.path].trace.ranks.iter().flatten() {
            match &node.action {
                Action::Send { bytes: own, .. } => {
                    messages += 1;
                    bytes += own;
                }
                Action::Collective { kind, bytes, members, .. } => {
                    *entered.entry((*kind, members.len() as u32, *bytes)).or_default() += 1;
                }
                _ => {}
            }
        }
        for ((kind, ranks, size), ranks_entered) in entered {
            let (count, sent) = *counts.entry((kind, ranks, size)).or_insert_with(|| {
                let recipe = self.trace_recipe(options, kind, ranks, size);
                (workloads::choice::messages(&recipe), workloads::choice::bytes_sent(&recipe))
            });
            messages += count * ranks_entered / u64::from(ranks);
            bytes += sent * ranks_entered / u64::from(ranks);
        }
        let ranks = u64::from(self.trace_ranks(options));
        let at_once = messages.min(ranks * 4);
        let pairs = messages.min(ranks * 16);
        Traffic { messages, at_once, bytes: bytes / messages.max(1), pairs }
    }
}
