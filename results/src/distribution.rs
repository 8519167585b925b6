//! Distributions of times.

use fabric::probe::MessageRecord;
use fabric::units::{Span, Time};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

/// Distributions as an HDR histogram log (V2 in the interval log format that HdrHistogram's tools read), each with its name as a
/// tag; values in nanoseconds.
///
/// # Errors
/// What the library reports; nothing a user can cause.
pub fn histogram_log(named: &[(String, &[Span])]) -> Result<Vec<u8>, String> {
    let mut log = Vec::new();
    let mut serializer = V2Serializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("completion times of flows, in nanoseconds")
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| error.to_string())?;
    for (name, times) in named {
        let tag = Tag::new(name).ok_or_else(|| format!("`{name}` is no tag"))?;
        writer
            .write_histogram(&histogram(times), Duration::ZERO, Duration::ZERO, Some(tag))
            .map_err(|error| format!("{error:?}"))?;
    }
    Ok(log)
}

/// The times as a histogram with three significant digits, in nanoseconds; histograms of several runs
/// can be added.
fn histogram(times: &[Span]) -> Histogram<u64> {
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

    /// A log has a line for each distribution, with its name.
    #[test]
    fn a_log_names_its_distributions() {
        let times: Vec<Span> = (1..=10).map(Span::from_micros).collect();
        let named =
            [("uec/all-reduce".to_owned(), &times[..]), ("roce/all-reduce".to_owned(), &[])];
        let log = String::from_utf8(histogram_log(&named).unwrap()).unwrap();
        assert_eq!(log.lines().filter(|line| line.starts_with("Tag=")).count(), 2);
        assert!(log.contains("Tag=uec/all-reduce,0.000,0.000,10007.000,"), "{log}");
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
