//! The link layer under the simplest transport: what is lost, what a retry costs, what credits hold back.

mod common;

use common::{Case, FRAME, config, leaf_spine, lossless};
use fabric::config::{Buffer, FabricConfig, Overflow};
use fabric::engine::Progress;
use fabric::fault::{Change, Direction, Fault};
use fabric::ids::LinkId;
use fabric::link::{Chance, CreditConfig, FrameErrors, LinkSet, LlrConfig, llr_answer};
use fabric::probe::{PortCounters, RunRecord};
use fabric::units::{Rate, Ratio, Span, Time};

/// Picoseconds of a frame and of an acknowledgement at 400 Gb/s, and of a link.
const S: u64 = FRAME * 20;
const A: u64 = 64 * 20;
const LINK: u64 = 1_000_000;
/// From the end of a frame in error to its NACK: the link twice, and 8 bytes.
const ANSWER: u64 = 2 * LINK + 160;

fn plain() -> FabricConfig {
    config(1 << 30, Overflow::TailDrop)
}

fn with_retry(mut config: FabricConfig, llr: LlrConfig) -> FabricConfig {
    config.link.llr = Some(llr);
    config
}

fn sum(record: &RunRecord) -> PortCounters {
    let mut sum = PortCounters::default();
    record.ports.iter().for_each(|port| sum.merge(&port.counters));
    sum
}

/// A change of link 0, from host 0 to its leaf, from `at` to `until`.
fn window(at: u64, until: u64, change: Change, end: Change) -> [Fault; 2] {
    let fault =
        |at, change| Fault { at: Time(at), link: LinkId(0), direction: Direction::Up, change };
    [fault(at, change), fault(until, end)]
}

const BROKEN: Change = Change::Errors(Some(FrameErrors::Frame(Chance(u64::MAX))));
const MENDED: Change = Change::Errors(None);

/// `frames` frames from host 0 to host 1 over one leaf, with faults.
fn one_flow(config: FabricConfig, frames: u64, faults: &[Fault]) -> RunRecord {
    let mut case = Case::new(leaf_spine(1, 2, 1), config).send(0, 1, frames * FRAME);
    case.faults = faults.to_vec();
    case.run(1, 1)
}

/// Without errors, retry changes nothing: the same deliveries at the same times.
#[test]
fn retry_without_errors_costs_nothing() {
    assert_eq!(llr_answer(Rate::from_gbps(400), Span(LINK)), Span(ANSWER));
    let mut crowd = Case::new(leaf_spine(4, 4, 3), config(60_000, Overflow::CoinDrop));
    for src in 0..16 {
        crowd = crowd.send(src, (src + 5) % 16, 60 * FRAME).send(src, (src + 3) % 16, 40 * FRAME);
    }
    let without = crowd.run(1, 1);
    crowd.config.link.llr = Some(LlrConfig::default());
    let with = crowd.run(3, 2);
    assert_eq!((with.digest, with.work.hops), (without.digest, without.work.hops));
    assert_eq!(with.messages, without.messages);
}

/// A single frame in error, alone on the link, costs the link twice, an ordered set, and its own length:
/// to the picosecond.
#[test]
fn a_lone_error_costs_two_latencies_and_the_frame() {
    let faults = window(0, 1_000, BROKEN, MENDED);
    let record = one_flow(with_retry(plain(), LlrConfig::default()), 1, &faults);
    assert_eq!(record.messages[0].received, Time(2 * S + 2 * LINK + ANSWER + S));
    let counters = sum(&record);
    assert_eq!((counters.llr_nacks, counters.llr_replayed, counters.dropped()), (1, 1, 0));
}

