//! Traces of other tools, training, pipelines and services as programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fabric::ids::HostId;
use fabric::units::Span;
use topologies::placement::Placement;
use workloads::Workload as Built;
use workloads::algorithms::Recipe;
use workloads::choice::{self, fastest};
use workloads::collective::{Collective, Kind};
use workloads::pipeline::Pipeline;
use workloads::poisson::Sizes;
use workloads::traces::simai::{self, Groups};
use workloads::traces::{Action, Trace, aicb, chakra, csv as table, goal, msccl};
use workloads::training::Training;
use workloads::training::experts::Skew;

use crate::error::{Source, UserError};
use crate::forecast::Traffic;
use crate::prepare::collective::costs;
use crate::prepare::{Files, Prepared, flow_sizes, wrong};
use crate::scenario::model::{
    File, ProgramOptions, ProgramSource, Ranks, TraceFile, TrainingOptions, Variant, Ways,
    Workload, WorkloadKind,
};

/// What ranks do, known before they are seated.
pub(super) struct Read {
    trace: Trace,
    /// The collective that it is, with its buffer.
    collective: Option<(Kind, u64)>,
    /// Time that useful operations would take a rank at its best.
    ideal: Option<Span>,
}

impl Read {
    fn plain(trace: Trace) -> Read {
        Read { trace, collective: None, ideal: None }
    }
}

/// What ranks do, by the workload's number.
pub(super) type Programs = BTreeMap<usize, Read>;

/// The programs that workloads of a variant ask for, on a fabric of `hosts`.
pub(super) fn programs(
    variant: &Variant,
    files: &Files,
    sizes: &BTreeMap<PathBuf, Sizes>,
    hosts: u32,
) -> Result<Programs, UserError> {
    let mut found = Programs::new();
    for workload in variant.every_workload() {
        if let WorkloadKind::Program(options) = &workload.kind {
            let read = generate(workload, options, files, sizes, hosts)?;
            found.insert(workload.number, read);
        }
    }
    Ok(found)
}

fn generate(
    workload: &Workload,
    options: &ProgramOptions,
    files: &Files,
    sizes: &BTreeMap<PathBuf, Sizes>,
    hosts: u32,
) -> Result<Read, UserError> {
    let wrong = |message: String| wrong(workload, message);
    let ranks = options.ranks.count.unwrap_or(hosts);
    let clients = |servers: u32| match ranks.checked_sub(servers) {
        Some(clients) if clients > 0 => Ok(clients),
        _ => Err(wrong(format!(
            "`workload.servers` is {servers}, of {ranks} ranks; at least one is to be a client"
        ))),
    };
    match &options.source {
        ProgramSource::Trace(trace) => read(trace, options.ranks, files, Some(hosts)),
        ProgramSource::Training(options) => {
            let training = training(options, ranks, files, &wrong)?;
            let trace = training.trace().map_err(wrong)?;
            Ok(Read { ideal: Some(training.ideal()), ..Read::plain(trace) })
        }
        ProgramSource::Pipeline { messages, bytes, stage_time } => {
            let (messages, bytes, stage_time) = (*messages, *bytes, *stage_time);
            Ok(Read::plain(Pipeline { ranks, messages, bytes, stage_time }.trace()))
        }
        ProgramSource::Requests(requests, asked) => {
            let clients = clients(requests.servers)?;
            let trace = requests.trace(clients, &flow_sizes(asked, sizes));
            Ok(Read::plain(trace.map_err(wrong)?))
        }
        ProgramSource::Agents(agents, asked) => {
            let trace = agents.trace(clients(agents.tools)?, &flow_sizes(asked, sizes));
            Ok(Read::plain(trace.map_err(wrong)?))
        }
    }
}

fn training(
    options: &TrainingOptions,
    ranks: u32,
    files: &Files,
    wrong: &impl Fn(String) -> UserError,
) -> Result<Training, UserError> {
    let mut training = options.training.clone();
    training.layout = training.layout.over(ranks).map_err(wrong)?;
    if let Some(file) = &options.shares {
        let source = files.read(file)?;
        training.skew = Skew::parse(&source.text).map_err(|error| {
            UserError::in_text(&source, error.line, error.column, &error.message)
        })?;
    }
    Ok(training)
}

