//! Figures of jobs that ran side by side.

use std::collections::BTreeSet;

use fabric::ids::{HostId, MessageId};
use fabric::probe::{MessageRecord, RunRecord, Work};
use fabric::program::Report;
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::distribution::Percentiles;
use crate::summary::{CollectiveFigures, CollectiveShape, Context, Figures, ProgramFigures};

/// A job, as far as its figures depend on it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobShape {
    /// Its name.
    pub name: String,
    /// Its hosts; empty: all, beside those of others.
    pub hosts: Vec<HostId>,
    /// When it began.
    pub start: Span,
    /// The number of its first message, and of the first after its last.
    pub numbers: (u32, u32),
    /// How many it posts.
    pub messages: u64,
    /// Its labels in reports.
    pub labels: (u32, u32),
    /// The collective, if it is one.
    pub collective: Option<CollectiveShape>,
}

/// A job's figures; times count from its own start.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobFigures {
    /// Its name.
    pub name: String,
    /// Hosts of its own; 0: all, beside those of others.
    pub hosts: u64,
    /// When it began, in microseconds.
    pub start_us: f64,
    /// Messages.
    pub flows: u64,
    /// Messages acknowledged to the last byte.
    pub completed: u64,
    /// Completion times, each from its own start, in microseconds.
    pub fct_us: Percentiles,
    /// Completion times over those of an empty fabric without headers.
    pub slowdown: Percentiles,
    /// To the last completion, in microseconds.
    pub makespan_us: f64,
    /// Payload of all messages that were completed, over that time, in Gb/s.
    pub goodput_gbps: f64,
    /// The collective, if the job is one and finished.
    pub collective: Option<CollectiveFigures>,
    /// How its programs spent their time, if they know and finished.
    pub program: Option<ProgramFigures>,
}

impl JobFigures {
    /// Of a run of several jobs.
    pub(crate) fn of(job: &JobShape, record: &RunRecord, context: &Context) -> JobFigures {
        let (first, end) = job.numbers;
        let own = |message: &MessageRecord| (first..end).contains(&message.id.0);
        let shift = |time: Time| match time {
            Time::NEVER => time,
            time => Time(time.0.saturating_sub(job.start.0)),
        };
        let moved = |message: &MessageRecord| MessageRecord {
            id: MessageId(message.id.0 - first),
            posted: shift(message.posted),
            received: shift(message.received),
            acked: shift(message.acked),
            failed: shift(message.failed),
            ..*message
        };
        let pairs = record.messages.iter().zip(&context.ideals).filter(|(m, _)| own(m));
        let (messages, ideals): (Vec<_>, Vec<_>) =
            pairs.map(|(message, ideal)| (moved(message), *ideal)).unzip();
        let reports = reports(job, record, shift);
        let labels = context.labels[job.labels.0 as usize..job.labels.1 as usize].iter();
        // Within its own figures a job's steps need not say whose they are.
        let plain = |text: &String| {
            text.strip_prefix(job.name.as_str())
                .and_then(|text| text.strip_prefix(": "))
                .unwrap_or(text)
                .to_owned()
        };
        let alone = RunRecord {
            messages,
            unposted: 0,
            reports,
            ports: Vec::new(),
            endpoints: Vec::new(),
            work: Work::default(),
            end: record.end,
            digest: 0,
            capture: Default::default(),
            stopped: record.stopped,
            series: None,
            deadlock: Vec::new(),
        };
        let context = Context {
            messages: job.messages,
            ideals,
            collective: job.collective.clone(),
            labels: labels.map(plain).collect(),
            ..Context::default()
        };
        let figures = Figures::of(&alone, &context);
        JobFigures {
            name: job.name.clone(),
            hosts: job.hosts.len() as u64,
            start_us: job.start.as_micros(),
            flows: figures.flows,
            completed: figures.completed,
            fct_us: figures.fct_us,
            slowdown: figures.slowdown,
            makespan_us: figures.makespan_us,
            goodput_gbps: figures.goodput_gbps,
            collective: figures.collective,
            program: figures.program,
        }
    }
}

/// What the job's hosts tell of it. Hosts that it shares tell of all their jobs together, so that only steps are the job's.
fn reports(
    job: &JobShape,
    record: &RunRecord,
    shift: impl Fn(Time) -> Time,
) -> Vec<(HostId, Report)> {
    let hosts: BTreeSet<HostId> = job.hosts.iter().copied().collect();
    let (low, high) = job.labels;
    let own = |(host, report): &(HostId, Report)| {
        let marks = report.marks.iter().filter(|mark| (low..high).contains(&mark.label));
        let marks = marks.map(|mark| fabric::program::Mark {
            label: mark.label - low,
            start: shift(mark.start),
            end: shift(mark.end),
        });
        let marks: Vec<_> = marks.collect();
        match hosts.is_empty() {
            true if marks.is_empty() => None,
            true => {
                let end = marks.iter().map(|mark| mark.end).max().unwrap_or_default();
                Some((*host, Report { end, marks, ..Report::default() }))
            }
            false if !hosts.contains(host) => None,
            false => Some((*host, Report { end: shift(report.end), marks, ..report.clone() })),
        }
    };
    record.reports.iter().filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::tests::record;

    /// A job has its own messages, and its times count from its start.
    #[test]
    fn a_job_has_its_own_messages() {
        // Posted at 5 us, done 2, 3 and 4 us later.
        let record = record(&[Some(2), Some(3), Some(4)]);
        let job = |name: &str, numbers, start| JobShape {
            name: name.to_owned(),
            hosts: vec![HostId(0)],
            start: Span::from_micros(start),
            numbers,
            messages: u64::from(numbers.1 - numbers.0),
            labels: (0, 0),
            collective: None,
        };
        let context = Context {
            messages: 3,
            ideals: vec![Span::from_micros(1); 3],
            jobs: vec![job("a", (0, 1), 0), job("b", (1, 3), 4)],
            ..Context::default()
        };
        let figures = Figures::of(&record, &context);
        let [a, b] = figures.jobs.as_slice() else { panic!("two jobs") };
        assert_eq!((a.flows, a.completed, a.makespan_us, a.fct_us.max), (1, 1, 7.0, 2.0));
        assert_eq!((b.flows, b.completed, b.makespan_us, b.fct_us.max), (2, 2, 5.0, 4.0));
        assert_eq!(b.slowdown.p50, 3.0);
    }
}
