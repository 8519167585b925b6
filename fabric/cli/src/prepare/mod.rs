//! From a variant to what the engine takes: a graph, its behaviour, a transport, programs, faults.
//!
//! - `topology`: the graph; this file: programs
//! - [`behaviour`]: queues, marking and transports by profile; `roce`, `sprayed`, `tcp`: those of
//!   RoCE, the sprayed rivals and TCP
//! - `rails`: what fabrics of rails alone cannot carry
//! - `lossless`: shared buffers, pauses and credits
//! - `routing`: how switches choose paths
//! - [`mod@capture`]: frames to record
//! - `collective`: programs of collectives; `trace`: those of other tools' files
//! - [`faults`]: what happens to links and switches

pub mod behaviour;
pub mod capture;
mod collective;
pub mod faults;
mod lossless;
mod rails;
mod roce;
mod routing;
mod sprayed;
mod tcp;
mod topology;
mod trace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fabric::capture::Capture;
use fabric::graph::Graph;
use topologies::placement::place;
use transports::roce::config::Operation as RoceOperation;
use transports::uet::config::{Delivery, Operation};
use workloads::matrix::{self, Matrix};
use workloads::poisson::{Arrivals, Sizes, poisson};
use workloads::{flows, ns3_flows, patterns};

use crate::error::{Source, UserError};
use crate::forecast::Traffic;
use crate::scenario::model::{File, FlowSizes, Ranks, Variant, Workload, WorkloadKind};
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
    /// Traces that workloads name.
    traces: trace::Traces,
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
        for workload in &variant.workloads {
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
        let faults = Faults::new(variant, &graph)?;
        let capture = variant.capture.as_ref().map(|asked| capture::capture(asked, &graph));
        let capture = capture.transpose()?;
        let exchanges = collective::exchanges(variant, &files)?;
        let domain = collective::domain(variant, graph.scale_up.map(|scale_up| scale_up.domain));
        let traces = trace::traces(variant, &files, graph.hosts)?;
        let matrices = files.matrices;
        let prepared = Prepared {
            domain,
            traces,
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
        let wrong = |message: String| match &workload.origin {
            Some(origin) => UserError::at(origin, message),
            None => UserError::new(message),
        };
        let seat = |ranks: &Ranks| {
            let count = ranks.count.unwrap_or(hosts);
            place(count, hosts, ranks.placement, seed).map_err(|error| wrong(error.to_string()))
        };
        self.serves(workload).map_err(&wrong)?;
        rails::reaches(self, &workload.kind).map_err(&wrong)?;
        match &workload.kind {
            WorkloadKind::Matrix(file) => {
                let matrix = &self.matrices[&file.path];
                if matrix.nodes > hosts {
                    let message = format!(
                        "{} is written for {} hosts; the fabric has {hosts}",
                        file.path.display(),
                        matrix.nodes
                    );
                    return Err(UserError::at(&file.origin, message));
                }
                Ok(flows::flows(matrix, hosts))
            }
            WorkloadKind::Permutation { bytes, seed } => {
                Ok(flows::flows(&patterns::permutation(hosts, *bytes, *seed), hosts))
            }
            WorkloadKind::Poisson { sizes, load, duration, seed } => {
                let sizes = self.flow_sizes(sizes);
                let (load, duration, seed) = (*load, *duration, *seed);
                let arrivals = Arrivals { load, rate: self.graph.links[0].rate, duration, seed };
                let matrix = poisson(hosts, &sizes, &arrivals).map_err(wrong)?;
                Ok(flows::flows(&matrix, hosts))
            }
            WorkloadKind::Incast { bytes, senders, receiver } => {
                let senders = senders.unwrap_or(hosts - 1);
                let matrix = patterns::incast(hosts, senders, *receiver, *bytes).map_err(wrong)?;
                Ok(flows::flows(&matrix, hosts))
            }
            WorkloadKind::Collective(options) => {
                self.collective(options, &seat(&options.ranks)?).map_err(wrong)
            }
            WorkloadKind::Trace(options) => {
                let ranks = Ranks { count: Some(self.trace_ranks(options)), ..options.ranks };
                self.trace(options, &seat(&ranks)?).map_err(wrong)
            }
        }
    }
}

impl Prepared {
    /// The distribution of sizes that a scenario names.
    fn flow_sizes(&self, sizes: &FlowSizes) -> Sizes {
        match sizes {
            FlowSizes::Published(name) => Sizes::published(name).expect("a name that was read"),
            FlowSizes::Fixed(bytes) => Sizes::fixed(*bytes),
            FlowSizes::File(file) => self.sizes[&file.path].clone(),
        }
    }

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
                let mean = self.flow_sizes(sizes).mean();
                let offered = self.graph.links[0].rate.bytes_in(*duration) as f64 * load;
                let count = (offered / mean) as u64 * hosts;
                Traffic { at_once: count.min(4 * hosts), ..flows(count, mean as u64) }
            }
            WorkloadKind::Collective(options) => {
                self.collective_traffic(options, ranks(&options.ranks) as u32)
            }
            WorkloadKind::Trace(options) => self.trace_traffic(options),
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
            WorkloadKind::Poisson { sizes, .. } => (self.flow_sizes(sizes).largest(), false),
            WorkloadKind::Collective(options) => (options.bytes, true),
            WorkloadKind::Trace(_) => (u64::MAX, true),
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

/// The distributions of sizes that the workloads of a variant name.
fn sizes(variant: &Variant, files: &Files) -> Result<BTreeMap<PathBuf, Sizes>, UserError> {
    let mut found = BTreeMap::new();
    for workload in &variant.workloads {
        if let WorkloadKind::Poisson { sizes: FlowSizes::File(file), .. } = &workload.kind {
            let source = files.read(file)?;
            let sizes = Sizes::parse(&source.text).map_err(|error| {
                UserError::in_text(&source, error.line, error.column, &error.message)
            })?;
            found.insert(file.path.clone(), sizes);
        }
    }
    Ok(found)
}

fn read_matrix(file: &File, files: &Files) -> Result<Matrix, UserError> {
    let source = files.read(file)?;
    let parse = if ns3_flows::is_one(&source.text) { ns3_flows::parse } else { matrix::parse };
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
