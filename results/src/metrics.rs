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

/// Figures of several variants as a Markdown table, each after the first with how many times better it is than that: of what is better
/// lower the first over its own, of what is better higher its own over the first.
pub fn speed_ups(title: &str, variants: &[(&str, &Figures)]) -> String {
    let mut text = format!("### {title}\n\n| figure |");
    let names = variants.iter().map(|(name, _)| *name);
    text.extend(names.map(|name| format!(" {name} |")));
    text += "\n|---|";
    text.extend(variants.iter().map(|_| "--:|"));
    text.push('\n');
    for metric in METRICS.iter().filter(|metric| metric.better != Neither) {
        let values: Vec<Option<f64>> =
            variants.iter().map(|(_, figures)| metric.of(figures)).collect();
        if values.iter().flatten().all(|value| *value == 0.0) {
            continue;
        }
        let unit = if metric.unit.is_empty() { "" } else { ", " };
        text += &format!("| {}{unit}{} |", metric.meaning, metric.unit);
        for (place, value) in values.iter().enumerate() {
            let first = values[0].filter(|first| place > 0 && *first > 0.0);
            let gain = value.filter(|value| *value > 0.0).zip(first).map(|(own, first)| {
                let gain = if metric.better == Lower { first / own } else { own / first };
                format!(" ({gain:.2}×)")
            });
            let number = value.map_or("–".to_owned(), |value| format!("{value:.2}"));
            text += &format!(" {number}{} |", gain.unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Context;

    /// Half the time and twice the rate are both twice as good.
    #[test]
    fn gains_are_towards_better() {
        let figures = |micros| {
            let record = crate::summary::tests::record(&[Some(micros)]);
            let context = Context { messages: 1, ..Context::default() };
            Figures { goodput_gbps: 100.0 / micros as f64, ..Figures::of(&record, &context) }
        };
        let text = speed_ups("ring", &[("roce", &figures(20)), ("uec", &figures(10))]);
        assert!(text.starts_with("### ring\n\n| figure | roce | uec |\n"), "{text}");
        assert!(text.contains("| mean completion time, us | 20.00 | 10.00 (2.00×) |"), "{text}");
        assert!(
            text.contains("| payload completed over that time, Gb/s | 5.00 | 10.00 (2.00×) |"),
            "{text}"
        );
        assert!(!text.contains("packets"), "{text}");
    }
}
