//! Figures of a run. Field names are the JSON names: they may grow, never change.

use fabric::probe::{EndpointCounters, PortCounters, RunRecord};
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

pub use crate::jobs::{JobFigures, JobShape};
pub use crate::programs::ProgramFigures;

use crate::claims::Verdict;
use crate::distribution::{Percentiles, completion_times, fairness, slowdowns};

/// A whole run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunSummary {
    /// The scenario's name.
    pub name: String,
    /// Seed of all random streams.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// One a variant, in the scenario's order.
    pub variants: Vec<VariantSummary>,
    /// Whether the scenario's claims hold.
    #[serde(default)]
    pub claims: Vec<Verdict>,
}

/// A variant: its figures over all of its workloads, and those of each.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VariantSummary {
    /// The variant's name.
    pub name: String,
    /// How many times faster than the emulation's the clock of its transport runs: more than 1 for
    /// TCP, whose stack is made for the Internet's round trips.
    #[serde(default = "undilated")]
    pub clock_dilation: u32,
    /// Over all workloads: counts added up, completion times together, the first collective.
    #[serde(flatten)]
    pub figures: Figures,
    /// Each workload's own.
    pub workloads: Vec<WorkloadSummary>,
}

fn undilated() -> u32 {
    1
}

/// A workload of a variant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WorkloadSummary {
    /// The workload's name.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// What is known of one or several runs of the engine.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Messages of the workload.
    pub flows: u64,
    /// Messages acknowledged to the last byte.
    pub completed: u64,
    /// Completion times, each from its own start, in microseconds.
    pub fct_us: Percentiles,
    /// Completion times over those of an empty fabric without headers.
    #[serde(default)]
    pub slowdown: Percentiles,
    /// Jain's index of the rates of messages.
    #[serde(default)]
    pub fairness: f64,
    /// From zero to the last completion, in microseconds.
    pub makespan_us: f64,
    /// Payload of all messages that were completed, over that time, in Gb/s.
    #[serde(default)]
    pub goodput_gbps: f64,
    /// Ports that held each other back in a circle at the end, each as `node > peer`.
    #[serde(default)]
    pub deadlock: Vec<String>,
    /// Packets.
    pub packets: Packets,
    /// The collective, if the workload is one and finished.
    pub collective: Option<CollectiveFigures>,
    /// How programs spent their time, if they know and finished.
    #[serde(default)]
    pub program: Option<ProgramFigures>,
    /// The jobs of which the workload consists, if it does.
    #[serde(default)]
    pub jobs: Vec<JobFigures>,
    /// The engine's work.
    pub engine: EngineFigures,
    /// 128-bit witness of all deliveries and drops, in hexadecimal.
    pub digest: String,
}

/// Packet counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Packets {
    /// Data packets sent for the first time.
    pub new: u64,
    /// Data packets sent again.
    pub retransmitted: u64,
    /// Packets trimmed by switches.
    pub trimmed: u64,
    /// Packets lost, all causes.
    pub dropped: u64,
    /// Acknowledgements sent.
    pub acks: u64,
    /// Negative acknowledgements sent.
    pub nacks: u64,
    /// Credits sent.
    pub credits: u64,
    /// Packets marked by switches.
    pub ecn_marked: u64,
    /// PFC pauses sent by switches.
    pub pauses: u64,
    /// Congestion notifications sent, or marks echoed in acknowledgements.
    pub cnps: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Data packets that arrived a second time.
    pub duplicates: u64,
    /// Queues that a PFC watchdog found paused for too long.
    #[serde(default)]
    pub watchdog_storms: u64,
}

/// A collective's time and bandwidths, as nccl-tests defines them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CollectiveFigures {
    /// Which collective.
    pub kind: String,
    /// Ranks.
    pub ranks: u32,
    /// Buffer of each rank, in bytes.
    pub bytes: u64,
    /// From zero to the last byte received by any rank, in microseconds.
    pub time_us: f64,
    /// Buffer over time, in Gb/s.
    pub algorithm_bandwidth_gbps: f64,
    /// Algorithm bandwidth times the collective's bus factor, in Gb/s.
    pub bus_bandwidth_gbps: f64,
}

