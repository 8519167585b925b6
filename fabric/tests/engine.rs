//! The engine with the simplest transport: closed forms, lossless, faults, and one digest everywhere.

mod common;

use common::{Blaster, Case, FRAME, config, leaf_spine, lossless};
use fabric::assemble::{Extent, Parts, assemble};
use fabric::config::{ClassConfig, Overflow, Schedule};
use fabric::engine::Progress;
use fabric::fault::{Change, Direction, Fault};
use fabric::ids::{Class, HostId, LinkId, MessageId};
use fabric::probe::RunRecord;
use fabric::program::{Program, ProgramCx};
use fabric::units::{Ratio, Time};

const TRIM: Overflow = Overflow::CoinTrim { bytes: 64, to: Class::CONTROL };

/// Picoseconds of a frame and of an acknowledgement at 400 Gb/s.
const S: u64 = FRAME * 20;
const A: u64 = 64 * 20;
const LINK: u64 = 1_000_000;

fn dropped(record: &RunRecord) -> u64 {
    record.ports.iter().map(|port| port.counters.dropped()).sum()
}

/// One message over h links takes (n − 1 + h) frames, h acknowledgements and 2h propagations.
#[test]
fn an_unloaded_message_takes_its_closed_form() {
    for (dst, links) in [(1, 2), (5, 4)] {
        let record = Case::new(leaf_spine(2, 4, 2), config(1 << 20, TRIM))
            .send(0, dst, 100 * FRAME)
            .run(1, 1);
        let expected = (100 - 1 + links) * S + links * A + 2 * links * LINK;
        assert_eq!(record.messages[0].acked, Time(expected));
        let received = (100 - 1 + links) * S + links * LINK;
        assert_eq!(record.messages[0].received, Time(received));
    }
}

/// What switches do not know they drop where they would trim it, and its sender hears nothing of it.
#[test]
fn foreign_packets_are_dropped_not_trimmed() {
    let mut case = Case::new(leaf_spine(1, 8, 1), config(20 * FRAME, TRIM));
    for src in 1..8 {
        case = case.send(src, 0, 60 * FRAME);
    }
    let trimmed =
        |record: &RunRecord| -> u64 { record.ports.iter().map(|port| port.counters.trimmed).sum() };
    let known = case.run(1, 1);
    assert!(trimmed(&known) > 100 && dropped(&known) == 0);
    case.is_foreign = true;
    let foreign = case.run(1, 1);
    assert!(trimmed(&foreign) == 0 && dropped(&foreign) > 100);
}

/// Two senders into one port share it: the last byte leaves after both messages' frames.
#[test]
fn a_shared_bottleneck_serves_both_to_the_frame() {
    let record = Case::new(leaf_spine(1, 3, 1), config(1 << 20, Overflow::TailDrop))
        .send(0, 2, 50 * FRAME)
        .send(1, 2, 50 * FRAME)
        .run(1, 1);
    let last = record.messages.iter().map(|message| message.received).max();
    assert_eq!(last, Some(Time((100 + 1) * S + 2 * LINK)));
}

fn crowd(config: fabric::config::FabricConfig) -> Case {
    let mut case = Case::new(leaf_spine(4, 4, 3), config);
    for src in 0..16u32 {
        case = case.send(src, (src + 5) % 16, 40 * FRAME).send(src, (src * 7 + 3) % 16, 30 * FRAME);
    }
    case.messages.retain(|(_, src, dst, _)| src != dst);
    case
}

/// Digest, work and every record are the same for any number of shards and threads.
#[test]
fn results_do_not_depend_on_shards_or_threads() {
    let mut shared = crowd(lossless(3_000_000));
    shared.faults.push(Fault {
        at: Time(2_300_000),
        link: LinkId(20),
        direction: Direction::Both,
        change: Change::Rate { ratio: Ratio::new(1, 4), queues: true },
    });
    for case in [crowd(config(30_000, TRIM)), crowd(config(30_000, Overflow::CoinDrop)), shared] {
        let first = case.run(1, 1);
        assert!(first.work.hops > 1_000);
        for (shards, threads) in [(1, 1), (3, 1), (4, 2), (16, 3), (23, 8)] {
            let record = case.run(shards, threads);
            assert_eq!(record.digest, first.digest, "{shards} shards, {threads} threads");
            assert_eq!(record.work, first.work, "{shards} shards, {threads} threads");
            assert_eq!(record.messages, first.messages);
        }
    }
}

