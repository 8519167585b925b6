//! From a variant to what the engine takes: a graph, its behaviour, a transport, programs, faults.
//!
//! - `topology`: the graph; this file: programs
//! - [`behaviour`]: queues, marking and transports by profile; `roce`, `sprayed`, `tcp`: those of
//!   RoCE, the sprayed rivals and TCP
//! - `rails`: what fabrics of rails alone cannot carry
//! - `lossless`: shared buffers, pauses and credits
//! - `routing`: how switches choose paths
//! - [`mod@capture`]: frames to record
//! - `collective`: programs of collectives; `programs`: of traces, training and services; `jobs`: several side by side
//! - [`faults`]: what happens to links and switches

pub mod behaviour;
pub mod capture;
mod collective;
pub mod faults;
mod jobs;
mod lossless;
pub(crate) mod programs;
pub(crate) mod rails;
mod roce;
mod routing;
mod sprayed;
mod tcp;
mod topology;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fabric::capture::Capture;
use fabric::graph::Graph;
use fabric::ids::HostId;
use topologies::placement::place;
use transports::roce::config::Operation as RoceOperation;
use transports::uet::config::{Delivery, Operation};
use workloads::matrix::{self, Matrix};
use workloads::poisson::{Arrivals, Sizes, poisson};
use workloads::{flow_table, flows, ns3_flows, patterns};

use crate::error::{Source, UserError};
use crate::forecast::Traffic;
use crate::scenario::model::{
    File, FlowSizes, ProgramSource, Ranks, Variant, Workload, WorkloadKind,
};
use crate::scenario::tree;
use behaviour::{Behaviour, TransportConfig};
use faults::Faults;

/// A variant, ready to run any of its workloads.
pub struct Prepared {
    /// The fabric.
    pub graph: Graph,
    /// How its elements and transports behave.
    pub behaviour: Behaviour,
    /// What happens to links and switches.
    pub faults: Faults,
    /// Frames to record.
    pub capture: Option<Capture>,
    /// Matrices that workloads name, by path.
    matrices: BTreeMap<PathBuf, Matrix>,
    /// Distributions of sizes that workloads name, by path.
    sizes: BTreeMap<PathBuf, Sizes>,
    /// Bytes from each rank to each that all-to-alls name.
    exchanges: collective::Exchanges,
    /// Hosts of a domain, where the topology has such.
    domain: Option<u32>,
    /// What ranks of workloads do, by number.
    programs: programs::Programs,
}

/// What stands for files that need not be there.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Matrices by path.
    pub matrices: BTreeMap<PathBuf, Matrix>,
    /// Other files by path.
    pub texts: BTreeMap<PathBuf, String>,
}

impl Files {
    fn read(&self, file: &File) -> Result<Arc<Source>, UserError> {
        match self.texts.get(&file.path) {
            Some(text) => Ok(Arc::new(Source {
                name: file.path.display().to_string(),
                text: text.clone(),
                folder: None,
            })),
            None => tree::read(&file.path, Some(&file.origin)),
        }
    }
}

/// Hosts of a fabric whose size nothing else says.
const DEFAULT_HOSTS: u32 = 128;

impl Prepared {
    /// Prepares a variant.
    ///
    /// # Errors
    /// What the user has to mend in the scenario or in a file it names.
    pub fn new(variant: &Variant) -> Result<Prepared, UserError> {
        Prepared::with(variant, Files::default())
    }

