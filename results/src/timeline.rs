//! A run as a timeline, in the trace event format that Perfetto and Chrome open.
//!
//! Each workload of each variant is a process, from its own time zero. A thread a rank shows its steps, another its messages on their
//! way (asynchronous, with an arrow to the receiver), counters the queues of the busiest ports; faults are instants.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

/// A message.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Message {
    /// Its number.
    pub number: u64,
    /// Sending host.
    pub src: u64,
    /// Receiving host.
    pub dst: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// When it was posted, in picoseconds.
    pub posted: u64,
    /// When its last byte arrived, if it did.
    pub received: Option<u64>,
    /// When its sender had the last acknowledgement, if it had.
    pub acked: Option<u64>,
}

/// A named stretch of a rank.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Host of the rank.
    pub host: u64,
    /// From, in picoseconds.
    pub start: u64,
    /// To.
    pub end: u64,
}

/// The queue of a port at an instant.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// `node > peer`, with the port's number.
    pub port: String,
    /// When, in picoseconds.
    pub at: u64,
    /// Length of the interval before.
    pub interval: u64,
    /// Longest queue in it.
    pub queue: u64,
    /// Share of the link's rate.
    pub utilisation: f64,
}

/// Something that happens to the fabric.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// When, in picoseconds.
    pub at: u64,
    /// What and where.
    pub text: String,
}

/// One workload of one variant.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Process {
    /// What it is called.
    pub name: String,
    /// Messages.
    pub messages: Vec<Message>,
    /// Steps.
    pub steps: Vec<Step>,
    /// Queues.
    pub samples: Vec<Sample>,
    /// Faults.
    pub faults: Vec<Fault>,
}

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Messages of a process, the slowest.
    pub messages: usize,
    /// Ports of a process, those with the longest queues.
    pub ports: usize,
}

/// Picoseconds as the microseconds that the format counts in.
fn micros(picoseconds: u64) -> f64 {
    picoseconds as f64 / 1e6
}

/// Threads of a process: of steps, and of messages.
fn thread(host: u64, messages: bool) -> u64 {
    2 * host + 1 + u64::from(messages)
}

/// Writes the timeline.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: &mut impl Write, processes: &[Process], bounds: Bounds) -> io::Result<()> {
    write!(out, "{{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    let mut first = true;
    let mut event = |value: Value| {
        let comma = if std::mem::take(&mut first) { "" } else { "," };
        write!(out, "{comma}\n{value}")
    };
    for (number, process) in processes.iter().enumerate() {
        let pid = number as u64 + 1;
        event(
            json!({ "ph": "M", "pid": pid, "name": "process_name", "args": { "name": process.name } }),
        )?;
        let messages = slowest(&process.messages, bounds.messages);
        let mut threads: BTreeMap<u64, String> = BTreeMap::new();
        for message in &messages {
            threads.insert(thread(message.src, true), format!("host {} messages", message.src));
            threads.insert(thread(message.dst, true), format!("host {} messages", message.dst));
        }
        for step in &process.steps {
            threads.insert(thread(step.host, false), format!("host {}", step.host));
        }
        for (tid, name) in &threads {
            event(
                json!({ "ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": { "name": name } }),
            )?;
            event(
                json!({ "ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": { "sort_index": tid } }),
            )?;
        }
        for step in &process.steps {
            let duration = micros(step.end) - micros(step.start);
            event(json!({
                "ph": "X", "cat": "step", "pid": pid, "tid": thread(step.host, false), "name": step.name,
                "ts": micros(step.start), "dur": duration,
            }))?;
        }
        for message in &messages {
            one_message(pid, message).into_iter().try_for_each(&mut event)?;
        }
        for sample in longest(&process.samples, bounds.ports) {
            one_sample(pid, &sample).into_iter().try_for_each(&mut event)?;
        }
        for fault in &process.faults {
            event(
                json!({ "ph": "i", "s": "p", "cat": "fault", "pid": pid, "tid": 0, "name": fault.text, "ts": micros(fault.at) }),
            )?;
        }
    }
    writeln!(out, "\n]}}")
}

/// The slowest messages, in order of posting.
fn slowest(messages: &[Message], most: usize) -> Vec<Message> {
    let mut chosen = messages.to_vec();
    let time = |m: &Message| Reverse(m.acked.unwrap_or(u64::MAX).saturating_sub(m.posted));
    chosen.sort_by_key(time);
    chosen.truncate(most);
    chosen.sort_by_key(|message| (message.posted, message.number));
    chosen
}