/// Another seed gives another run.
#[test]
fn the_seed_matters() {
    let mut case = crowd(config(30_000, TRIM));
    let first = case.run(1, 1).digest;
    case.seed = 2;
    assert_ne!(case.run(1, 1).digest, first);
}

/// Lazy ports and event-driven ports agree: with ample room, a shared-buffer switch (which
/// interleaves departures with arrivals) gives the same deliveries as independent ports.
#[test]
fn lazy_and_event_driven_ports_agree() {
    let lazy = crowd(config(u64::MAX, Overflow::TailDrop)).run(1, 1);
    let mut config = lossless(1 << 40);
    config.classes[1].limit = u64::MAX;
    let driven = crowd(config).run(1, 1);
    assert_eq!(driven.digest, lazy.digest);
    assert_eq!(driven.messages, lazy.messages);
}

/// With priority flow control an incast loses nothing, pauses its senders, and finishes at line rate.
#[test]
fn a_lossless_incast_drops_nothing() {
    let mut case = Case::new(leaf_spine(4, 4, 2), lossless(1_500_000));
    for src in 1..16 {
        case = case.send(src, 0, 400 * FRAME);
    }
    let record = case.run(2, 2);
    assert_eq!(dropped(&record), 0);
    let pauses: u64 = record.ports.iter().map(|port| port.counters.pauses_sent).sum();
    let received: u64 = record.ports.iter().map(|port| port.counters.pauses_received).sum();
    assert!(pauses > 10 && pauses == received, "{pauses} pauses, {received} received");
    assert!(record.messages.iter().all(|message| message.acked < Time::NEVER));
    let last = record.messages.iter().map(|message| message.received).max().unwrap();
    assert!(last < Time(15 * 400 * S * 11 / 10), "{last}");
}

/// Without it, what does not fit is dropped or trimmed, and every packet is accounted for.
#[test]
fn a_lossy_incast_drops_or_trims_what_does_not_fit() {
    for (overflow, trims) in [(Overflow::TailDrop, false), (TRIM, true)] {
        let mut case = Case::new(leaf_spine(4, 4, 2), config(50_000, overflow));
        for src in 1..16 {
            case = case.send(src, 0, 100 * FRAME);
        }
        let record = case.run(1, 1);
        let trimmed: u64 = record.ports.iter().map(|port| port.counters.trimmed).sum();
        let arrived: u64 = record.endpoints.iter().map(|counters| counters.trimmed).sum();
        assert_eq!(trimmed > 500, trims);
        assert_eq!(dropped(&record) > 500, !trims);
        assert_eq!(trimmed, arrived, "control has room for every trimmed header");
        let queue = record.ports.iter().map(|port| port.counters.queue_bytes_max).max().unwrap();
        assert!((49_000..50_000 + 64 * 1_500).contains(&queue), "{queue}");
        let marks: u64 = record.ports.iter().map(|port| port.counters.ecn_marked).sum();
        assert!(marks > 100, "{marks}");
    }
}

/// A link that goes down loses what is on it, and one that comes up again carries the rest.
#[test]
fn a_link_that_flaps_loses_only_what_passes_while_it_is_down() {
    let fault =
        |at, change| Fault { at: Time(at), link: LinkId(0), direction: Direction::Both, change };
    let mut case = Case::new(leaf_spine(1, 2, 1), config(1 << 20, TRIM)).send(0, 1, 1_000 * FRAME);
    case.faults = vec![fault(5_000_000, Change::Down), fault(7_000_000, Change::Up)];
    let record = case.run(1, 1);
    let lost: u64 = record.ports.iter().map(|port| port.counters.dropped_link_down).sum();
    // 2 us of frames at 50 a microsecond, those that were flying (1 us), and their acknowledgements.
    assert!((280..=320).contains(&lost), "{lost}");
    assert_eq!(record.messages[0].acked, Time::NEVER);
}

/// A link at a quarter of its rate takes four times as long.
#[test]
fn a_degraded_link_is_slower_by_its_ratio() {
    let mut case = Case::new(leaf_spine(1, 2, 1), config(1 << 30, TRIM)).send(0, 1, 100 * FRAME);
    let change = Change::Rate { ratio: Ratio::new(1, 4), queues: false };
    case.faults.push(Fault { at: Time(0), link: LinkId(1), direction: Direction::Down, change });
    let record = case.run(1, 1);
    assert_eq!(record.messages[0].received, Time(S + 100 * 4 * S + 2 * LINK));
}

