//! Distributions as HDR histograms, in the V2 interval log that HdrHistogram's tools read.

use std::time::Duration;

use fabric::series::Tally;
use fabric::units::{Span, Time};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::distribution::{completion_times, slowdowns};
use crate::records::{Records, Run};

/// Distributions of one kind, of all runs of a scenario.
#[derive(Clone, Debug)]
pub struct Log {
    /// The name of its file, without ending.
    pub name: &'static str,
    /// What its values are.
    pub meaning: &'static str,
    /// The histogram of each run, tagged `variant/workload`.
    histograms: Vec<(String, Histogram<u64>)>,
}

/// What is distributed: file, meaning, the histogram of a run.
type Kind = (&'static str, &'static str, fn(&Records<'_>, &Run) -> Histogram<u64>);

const KINDS: [Kind; 5] = [
    ("completion", "completion times of flows, in nanoseconds", |_, run| {
        let times = completion_times(&run.record.messages);
        histogram(times.iter().map(|time| (time.0 / 1_000, 1)))
    }),
    ("slowdown", "slowdowns of flows, in thousandths", |_, run| {
        let found = slowdowns(&run.record.messages, &run.context.ideals);
        histogram(found.iter().map(|slowdown| ((slowdown * 1e3) as u64, 1)))
    }),
    ("queue_delay", QUEUE_DELAY, queue_delay),
    ("rtt", "round-trip times of packets, in nanoseconds", |_, run| {
        tally(run, |tallies| &tallies.rtt, 1_000)
    }),
    ("reordering", "packets by which data came before what was missing", |_, run| {
        tally(run, |tallies| &tallies.reordering, 1)
    }),
];

const QUEUE_DELAY: &str = "time that the egress queue of a switch port takes to drain at the link's rate, in nanoseconds, looked at at \
                           each instant of sampling at which something stood in it";

/// The distributions of all runs.
pub fn logs(records: &Records<'_>) -> Vec<Log> {
    let tag = |text: &str| text.replace([' ', ','], "-");
    let kind = |(name, meaning, of): Kind| Log {
        name,
        meaning,
        histograms: records
            .runs
            .iter()
            .map(|run| (format!("{}/{}", tag(&run.variant), tag(&run.workload)), of(records, run)))
            .collect(),
    };
    KINDS.map(kind).into()
}

/// Names and meanings of the distributions.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.iter().map(|(name, meaning, _)| (*name, *meaning))
}

impl Log {
    /// As the text of a log.
    ///
    /// # Errors
    /// What the library reports; nothing a user can cause.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut log = Vec::new();
        let mut serializer = V2Serializer::new();
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment(self.meaning)
            .begin_log_with(&mut log, &mut serializer)
            .map_err(|error| error.to_string())?;
        for (name, histogram) in &self.histograms {
            let tag = Tag::new(name).ok_or_else(|| format!("`{name}` is no tag"))?;
            writer
                .write_histogram(histogram, Duration::ZERO, Duration::ZERO, Some(tag))
                .map_err(|error| format!("{error:?}"))?;
        }
        Ok(log)
    }
}

/// Values with their counts as a histogram with three significant digits; those of several runs can be added. Zero counts as
/// one, which is the least that such a histogram can tell.
fn histogram(values: impl Iterator<Item = (u64, u64)>) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three digits are possible");
    for (value, count) in values {
        histogram.record_n(value.max(1), count).expect("the range grows");
    }
    histogram
}

/// What all hosts of a run have observed, in units of `unit`.
fn tally(run: &Run, which: fn(&fabric::series::Observed) -> &Tally, unit: u64) -> Histogram<u64> {
    let observed = run.record.series.as_ref().map(|series| which(&series.observed));
    let entries = observed.into_iter().flat_map(Tally::entries);
    histogram(entries.map(|(value, count)| (value / unit, count)))
}

fn queue_delay(records: &Records<'_>, run: &Run) -> Histogram<u64> {
    let (Some(graph), Some(series)) = (records.graph(run), &run.record.series) else {
        return histogram(std::iter::empty());
    };
    let delay = |sample: &fabric::series::PortSample| {
        let rate = graph.links[run.record.ports[sample.port.index()].link.index()].rate;
        let Span(delay) = rate.time_for(sample.queue);
        (delay / 1_000, 1)
    };
    let standing = series.ports.iter().filter(|sample| sample.queue > 0 && sample.at > Time::ZERO);
    histogram(standing.map(delay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Bounds;
    use crate::records::tests::run;

    /// A log has a line for each run, with its name, and of what was not recorded an empty one.
    #[test]
    fn a_log_names_its_distributions() {
        let times: Vec<Option<u64>> = (1..=10).map(Some).collect();
        let runs = [run(&times), Run { variant: "roce".into(), ..run(&[]) }];
        let logs = logs(&Records { runs: &runs, fabrics: &[], bounds: Bounds::default() });
        let log = String::from_utf8(logs[0].encode().unwrap()).unwrap();
        assert_eq!(log.lines().filter(|line| line.starts_with("Tag=")).count(), 2);
        assert!(log.contains("Tag=uec/all-reduce,0.000,0.000,10007.000,"), "{log}");
        assert!(logs.iter().all(|log| log.encode().is_ok()));
    }

    /// The histogram's median is within its precision of the exact one, and histograms add up.
    #[test]
    fn histograms_keep_three_digits_and_merge() {
        let values = || (1..=1_000u64).map(|value| (value * 1_000, 1));
        let mut all = histogram(values());
        let median = all.value_at_quantile(0.5);
        assert!(median.abs_diff(500_000) <= 500, "{median}");
        all.add(histogram(values())).expect("same precision");
        assert_eq!(all.len(), 2_000);
    }
}