/// In a stream, the frames that leave until the NACK comes are wasted, and so everything is later by
/// those and the frame in error: to the picosecond, at a NIC and at a switch.
#[test]
fn an_error_in_a_stream_goes_back_to_it() {
    let wasted = ANSWER.div_ceil(S);
    // Frame 10 leaves the host at 11 S and is drawn as it starts; the leaf has it 1 us later.
    for (link, at) in [(LinkId(0), 10 * S), (LinkId(1), 11 * S + LINK)] {
        let direction = if link == LinkId(0) { Direction::Up } else { Direction::Down };
        let fault = |at, change| Fault { at: Time(at), link, direction, change };
        let faults = [fault(at - 5, BROKEN), fault(at + S - 10, MENDED)];
        let record = one_flow(with_retry(plain(), LlrConfig::default()), 500, &faults);
        let late = (wasted + 1) * S;
        assert_eq!(record.messages[0].received, Time((500 + 1) * S + 2 * LINK + late), "{link}");
        let counters = sum(&record);
        assert_eq!((counters.llr_nacks, counters.llr_replayed), (1, wasted + 1));
        assert_eq!((counters.dropped(), counters.llr_timeouts), (0, 0));
        let acked = Time((500 + 1) * S + 2 * A + 4 * LINK + late);
        assert_eq!(record.messages[0].acked, acked, "the last one is not slowed twice");
    }
}

/// A frame that vanishes is missed when the next one comes; the last one only by the sender's timer.
#[test]
fn a_vanished_frame_is_missed_by_the_next_or_by_the_timer() {
    let (all, none) = (Change::DropRandom(Ratio::ONE), Change::DropRandom(Ratio::new(0, 1)));
    let retry = || with_retry(plain(), LlrConfig::default());
    // Frame 10, and frame 11 shows the gap: one frame later than an error.
    let record = one_flow(retry(), 500, &window(10 * S - 5, 11 * S - 5, all, none));
    let wasted = 1 + ANSWER.div_ceil(S);
    assert_eq!(record.messages[0].received, Time((501 + wasted + 1) * S + 2 * LINK));
    assert_eq!(sum(&record).llr_nacks, 1);
    let record = one_flow(retry(), 1, &window(0, 1_000, all, none));
    assert_eq!(record.messages[0].received, Time(2 * S + 2 * LINK + 65_535_000 + S));
    let counters = sum(&record);
    assert_eq!((counters.llr_nacks, counters.llr_timeouts, counters.llr_replayed), (0, 1, 1));
}

/// A NACK that is lost on its way back is made up for by the timer.
#[test]
fn a_lost_nack_is_made_up_for_by_the_timer() {
    let mut faults = window(0, 1_000, BROKEN, MENDED);
    faults.iter_mut().for_each(|fault| fault.direction = Direction::Both);
    let record = one_flow(with_retry(plain(), LlrConfig::default()), 1, &faults);
    assert_eq!(record.messages[0].received, Time(2 * S + 2 * LINK + 65_535_000 + S));
    assert_eq!(sum(&record).llr_timeouts, 1);
}

/// A frame that is lost again and again is given up after the replays allowed, and the rest arrives.
#[test]
fn a_frame_is_given_up_after_its_replays() {
    let llr = LlrConfig { replays: 3, ..LlrConfig::default() };
    let faults = window(0, 20 * LINK, BROKEN, MENDED);
    let record = one_flow(with_retry(plain(), llr), 50, &faults);
    let counters = sum(&record);
    // Each frame takes four sendings 2 us apart, for 20 us.
    assert_eq!(counters.dropped_error, 3);
    assert_eq!(record.endpoints[0].new, 50);
    assert_eq!(counters.llr_nacks, 3 * 3 + 1, "three replays each, and one of a fourth frame");
}

/// A sender stops at the frames or bytes that may be outstanding: a window for each round trip.
#[test]
fn outstanding_limits_hold_the_sender_back() {
    let frames = LlrConfig { outstanding_frames: 20, ..LlrConfig::default() };
    let bytes = LlrConfig { outstanding_bytes: 20 * FRAME, ..LlrConfig::default() };
    for llr in [frames, bytes] {
        let record = one_flow(with_retry(plain(), llr), 100, &[]);
        let rounds = 4 * (ANSWER + S);
        assert_eq!(record.messages[0].received, Time(rounds + (20 + 1) * S + 2 * LINK));
        let without = one_flow(plain(), 100, &[]);
        assert_eq!(record.work.hops, without.work.hops);
    }
}