    /// Prepares a variant; `files` stand for some that need not be there.
    ///
    /// # Errors
    /// What the user has to mend in the scenario or in a file it names.
    pub fn with(variant: &Variant, mut files: Files) -> Result<Prepared, UserError> {
        for workload in variant.every_workload() {
            if let WorkloadKind::Matrix(file) = &workload.kind
                && !files.matrices.contains_key(&file.path)
            {
                let matrix = read_matrix(file, &files)?;
                files.matrices.insert(file.path.clone(), matrix);
            }
        }
        let sizes = sizes(variant, &files)?;
        let nodes = files.matrices.values().map(|matrix| matrix.nodes).max();
        let graph = topology::graph(variant, nodes.unwrap_or(DEFAULT_HOSTS), &files)?;
        let mut behaviour = Behaviour::new(variant, &graph)?;
        if let Some(pinned) = &variant.topology.routing.pinned {
            let source = files.read(&pinned.file)?;
            behaviour.fabric.routing.pins = routing::pins(pinned, &source, &graph)?;
        }
        fabric::assemble::validate(&graph, &behaviour.fabric).map_err(|error| {
            let message = format!("impossible fabric: {error}");
            match &variant.topology.origin {
                Some(origin) => UserError::at(origin, message),
                None => UserError::new(message),
            }
        })?;
        let mut faults = Faults::new(variant, &graph)?;
        for (path, matrix) in &files.matrices {
            let missing = faults::missing(&graph, matrix).map_err(|(line, message)| {
                UserError::new(format!("{}:{line}: {message}", path.display()))
            })?;
            behaviour.fabric.routing.known_at_start |= !missing.is_empty();
            faults.links.extend(missing);
        }
        let capture = variant.capture.as_ref().map(|asked| capture::capture(asked, &graph));
        let capture = capture.transpose()?;
        let exchanges = collective::exchanges(variant, &files)?;
        let domain = collective::domain(variant, graph.scale_up.map(|scale_up| scale_up.domain));
        let programs = programs::programs(variant, &files, &sizes, graph.hosts)?;
        let matrices = files.matrices;
        let prepared = Prepared {
            domain,
            programs,
            graph,
            behaviour,
            faults,
            capture,
            matrices,
            sizes,
            exchanges,
        };
        for workload in &variant.workloads {
            prepared.workload(workload, 0)?;
        }
        Ok(prepared)
    }

    /// The programs of a workload.
    ///
    /// # Errors
    /// When it does not fit the fabric.
    pub fn workload(
        &self,
        workload: &Workload,
        seed: u64,
    ) -> Result<workloads::Workload, UserError> {
        let hosts = self.graph.hosts;
        let seat = |ranks: &Ranks, count: Option<u32>| {
            let count = count.or(ranks.count).unwrap_or(hosts);
            let places = place(count, hosts, ranks.placement, seed);
            places.map_err(|error| wrong(workload, error.to_string()))
        };
        let places = match &workload.kind {
            WorkloadKind::Jobs(options) => return self.jobs(workload, options, seed),
            WorkloadKind::Collective(options) => seat(&options.ranks, None)?,
            WorkloadKind::Program(options) => {
                seat(&options.ranks, Some(self.program_ranks(workload)))?
            }
            WorkloadKind::Serving(options) => seat(&options.ranks, Some(options.serving.ranks()))?,
            _ => (0..hosts).map(HostId).collect(),
        };
        self.on_places(workload, &places)
    }

    /// The programs of a workload on these hosts.
    fn on_places(
        &self,
        workload: &Workload,
        places: &[HostId],
    ) -> Result<workloads::Workload, UserError> {
        let hosts = self.graph.hosts;
        let count = places.len() as u32;
        let wrong = |message: String| wrong(workload, message);
        self.serves(workload).map_err(&wrong)?;
        rails::reaches(self, &workload.kind, places).map_err(&wrong)?;
        match &workload.kind {
            WorkloadKind::Collective(options) => self.collective(options, places).map_err(wrong),
            WorkloadKind::Program(options) => {
                self.program(workload, &options.ways, places).map_err(wrong)
            }
            WorkloadKind::Serving(options) => {
                let [prompts, answers] = [&options.prompts, &options.answers]
                    .map(|sizes| flow_sizes(sizes, &self.sizes));
                options.serving.programs(hosts, places, (&prompts, &answers)).map_err(wrong)
            }
            WorkloadKind::Jobs(_) => unreachable!("jobs consist of other workloads"),
            _ => {
                let matrix = self.flows_among(workload, count)?;
                Ok(match count == hosts && places.is_sorted() {
                    true => flows::flows(&matrix, hosts),
                    false => flows::flows(&matrix.on(places, hosts), hosts),
                })
            }
        }
    }

    /// The flows of a workload that consists of such, on all hosts.
    ///
    /// # Errors
    /// When it does not fit the fabric.
    pub(crate) fn flows(&self, workload: &Workload) -> Result<Matrix, UserError> {
        Ok(self.flows_among(workload, self.graph.hosts)?.into_owned())
    }