/// The trace of a file alone, without a fabric; `ranks` where it does not say how many.
///
/// # Errors
/// What the user has to mend.
pub(crate) fn read_file(
    options: &TraceFile,
    ranks: Option<u32>,
    files: &Files,
) -> Result<Trace, UserError> {
    let seats = Ranks { count: ranks, placement: Placement::Packed };
    Ok(read(options, seats, files, None)?.trace)
}

/// What to say where neither a file, nor a fabric, nor the user says how many ranks there are.
const HOW_MANY: &str = "the file does not say how many ranks there are; `--ranks N` does";

/// Reads a file; without `hosts` there is no fabric yet.
fn read(
    options: &TraceFile,
    seats: Ranks,
    files: &Files,
    hosts: Option<u32>,
) -> Result<Read, UserError> {
    let file = &options.file;
    let wrong = |message: String| UserError::at(&file.origin, message);
    let name = file.path.to_string_lossy().into_owned();
    if name.contains('*') {
        return Ok(Read::plain(by_rank(file, &name)?));
    }
    let plain = |trace| Ok(Read::plain(trace));
    if name.ends_with(".et") || name.ends_with(".json") {
        let ranks = seats.count.or(hosts).ok_or_else(|| wrong(HOW_MANY.to_owned()))?;
        let one = chakra_file(&file.path, file, ranks)?;
        return plain(Trace { ranks: vec![one], is_service: false }.spread(ranks).map_err(wrong)?);
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
        return Ok(Read { collective, ..Read::plain(found.trace) });
    }
    if table::is_one(&source.text) {
        return plain(table::parse(&source.text).map_err(in_text)?);
    }
    if aicb::is_one(&source.text) {
        let list = aicb::parse(&source.text).map_err(in_text)?;
        let ranks = fitting(seats.count.or(list.ranks), hosts).map_err(wrong)?;
        let tensor = options.tensor.or(list.tensor).unwrap_or(1);
        let expert = options.expert.or(list.expert).unwrap_or(1);
        return plain(list.trace(ranks, tensor, expert).map_err(wrong)?);
    }
    if simai::is_one(&source.text) {
        return simai_file(options, seats, &source, hosts).map_err(|error| match error {
            Wrong::Text(error) => in_text(error),
            Wrong::Whole(message) => wrong(message),
        });
    }
    Err(wrong(format!(
        "{name} is no trace that is known; expected GOAL, MSCCL XML, a SimAI workload, a list of AICB, a table of our \
         own, or Chakra (`.et`, `.json`)"
    )))
}

/// Why a file cannot be used: some place in it, or how it is used.
enum Wrong {
    Text(topologies::text::TextError),
    Whole(String),
}

fn simai_file(
    options: &TraceFile,
    seats: Ranks,
    source: &Source,
    hosts: Option<u32>,
) -> Result<Read, Wrong> {
    let iteration = simai::parse(&source.text).map_err(Wrong::Text)?;
    let ranks = fitting(seats.count.or(iteration.ranks), hosts).map_err(Wrong::Whole)?;
    let groups = Groups {
        ranks,
        tensor: options.tensor.or(iteration.tensor).unwrap_or(1),
        expert: options.expert.unwrap_or(iteration.expert),
    };
    let trace = iteration.trace(&groups, options.layers).map_err(Wrong::Whole)?;
    Ok(Read::plain(trace))
}