/// The engine's work.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct EngineFigures {
    /// Packets sent by ports.
    pub hops: u64,
    /// Events handled.
    pub events: u64,
    /// Windows run.
    pub windows: u64,
    /// Most packets in the fabric at once.
    pub packets_in_flight_max: u64,
    /// Memory that was forecast, in bytes.
    #[serde(default)]
    pub forecast_rss_bytes: u64,
    /// Time of running, without building, in seconds.
    pub wall_s: f64,
    /// Packet-hops a second of it.
    pub hops_per_s: f64,
    /// Most memory of the process so far, of all processes added up.
    pub peak_rss_bytes: u64,
    /// Threads of each process.
    pub threads: u64,
    /// Shards.
    pub shards: u64,
    /// Processes.
    #[serde(default = "one")]
    pub ranks: u64,
}

fn one() -> u64 {
    1
}

/// What a collective was asked to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CollectiveShape {
    /// Which.
    pub kind: String,
    /// Ranks.
    pub ranks: u32,
    /// Buffer of each rank, in bytes.
    pub bytes: u64,
    /// From algorithm to bus bandwidth.
    pub bus_factor: f64,
}

/// What the engine does not know of its own run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// Messages that the workload has.
    pub messages: u64,
    /// The ideal completion time of each message that was posted.
    pub ideals: Vec<Span>,
    /// Ports that held each other back in a circle, each as `node > peer`.
    pub deadlock: Vec<String>,
    /// The collective, if it is one.
    pub collective: Option<CollectiveShape>,
    /// What the labels in programs' reports stand for.
    pub labels: Vec<String>,
    /// Time that useful operations would take each rank at its best.
    #[serde(default)]
    pub ideal_compute: Option<Span>,
    /// The jobs of which the workload consists.
    #[serde(default)]
    pub jobs: Vec<JobShape>,
    /// Seconds of running.
    pub wall_s: f64,
    /// Most memory of the process so far, of all processes added up.
    pub peak_rss_bytes: u64,
    /// Memory that was forecast.
    pub forecast_rss_bytes: u64,
    /// Threads of each process.
    pub threads: u64,
    /// Shards.
    pub shards: u64,
    /// Processes.
    pub ranks: u64,
}

impl Figures {
    /// The figures of one run.
    pub fn of(record: &RunRecord, context: &Context) -> Figures {
        let times = completion_times(&record.messages);
        let completed = times.len() as u64;
        let done = record.messages.iter().map(|message| message.acked);
        let makespan = done.filter(|time| *time != Time::NEVER).max().unwrap_or_default();
        let makespan =
            record.reports.iter().map(|(_, report)| report.end).fold(makespan, Time::max);
        let finished = completed == context.messages;
        let shape = context.collective.as_ref().filter(|_| finished);
        let done = record.messages.iter().filter(|message| message.acked != Time::NEVER);
        let payload: u64 = done.map(|message| message.bytes).sum();
        Figures {
            flows: context.messages,
            completed,
            fct_us: Percentiles::of(&times),
            slowdown: Percentiles::of_numbers(&slowdowns(&record.messages, &context.ideals)),
            fairness: fairness(&record.messages),
            makespan_us: makespan.as_micros(),
            // Bits a nanosecond are gigabits a second.
            goodput_gbps: payload as f64 * 8.0 / (makespan.0.max(1) as f64 / 1e3),
            deadlock: context.deadlock.clone(),
            packets: packets(record),
            collective: shape.map(|shape| collective(record, shape)),
            program: Some(record)
                .filter(|_| finished)
                .and_then(|record| ProgramFigures::of(&record.reports, &context.labels))
                .map(|program| program.with_ideal(context.ideal_compute)),
            jobs: context.jobs.iter().map(|job| JobFigures::of(job, record, context)).collect(),
            engine: engine(record, context),
            digest: format!("{:032x}", record.digest),
        }
    }

    /// The figures of several runs together; `times` are the completion times of all, sorted, and
    /// `slowdowns` likewise.
    pub fn together(parts: &[&Figures], times: &[Span], slowdowns: &[f64]) -> Figures {
        let mut packets = Packets::default();
        let mut engine = EngineFigures::default();
        let mut digest = 0u128;
        for part in parts {
            packets.add(&part.packets);
            engine.add(&part.engine);
            let own = u128::from_str_radix(&part.digest, 16).unwrap_or(0);
            digest = digest.rotate_left(1).wrapping_add(own);
        }
        Figures {
            flows: parts.iter().map(|part| part.flows).sum(),
            completed: parts.iter().map(|part| part.completed).sum(),
            fct_us: Percentiles::of(times),
            slowdown: Percentiles::of_numbers(slowdowns),
            fairness: parts.iter().map(|part| part.fairness).sum::<f64>()
                / parts.len().max(1) as f64,
            makespan_us: parts.iter().map(|part| part.makespan_us).sum(),
            goodput_gbps: together_goodput(parts),
            deadlock: parts.iter().flat_map(|part| part.deadlock.iter().cloned()).collect(),
            packets,
            collective: parts.iter().find_map(|part| part.collective.clone()),
            program: parts.iter().find_map(|part| part.program.clone()),
            jobs: parts.iter().flat_map(|part| part.jobs.iter().cloned()).collect(),
            engine,
            digest: format!("{digest:032x}"),
        }
    }
}

