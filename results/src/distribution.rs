//! Distributions of times.

use fabric::probe::MessageRecord;
use fabric::units::{Span, Time};
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

/// Completion time of each finished message over its ideal, sorted; `ideals` are those of all messages.
pub fn slowdowns(messages: &[MessageRecord], ideals: &[Span]) -> Vec<f64> {
    let finished = messages.iter().zip(ideals).filter(|(message, _)| message.acked != Time::NEVER);
    let slowdown = |(message, ideal): (&MessageRecord, &Span)| {
        message.acked.since(message.posted).0 as f64 / ideal.0.max(1) as f64
    };
    let mut found: Vec<f64> = finished.map(slowdown).collect();
    found.sort_unstable_by(f64::total_cmp);
    found
}

/// Jain's index of the rates of finished messages: 1 when all are equally fast, 1/n when one has
/// everything. Zero when there is none.
pub fn fairness(messages: &[MessageRecord]) -> f64 {
    let finished = messages.iter().filter(|message| message.acked != Time::NEVER);
    let rates: Vec<f64> = finished
        .map(|message| message.bytes as f64 / message.acked.since(message.posted).0.max(1) as f64)
        .collect();
    let (sum, squares) = (rates.iter().sum::<f64>(), rates.iter().map(|r| r * r).sum::<f64>());
    if rates.is_empty() { 0.0 } else { sum * sum / (rates.len() as f64 * squares) }
}

/// A distribution, of times in microseconds. All zero when there is nothing to show.
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
    /// 99.9th percentile.
    #[serde(default)]
    pub p999: f64,
    /// Greatest.
    pub max: f64,
}

impl Percentiles {
    /// Of sorted times, by nearest rank: the least time that at least that share does not exceed.
    pub fn of(sorted: &[Span]) -> Percentiles {
        let numbers: Vec<f64> = sorted.iter().map(|span| span.as_micros()).collect();
        let sum: u128 = sorted.iter().map(|span| u128::from(span.0)).sum();
        let mean = sum as f64 / sorted.len().max(1) as f64 / 1e6;
        Percentiles { mean, ..Percentiles::of_numbers(&numbers) }
    }

    /// The same of sorted numbers.
    pub fn of_numbers(sorted: &[f64]) -> Percentiles {
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return Percentiles::default();
        };
        let rank = |permille: usize| sorted[(sorted.len() * permille).div_ceil(1_000) - 1];
        Percentiles {
            min: *first,
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            p50: rank(500),
            p99: rank(990),
            p999: rank(999),
            max: *last,
        }
    }
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

    /// Slowdowns are over each message's own ideal; equal rates are fair, one fast one of two is not.
    #[test]
    fn slowdowns_and_fairness() {
        let messages = crate::summary::tests::record(&[Some(5), None, Some(15)]).messages;
        let ideals = [5, 1, 3].map(Span::from_micros);
        assert_eq!(slowdowns(&messages, &ideals), [1.0, 5.0]);
        let (one, third) = (1.0 / 5.0, 1.0 / 15.0);
        let index = (one + third) * (one + third) / (2.0 * (one * one + third * third));
        assert!((fairness(&messages) - index).abs() < 1e-12);
        assert_eq!(fairness(&[]), 0.0);
    }
}
