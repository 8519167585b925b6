//! `ultraloom timeline`: the records of a run as a timeline for Perfetto.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use results::records::read::Frame;
use results::timeline::{self, Bounds, Fault, Message, Process, Sample, Step};

use crate::args::Timeline;
use crate::error::UserError;
use crate::say::say_line;
use crate::stored::{Stored, in_table};

/// Writes the timeline of a run.
///
/// # Errors
/// When the run cannot be read, or the file not written.
pub fn timeline(arguments: &Timeline) -> Result<ExitCode, UserError> {
    let stored = Stored::open(&arguments.run)?;
    let mut processes = processes(&stored, arguments)?;
    add_messages(&mut processes, &stored)?;
    add_steps(&mut processes, &stored)?;
    add_samples(&mut processes, &stored)?;
    add_faults(&mut processes, &stored)?;
    let bounds = Bounds {
        messages: usize::try_from(arguments.messages).unwrap_or(usize::MAX),
        ports: usize::try_from(arguments.ports).unwrap_or(usize::MAX),
    };
    let processes: Vec<Process> = processes.into_iter().map(|(.., process)| process).collect();
    if arguments.out.as_deref() == Some(Path::new("-")) {
        let mut out = BufWriter::new(std::io::stdout().lock());
        // A reader who has seen enough may leave.
        let _ = timeline::write(&mut out, &processes, bounds).and_then(|()| out.flush());
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.out.clone().unwrap_or_else(|| stored.folder.join("timeline.json"));
    let failed = |error| UserError::new(format!("cannot write {}: {error}", path.display()));
    let mut out = BufWriter::new(File::create(&path).map_err(failed)?);
    timeline::write(&mut out, &processes, bounds).and_then(|()| out.flush()).map_err(failed)?;
    say_line(&format!("{}: open it in ui.perfetto.dev or chrome://tracing", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// A workload of a variant, and its timeline.
type Own = (String, String, Process);

/// The workloads asked for, in the run's order, without what happens in them.
fn processes(stored: &Stored, arguments: &Timeline) -> Result<Vec<Own>, UserError> {
    let chosen = stored.chosen(arguments.variant.as_deref(), arguments.workload.as_deref())?;
    let own = |(variant, workload): (&str, &str)| {
        let name = format!("{variant}, {workload}");
        (variant.to_owned(), workload.to_owned(), Process { name, ..Process::default() })
    };
    Ok(chosen.into_iter().map(own).collect())
}

/// For each row the process that it belongs to, if it is wanted.
fn places(processes: &[Own], name: &str, table: &Frame) -> Result<Vec<Option<usize>>, UserError> {
    let variants = in_table(name, table.text("variant"))?;
    let workloads = in_table(name, table.text("workload"))?;
    let place = |(variant, workload): (&str, &str)| {
        processes.iter().position(|(v, w, _)| v == variant && w == workload)
    };
    Ok(variants.into_iter().zip(workloads).map(place).collect())
}

fn add_messages(processes: &mut [Own], stored: &Stored) -> Result<(), UserError> {
    let table = stored.table("flows")?;
    let whole = |name| in_table("flows", table.whole(name));
    let some = |name| in_table("flows", table.numbers(name));
    let places = places(processes, "flows", &table)?;
    let [numbers, src, dst, bytes, posted] =
        ["message", "src", "dst", "bytes", "posted_ps"].map(whole);
    let (numbers, src, dst, bytes, posted) = (numbers?, src?, dst?, bytes?, posted?);
    let (received, acked) = (some("received_ps")?, some("acked_ps")?);
    for (row, place) in places.into_iter().enumerate() {
        let Some(place) = place else { continue };
        processes[place].2.messages.push(Message {
            number: numbers[row],
            src: src[row],
            dst: dst[row],
            bytes: bytes[row],
            posted: posted[row],
            received: received[row].map(|at| at as u64),
            acked: acked[row].map(|at| at as u64),
        });
    }
    Ok(())
}

fn add_steps(processes: &mut [Own], stored: &Stored) -> Result<(), UserError> {
    let table = stored.table("steps")?;
    let whole = |name| in_table("steps", table.whole(name));
    let places = places(processes, "steps", &table)?;
    let names = in_table("steps", table.text("step"))?;
    let (hosts, start, end) = (whole("host")?, whole("start_ps")?, whole("end_ps")?);
    for (row, place) in places.into_iter().enumerate() {
        let Some(place) = place else { continue };
        processes[place].2.steps.push(Step {
            name: names[row].to_owned(),
            host: hosts[row],
            start: start[row],
            end: end[row],
        });
    }
    Ok(())
}

fn add_samples(processes: &mut [Own], stored: &Stored) -> Result<(), UserError> {
    let name = "port_samples";
    let table = stored.table(name)?;
    let whole = |column| in_table(name, table.whole(column));
    let places = places(processes, name, &table)?;
    let (nodes, peers) = (in_table(name, table.text("node"))?, in_table(name, table.text("peer"))?);
    let (at, interval, queue, port) =
        (whole("at_ps")?, whole("interval_ps")?, whole("queue_bytes_max")?, whole("port")?);
    let utilisation = in_table(name, table.numbers("utilisation"))?;
    for (row, place) in places.into_iter().enumerate() {
        let Some(place) = place else { continue };
        processes[place].2.samples.push(Sample {
            port: format!("{}[{}] > {}", nodes[row], port[row], peers[row]),
            at: at[row],
            interval: interval[row],
            queue: queue[row],
            utilisation: utilisation[row].unwrap_or(0.0),
        });
    }
    Ok(())
}

fn add_faults(processes: &mut [Own], stored: &Stored) -> Result<(), UserError> {
    let table = stored.table("faults")?;
    let text = |name| in_table("faults", table.text(name));
    let (variants, places, changes) = (text("variant")?, text("place")?, text("change")?);
    let at = in_table("faults", table.whole("at_ps"))?;
    for (variant, _, process) in processes.iter_mut() {
        for row in (0..at.len()).filter(|row| variants[*row] == variant) {
            let text = format!("{}: {}", places[row], changes[row]);
            process.faults.push(Fault { at: at[row], text });
        }
    }
    Ok(())
}