/// The mean of rates, weighted by the time of each.
fn together_goodput(parts: &[&Figures]) -> f64 {
    let time: f64 = parts.iter().map(|part| part.makespan_us).sum();
    parts.iter().map(|part| part.goodput_gbps * part.makespan_us).sum::<f64>() / time.max(1e-6)
}

fn packets(record: &RunRecord) -> Packets {
    let mut sent = EndpointCounters::default();
    record.endpoints.iter().for_each(|counters| sent.merge(counters));
    let mut ports = PortCounters::default();
    record.ports.iter().for_each(|port| ports.merge(&port.counters));
    Packets {
        new: sent.new,
        retransmitted: sent.retransmitted,
        trimmed: ports.trimmed,
        dropped: ports.dropped(),
        acks: sent.acks,
        nacks: sent.nacks,
        credits: sent.credits,
        ecn_marked: ports.ecn_marked,
        pauses: ports.pauses_sent,
        cnps: sent.cnps,
        timeouts: sent.timeouts,
        duplicates: sent.duplicates,
        watchdog_storms: ports.watchdog_storms,
    }
}

fn collective(record: &RunRecord, shape: &CollectiveShape) -> CollectiveFigures {
    let last = record.messages.iter().map(|message| message.received).max().unwrap_or_default();
    // Programs may still add up what the last messages brought.
    let last = record.reports.iter().map(|(_, report)| report.end).fold(last, Time::max);
    // Bits a nanosecond are gigabits a second.
    let algorithm = shape.bytes as f64 * 8.0 / (last.0.max(1) as f64 / 1e3);
    CollectiveFigures {
        kind: shape.kind.clone(),
        ranks: shape.ranks,
        bytes: shape.bytes,
        time_us: last.as_micros(),
        algorithm_bandwidth_gbps: algorithm,
        bus_bandwidth_gbps: algorithm * shape.bus_factor,
    }
}

fn engine(record: &RunRecord, context: &Context) -> EngineFigures {
    let work = record.work;
    EngineFigures {
        hops: work.hops,
        events: work.events,
        windows: work.windows,
        packets_in_flight_max: work.packets_in_flight_max,
        wall_s: context.wall_s,
        hops_per_s: work.hops as f64 / context.wall_s.max(1e-9),
        peak_rss_bytes: context.peak_rss_bytes,
        forecast_rss_bytes: context.forecast_rss_bytes,
        threads: context.threads,
        shards: context.shards,
        ranks: context.ranks,
    }
}

impl Packets {
    fn add(&mut self, other: &Packets) {
        self.new += other.new;
        self.retransmitted += other.retransmitted;
        self.trimmed += other.trimmed;
        self.dropped += other.dropped;
        self.acks += other.acks;
        self.nacks += other.nacks;
        self.credits += other.credits;
        self.ecn_marked += other.ecn_marked;
        self.pauses += other.pauses;
        self.cnps += other.cnps;
        self.timeouts += other.timeouts;
        self.duplicates += other.duplicates;
        self.watchdog_storms += other.watchdog_storms;
    }
}

impl EngineFigures {
    fn add(&mut self, other: &EngineFigures) {
        self.hops += other.hops;
        self.events += other.events;
        self.windows += other.windows;
        self.packets_in_flight_max = self.packets_in_flight_max.max(other.packets_in_flight_max);
        self.wall_s += other.wall_s;
        self.hops_per_s = self.hops as f64 / self.wall_s.max(1e-9);
        self.peak_rss_bytes = self.peak_rss_bytes.max(other.peak_rss_bytes);
        self.forecast_rss_bytes = self.forecast_rss_bytes.max(other.forecast_rss_bytes);
        self.threads = other.threads;
        self.shards = other.shards;
        self.ranks = other.ranks;
    }
}

impl RunSummary {
    /// The summary as JSON.
    ///
    /// # Panics
    /// Never: every field can be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a summary can be written")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fabric::capture::CaptureRecord;
    use fabric::ids::{HostId, MessageId};
    use fabric::probe::{MessageRecord, Work};

