//! The slowest flows of a run, and where their time went.

use results::explain::Explanation;
use results::records::read::Frame;
use results::report::SlowFlow;

use crate::args::{Explained, Report};
use crate::error::UserError;
use crate::explain;
use crate::stored::{Stored, in_table};

/// Seconds below which a run is repeated without being asked to.
const SHORT: f64 = 60.0;

/// The slowest flows of a run; why they are not explained goes to `notes`.
pub(super) fn flows(
    stored: &Stored,
    table: &Frame,
    arguments: &Report,
    notes: &mut Vec<String>,
) -> Result<Vec<SlowFlow>, UserError> {
    let most = arguments.slowest as usize;
    let mut flows = slowest(table, most)?;
    if flows.is_empty() {
        return Ok(flows);
    }
    let took: f64 =
        stored.summary.variants.iter().map(|variant| variant.figures.engine.wall_s).sum();
    match arguments.explain {
        Explained::Never => return Ok(flows),
        Explained::Auto if took >= SHORT => {
            notes.push(format!(
                "Where the time of the slowest flows went is not shown: the run took {took:.0} s and would be repeated for \
                 it; `ultraloom report --explain always` does that."
            ));
            return Ok(flows);
        }
        Explained::Auto | Explained::Always => {}
    }
    match explain::slowest(stored, most) {
        Ok(found) => found.iter().flatten().for_each(|explanation| add(&mut flows, explanation)),
        // The rest of the page does not need it.
        Err(error) => notes.push(format!(
            "Where the time of the slowest flows went is not shown: {}.",
            error.message
        )),
    }
    Ok(flows)
}

/// Tells the flow that is explained.
fn add(flows: &mut [SlowFlow], explanation: &Explanation) {
    let run = run_name(&explanation.variant, &explanation.workload);
    let number = u64::from(explanation.message);
    if let Some(flow) = flows.iter_mut().find(|flow| flow.run == run && flow.message == number) {
        let causes = explanation.causes().into_iter();
        flow.causes = causes.map(|(cause, time)| (cause.name(), time.as_micros())).collect();
        flow.explanation = explanation.text();
    }
}

fn run_name(variant: &str, workload: &str) -> String {
    format!("{variant}, {workload}")
}

/// The slowest flows of each workload of each variant; what did not finish first.
fn slowest(flows: &Frame, most: usize) -> Result<Vec<SlowFlow>, UserError> {
    let text = |name| in_table("flows", flows.text(name));
    let whole = |name| in_table("flows", flows.whole(name));
    let some = |name| in_table("flows", flows.numbers(name));
    let (variants, workloads) = (text("variant")?, text("workload")?);
    let (messages, src, dst, bytes) =
        (whole("message")?, whole("src")?, whole("dst")?, whole("bytes")?);
    let (times, ideals) = (some("fct_ps")?, some("ideal_ps")?);
    let mut rows: Vec<usize> = (0..flows.rows()).collect();
    let time = |row: &usize| times[*row].unwrap_or(f64::INFINITY);
    rows.sort_by(|a, b| {
        let of = |row: &usize| (variants[*row], workloads[*row]);
        of(a).cmp(&of(b)).then(time(b).total_cmp(&time(a))).then(messages[*a].cmp(&messages[*b]))
    });
    let groups =
        rows.chunk_by(|a, b| (variants[*a], workloads[*a]) == (variants[*b], workloads[*b]));
    let flow = |row: &usize| SlowFlow {
        run: run_name(variants[*row], workloads[*row]),
        message: messages[*row],
        src: src[*row],
        dst: dst[*row],
        bytes: bytes[*row],
        fct_us: times[*row].map(|time| time / 1e6),
        slowdown: times[*row].zip(ideals[*row]).map(|(time, ideal)| time / ideal.max(1.0)),
        ..SlowFlow::default()
    };
    Ok(groups.flat_map(|group| group.iter().take(most).map(flow)).collect())
}