/// A message on its way: from its posting to its last acknowledgement, with an arrow to its receiver.
fn one_message(pid: u64, message: &Message) -> Vec<Value> {
    let Message { number, src, dst, bytes, posted, received, acked } = *message;
    let name = format!("{number} to host {dst}");
    let id = format!("{pid}.{number}");
    let tid = thread(src, true);
    let end = acked.or(received).unwrap_or(posted);
    let mut events = vec![
        json!({
            "ph": "b", "cat": "message", "id": id, "pid": pid, "tid": tid, "name": name, "ts": micros(posted),
            "args": { "bytes": bytes, "src": src, "dst": dst, "finished": acked.is_some() },
        }),
        json!({ "ph": "e", "cat": "message", "id": id, "pid": pid, "tid": tid, "name": name, "ts": micros(end) }),
    ];
    if let Some(received) = received {
        // Arrows begin and end in slices: short ones at both ends.
        let tick = 1e-3;
        for (tid, at, what) in [(tid, posted, "post"), (thread(dst, true), received, "received")] {
            events.push(json!({
                "ph": "X", "cat": "message", "pid": pid, "tid": tid, "name": format!("{what} {number}"),
                "ts": micros(at), "dur": tick, "args": { "bytes": bytes },
            }));
        }
        events.push(json!({ "ph": "s", "cat": "arrow", "id": id, "pid": pid, "tid": tid, "name": "message", "ts": micros(posted) }));
        events.push(json!({
            "ph": "f", "bp": "e", "cat": "arrow", "id": id, "pid": pid, "tid": thread(dst, true), "name": "message",
            "ts": micros(received),
        }));
    }
    events
}

/// Samples of the ports with the longest queues.
fn longest(samples: &[Sample], most: usize) -> Vec<Sample> {
    let mut ports: BTreeMap<&str, u64> = BTreeMap::new();
    for sample in samples {
        let known = ports.entry(&sample.port).or_default();
        *known = sample.queue.max(*known);
    }
    let mut order: Vec<(&str, u64)> = ports.into_iter().collect();
    order.sort_by_key(|(port, queue)| (Reverse(*queue), *port));
    let chosen: Vec<&str> = order.iter().take(most).map(|(port, _)| *port).collect();
    samples.iter().filter(|sample| chosen.contains(&sample.port.as_str())).cloned().collect()
}

/// A counter shows the value from the beginning of the interval on.
fn one_sample(pid: u64, sample: &Sample) -> Vec<Value> {
    let ts = micros(sample.at.saturating_sub(sample.interval));
    let port = &sample.port;
    vec![
        json!({ "ph": "C", "pid": pid, "name": format!("queue {port}"), "ts": ts, "args": { "bytes": sample.queue } }),
        json!({
            "ph": "C", "pid": pid, "name": format!("load {port}"), "ts": ts,
            "args": { "percent": (sample.utilisation * 1e3).round() / 10.0 },
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, posted: u64, acked: Option<u64>) -> Message {
        Message { number, src: 0, dst: 3, bytes: 4_096, posted, received: acked, acked }
    }

    fn written(process: Process, bounds: Bounds) -> Vec<Value> {
        let mut out = Vec::new();
        write(&mut out, &[process], bounds).unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        value["traceEvents"].as_array().unwrap().clone()
    }

    /// Steps are slices, messages begin and end and point at their receiver, faults are instants; times are in microseconds.
    #[test]
    fn everything_has_its_event() {
        let process = Process {
            name: "uec, ring".into(),
            messages: vec![message(7, 1_000_000, Some(3_500_000))],
            steps: vec![Step { name: "iteration".into(), host: 3, start: 0, end: 9_000_000 }],
            samples: vec![Sample {
                port: "tor:0 > host:1".into(),
                at: 4_000_000,
                interval: 2_000_000,
                queue: 99,
                utilisation: 0.5,
            }],
            faults: vec![Fault { at: 5_000_000, text: "down tor:0 - agg:1".into() }],
        };
        let events = written(process, Bounds { messages: 10, ports: 10 });
        let of = |kind: &str| events.iter().filter(|event| event["ph"] == kind).collect::<Vec<_>>();
        let step = of("X").into_iter().find(|event| event["name"] == "iteration").unwrap();
        assert_eq!(
            (step["dur"].as_f64(), step["tid"].as_u64()),
            (Some(9.0), Some(thread(3, false)))
        );
        assert_eq!((of("b")[0]["ts"].as_f64(), of("e")[0]["ts"].as_f64()), (Some(1.0), Some(3.5)));
        assert_eq!((of("s").len(), of("f").len(), of("i").len(), of("C").len()), (1, 1, 1, 2));
        assert_eq!(of("C")[0]["ts"].as_f64(), Some(2.0), "from the beginning of the interval");
    }

    /// Of too many messages the slowest are shown, what never ended first.
    #[test]
    fn the_slowest_are_shown() {
        let times = [Some(10), None, Some(90), Some(20)];
        let messages = times.iter().enumerate().map(|(n, time)| message(n as u64, 0, *time));
        let process = Process { messages: messages.collect(), ..Process::default() };
        let events = written(process, Bounds { messages: 2, ports: 0 });
        let shown: Vec<&str> =
            events.iter().filter(|e| e["ph"] == "b").filter_map(|e| e["name"].as_str()).collect();
        assert_eq!(shown, ["1 to host 3", "2 to host 3"]);
    }
}
