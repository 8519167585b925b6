//! Runs the variants of a scenario, workload by workload.

use std::sync::atomic::{AtomicBool, Ordering};

use fabric::assemble::{Extent, Network, Parts, assemble, lookahead};
use fabric::capture::Capture;
use fabric::endpoint::Endpoint;
use fabric::engine::ranks::{Alone, Ranks};
use fabric::ids::HostId;
use fabric::probe::{MessageRecord, RunRecord};
use fabric::run::Run;
use fabric::series::Sampling;
use fabric::units::{Span, Time};
use results::claims;
use results::distribution::{completion_times, slowdowns};
use results::plots::completion::{Curve, Panel};
use results::records;
use results::summary::{
    CollectiveShape, Context, Figures, JobShape, RunSummary, VariantSummary, WorkloadSummary,
};
use results::unfinished::unfinished;
use serde::{Deserialize, Serialize};
use topologies::ideal::Ideal;
use topologies::partition::partition;
use transports::AnyEndpoint;
use workloads::collective::Collective;
use workloads::jobs::Job;
use workloads::{AnyProgram, Workload as Programs};

use crate::args::Output;
use crate::captures::CaptureSet;
use crate::checkpoint::Checkpoints;
use crate::error::UserError;
use crate::forecast;
use crate::play::{Part, Played, play};
use crate::prepare::Prepared;
use crate::prepare::behaviour::Behaviour;
use crate::scenario::model::{Scenario, Variant, Workload};
use crate::together;

/// Set by Ctrl-C: the present run ends after its window, and no other begins.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C and SIGTERM set [`STOP`]; until then they end the process as usual.
pub fn stop_on_signals() {
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed));
}

/// Simulated time after which a run ends when the scenario does not say: a transport that can make no
/// progress would retry for ever.
const UNTIL: Span = Span::from_millis(10_000);

/// How a fabric is cut into shards. A state that is stored is taken up with the same cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cut {
    /// How many.
    pub shards: u32,
    /// The processes that they are made for; others may run them.
    pub ranks: u32,
}

/// How a scenario is run.
#[derive(Clone, Copy)]
pub struct Settings<'a, R> {
    /// The processes that run it.
    pub ranks: &'a R,
    /// Threads of the engine.
    pub threads: usize,
    /// Shards of the fabric.
    pub cut: Cut,
    /// What is printed, which decides about progress.
    pub output: Output,
    /// Where states are stored, if they are.
    pub checkpoints: Option<&'a Checkpoints>,
}

impl Settings<'_, Alone> {
    /// One process, without a word.
    pub fn quiet(threads: usize) -> Settings<'static, Alone> {
        let cut = Cut { shards: threads as u32, ranks: 1 };
        Settings { ranks: &Alone, threads, cut, output: Output::Quiet, checkpoints: None }
    }
}

/// All that a scenario's runs gave.
pub struct Outcome {
    /// Figures.
    pub summary: RunSummary,
    /// What each workload of each variant left.
    pub runs: Vec<records::Run>,
    /// Captured frames.
    pub captures: Vec<CaptureSet>,
    /// Completion times, to plot.
    pub panels: Vec<Panel>,
    /// What did not finish, by variant and workload.
    pub unfinished: Vec<String>,
    /// The run was told to stop.
    pub interrupted: bool,
    /// It was stopped half-way, and its state is stored.
    pub later: bool,
    /// Runs begun so far.
    begun: usize,
}

/// Prepares all variants: whatever the user has to mend shows before anything runs.
///
/// # Errors
/// The first thing to mend.
pub fn prepare(scenario: &Scenario) -> Result<Vec<Prepared>, UserError> {
    scenario.variants.iter().map(Prepared::new).collect()
}

/// Runs all variants; what they gave is known to the first process alone.
///
/// # Errors
/// When a fabric cannot be assembled.
pub fn execute<R: Ranks>(
    scenario: &Scenario,
    prepared: &[Prepared],
    settings: &Settings<'_, R>,
) -> Result<Outcome, UserError> {
    let mut outcome = Outcome {
        summary: RunSummary {
            name: scenario.name.clone(),
            seed: scenario.seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            variants: Vec::new(),
            claims: Vec::new(),
        },
        runs: Vec::new(),
        captures: Vec::new(),
        panels: Vec::new(),
        unfinished: Vec::new(),
        interrupted: false,
        later: false,
        begun: 0,
    };
    for (variant, prepared) in scenario.variants.iter().zip(prepared) {
        run_variant(scenario, variant, prepared, settings, &mut outcome)?;
        if STOP.load(Ordering::Relaxed) {
            outcome.interrupted = true;
            break;
        }
    }
    if !outcome.interrupted && settings.ranks.is_first() {
        outcome.summary.claims = claims::judge(&scenario.claims, &outcome.summary, &outcome.runs);
    }
    Ok(outcome)
}

