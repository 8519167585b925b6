//! Workloads that compute and communicate: traces, training, pipelines, services.

use fabric::units::Span;
use workloads::algorithms::Algorithm;
use workloads::services::Arrivals;
use workloads::services::agents::Agents;
use workloads::services::requests::Requests;
use workloads::services::serving::{Costs as ServingCosts, Serving};
use workloads::training::experts::Skew;
use workloads::training::layout::Layout;
use workloads::training::model::{Experts, MODELS, Model};
use workloads::training::{Training, Zero};

use crate::error::UserError;
use crate::scenario::model::{CollectiveCosts, File, FlowSizes, Protocol, Ranks};
use crate::scenario::sections::{MANY, file};
use crate::scenario::tree::{Item, Section, Value};
use crate::scenario::workload::{costs, ranks, sizes};

/// A program for each rank, as asked for.
#[derive(Clone, Debug)]
pub struct ProgramOptions {
    /// Where it comes from.
    pub source: ProgramSource,
    /// How its collectives are done.
    pub ways: Ways,
    /// Ranks; the source's, if it has a number of its own.
    pub ranks: Ranks,
}

/// Where programs come from.
#[derive(Clone, Debug)]
pub enum ProgramSource {
    /// A trace of another tool.
    Trace(TraceFile),
    /// Iterations of a model.
    Training(Box<TrainingOptions>),
    /// A line of ranks.
    Pipeline {
        /// Messages that go through all ranks.
        messages: u32,
        /// Bytes of each.
        bytes: u64,
        /// Time that each rank computes for each.
        stage_time: Span,
    },
    /// Clients that read and write at servers, and sizes of what they move.
    Requests(Requests, FlowSizes),
    /// Agents that call tools, and sizes of their answers.
    Agents(Agents, FlowSizes),
}

/// A file of another tool.
#[derive(Clone, Debug)]
pub struct TraceFile {
    /// The file; `*` stands for the rank where each has one.
    pub file: File,
    /// MSCCL: the buffer.
    pub bytes: Option<u64>,
    /// SimAI: the first so many layers.
    pub layers: Option<u32>,
    /// SimAI: tensor-parallel ranks; `None`: the file's.
    pub tensor: Option<u32>,
    /// SimAI: expert-parallel ranks; `None`: the file's.
    pub expert: Option<u32>,
}

/// How collectives of programs are done.
#[derive(Clone, Debug)]
pub struct Ways {
    /// Where there is such an algorithm for them; `Some(None)`: by size; `None`: the usual.
    pub algorithm: Option<Option<Algorithm>>,
    /// Parts that go different ways.
    pub channels: u32,
    /// Parts that follow each other.
    pub chunks: u32,
    /// Ranks of a domain; `None`: as the topology has them.
    pub domain: Option<u32>,
    /// Those within a domain of the scale-up network take the time of their formula, without packets.
    pub by_formula: bool,
    /// What they cost besides their bytes.
    pub costs: CollectiveCosts,
}

/// Training, as asked for.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// All but what depends on files and on the number of ranks, for one replica.
    pub training: Training,
    /// Shares of experts.
    pub shares: Option<File>,
}

/// Serving, as asked for.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// All but tokens.
    pub serving: Serving,
    /// Tokens of prompts.
    pub prompts: FlowSizes,
    /// Tokens of answers.
    pub answers: FlowSizes,
    /// Where ranks sit; their number follows.
    pub ranks: Ranks,
}

/// Accelerators by name, with their operations a second in dense 16-bit matrix products, from their makers' data sheets.
const ACCELERATORS: [(&str, f64); 6] = [
    ("a100", 312e12),
    ("h100", 989e12),
    ("h200", 989e12),
    ("b200", 2_250e12),
    ("gb200", 2_500e12),
    ("mi300x", 1_307e12),
];

fn small(section: &Section<'_>, key: &'static str, most: u64) -> Result<Option<u32>, UserError> {
    Ok(section.count(key, 1, most)?.map(|number| number as u32))
}

fn seed(section: &Section<'_>, seed: u64) -> Result<u64, UserError> {
    Ok(section.count("traffic_seed", 0, i64::MAX as u64)?.unwrap_or(seed))
}

/// A trace of another tool.
pub(super) fn trace(section: &Section<'_>) -> Result<ProgramOptions, UserError> {
    let source = ProgramSource::Trace(TraceFile {
        file: file(section)?,
        bytes: section.bytes("bytes")?,
        layers: small(section, "layers", MANY)?,
        tensor: small(section, "tensor_parallel", MANY)?,
        expert: small(section, "expert_parallel", MANY)?,
    });
    Ok(ProgramOptions { source, ways: ways(section)?, ranks: ranks(section)? })
}