/// Errors on every link: without retry frames are lost as often as said; with it none, in any order of
/// shards and threads, whatever holds lossless classes back.
#[test]
fn errors_everywhere_are_repaired_everywhere() {
    let errors = FrameErrors::Frame(Chance::new(0.01));
    let credits = CreditConfig { bytes: None, frame: FRAME as u16 };
    let mut held = lossless(1_500_000);
    held.buffer = Buffer::Credits(credits);
    for config in [plain(), lossless(1_500_000), held] {
        let mut case = Case::new(leaf_spine(4, 4, 2), config);
        case.config.link.errors = errors;
        for src in 1..16 {
            case = case.send(src, 0, 100 * FRAME);
        }
        let lost = sum(&case.run(1, 1));
        let share = lost.dropped_error as f64 / lost.packets as f64;
        assert!((0.007..0.013).contains(&share), "{share}");
        assert_eq!(lost.dropped(), lost.dropped_error);
        case.config.link.llr = Some(LlrConfig::default());
        let first = case.run(1, 1);
        let repaired = sum(&first);
        assert_eq!(repaired.dropped(), 0);
        assert!(first.messages.iter().all(|message| message.acked < Time::NEVER));
        assert!(repaired.llr_nacks > 50 && repaired.llr_replayed > repaired.llr_nacks);
        for (shards, threads) in [(3, 1), (4, 2), (23, 3)] {
            let record = case.run(shards, threads);
            assert_eq!((record.digest, record.work), (first.digest, first.work));
            assert_eq!(sum(&record), repaired);
        }
    }
}

/// Retry on links between switches leaves the hosts' links to lose frames.
#[test]
fn retry_is_for_the_links_it_is_asked_for() {
    for links in [LinkSet::Host, LinkSet::Switch] {
        let llr = LlrConfig { links, ..LlrConfig::default() };
        let mut case = Case::new(leaf_spine(2, 2, 1), with_retry(plain(), llr));
        case.config.link.errors = FrameErrors::Frame(Chance::new(0.02));
        case = case.send(0, 2, 1_000 * FRAME).send(3, 1, 1_000 * FRAME);
        let record = case.run(2, 1);
        for port in &record.ports {
            let host = port.node.0 < 4 || port.peer.0 < 4;
            let repaired = host == (links == LinkSet::Host);
            assert_eq!(port.counters.dropped_error > 0, !repaired, "{links:?} {port:?}");
            assert_eq!(port.counters.llr_replayed > 0, repaired, "{links:?} {port:?}");
        }
    }
}

/// Every tenth frame of one direction is dropped while the fault lasts, and no other.
#[test]
fn a_periodic_drop_takes_every_nth_frame() {
    let (on, off) = (Change::DropPeriodic(10), Change::DropPeriodic(0));
    let record = one_flow(plain(), 300, &window(0, 100 * S - 5, on, off));
    let counters = sum(&record);
    assert_eq!((counters.dropped_injected, counters.dropped()), (10, 10));
    let sender = &record.ports[0];
    assert_eq!((sender.node.0, sender.counters.dropped_injected), (0, 10));
}

/// A link that goes down loses what retry had kept, and works again when it is up.
#[test]
fn a_link_that_goes_down_begins_anew() {
    let mut faults = window(20 * S - 5, 21 * S - 5, BROKEN, MENDED).to_vec();
    faults.extend(window(60 * S - 5, 100 * S - 5, Change::Down, Change::Up));
    faults.sort_by_key(|fault| fault.at);
    let record = one_flow(with_retry(plain(), LlrConfig::default()), 500, &faults);
    let counters = sum(&record);
    // Forty kept, forty sent while it is down, and ten good ones on the way as it goes down.
    assert!((90..=91).contains(&counters.dropped_link_down), "{}", counters.dropped_link_down);
    assert_eq!((counters.llr_replayed, counters.dropped_error), (0, 0));
}

