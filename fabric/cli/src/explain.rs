//! `ultraloom explain`: where the time of single messages of a run went.
//!
//! Nothing is kept for it: the scenario in the run's folder is run again, which gives the same, with the messages watched.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fabric::assemble::Extent;
use fabric::capture::Capture;
use fabric::engine::Progress;
use fabric::ids::{HostId, MessageId, PortId};
use fabric::layout::Layout;
use fabric::probe::RunRecord;
use fabric::units::Time;
use fabric::watch::{Notebook, Notes, Watch};
use results::explain::{Explanation, Fabric, Seen};
use results::records::read::Frame;

use crate::args::{Explain, Output};
use crate::error::UserError;
use crate::execute::{self, Build, Cut, STOP};
use crate::prepare::Prepared;
use crate::progress::Display;
use crate::say::say_line;
use crate::scenario::model::{Scenario, Variant, Workload};
use crate::stored::{Stored, in_table};
use crate::{INTERRUPTED, scenario};

/// The file in the run's folder.
const FILE: &str = "explain.json";

/// Explains messages of a run.
///
/// # Errors
/// When the run cannot be read, has no such message, or does not come out again as it was.
pub fn explain(arguments: &Explain) -> Result<ExitCode, UserError> {
    let stored = Stored::open(&arguments.run)?;
    let chosen = stored.chosen(arguments.variant.as_deref(), arguments.workload.as_deref())?;
    let which = match arguments.flow.as_slice() {
        [] => Which::Slowest(arguments.slowest as usize),
        flows => Which::Numbers(flows),
    };
    execute::stop_on_signals();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let threads = arguments.threads.unwrap_or(cores) as usize;
    let Some(found) = of_run(&stored, &chosen, &which, threads, arguments.output)? else {
        eprintln!("interrupted: nothing was written");
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let json = serde_json::to_string(&found).unwrap_or_default();
    let path = stored.folder.join(FILE);
    std::fs::write(&path, &json)
        .map_err(|error| UserError::new(format!("cannot write {}: {error}", path.display())))?;
    match arguments.output {
        Output::Human => {
            found.iter().for_each(|explanation| say_line(&explanation.text()));
            say_line(&format!("{}: every piece, in order of time", path.display()));
        }
        Output::Json => say_line(&json),
        Output::Quiet => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains so many of the slowest messages of each workload; `None` if that was interrupted.
pub(crate) fn slowest(stored: &Stored, most: usize) -> Result<Option<Vec<Explanation>>, UserError> {
    let chosen = stored.chosen(None, None)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    of_run(stored, &chosen, &Which::Slowest(most), threads, Output::Human)
}

/// Which messages of a workload.
enum Which<'a> {
    Numbers(&'a [u32]),
    Slowest(usize),
}

/// A message of the table of flows.
struct Flow {
    watch: Watch,
    /// Its completion time; infinite if it did not finish.
    time: f64,
}

/// Explains messages of workloads, each named with its variant; `None` if that was interrupted.
fn of_run(
    stored: &Stored,
    chosen: &[(&str, &str)],
    which: &Which<'_>,
    threads: usize,
    output: Output,
) -> Result<Option<Vec<Explanation>>, UserError> {
    let file = stored.folder.join("scenario.toml");
    let scenario = scenario::load(Some(&file), &[], None)?;
    let mut flows = flows(&stored.table("flows")?)?;
    let mut found = Vec::new();
    for variant in &scenario.variants {
        let own = variant
            .workloads
            .iter()
            .filter(|workload| chosen.contains(&(variant.name.as_str(), workload.name.as_str())));
        let mut prepared = None;
        for workload in own {
            let name = (variant.name.clone(), workload.name.clone());
            let flows = flows.remove(&name).unwrap_or_default();
            let watches = select(flows, which, &name)?;
            if watches.is_empty() {
                continue;
            }
            let prepared = match &prepared {
                Some(prepared) => prepared,
                None => prepared.insert(Prepared::new(variant)?),
            };
            let again = Again { scenario: &scenario, variant, workload, prepared };
            let Some((record, notes)) = again.run(&watches, threads, output)? else {
                return Ok(None);
            };
            again.compare(stored, &record)?;
            found.extend(again.explanations(&record, &notes, &watches));
        }
    }
    Ok(Some(found))
}

/// Messages by variant and workload.
fn flows(table: &Frame) -> Result<BTreeMap<(String, String), Vec<Flow>>, UserError> {
    let text = |name| in_table("flows", table.text(name));
    let whole = |name| in_table("flows", table.whole(name));
    let (variants, workloads) = (text("variant")?, text("workload")?);
    let (messages, src, dst) = (whole("message")?, whole("src")?, whole("dst")?);
    let times = in_table("flows", table.numbers("fct_ps"))?;
    let mut flows: BTreeMap<(String, String), Vec<Flow>> = BTreeMap::new();
    for row in 0..table.rows() {
        let host = |numbers: &[u64]| HostId(numbers[row] as u32);
        let (src, dst, message) = (host(&src), host(&dst), MessageId(messages[row] as u32));
        let time = times[row].unwrap_or(f64::INFINITY);
        let name = (variants[row].to_owned(), workloads[row].to_owned());
        let flow = Flow { watch: Watch { src, dst, message }, time };
        flows.entry(name).or_default().push(flow);
    }
    Ok(flows)
}

/// The messages asked for, in the order of asking or the slowest first.
fn select(
    mut flows: Vec<Flow>,
    which: &Which<'_>,
    (variant, workload): &(String, String),
) -> Result<Vec<Watch>, UserError> {
    match which {
        Which::Slowest(most) => {
            flows.sort_by(|a, b| b.time.total_cmp(&a.time).then(a.watch.cmp(&b.watch)));
            Ok(flows.into_iter().take(*most).map(|flow| flow.watch).collect())
        }
        Which::Numbers(numbers) => {
            let find = |number: &u32| {
                let known = flows.iter().find(|flow| flow.watch.message.0 == *number);
                known.map(|flow| flow.watch).ok_or_else(|| {
                    let numbers = flows.iter().map(|flow| flow.watch.message.0);
                    let (least, most) = (numbers.clone().min(), numbers.max());
                    let known = match least.zip(most) {
                        Some((least, most)) => format!(
                            "it has {least} to {most}; of very many, not all are in the table"
                        ),
                        None => "it has none".to_owned(),
                    };
                    let text =
                        format!("{variant}, {workload}: the table `flows` has no message {number}");
                    UserError::new(text).help(known)
                })
            };
            numbers.iter().map(find).collect()
        }
    }
}

/// What a run gave, and what its hosts noted.
type Observed = (RunRecord, BTreeMap<HostId, Notes>);

/// A workload of a variant that is run again.
struct Again<'a> {
    scenario: &'a Scenario,
    variant: &'a Variant,
    workload: &'a Workload,
    prepared: &'a Prepared,
}

impl Again<'_> {
    /// Runs it with these messages watched; `None` if that was interrupted.
    fn run(
        &self,
        watches: &[Watch],
        threads: usize,
        output: Output,
    ) -> Result<Option<Observed>, UserError> {
        let Again { scenario, variant, workload, prepared } = self;
        let programs = prepared.workload(workload, scenario.seed)?;
        let messages = programs.messages;
        let book = Notebook::new(watches);
        let ports = Layout::new(&prepared.graph).ports();
        let capture = Capture {
            ports: (0..ports).map(PortId).collect(),
            from: Time::ZERO,
            until: Time::NEVER,
            frames: u64::MAX,
            only: Some(book.pairs()),
        };
        let build = Build {
            seed: scenario.seed,
            cut: Cut { shards: threads as u32, ranks: 1 },
            extent: Extent { threads, ..Extent::default() },
            sampling: None,
            capture: Some(&capture),
        };
        let watch = |host, endpoint| book.watch(host, endpoint);
        let run = execute::assembled_as(prepared, programs, &build, &watch)?;
        let progress = Arc::new(Progress::default());
        let shown = Arc::clone(&progress);
        let title = format!("{} {}", variant.name, workload.name);
        let display = Display::start(&title, messages, output, shown, &STOP, None);
        let record = run.execute(threads, execute::until(variant), &progress);
        drop(display);
        let interrupted = STOP.load(Ordering::Relaxed);
        Ok((!interrupted).then(|| (record, book.into_notes())))
    }

    /// The run is the stored one once more.
    fn compare(&self, stored: &Stored, record: &RunRecord) -> Result<(), UserError> {
        let variant = stored.summary.variants.iter().find(|v| v.name == self.variant.name);
        let workload = variant
            .and_then(|variant| variant.workloads.iter().find(|w| w.name == self.workload.name));
        let then = workload.map_or("", |workload| &workload.figures.digest);
        let now = format!("{:032x}", record.digest);
        if then == now {
            return Ok(());
        }
        let (variant, workload) = (&self.variant.name, &self.workload.name);
        let text = format!(
            "{variant}, {workload}: run again it gives the digest {now}, and the folder has {then}"
        );
        Err(UserError::new(text).help(
            "the folder is of another version of the program, or files that the scenario names have changed: run it again",
        ))
    }

    fn explanations(
        &self,
        record: &RunRecord,
        notes: &BTreeMap<HostId, Notes>,
        watches: &[Watch],
    ) -> Vec<Explanation> {
        let behaviour = &self.prepared.behaviour.fabric;
        let fabric = Fabric {
            graph: &self.prepared.graph,
            layout: Layout::new(&self.prepared.graph),
            host_latency: behaviour.host_latency,
            frame_overhead: behaviour.frame_overhead,
            llr: behaviour.link.llr.is_some(),
            faults: &self.prepared.faults.links,
        };
        let seen = Seen::new(fabric, &record.capture, notes, record.end);
        let place = |watch: &Watch| {
            record.messages.binary_search_by_key(&watch.message, |message| message.id).ok()
        };
        let messages = watches.iter().filter_map(place).map(|place| &record.messages[place]);
        messages.map(|m| seen.explain(&self.variant.name, &self.workload.name, m)).collect()
    }
}