/// Weighted classes share a port by their weights while both wait, and neither leaves it idle.
#[test]
fn weighted_classes_share_by_weight() {
    let mut config = config(u64::MAX, Overflow::TailDrop);
    config.classes[1].schedule = Schedule::Weighted(3_000);
    config.classes.push(ClassConfig { schedule: Schedule::Weighted(1_000), ..config.classes[1] });
    let mut case =
        Case::new(leaf_spine(1, 3, 1), config).send(0, 2, 30 * FRAME).send(1, 2, 30 * FRAME);
    case.two_classes = true;
    let record = case.run(1, 1);
    let ends: Vec<u64> = record.messages.iter().map(|message| message.received.0).collect();
    // Three frames of the first to one of the second: its 30 are through after 40 of both.
    let heavy = (40 + 1) * S + 2 * LINK;
    assert!(ends[0].abs_diff(heavy) <= 2 * S, "{} is not about {heavy}", ends[0]);
    assert_eq!(ends[1], (60 + 1) * S + 2 * LINK);
}

/// A program that passes a signal on to the next host, which posts a message at the same instant.
struct Relay {
    next: HostId,
    hops: u32,
    posted: bool,
}

impl Program for Relay {
    fn on_start(&mut self, cx: &mut ProgramCx<'_>) {
        if cx.host == HostId(0) {
            cx.wake_at(Time(1_234_567), 0);
        }
    }
    fn on_sent(&mut self, _: &mut ProgramCx<'_>, _: MessageId) {}
    fn on_received(&mut self, _: &mut ProgramCx<'_>, _: HostId, _: MessageId) {}
    fn on_wake(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        self.on_signal(cx, token);
    }
    fn on_signal(&mut self, cx: &mut ProgramCx<'_>, token: u32) {
        self.posted = true;
        cx.post(MessageId(token), self.next, 5 * FRAME);
        if token + 1 < self.hops {
            cx.signal(self.next, token + 1);
        }
    }
    fn unposted(&self) -> u64 {
        u64::from(!self.posted)
    }
}

/// Signals cross hosts of a coupling group without taking time, whatever the shards.
#[test]
fn signals_take_effect_at_the_instant_they_are_sent() {
    let graph = leaf_spine(2, 3, 2);
    let group: Vec<HostId> = (0..6).map(HostId).collect();
    let shard_of: Vec<u32> = (0..graph.nodes()).map(|node| node.saturating_sub(5)).collect();
    let run = assemble(Parts {
        graph: &graph,
        config: &config(1 << 20, TRIM),
        endpoint: &|_, _| Blaster::default(),
        programs: (0..6)
            .map(|host| Relay { next: HostId((host + 1) % 6), hops: 6, posted: false })
            .collect(),
        couplings: &[group],
        shard_of: &shard_of,
        faults: &[],
        switch_faults: &[],
        capture: None,
        sampling: None,
        seed: 1,
        extent: Extent::default(),
    });
    let record = run.expect("it assembles").execute(2, Time(1 << 50), &Progress::default());
    assert_eq!(record.unposted, 0);
    assert_eq!(record.messages.len(), 6);
    assert!(record.messages.iter().all(|message| message.posted == Time(1_234_567)));
    assert!(record.messages.iter().all(|message| message.acked < Time::NEVER));
}

/// A run that reaches its time limit says so and keeps what was done; one told to stop as well.
#[test]
fn a_run_can_be_cut_short() {
    let case = crowd(config(30_000, TRIM));
    let full = case.run(1, 1);
    assert!(!full.stopped);
    let cut = case.run_until(Time(5_000_000), &Progress::default());
    assert!(cut.stopped && cut.work.hops < full.work.hops && cut.work.hops > 0);
    let told = Progress::default();
    told.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(case.run_until(Time(1 << 50), &told).stopped);
}

/// What cannot run is refused with the name of the part at fault.
#[test]
fn impossible_fabrics_are_refused() {
    let mut graph = leaf_spine(1, 2, 1);
    graph.links[1].delay = fabric::units::Span::ZERO;
    let error = Case::new(graph, config(1 << 20, TRIM)).error();
    assert_eq!(
        error,
        "the link host:1 - leaf:0 has no latency at all; give it at least 1 ps of delay"
    );
    let error = Case::new(leaf_spine(2, 2, 2), lossless(100_000)).error();
    assert!(error.contains("shared buffer of leaf:0 has 100000 B"), "{error}");
    let mut graph = leaf_spine(1, 2, 1);
    graph.links.remove(1);
    assert_eq!(Case::new(graph, config(1 << 20, TRIM)).error(), "host:1 has no link");
}
