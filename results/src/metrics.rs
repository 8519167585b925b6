//! The figures of a workload that tables of sweeps and comparisons have, with their names, units, and which way is better.

use crate::summary::Figures;

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// The less the better.
    Lower,
    /// The more the better.
    Higher,
    /// It only says how.
    Neither,
}

/// A figure.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The column.
    pub name: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Which way it is better.
    pub better: Better,
    value: fn(&Figures) -> Option<f64>,
}

impl Metric {
    /// Its value, if there is one.
    pub fn of(&self, figures: &Figures) -> Option<f64> {
        (self.value)(figures)
    }
}

const fn metric(
    name: &'static str,
    unit: &'static str,
    better: Better,
    meaning: &'static str,
    value: fn(&Figures) -> Option<f64>,
) -> Metric {
    Metric { name, unit, meaning, better, value }
}

use Better::{Higher, Lower, Neither};

/// The figures, in order of columns.
pub const METRICS: [Metric; 21] = [
    metric("completed", "", Higher, "flows that were completed", |f| Some(f.completed as f64)),
    metric("unfinished", "", Lower, "flows that were not completed", |f| {
        Some((f.flows - f.completed) as f64)
    }),
    metric("fct_mean_us", "us", Lower, "mean completion time", |f| Some(f.fct_us.mean)),
    metric("fct_p50_us", "us", Lower, "median completion time", |f| Some(f.fct_us.p50)),
    metric("fct_p99_us", "us", Lower, "99th percentile of completion times", |f| {
        Some(f.fct_us.p99)
    }),
    metric("fct_max_us", "us", Lower, "longest completion time", |f| Some(f.fct_us.max)),
    metric("slowdown_mean", "", Lower, "mean slowdown", |f| Some(f.slowdown.mean)),
    metric("slowdown_p50", "", Lower, "median slowdown", |f| Some(f.slowdown.p50)),
    metric("slowdown_p99", "", Lower, "99th percentile of slowdowns", |f| Some(f.slowdown.p99)),
    metric("fairness", "", Higher, "Jain's index of the rates of flows", |f| Some(f.fairness)),
    metric("makespan_us", "us", Lower, "time from zero to the last completion", |f| {
        Some(f.makespan_us)
    }),
    metric("goodput_gbps", "Gb/s", Higher, "payload completed over that time", |f| {
        Some(f.goodput_gbps)
    }),
    metric("collective_us", "us", Lower, "time of the collective", |f| {
        f.collective.as_ref().map(|c| c.time_us)
    }),
    metric(
        "algorithm_bandwidth_gbps",
        "Gb/s",
        Higher,
        "algorithm bandwidth of the collective",
        |f| f.collective.as_ref().map(|c| c.algorithm_bandwidth_gbps),
    ),
    metric("bus_bandwidth_gbps", "Gb/s", Higher, "bus bandwidth of the collective", |f| {
        f.collective.as_ref().map(|c| c.bus_bandwidth_gbps)
    }),
    metric("program_us", "us", Lower, "time of programs that compute", |f| {
        f.program.as_ref().map(|p| p.time_us)
    }),
    metric("retransmitted", "", Neither, "data packets sent again", |f| {
        Some(f.packets.retransmitted as f64)
    }),
    metric("trimmed", "", Neither, "packets trimmed", |f| Some(f.packets.trimmed as f64)),
    metric("dropped", "", Neither, "packets lost", |f| Some(f.packets.dropped as f64)),
    metric("ecn_marked", "", Neither, "packets marked", |f| Some(f.packets.ecn_marked as f64)),
    metric("pauses", "", Neither, "PFC pauses", |f| Some(f.packets.pauses as f64)),
];
