//! What is recorded over time: exact, bounded, and without influence.

#[allow(dead_code, reason = "each file of tests uses its part")]
mod common;

use common::{Case, FRAME, config, leaf_spine, lossless};
use fabric::config::Overflow;
use fabric::ids::Class;
use fabric::probe::RunRecord;
use fabric::series::{Sampling, Series};
use fabric::units::{Span, Time};

const TRIM: Overflow = Overflow::CoinTrim { bytes: 64, to: Class::CONTROL };

/// Seven hosts send to one, through two leaves and two spines, twice.
fn crowd(config: fabric::config::FabricConfig) -> Case {
    let mut case = Case::new(leaf_spine(2, 4, 2), config);
    for src in 1..8 {
        case = case.send(src, 0, 100_000);
    }
    case.messages.push((Time(300_000_000), fabric::ids::HostId(0), fabric::ids::HostId(5), 50_000));
    case
}

fn sampled(mut case: Case, interval: Span, most: u32) -> Case {
    case.sampling = Some(Sampling { interval, most, connections: 2 });
    case
}

fn series(record: &RunRecord) -> &Series {
    record.series.as_ref().expect("it was asked for")
}

/// A run that is recorded is the run that is not, and its record does not depend on shards and threads.
#[test]
fn recording_changes_nothing() {
    for config in [config(30_000, TRIM), lossless(1_200_000)] {
        let plain = crowd(config.clone()).run(1, 1);
        let case = sampled(crowd(config), Span::from_nanos(700), 64);
        let first = case.run(1, 1);
        assert_eq!(first.digest, plain.digest);
        for (ours, theirs) in first.ports.iter().zip(&plain.ports) {
            assert_eq!(ours.counters, theirs.counters, "counters, the longest queue among them");
        }
        for (shards, threads) in [(3, 1), (5, 2)] {
            let other = case.run(shards, threads);
            assert_eq!(series(&other), series(&first), "{shards} shards");
        }
    }
}

/// Samples of a port add up to what it counted, and none is longer than the longest queue.
#[test]
fn samples_add_up_to_the_counters() {
    let record = sampled(crowd(config(30_000, TRIM)), Span::from_nanos(300), 100).run(2, 1);
    let series = series(&record);
    for (number, port) in record.ports.iter().enumerate() {
        let own: Vec<_> = series.ports.iter().filter(|s| s.port.index() == number).collect();
        let counters = &port.counters;
        assert_eq!(own.iter().map(|s| s.bytes).sum::<u64>(), counters.bytes);
        assert_eq!(own.iter().map(|s| u64::from(s.packets)).sum::<u64>(), counters.packets);
        assert_eq!(own.iter().map(|s| u64::from(s.trimmed)).sum::<u64>(), counters.trimmed);
        let most = own.iter().map(|s| s.queue_max).max().unwrap_or(0);
        assert_eq!(most, counters.queue_bytes_max);
        assert!(own.iter().all(|s| s.queue <= s.queue_max));
        assert!(own.is_sorted_by(|a, b| a.at < b.at), "one sample an instant");
    }
}

/// However long a run is, a port has no more samples than allowed, all at multiples of one interval.
#[test]
fn samples_are_bounded() {
    for most in [4, 16, 50] {
        let record = sampled(crowd(config(30_000, TRIM)), Span::from_nanos(100), most).run(1, 1);
        let series = series(&record);
        assert!(series.ports.iter().all(|s| s.at.0.is_multiple_of(series.interval.0)));
        for port in 0..record.ports.len() {
            let count = series.ports.iter().filter(|s| s.port.index() == port).count();
            assert!(count <= most as usize, "{count} of {most}");
        }
        // 304 us in all, of which the second message is the end.
        let last = series.ports.iter().map(|s| s.at).max().unwrap();
        assert!(last.0.abs_diff(record.end.0) <= series.interval.0, "{last} for {}", record.end);
    }
}

/// Two senders at 50 B/ns each, 1 us away, into a port of 50 B/ns: the queue grows by 50 B/ns from 1 us on.
#[test]
fn a_queue_grows_as_its_senders_send() {
    let case = Case::new(leaf_spine(1, 3, 1), config(1 << 30, TRIM));
    let case = case.send(1, 0, 400_000).send(2, 0, 400_000);
    let record = sampled(case, Span::from_nanos(500), 1_000).run(1, 1);
    let leaf = record.ports.iter().position(|port| port.node.0 == 3 && port.peer.0 == 0).unwrap();
    for micros in 2..9 {
        let at = Time(micros * 1_000_000);
        let samples = &series(&record).ports;
        let found = samples.iter().find(|s| s.port.index() == leaf && s.at == at).unwrap();
        let expected = (micros - 1) * 50_000;
        assert!(found.queue.abs_diff(expected) <= 2 * FRAME, "{} B at {micros} us", found.queue);
    }
}
