//! `[workload]`: what is sent.

use topologies::placement::Placement;
use workloads::algorithms::Algorithm;
use workloads::collective::Kind;
use workloads::poisson::PUBLISHED;

use crate::error::UserError;
use crate::scenario::jobs;
use crate::scenario::model::{
    BurstOptions, CollectiveCosts, CollectiveOptions, FlowSizes, Protocol, Ranks, Workload,
    WorkloadKind,
};
use crate::scenario::programs::{self, Service};
use crate::scenario::sections::{MANY, file, hosts};
use crate::scenario::tree::{Item, Section};

#[derive(Clone, Copy)]
enum Load {
    Matrix,
    Permutation,
    Poisson,
    Incast,
    Bursts,
    Collective(Kind),
    Trace,
    Pipeline,
    Training,
    Requests(Service),
    Agents,
    Serving,
    Jobs,
}

/// Every kind of workload, by name.
fn loads() -> Vec<(&'static str, Load)> {
    let mut loads = vec![
        ("matrix", Load::Matrix),
        ("permutation", Load::Permutation),
        ("poisson", Load::Poisson),
        ("incast", Load::Incast),
        ("incast-bursts", Load::Bursts),
        ("trace", Load::Trace),
        ("pipeline", Load::Pipeline),
        ("training", Load::Training),
        ("memory-pool", Load::Requests(Service::Memory)),
        ("key-value", Load::Requests(Service::KeyValue)),
        ("storage", Load::Requests(Service::Storage)),
        ("checkpoint", Load::Requests(Service::Checkpoint)),
        ("agents", Load::Agents),
        ("serving", Load::Serving),
        ("jobs", Load::Jobs),
    ];
    loads.extend(Kind::NAMES.iter().map(|(name, kind)| (*name, Load::Collective(*kind))));
    loads
}

pub(super) fn workloads(top: &Section<'_>, seed: u64) -> Result<Vec<Workload>, UserError> {
    let tables = top.tables("workload")?;
    // Attached hosts send what they like.
    if tables.is_empty() && top.get("host").is_some() {
        return Ok(Vec::new());
    }
    if tables.is_empty() {
        let help = "write for example [workload] kind = \"all-reduce\" and bytes = \"16 MiB\"";
        return Err(UserError::new("the scenario has no `workload`").help(help));
    }
    let found = tables.into_iter().map(|(section, item)| workload(&section, item, seed));
    let mut found: Vec<Workload> = found.collect::<Result<_, UserError>>()?;
    let mut next = 0;
    for workload in &mut found {
        if let WorkloadKind::Jobs(options) = &mut workload.kind {
            options.jobs.iter_mut().for_each(|job| number(&mut job.workload, &mut next));
        }
        number(workload, &mut next);
    }
    Ok(found)
}

fn number(workload: &mut Workload, next: &mut usize) {
    workload.number = *next;
    *next += 1;
}

pub(super) fn workload(
    section: &Section<'_>,
    item: &Item,
    seed: u64,
) -> Result<Workload, UserError> {
    let missing =
        |key: &str| UserError::at(&item.origin, format!("`{}` is missing", section.name(key)));
    let kind = section.word("kind", &loads())?.ok_or_else(|| missing("kind"))?;
    let bytes = || section.bytes("bytes")?.ok_or_else(|| missing("bytes"));
    let name = section.text("name")?;
    let kind_name = section.text("kind")?;
    let kind = match kind {
        Load::Matrix if section.get("file").is_none() => return Err(missing("file")),
        Load::Matrix => WorkloadKind::Matrix(file(section)?),
        Load::Permutation => WorkloadKind::Permutation {
            bytes: bytes()?,
            seed: section.count("permutation_seed", 0, i64::MAX as u64)?.unwrap_or(seed),
        },
        Load::Poisson => poisson(section, item, seed)?,
        Load::Incast => WorkloadKind::Incast {
            bytes: bytes()?,
            senders: section.count("senders", 1, MANY)?.map(|senders| senders as u32),
            receiver: section.count("receiver", 0, MANY)?.unwrap_or(0) as u32,
        },
        Load::Trace if section.get("file").is_none() => return Err(missing("file")),
        Load::Trace => WorkloadKind::Program(Box::new(programs::trace(section)?)),
        Load::Pipeline => WorkloadKind::Program(Box::new(programs::pipeline(section, bytes()?)?)),
        Load::Training => WorkloadKind::Program(Box::new(programs::training(section, seed)?)),
        Load::Requests(service) => {
            WorkloadKind::Program(Box::new(programs::requests(section, service, seed)?))
        }
        Load::Agents => WorkloadKind::Program(Box::new(programs::agents(section, seed)?)),
        Load::Serving => WorkloadKind::Serving(Box::new(programs::serving(section, seed)?)),
        Load::Jobs => WorkloadKind::Jobs(Box::new(jobs::jobs(section, item, seed)?)),
        Load::Bursts => WorkloadKind::Bursts(BurstOptions {
            senders: section.count("senders", 1, MANY)?.unwrap_or(16) as u32,
            bytes: bytes()?,
            interval: section.span("interval")?.ok_or_else(|| missing("interval"))?,
            duration: section.span("duration")?.ok_or_else(|| missing("duration"))?,
            seed: section.count("traffic_seed", 0, i64::MAX as u64)?.unwrap_or(seed),
        }),
        Load::Collective(kind) => {
            WorkloadKind::Collective(Box::new(collective(section, item, kind)?))
        }
    };
    section.finish()?;
    let name = name.or(kind_name).unwrap_or_default();
    Ok(Workload { name, number: 0, kind, origin: Some(item.origin.clone()) })
}

