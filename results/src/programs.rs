//! How programs spent their time: computing, waiting for communication, and what each kind of step took.

use fabric::ids::HostId;
use fabric::program::Report;
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::distribution::Percentiles;

/// Times of all ranks, in microseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProgramFigures {
    /// Ranks that had something to do.
    pub ranks: u64,
    /// From zero to the moment at which the last rank has done all.
    pub time_us: f64,
    /// Computing, the mean of all ranks.
    pub compute_us: f64,
    /// Waiting for communication without computing, the mean of all ranks.
    pub exposed_us: f64,
    /// Communicating behind computing, the mean of all ranks.
    pub hidden_us: f64,
    /// Neither, until the last rank has done all: the mean of all ranks.
    pub idle_us: f64,
    /// The share of the time that the model's own operations would take at the accelerators' peak (MFU); of training.
    #[serde(default)]
    pub model_flops_utilisation: Option<f64>,
    /// Steps by name, in the order of the workload.
    pub steps: Vec<StepFigures>,
}

/// What steps of one name took.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepFigures {
    /// The name.
    pub name: String,
    /// How often they were done, over all ranks.
    pub count: u64,
    /// How many of them a second, from zero to the end of the last one of any name.
    #[serde(default)]
    pub rate_per_s: f64,
    /// Mean time from entering to leaving, in microseconds.
    pub mean_us: f64,
    /// Median, in microseconds.
    #[serde(default)]
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    #[serde(default)]
    pub p99_us: f64,
    /// 99.9th percentile, in microseconds.
    #[serde(default)]
    pub p999_us: f64,
    /// Longest, in microseconds.
    pub max_us: f64,
}

impl ProgramFigures {
    /// With the time that useful operations would take each rank at its best.
    pub fn with_ideal(mut self, ideal: Option<Span>) -> ProgramFigures {
        let share = |ideal: Span| ideal.as_micros() / self.time_us.max(1e-6);
        self.model_flops_utilisation = ideal.map(share);
        self
    }

    /// Of all reports; `None` if there are none. `labels` are the names of steps.
    pub fn of(reports: &[(HostId, Report)], labels: &[String]) -> Option<ProgramFigures> {
        let end = reports.iter().map(|(_, report)| report.end).max()?;
        let ranks = reports.len() as f64;
        let mean = |value: fn(&Report) -> Span| {
            let sum: u128 = reports.iter().map(|(_, report)| u128::from(value(report).0)).sum();
            sum as f64 / 1e6 / ranks
        };
        let [compute, exposed] = [mean(|report| report.compute), mean(|report| report.exposed)];
        let time = end.since(Time::ZERO).as_micros();
        let step = |(number, name): (usize, &String)| {
            let marks = reports.iter().flat_map(|(_, report)| &report.marks);
            let own = marks.filter(|mark| mark.label as usize == number);
            let mut times: Vec<Span> = own.map(|mark| mark.end.since(mark.start)).collect();
            times.sort_unstable();
            let found = Percentiles::of(&times);
            StepFigures {
                name: name.clone(),
                count: times.len() as u64,
                rate_per_s: times.len() as f64 / (time / 1e6).max(1e-12),
                mean_us: found.mean,
                p50_us: found.p50,
                p99_us: found.p99,
                p999_us: found.p999,
                max_us: found.max,
            }
        };
        Some(ProgramFigures {
            ranks: reports.len() as u64,
            time_us: time,
            compute_us: compute,
            exposed_us: exposed,
            hidden_us: mean(|report| report.hidden),
            idle_us: (time - compute - exposed).max(0.0),
            model_flops_utilisation: None,
            steps: labels.iter().enumerate().map(step).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::program::Mark;

    /// Means are over ranks, the end is the last one's, and what is left of it was idle.
    #[test]
    fn means_are_over_ranks() {
        let micros = |micros: u64| Time(micros * 1_000_000);
        let report = |end: u64, compute: u64, exposed: u64| Report {
            end: micros(end),
            compute: Span::from_micros(compute),
            exposed: Span::from_micros(exposed),
            hidden: Span::from_micros(1),
            marks: vec![Mark { label: 0, start: micros(1), end: micros(end) }],
        };
        let reports = [(HostId(0), report(10, 4, 6)), (HostId(3), report(20, 6, 8))];
        let figures = ProgramFigures::of(&reports, &["sum".to_owned()]).unwrap();
        assert_eq!((figures.time_us, figures.compute_us, figures.exposed_us), (20.0, 5.0, 7.0));
        assert_eq!((figures.idle_us, figures.hidden_us), (8.0, 1.0));
        let step = &figures.steps[0];
        assert_eq!((step.count, step.mean_us, step.max_us), (2, 14.0, 19.0));
        assert!(ProgramFigures::of(&[], &[]).is_none());
    }
}