/// The ranks that a file is made for, or that are asked for: all hosts where nothing says.
fn fitting(ranks: Option<u32>, hosts: Option<u32>) -> Result<u32, String> {
    let ranks = ranks.or(hosts).ok_or(HOW_MANY)?;
    match hosts {
        Some(hosts) if ranks > hosts => Err(format!(
            "the file is made for {ranks} ranks, the fabric has {hosts} hosts; `ranks` says how many take part"
        )),
        _ => Ok(ranks),
    }
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
    Ok(Trace { ranks: ranks.collect::<Result<_, _>>()?, is_service: false })
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
    /// Ranks of a workload's programs.
    pub(super) fn program_ranks(&self, workload: &Workload) -> u32 {
        self.programs[&workload.number].trace.ranks.len() as u32
    }

    /// What a workload's programs do.
    pub(crate) fn trace_of(&self, workload: &Workload) -> &Trace {
        &self.programs[&workload.number].trace
    }

    /// How a collective of a program is done.
    pub(crate) fn way(
        &self,
        ways: &Ways,
        kind: Kind,
        ranks: u32,
        bytes: u64,
        matrix: Option<&Arc<[u64]>>,
    ) -> Recipe {
        let mut recipe = Recipe {
            channels: ways.channels,
            chunks: ways.chunks,
            domain: ways.domain.or(self.domain).unwrap_or(1),
            ..Recipe::new(kind, ranks, bytes)
        };
        let usual = recipe.algorithm;
        recipe.algorithm = match ways.algorithm {
            None => usual,
            Some(None) => fastest(&recipe, &self.network(&ways.costs)),
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
        Recipe { matrix: matrix.cloned(), ..recipe }
    }

    /// The programs of ranks on `places`.
    pub(super) fn program(
        &self,
        workload: &Workload,
        ways: &Ways,
        places: &[HostId],
    ) -> Result<Built, String> {
        let read = &self.programs[&workload.number];
        let recipe = |kind, ranks, bytes, matrix: Option<&Arc<[u64]>>| {
            Ok(self.way(ways, kind, ranks, bytes, matrix))
        };
        let hosts = self.graph.hosts;
        let mut programs = match self.by_formula(ways, &read.trace, places)? {
            Some(trace) => trace.tasks(hosts, places, costs(&ways.costs), recipe)?,
            None => read.trace.tasks(hosts, places, costs(&ways.costs), recipe)?,
        };
        let ranks = places.len() as u32;
        programs.ideal = read.ideal;
        programs.collective =
            read.collective.map(|(kind, bytes)| Collective { kind, ranks, bytes });
        Ok(programs)
    }

    /// The trace with collectives within domains by formula, if that is asked for.
    fn by_formula(
        &self,
        ways: &Ways,
        trace: &Trace,
        places: &[HostId],
    ) -> Result<Option<Trace>, String> {
        if !ways.by_formula {
            return Ok(None);
        }
        let (Some(scale_up), Some(network)) = (self.graph.scale_up, self.behaviour.domain_network)
        else {
            return Err(
                "`workload.within_domain` is formula, but the topology has no domains; write \
                 `scale_up = { domain = 8, rate = \"3600 Gb/s\" }` in `[topology]`"
                    .to_owned(),
            );
        };
        let is_near = |members: &[u32]| {
            let first = places[members[0] as usize];
            members.iter().all(|rank| scale_up.joins(first, places[*rank as usize]))
        };
        let mut trace = trace.clone();
        trace.by_formula(is_near, |kind, members, bytes, matrix| {
            let recipe = self.way(ways, kind, members.len() as u32, bytes, matrix);
            // The barrier has taken a latency for each of its rounds.
            let rounds = f64::from(recipe.ranks.next_power_of_two().ilog2());
            let time = choice::time(&recipe, &network)? - rounds * network.latency;
            Some(Span(time.max(0.0) as u64))
        });
        Ok(Some(trace))
    }

    /// A program as far as the memory of its run depends on it.
    pub(super) fn program_traffic(&self, workload: &Workload, ways: &Ways) -> Traffic {
        let trace = &self.programs[&workload.number].trace;
        let mut counts: BTreeMap<(Kind, u32, u64), (u64, u64)> = BTreeMap::new();
        let (mut messages, mut bytes, mut entered) = (0u64, 0u64, BTreeMap::<_, u64>::new());
        for node in trace.ranks.iter().flatten() {
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
                let recipe = self.way(ways, kind, ranks, size, None);
                (choice::messages(&recipe), choice::bytes_sent(&recipe))
            });
            messages += count * ranks_entered / u64::from(ranks);
            bytes += sent * ranks_entered / u64::from(ranks);
        }
        let ranks = trace.ranks.len() as u64;
        let at_once = messages.min(ranks * 4);
        let pairs = messages.min(ranks * 16);
        Traffic { messages, at_once, bytes: bytes / messages.max(1), pairs }
    }
}