    /// The flows of a workload among so many hosts.
    fn flows_among(&self, workload: &Workload, count: u32) -> Result<Cow<'_, Matrix>, UserError> {
        let wrong = |message: String| wrong(workload, message);
        Ok(Cow::Owned(match &workload.kind {
            WorkloadKind::Matrix(file) => {
                let matrix = &self.matrices[&file.path];
                if matrix.nodes > count {
                    let message = format!(
                        "{} is written for {} hosts; the {} has {count}",
                        file.path.display(),
                        matrix.nodes,
                        if count == self.graph.hosts { "fabric" } else { "job" }
                    );
                    return Err(UserError::at(&file.origin, message));
                }
                return Ok(Cow::Borrowed(matrix));
            }
            WorkloadKind::Permutation { bytes, seed } => {
                patterns::permutation(count, *bytes, *seed)
            }
            WorkloadKind::Poisson { sizes, load, duration, seed } => {
                let sizes = flow_sizes(sizes, &self.sizes);
                let (load, duration, seed) = (*load, *duration, *seed);
                let arrivals = Arrivals { load, rate: self.graph.links[0].rate, duration, seed };
                poisson(count, &sizes, &arrivals).map_err(wrong)?
            }
            WorkloadKind::Incast { bytes, senders, receiver } => {
                let senders = senders.unwrap_or(count - 1);
                patterns::incast(count, senders, *receiver, *bytes).map_err(wrong)?
            }
            WorkloadKind::Bursts(options) => jobs::bursts(options, count).map_err(wrong)?,
            _ => unreachable!("asked of workloads of flows"),
        }))
    }
}

/// What is wrong with a workload.
fn wrong(workload: &Workload, message: String) -> UserError {
    match &workload.origin {
        Some(origin) => UserError::at(origin, message),
        None => UserError::new(message),
    }
}

impl Prepared {
    /// A workload as far as the memory of its run depends on it.
    pub fn traffic(&self, workload: &Workload) -> Traffic {
        let hosts = u64::from(self.graph.hosts);
        let ranks = |ranks: &Ranks| ranks.count.map_or(hosts, u64::from);
        let flows = |count: u64, bytes: u64| Traffic {
            messages: count,
            at_once: count,
            bytes,
            pairs: count,
        };
        match &workload.kind {
            WorkloadKind::Matrix(file) => {
                let connections = &self.matrices[&file.path].connections;
                let bytes: u64 = connections.iter().map(|flow| flow.bytes).sum();
                let count = connections.len() as u64;
                flows(count, bytes / count.max(1))
            }
            WorkloadKind::Permutation { bytes, .. } => flows(hosts, *bytes),
            WorkloadKind::Incast { bytes, senders, .. } => {
                flows(senders.map_or(hosts - 1, u64::from), *bytes)
            }
            WorkloadKind::Poisson { sizes, load, duration, .. } => {
                let mean = flow_sizes(sizes, &self.sizes).mean();
                let offered = self.graph.links[0].rate.bytes_in(*duration) as f64 * load;
                let count = (offered / mean) as u64 * hosts;
                Traffic { at_once: count.min(4 * hosts), ..flows(count, mean as u64) }
            }
            WorkloadKind::Collective(options) => {
                self.collective_traffic(options, ranks(&options.ranks) as u32)
            }
            WorkloadKind::Program(options) => self.program_traffic(workload, &options.ways),
            WorkloadKind::Bursts(options) => {
                let count = options.duration.0 / options.interval.0.max(1);
                let all = count * u64::from(options.senders);
                let at_once = all.min(u64::from(options.senders) * 4);
                Traffic { at_once, ..flows(all, options.bytes) }
            }
            WorkloadKind::Serving(options) => jobs::serving_traffic(options, &self.sizes),
            WorkloadKind::Jobs(options) => {
                let parts = options.jobs.iter().map(|job| self.traffic(&job.workload));
                parts.fold(Traffic::default(), Traffic::and)
            }
        }
    }