/// A run that ends amid retries accounts for what is kept, in queues and on wires: the audit at its end
/// would panic.
#[test]
fn a_run_that_ends_amid_retries_is_accounted_for() {
    let mut case = Case::new(leaf_spine(2, 4, 2), with_retry(plain(), LlrConfig::default()));
    case.config.link.errors = FrameErrors::Frame(Chance::new(0.2));
    for src in 0..8 {
        case = case.send(src, (src + 3) % 8, 300 * FRAME);
    }
    for micros in 2..30 {
        let record = case.run_until(Time(micros * 1_000_000), &Progress::default());
        assert!(record.stopped && record.messages.len() == 8);
    }
}

/// Credits that could stall for ever are refused.
#[test]
fn too_few_credits_are_refused() {
    let mut config = lossless(1_500_000);
    config.buffer = Buffer::Credits(CreditConfig { bytes: Some(3_000), frame: FRAME as u16 });
    let error = Case::new(leaf_spine(1, 2, 1), config).error();
    assert_eq!(error, "credits for 3000 B are too few; a class needs at least 3072 B");
}

fn incast(buffer: Buffer) -> Case {
    let mut config = lossless(1_500_000);
    config.buffer = buffer;
    let mut case = Case::new(leaf_spine(4, 4, 2), config);
    for src in 1..16 {
        case = case.send(src, 0, 400 * FRAME);
    }
    case
}

/// Credits keep an incast lossless without a pause, within the buffer of each port, at line rate; and
/// PFC does with pauses.
#[test]
fn credits_and_pauses_both_lose_nothing() {
    let credits = |bytes| Buffer::Credits(CreditConfig { bytes, frame: FRAME as u16 });
    let pauses = lossless(1_500_000).buffer;
    for (buffer, paused) in [(credits(None), false), (credits(Some(16_384)), false), (pauses, true)]
    {
        let record = incast(buffer).run(2, 2);
        let counters = sum(&record);
        assert_eq!(counters.dropped(), 0);
        assert_eq!(counters.pauses_sent > 0, paused);
        assert_eq!(counters.credit_stalls > 100, !paused);
        assert!(record.messages.iter().all(|message| message.acked < Time::NEVER));
        let last = record.messages.iter().map(|message| message.received).max().unwrap();
        let small = matches!(buffer, Buffer::Credits(CreditConfig { bytes: Some(_), .. }));
        assert_eq!(last < Time(15 * 400 * S * 11 / 10), !small, "{last}");
        let queue = record.ports.iter().map(|port| port.counters.queue_bytes_max).max().unwrap();
        // An egress port holds at most what all other ports of its switch have taken in.
        let limit = CreditConfig { bytes: None, frame: FRAME as u16 };
        let limit = u64::from(limit.limit(Rate::from_gbps(400), Span(2 * LINK))) * 68;
        assert!(paused || queue <= 5 * limit + 64 * 100, "{queue} of {limit}");
    }
}

/// The default credits keep a lone flow at line rate; a quarter of a round trip holds it to a quarter.
#[test]
fn credits_of_a_round_trip_keep_the_link_busy() {
    let run = |bytes| {
        let mut config = lossless(1_500_000);
        config.buffer = Buffer::Credits(CreditConfig { bytes, frame: FRAME as u16 });
        one_flow(config, 2_000, &[]).messages[0].received.0 as f64
    };
    let full = (2_001 * S + 2 * LINK) as f64;
    assert_eq!(run(None), full);
    let quarter = run(Some(25_000 + 2_048));
    assert!((3.4..4.4).contains(&(quarter / full)), "{}", quarter / full);
}

/// Credits of frames lost to errors, or on a link that was down, come back: the flow goes on to its
/// last frame although more is lost than there are credits.
#[test]
fn credits_of_lost_frames_come_back() {
    let mut config = lossless(1_500_000);
    config.buffer = Buffer::Credits(CreditConfig { bytes: Some(8_192), frame: FRAME as u16 });
    config.link.errors = FrameErrors::Frame(Chance::new(0.05));
    let faults = window(30 * LINK, 90 * LINK, Change::Down, Change::Up);
    let record = one_flow(config, 4_000, &faults);
    let counters = sum(&record);
    assert_eq!(record.endpoints[0].new, 4_000);
    assert!(counters.dropped_error > 150, "{}", counters.dropped_error);
    assert!(counters.dropped_link_down > 500);
}