fn poisson(section: &Section<'_>, item: &Item, seed: u64) -> Result<WorkloadKind, UserError> {
    let missing =
        |key: &str| UserError::at(&item.origin, format!("`{}` is missing", section.name(key)));
    let load = section.ratio("load", 1.0)?.ok_or_else(|| missing("load"))?;
    let sizes = match section.get("sizes") {
        None => FlowSizes::Published(PUBLISHED[0].0),
        Some(_) => sizes(section, 0)?,
    };
    if matches!(sizes, FlowSizes::Fixed(0)) {
        return Err(missing("bytes"));
    }
    Ok(WorkloadKind::Poisson {
        sizes,
        load: load.as_f64(),
        duration: section.span("duration")?.ok_or_else(|| missing("duration"))?,
        seed: section.count("traffic_seed", 0, i64::MAX as u64)?.unwrap_or(seed),
    })
}

/// `sizes`: `fixed` unless said, of so many bytes unless said.
pub(super) fn sizes(section: &Section<'_>, usual: u64) -> Result<FlowSizes, UserError> {
    #[derive(Clone, Copy)]
    enum Sizes {
        Published(&'static str),
        Fixed,
        File,
    }
    let mut kinds: Vec<(&'static str, Sizes)> =
        PUBLISHED.iter().map(|(name, _)| (*name, Sizes::Published(name))).collect();
    kinds.extend([("fixed", Sizes::Fixed), ("file", Sizes::File)]);
    Ok(match section.word("sizes", &kinds)?.unwrap_or(Sizes::Fixed) {
        Sizes::Published(name) => FlowSizes::Published(name),
        Sizes::Fixed => FlowSizes::Fixed(section.bytes("bytes")?.unwrap_or(usual)),
        Sizes::File => FlowSizes::File(file(section)?),
    })
}

/// A collective of any kind.
fn collective(
    section: &Section<'_>,
    item: &Item,
    kind: Kind,
) -> Result<CollectiveOptions, UserError> {
    let small = |key: &'static str, most: u64| {
        Ok::<_, UserError>(section.count(key, 1, most)?.map(|number| number as u32))
    };
    let bytes = match kind {
        Kind::Barrier => Some(1),
        _ => section.bytes("bytes")?,
    };
    let matrix = match kind {
        Kind::AllToAll if section.get("file").is_some() => Some(file(section)?),
        _ => None,
    };
    if bytes.is_none() && matrix.is_none() {
        return Err(UserError::at(&item.origin, format!("`{}` is missing", section.name("bytes"))));
    }
    let mut names = vec![("auto", None)];
    names.extend(Algorithm::of(kind).iter().map(|known| (known.name(), Some(*known))));
    let root = match kind {
        Kind::Broadcast | Kind::Reduce | Kind::Gather | Kind::Scatter => {
            section.count("root", 0, MANY)?.unwrap_or(0) as u32
        }
        _ => 0,
    };
    let algorithm = match names.len() {
        2 => Some(Algorithm::of(kind)[0]),
        _ => section.word("algorithm", &names)?.unwrap_or(Some(Algorithm::of(kind)[0])),
    };
    let asked = section.get("algorithm").is_some();
    Ok(CollectiveOptions {
        kind,
        bytes: bytes.unwrap_or(1),
        algorithm,
        asked,
        root,
        channels: small("channels", 1_024)?.unwrap_or(1),
        chunks: small("chunks", 65_536)?.unwrap_or(1),
        domain: small("domain", MANY)?,
        window: section.count("window", 1, MANY)?.unwrap_or(8) as u32,
        matrix,
        costs: costs(section)?,
        ranks: ranks(section)?,
    })
}

/// What collectives cost besides their bytes.
pub(super) fn costs(section: &Section<'_>) -> Result<CollectiveCosts, UserError> {
    let protocols =
        [("simple", Protocol::Simple), ("ll", Protocol::Ll), ("ll128", Protocol::Ll128)];
    Ok(CollectiveCosts {
        protocol: section.word("protocol", &protocols)?.unwrap_or(Protocol::Simple),
        reduce_rate: section.rate("reduce_rate")?,
        step_overhead: section.span("step_overhead")?,
    })
}

pub(super) fn ranks(section: &Section<'_>) -> Result<Ranks, UserError> {
    let stride = section.count("stride", 1, MANY)?.unwrap_or(1) as u32;
    let placement = section.word(
        "placement",
        &[
            ("packed", Placement::Packed),
            ("random", Placement::Random),
            ("stride", Placement::Stride(stride)),
        ],
    )?;
    Ok(Ranks { count: hosts(section, "ranks")?, placement: placement.unwrap_or(Placement::Packed) })
}