fn run_variant<R: Ranks>(
    scenario: &Scenario,
    variant: &Variant,
    prepared: &Prepared,
    settings: &Settings<'_, R>,
    outcome: &mut Outcome,
) -> Result<(), UserError> {
    let mut workloads = Vec::new();
    let mut times: Vec<Span> = Vec::new();
    let mut slow: Vec<f64> = Vec::new();
    for (place, workload) in variant.workloads.iter().enumerate() {
        let number = outcome.begun;
        outcome.begun += 1;
        let Known { record, context } =
            match run_one(number, scenario, variant, workload, prepared, settings)? {
                Ran::Known(known) => *known,
                Ran::Elsewhere => continue,
                Ran::Later => {
                    outcome.later = true;
                    break;
                }
            };
        let own = completion_times(&record.messages);
        times.extend(&own);
        slow.extend(slowdowns(&record.messages, &context.ideals));
        if outcome.panels.len() <= place {
            outcome.panels.push(Panel { title: workload.name.clone(), curves: Vec::new() });
        }
        outcome.panels[place].curves.push(Curve { name: variant.name.clone(), times: own });
        if let Some(text) = unfinished(&record, &context.deadlock) {
            outcome.unfinished.push(format!("{}, {}: {text}", variant.name, workload.name));
        }
        let figures = Figures::of(&record, &context);
        workloads.push(WorkloadSummary { name: workload.name.clone(), figures });
        keep(variant, workload, prepared, record, context, outcome);
        if STOP.load(Ordering::Relaxed) {
            break;
        }
    }
    if !settings.ranks.is_first() || outcome.later {
        return Ok(());
    }
    times.sort_unstable();
    slow.sort_unstable_by(f64::total_cmp);
    let figures = match workloads.as_slice() {
        [only] => only.figures.clone(),
        several => {
            let parts: Vec<&Figures> = several.iter().map(|w| &w.figures).collect();
            Figures::together(&parts, &times, &slow)
        }
    };
    outcome.summary.variants.push(VariantSummary {
        name: variant.name.clone(),
        clock_dilation: prepared.behaviour.transport.dilation(),
        figures,
        workloads,
    });
    Ok(())
}

/// Keeps the records of a run.
fn keep(
    variant: &Variant,
    workload: &Workload,
    prepared: &Prepared,
    mut record: RunRecord,
    context: Context,
    outcome: &mut Outcome,
) {
    let snap = variant.capture.as_ref().and_then(|capture| capture.snap);
    let (of, with) = (&variant.name, &workload.name);
    let capture = std::mem::take(&mut record.capture);
    outcome.captures.extend(CaptureSet::new(of, with, snap, prepared, capture));
    outcome.runs.push(records::Run {
        variant: of.clone(),
        workload: with.clone(),
        record,
        context,
    });
}

/// A run's record, and what the engine does not know of it.
#[derive(Serialize, Deserialize)]
struct Known {
    record: RunRecord,
    context: Context,
}

/// What running something once came to.
enum Ran {
    /// It is over.
    Known(Box<Known>),
    /// It is over, and the first rank knows it.
    Elsewhere,
    /// It was stopped, and its state is stored.
    Later,
}

fn run_one<R: Ranks>(
    number: usize,
    scenario: &Scenario,
    variant: &Variant,
    workload: &Workload,
    prepared: &Prepared,
    settings: &Settings<'_, R>,
) -> Result<Ran, UserError> {
    let ranks = settings.ranks;
    let done = settings.checkpoints.filter(|_| ranks.is_first());
    let done = together(ranks, done.map(|states| states.done(number)).transpose())?.flatten();
    if ranks.any(done.is_some()) {
        return Ok(done.map_or(Ran::Elsewhere, |known| Ran::Known(Box::new(known))));
    }
    if settings.output == Output::Human
        && ranks.is_first()
        && let Some(text) =
            forecast::announcement(&scenario.records, prepared, &variant.name, workload)
    {
        eprintln!("{text}");
    }
    let programs = prepared.workload(workload, scenario.seed)?;
    let mut context = context(&programs, settings);
    let extent = Extent { rank: ranks.rank(), ranks: ranks.count(), threads: settings.threads };
    let sampling = sampling(scenario, prepared)?;
    let run = assembled(prepared, programs, scenario.seed, settings.cut, extent, sampling)?;
    context.shards = run.shards() as u64;
    let is_stored = prepared.behaviour.transport.is_stored();
    if settings.checkpoints.is_some() && !is_stored && ranks.is_first() {
        let (variant, workload) = (&variant.name, &workload.name);
        eprintln!(
            "{variant}, {workload}: the state of TCP is not stored; after a stop it begins again"
        );
    }
    let part = Part {
        number,
        title: format!("{} {}", variant.name, workload.name),
        messages: context.messages,
        end: until(variant),
        checkpoints: settings.checkpoints.filter(|_| is_stored),
    };
    let Played::Over { record, wall_s } = play(&part, run, settings)? else {
        return Ok(Ran::Later);
    };
    context.wall_s = wall_s;
    context.peak_rss_bytes = ranks.sum(peak_rss_bytes());
    let Some(record) = record else { return Ok(Ran::Elsewhere) };
    context.forecast_rss_bytes = forecast::with_records(&scenario.records, prepared, workload);
    let ideal = Ideal::new(&prepared.graph, prepared.behaviour.fabric.host_latency);
    let of = |message: &MessageRecord| ideal.completion(message.src, message.dst, message.bytes);
    let names = record.deadlock.iter().map(|port| {
        format!("{} > {}", prepared.graph.name(port.node), prepared.graph.name(port.peer))
    });
    context.deadlock = names.collect();
    context.ideals = record.messages.iter().map(of).collect();
    let known = Known { record: *record, context };
    // What was cut short by a stop begins again. That a result cannot be kept concerns later stops, not this run.
    let is_whole = !known.record.stopped || !STOP.load(Ordering::Relaxed);
    if let Some(states) = settings.checkpoints.filter(|_| is_whole)
        && let Err(error) = states.keep_done(number, &known)
    {
        eprintln!("no checkpoint, the run goes on: {}", error.message);
    }
    Ok(Ran::Known(Box::new(known)))
}