    /// Whether the transport can do what the workload needs; else what the user has to mend.
    fn serves(&self, workload: &Workload) -> Result<(), String> {
        let (longest, collective) = match &workload.kind {
            WorkloadKind::Matrix(file) => {
                let flows = &self.matrices[&file.path].connections;
                (flows.iter().map(|flow| flow.bytes).max().unwrap_or(0), false)
            }
            WorkloadKind::Permutation { bytes, .. } | WorkloadKind::Incast { bytes, .. } => {
                (*bytes, false)
            }
            WorkloadKind::Poisson { sizes, .. } => {
                (flow_sizes(sizes, &self.sizes).largest(), false)
            }
            WorkloadKind::Collective(options) => (options.bytes, true),
            WorkloadKind::Bursts(options) => (options.bytes, false),
            WorkloadKind::Program(_) | WorkloadKind::Serving(_) => (u64::MAX, true),
            WorkloadKind::Jobs(_) => (0, false),
        };
        let name = &workload.name;
        let reads = match &self.behaviour.transport {
            TransportConfig::Uet(config) => config.operation == Operation::Read,
            TransportConfig::Roce(config) => config.operation == RoceOperation::Read,
            TransportConfig::Sprayed(_) | TransportConfig::Tcp(_) => false,
        };
        if reads && collective {
            return Err(format!(
                "`transport.operation` is read, which moves data to the host that posts; {name} needs \
                 it to move to the other"
            ));
        }
        let TransportConfig::Uet(config) = &self.behaviour.transport else { return Ok(()) };
        if config.delivery == Delivery::Uud && (collective || longest > u64::from(config.payload)) {
            return Err(format!(
                "`transport.delivery` is uud, whose messages have one packet of at most {} B and may \
                 get lost; {name} has messages of {longest} B{}",
                config.payload,
                if collective { " and waits for each" } else { "" }
            ));
        }
        let most = match config.operation {
            Operation::Atomic => u64::from(config.payload),
            Operation::FetchingAtomic => u64::from(config.max_ack_data),
            _ => return Ok(()),
        };
        if longest > most {
            return Err(format!(
                "atomic operations are messages of one packet, here of at most {most} B \
                 (`transport.max_ack_data` for those that fetch); {name} has messages of {longest} B"
            ));
        }
        Ok(())
    }
}

/// The distribution of sizes that a scenario names.
fn flow_sizes(sizes: &FlowSizes, known: &BTreeMap<PathBuf, Sizes>) -> Sizes {
    match sizes {
        FlowSizes::Published(name) => Sizes::published(name).expect("a name that was read"),
        FlowSizes::Fixed(bytes) => Sizes::fixed(*bytes),
        FlowSizes::File(file) => known[&file.path].clone(),
    }
}

/// The distributions of sizes that the workloads of a variant name.
fn sizes(variant: &Variant, files: &Files) -> Result<BTreeMap<PathBuf, Sizes>, UserError> {
    let mut found = BTreeMap::new();
    for workload in variant.every_workload() {
        let named: Vec<&FlowSizes> = match &workload.kind {
            WorkloadKind::Poisson { sizes, .. } => vec![sizes],
            WorkloadKind::Serving(options) => vec![&options.prompts, &options.answers],
            WorkloadKind::Program(options) => match &options.source {
                ProgramSource::Requests(_, sizes) | ProgramSource::Agents(_, sizes) => vec![sizes],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        for sizes in named {
            let FlowSizes::File(file) = sizes else { continue };
            let source = files.read(file)?;
            let sizes = Sizes::parse(&source.text).map_err(|error| {
                UserError::in_text(&source, error.line, error.column, &error.message)
            })?;
            found.insert(file.path.clone(), sizes);
        }
    }
    Ok(found)
}

pub(crate) fn read_matrix(file: &File, files: &Files) -> Result<Matrix, UserError> {
    let source = files.read(file)?;
    let parse = match source.text.as_str() {
        text if ns3_flows::is_one(text) => ns3_flows::parse,
        text if flow_table::is_one(text) => flow_table::parse,
        _ => matrix::parse,
    };
    parse(&source.text)
        .map_err(|error| UserError::in_text(&source, error.line, error.column, &error.message))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::scenario::from_source;

    /// The first variant of a scenario's text, prepared.
    pub(crate) fn prepared(text: &str) -> Prepared {
        let source = Source { name: "x.toml".into(), text: text.into(), folder: None };
        let scenario = from_source(&Arc::new(source), &[], None).unwrap();
        Prepared::new(&scenario.variants[0]).unwrap()
    }
}