    /// A record of messages with the given completion times in microseconds; `None`: not finished.
    pub(crate) fn record(times: &[Option<u64>]) -> RunRecord {
        let message = |(number, time): (usize, &Option<u64>)| {
            let end = time.map_or(Time::NEVER, |time| Time(1_000_000 * (time + 5)));
            MessageRecord {
                id: MessageId(number as u32),
                src: HostId(0),
                dst: HostId(1),
                bytes: 1_000,
                posted: Time(5_000_000),
                received: end,
                acked: end,
                failed: Time::NEVER,
            }
        };
        RunRecord {
            messages: times.iter().enumerate().map(message).collect(),
            unposted: 0,
            reports: Vec::new(),
            ports: Vec::new(),
            endpoints: vec![EndpointCounters { new: 7, ..EndpointCounters::default() }],
            work: Work { hops: 100, ..Work::default() },
            end: Time(9),
            digest: 0xabc,
            capture: CaptureRecord::default(),
            series: None,
            stopped: false,
            deadlock: Vec::new(),
        }
    }

    fn context(messages: u64) -> Context {
        let collective = CollectiveShape {
            kind: "all-reduce".into(),
            ranks: 8,
            bytes: 1_000_000,
            bus_factor: 1.75,
        };
        Context { messages, collective: Some(collective), wall_s: 0.5, ..Context::default() }
    }

    /// A megabyte in 20 us is 400 Gb/s, and the bus factor applies.
    #[test]
    fn bandwidths_are_bits_a_nanosecond() {
        let figures = Figures::of(&record(&[Some(5), Some(15)]), &context(2));
        let collective = figures.collective.unwrap();
        assert_eq!(collective.time_us, 20.0);
        assert!((collective.algorithm_bandwidth_gbps - 400.0).abs() < 1e-9);
        assert!((collective.bus_bandwidth_gbps - 700.0).abs() < 1e-9);
        assert_eq!((figures.fct_us.min, figures.makespan_us), (5.0, 20.0));
        assert_eq!(figures.engine.hops_per_s, 200.0);
    }

    /// A run that did not finish has no collective time, and counts what was completed.
    #[test]
    fn an_unfinished_run_claims_no_bandwidth() {
        let figures = Figures::of(&record(&[Some(5), None]), &context(2));
        assert_eq!((figures.flows, figures.completed), (2, 1));
        assert_eq!(figures.collective, None);
    }

    /// The JSON has the names that scripts rely on, no NaN, and is read back unchanged.
    #[test]
    fn json_names_are_stable() {
        let figures = Figures::of(&record(&[]), &Context { messages: 0, ..Context::default() });
        let workload = WorkloadSummary { name: "all-reduce".into(), figures: figures.clone() };
        let variant = VariantSummary {
            name: "uec".into(),
            clock_dilation: 1,
            figures,
            workloads: vec![workload],
        };
        let summary = RunSummary {
            name: "n".into(),
            seed: 1,
            version: "0".into(),
            variants: vec![variant],
            claims: Vec::new(),
        };
        let json = summary.to_json();
        assert_eq!(serde_json::from_str::<RunSummary>(&json).unwrap(), summary);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let variant = value["variants"][0].as_object().unwrap();
        let names: Vec<&str> = variant.keys().map(String::as_str).collect();
        for name in [
            "name",
            "flows",
            "completed",
            "fct_us",
            "slowdown",
            "fairness",
            "makespan_us",
            "packets",
            "collective",
            "engine",
            "digest",
            "workloads",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        for name in
            ["hops", "events", "wall_s", "hops_per_s", "peak_rss_bytes", "threads", "shards"]
        {
            assert!(variant["engine"].get(name).is_some(), "{name}");
        }
        for name in [
            "new",
            "retransmitted",
            "trimmed",
            "dropped",
            "acks",
            "nacks",
            "credits",
            "ecn_marked",
            "pauses",
        ] {
            assert!(variant["packets"].get(name).is_some(), "{name}");
        }
        assert!(!json.contains("NaN") && variant["collective"].is_null());
    }

    /// Workloads of a variant add up.
    #[test]
    fn figures_add_up() {
        let one = Figures::of(&record(&[Some(5)]), &context(1));
        let two = Figures::of(&record(&[Some(7), Some(9)]), &context(2));
        let times = [5, 7, 9].map(Span::from_micros);
        let both = Figures::together(&[&one, &two], &times, &[]);
        assert_eq!((both.flows, both.packets.new, both.engine.hops), (3, 14, 200));
        assert_eq!((both.fct_us.p50, both.makespan_us), (7.0, 10.0 + 14.0));
    }
}