/// A variant's fabric with programs, ready to run.
///
/// # Errors
/// When it cannot be assembled.
pub fn assembled(
    prepared: &Prepared,
    programs: Programs,
    seed: u64,
    cut: Cut,
    extent: Extent,
    sampling: Option<Sampling>,
) -> Result<Run<AnyEndpoint, AnyProgram>, UserError> {
    let build = Build { seed, cut, extent, sampling, capture: prepared.capture.as_ref() };
    assembled_as(prepared, programs, &build, &|_, endpoint| endpoint)
}

/// How a fabric is built beside what its variant says.
pub(crate) struct Build<'a> {
    /// Seed of all random streams.
    pub(crate) seed: u64,
    /// Shards.
    pub(crate) cut: Cut,
    /// The part that is built.
    pub(crate) extent: Extent,
    /// What is recorded over time.
    pub(crate) sampling: Option<Sampling>,
    /// Frames to record.
    pub(crate) capture: Option<&'a Capture>,
}

/// The same with every transport as `wrap` makes it.
pub(crate) fn assembled_as<E: Endpoint>(
    prepared: &Prepared,
    programs: Programs,
    build: &Build<'_>,
    wrap: &(dyn Fn(HostId, AnyEndpoint) -> E + Sync),
) -> Result<Run<E, AnyProgram>, UserError> {
    let (graph, seed) = (&prepared.graph, build.seed);
    let shard_of = partition(graph, build.cut.shards, build.cut.ranks, &programs.couplings);
    let Behaviour { transport, scale_up, .. } = &prepared.behaviour;
    let run = assemble(Parts {
        graph,
        config: &prepared.behaviour.fabric,
        endpoint: &|host, network| {
            let endpoint = match (network, scale_up) {
                (Network::ScaleUp, Some(inner)) => inner.endpoint(host, seed),
                _ => transport.endpoint(host, seed),
            };
            wrap(host, endpoint)
        },
        programs: programs.programs,
        couplings: &programs.couplings,
        shard_of: &shard_of,
        faults: &prepared.faults.links,
        switch_faults: &prepared.faults.switches,
        capture: build.capture,
        sampling: build.sampling,
        seed,
        extent: build.extent,
    });
    run.map_err(|error| UserError::new(error.to_string()))
}

/// What is recorded over time of a variant.
fn sampling(scenario: &Scenario, prepared: &Prepared) -> Result<Option<Sampling>, UserError> {
    let ports = 2 * prepared.graph.links.len() as u64;
    let lookahead = lookahead(&prepared.graph, &prepared.behaviour.fabric)
        .map_err(|error| UserError::new(error.to_string()))?;
    Ok(scenario.records.sampling(ports, lookahead))
}

/// When a run of a variant ends at the latest.
pub fn until(variant: &Variant) -> Time {
    Time(variant.until.unwrap_or(UNTIL).0)
}

fn context<R: Ranks>(programs: &Programs, settings: &Settings<'_, R>) -> Context {
    let shape = |collective: &Collective| CollectiveShape {
        kind: collective.name().to_owned(),
        ranks: collective.ranks,
        bytes: collective.bytes,
        bus_factor: collective.bus_factor(),
    };
    let job = |job: &Job| JobShape {
        name: job.name.clone(),
        hosts: job.hosts.clone(),
        start: job.start,
        numbers: job.numbers,
        messages: job.messages,
        labels: job.labels,
        collective: job.collective.as_ref().map(shape),
    };
    Context {
        messages: programs.messages,
        collective: programs.collective.as_ref().map(shape),
        labels: programs.labels.clone(),
        ideal_compute: programs.ideal,
        jobs: programs.jobs.iter().map(job).collect(),
        threads: settings.threads as u64,
        ranks: settings.ranks.count() as u64,
        ..Context::default()
    }
}

/// The most memory that this process has had, where the system tells (Linux); else 0.
fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1_024
}
