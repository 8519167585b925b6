//! Distributions of times.

use fabric::probe::MessageRecord;
use fabric::units::{Span, Time};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Completion time of each finished message, from its own posting to the last acknowledgement at its
/// sender, sorted.
pub fn completion_times(messages: &[MessageRecord]) -> Vec<Span> {
    let finished = messages.iter().filter(|message| message.acked != Time::NEVER);
    let mut times: Vec<Span> =
        finished.map(|message| message.acked.since(message.posted)).collect();
    times.sort_unstable();
    times
}

/// A distribution in microseconds. All zero when there is nothing to show.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// Least.
    pub min: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Greatest.
    pub max: f64,
}

impl Percentiles {
    /// Of sorted times, by nearest rank: the least time that at least that share does not exceed.
    pub fn of(sorted: &[Span]) -> Percentiles {
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return Percentiles::default();
        };
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100) - 1].as_micros();
        let sum: u128 = sorted.iter().map(|span| u128::from(span.0)).sum();
        Percentiles {
            min: first.as_micros(),
            mean: sum as f64 / sorted.len() as f64 / 1e6,
            p50: rank(50),
            p99: rank(99),
            max: last.as_micros(),
        }
    }
}

/// The times as a histogram with three significant digits, in nanoseconds; histograms of several runs
/// can be added.
///
/// # Panics
/// Never: every time fits the histogram's range, which grows.
pub fn histogram(times: &[Span]) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are possible");
    for time in times {
        histogram.record((time.0 / 1_000).max(1)).expect("the range grows");
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nearest rank on a hundred known times.
    #[test]
    fn percentiles_are_nearest_ranks() {
        let times: Vec<Span> = (1..=100).map(Span::from_micros).collect();
        let found = Percentiles::of(&times);
        assert_eq!((found.min, found.p50, found.p99, found.max), (1.0, 50.0, 99.0, 100.0));
        assert_eq!(found.mean, 50.5);
        let three: Vec<Span> = [1, 2, 9].map(Span::from_micros).to_vec();
        assert_eq!((Percentiles::of(&three).p50, Percentiles::of(&three).p99), (2.0, 9.0));
        assert_eq!(Percentiles::of(&[]), Percentiles::default());
    }

    /// The histogram's median is within its precision of the exact one, and histograms add up.
    #[test]
    fn histograms_keep_three_digits_and_merge() {
        let times: Vec<Span> = (1..=1_000).map(Span::from_micros).collect();
        let mut all = histogram(&times);
        let median = all.value_at_quantile(0.5);
        assert!(median.abs_diff(500_000) <= 500, "{median}");
        all.add(histogram(&times)).expect("same precision");
        assert_eq!(all.len(), 2_000);
    }
}