/// How collectives are done.
fn ways(section: &Section<'_>) -> Result<Ways, UserError> {
    let names: Vec<(&str, Option<Algorithm>)> = [("auto", None)]
        .into_iter()
        .chain(Algorithm::NAMES.iter().map(|(name, known)| (*name, Some(*known))))
        .collect();
    let within = section.word("within_domain", &[("packets", false), ("formula", true)])?;
    Ok(Ways {
        algorithm: section.word("algorithm", &names)?,
        channels: small(section, "channels", 1_024)?.unwrap_or(1),
        chunks: small(section, "chunks", 65_536)?.unwrap_or(1),
        domain: small(section, "domain", MANY)?,
        by_formula: within.unwrap_or(false),
        costs: costs(section)?,
    })
}

impl Ways {
    /// Of programs without collectives to choose for.
    fn usual() -> Ways {
        let costs =
            CollectiveCosts { protocol: Protocol::Simple, reduce_rate: None, step_overhead: None };
        Ways { algorithm: None, channels: 1, chunks: 1, domain: None, by_formula: false, costs }
    }
}

/// A number above 0 and up to `most`.
fn positive(section: &Section<'_>, key: &'static str, most: f64) -> Result<Option<f64>, UserError> {
    match (section.number(key)?, section.get(key)) {
        (Some(number), Some(item)) if number <= 0.0 || number > most => {
            Err(section.wrong(key, item, &format!("more than 0 and at most {most}")))
        }
        (number, _) => Ok(number),
    }
}

/// Zipf's exponent.
fn exponent(section: &Section<'_>, usual: f64) -> Result<f64, UserError> {
    match (section.number("skew")?, section.get("skew")) {
        (Some(skew), Some(item)) if skew > 8.0 => {
            Err(section.wrong("skew", item, "a number from 0 to 8"))
        }
        (skew, _) => Ok(skew.unwrap_or(usual)),
    }
}

/// A line of ranks.
pub(super) fn pipeline(section: &Section<'_>, bytes: u64) -> Result<ProgramOptions, UserError> {
    let source = ProgramSource::Pipeline {
        messages: small(section, "messages", 1 << 20)?.unwrap_or(16),
        bytes,
        stage_time: section.span("stage_time")?.unwrap_or(Span::ZERO),
    };
    Ok(ProgramOptions { source, ways: Ways::usual(), ranks: ranks(section)? })
}

/// Iterations of a model.
pub(super) fn training(section: &Section<'_>, run: u64) -> Result<ProgramOptions, UserError> {
    let degree = |key| Ok::<_, UserError>(small(section, key, MANY)?.unwrap_or(1));
    let layout = Layout {
        tensor: degree("tensor_parallel")?,
        context: degree("context_parallel")?,
        data: 1,
        pipeline: degree("pipeline_parallel")?,
        expert: degree("expert_parallel")?,
    };
    let stages = [Zero::Off, Zero::One, Zero::Two, Zero::Three];
    let zero = section.count("zero", 0, 3)?.map_or(Zero::One, |stage| stages[stage as usize]);
    let schedule = section.word("schedule", &[("1f1b", false), ("interleaved", true)])?;
    let chunks = match schedule.unwrap_or(false) {
        true => section.count("virtual_stages", 2, 64)?.unwrap_or(2) as u32,
        false => 1,
    };
    let named = section.word("accelerator", &ACCELERATORS)?;
    let peak = positive(section, "tflops", 1e9)?.map(|tera| tera * 1e12);
    let shares = match section.get("file") {
        Some(_) => Some(file(section)?),
        None => None,
    };
    let skew = exponent(section, 0.0)?;
    let training = Training {
        model: model(section)?,
        layout,
        sequence_parallel: section.truth("sequence_parallel")?.unwrap_or(layout.tensor > 1),
        micro_batches: small(section, "micro_batches", 65_536)?.unwrap_or(2 * layout.pipeline),
        micro_batch: small(section, "micro_batch", 65_536)?.unwrap_or(1),
        chunks,
        zero,
        overlap: section.truth("overlap")?.unwrap_or(true),
        recompute: section.truth("recompute")?.unwrap_or(false),
        gradient_bytes: section.count("gradient_bytes", 1, 8)?.unwrap_or(4),
        iterations: small(section, "iterations", 1_024)?.unwrap_or(1),
        peak: peak.or(named).unwrap_or(ACCELERATORS[1].1),
        efficiency: section.ratio("efficiency", 1.0)?.map_or(0.6, |ratio| ratio.as_f64()),
        skew: if skew > 0.0 { Skew::Zipf(skew) } else { Skew::Even },
        stragglers: list(section, "stragglers")?,
        straggler_factor: positive(section, "straggler_factor", 1e6)?.unwrap_or(1.5),
        jitter: section.ratio("jitter", 1.0)?.map_or(0.0, |ratio| ratio.as_f64()),
        seed: seed(section, run)?,
    };
    let source = ProgramSource::Training(Box::new(TrainingOptions { training, shares }));
    Ok(ProgramOptions { source, ways: ways(section)?, ranks: ranks(section)? })
}

/// A list of ranks; none if it is not there.
fn list(section: &Section<'_>, key: &'static str) -> Result<Vec<u32>, UserError> {
    let Some(item) = section.get(key) else { return Ok(Vec::new()) };
    let wrong = |item: &Item| section.wrong(key, item, "a list of ranks, like [3, 17]");
    let Value::List(items) = &item.value else { return Err(wrong(item)) };
    let number = |item: &Item| match item.value {
        Value::Integer(number @ 0..=0xff_ffff) => Ok(number as u32),
        _ => Err(wrong(item)),
    };
    items.iter().map(number).collect()
}

/// A model by name, with what differs from it.
fn model(section: &Section<'_>) -> Result<Model, UserError> {
    let named = section.word("model", &MODELS)?.unwrap_or(MODELS[1].1);
    let size = |key, usual| Ok::<_, UserError>(section.count(key, 1, 1 << 30)?.unwrap_or(usual));
    let usual = named.experts.unwrap_or(Experts { count: 0, top: 2, feed_forward: 0, shared: 0 });
    let count = section.count("experts", 0, 65_536)?.unwrap_or(u64::from(usual.count)) as u32;
    let top = small(section, "experts_per_token", 65_536)?.unwrap_or(usual.top);
    let width = section.count("expert_feed_forward", 1, 1 << 30)?;
    let shared = section.count("shared_feed_forward", 0, 1 << 30)?.unwrap_or(usual.shared);
    let feed_forward = size("feed_forward", named.feed_forward)?;
    let own = if usual.feed_forward > 0 { usual.feed_forward } else { feed_forward };
    let experts = Experts { count, top, feed_forward: width.unwrap_or(own), shared };
    if count > 0 && top > count {
        let item = section.get("experts_per_token").or(section.get("experts"));
        if let Some(item) = item {
            return Err(section.wrong("experts_per_token", item, &format!("at most {count}")));
        }
    }
    Ok(Model {
        layers: size("layers", u64::from(named.layers))? as u32,
        hidden: size("hidden", named.hidden)?,
        feed_forward,
        gated: section.truth("gated")?.unwrap_or(named.gated),
        heads: size("heads", named.heads)?,
        key_value_heads: size("key_value_heads", named.key_value_heads)?,
        vocabulary: size("vocabulary", named.vocabulary)?,
        sequence: size("sequence", named.sequence)?,
        experts: (count > 0).then_some(experts),
    })
}

/// Kinds of requests, which differ in what is usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    /// Pages of a memory pool.
    Memory,
    /// Gets and puts.
    KeyValue,
    /// Objects, striped.
    Storage,
    /// Every client writes its part of a checkpoint, striped, once.
    Checkpoint,
}

/// Clients that read and write at servers.
pub(super) fn requests(
    section: &Section<'_>,
    service: Service,
    run: u64,
) -> Result<ProgramOptions, UserError> {
    let (bytes, reads, stripe, skew, names) = match service {
        Service::Memory => (4_096, 0.5, None, 0.0, ("page read", "page write")),
        Service::KeyValue => (1_024, 0.9, None, 0.99, ("get", "put")),
        Service::Storage => (4 << 20, 1.0, Some(1 << 20), 0.0, ("read", "write")),
        Service::Checkpoint => (64 << 20, 0.0, Some(4 << 20), 0.0, ("read", "write")),
    };
    let checkpoint = service == Service::Checkpoint;
    let reads = match section.number("read_share")? {
        Some(share) if share <= 1.0 => share,
        Some(_) => {
            let item = section.get("read_share").expect("it was just read");
            return Err(section.wrong("read_share", item, "a number from 0 to 1"));
        }
        None => reads,
    };
    let time = if service == Service::Memory { Span::ZERO } else { Span::from_micros(1) };
    let service_rate = section.rate("service_rate")?;
    let requests = Requests {
        servers: small(section, "servers", MANY)?.unwrap_or(4),
        count: small(section, "requests", 1 << 24)?.unwrap_or(if checkpoint { 1 } else { 100 }),
        arrivals: arrivals(section, if checkpoint { 1 } else { 8 })?,
        reads,
        header: section.bytes("header")?.unwrap_or(64),
        stripe: section.bytes("stripe")?.or(stripe),
        skew: exponent(section, skew)?,
        cores: section.count("cores", 1, 255)?.unwrap_or(16) as u8,
        service_time: section.span("service_time")?.unwrap_or(time),
        service_rate: service_rate.map(|rate| rate.bits_per_second() as f64 / 8.0),
        barrier: checkpoint,
        names,
        seed: seed(section, run)?,
    };
    let source = ProgramSource::Requests(requests, sizes(section, bytes)?);
    Ok(ProgramOptions { source, ways: Ways::usual(), ranks: ranks(section)? })
}

/// When requests come.
fn arrivals(section: &Section<'_>, outstanding: u32) -> Result<Arrivals, UserError> {
    match positive(section, "rate", 1e12)? {
        Some(rate) => Ok(Arrivals::Open { rate }),
        None => {
            let outstanding = small(section, "outstanding", 65_536)?.unwrap_or(outstanding);
            Ok(Arrivals::Closed { outstanding })
        }
    }
}

/// Agents that call tools.
pub(super) fn agents(section: &Section<'_>, run: u64) -> Result<ProgramOptions, UserError> {
    let agents = Agents {
        tools: small(section, "servers", MANY)?.unwrap_or(16),
        tasks: small(section, "tasks", 1 << 20)?.unwrap_or(10),
        arrivals: arrivals(section, 1)?,
        rounds: small(section, "rounds", 65_536)?.unwrap_or(4),
        fan_out: small(section, "fan_out", 65_536)?.unwrap_or(8),
        call: section.bytes("call_bytes")?.unwrap_or(512),
        service_time: section.span("service_time")?.unwrap_or(Span::from_micros(50)),
        cores: section.count("cores", 1, 255)?.unwrap_or(16) as u8,
        think_time: section.span("think_time")?.unwrap_or(Span::from_micros(20)),
        seed: seed(section, run)?,
    };
    let source = ProgramSource::Agents(agents, sizes(section, 16 << 10)?);
    Ok(ProgramOptions { source, ways: Ways::usual(), ranks: ranks(section)? })
}

/// Inference with prefill and decoding apart.
pub(super) fn serving(section: &Section<'_>, run: u64) -> Result<ServingOptions, UserError> {
    let model = model(section)?;
    let of_model = u64::from(model.layers) * model.key_value_width() * 2;
    let count = |key, usual| Ok::<_, UserError>(small(section, key, 65_536)?.unwrap_or(usual));
    let tokens = |key: &'static str, usual: u64| {
        Ok::<_, UserError>(FlowSizes::Fixed(section.count(key, 1, 1 << 24)?.unwrap_or(usual)))
    };
    let time = |key, usual| Ok::<_, UserError>(section.span(key)?.unwrap_or(usual));
    let rate = positive(section, "rate", 1e12)?.unwrap_or(100.0);
    let serving = Serving {
        prefill: (count("prefill", 2)?, count("prefill_ranks", 8)?),
        decode: (count("decode", 2)?, count("decode_ranks", 8)?),
        requests: count("requests", 200)?,
        rate,
        costs: ServingCosts {
            key_value_bytes: section.bytes("key_value_bytes")?.unwrap_or(of_model),
            prompt_token: time("prompt_token", Span::from_micros(10))?,
            iteration: time("iteration", Span::from_millis(5))?,
            answer_token: time("answer_token", Span::from_micros(50))?,
            batch: count("batch", 64)?,
            chunks: small(section, "chunks", 1_024)?.unwrap_or(8),
            first_limit: time("first_limit", Span::from_millis(200))?,
            token_limit: time("token_limit", Span::from_millis(20))?,
        },
        seed: seed(section, run)?,
    };
    let ranks = ranks(section)?;
    if let (Some(asked), Some(item)) = (ranks.count, section.get("ranks"))
        && asked != serving.ranks()
    {
        let message = format!("nothing, or {}, which follows from its instances", serving.ranks());
        return Err(section.wrong("ranks", item, &message));
    }
    Ok(ServingOptions {
        serving,
        prompts: lengths(section, "prompt_file")?.map_or_else(|| tokens("prompt", 2_048), Ok)?,
        answers: lengths(section, "answer_file")?.map_or_else(|| tokens("answer", 64), Ok)?,
        ranks,
    })
}

/// A file of lengths in tokens.
fn lengths(section: &Section<'_>, key: &'static str) -> Result<Option<FlowSizes>, UserError> {
    let Some(name) = section.text(key)? else { return Ok(None) };
    let item = section.get(key).expect("it was just read");
    let folder = item.origin.source.folder.clone().unwrap_or_default();
    let path = crate::scenario::sections::resolve(&folder, &name);
    Ok(Some(FlowSizes::File(File { path, origin: item.origin.clone() })))
}
