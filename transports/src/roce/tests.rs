//! RoCE endpoints against each other, over lines that lose, mark and delay.

use fabric::ids::MessageId;
use fabric::units::{Rate, Span, Time};
use proptest::prelude::*;

use super::config::{Congestion, Preset, Recovery, Timeout};
use super::*;
use crate::common::pair::{Bench, Fate};

const RATE: Rate = Rate::from_gbps(100);
const DELAY: Span = Span::from_micros(2);
const FOREVER: Time = Time(1 << 50);

fn config() -> RoceConfig {
    RoceConfig { payload: 1_000, first_header: 0, ..RoceConfig::new(RATE, Preset::Mellanox, None) }
}

fn bench<F>(config: RoceConfig, fate: F) -> Bench<Roce, F>
where
    F: FnMut(Time, &Packet) -> Fate,
{
    let config = Arc::new(config);
    let endpoint = |host| Roce::new(HostId(host), Arc::clone(&config), 1);
    Bench::new((0..3).map(endpoint).collect(), RATE, DELAY, fate)
}

fn message(id: u32, dst: u32, bytes: u64) -> Message {
    Message { id: MessageId(id), dst: HostId(dst), bytes, slot: id }
}

/// Loses the first transmission of the data packet `psn`.
fn lose_once(psn: u32) -> impl FnMut(Time, &Packet) -> Fate {
    let mut lost = false;
    move |_, packet| {
        let hit = packet.kind == Kind::Data && packet.psn == psn && !lost;
        lost |= hit;
        if hit { Fate::Lose } else { Fate::Arrive }
    }
}

fn data<F>(bench: &Bench<Roce, F>) -> Vec<u32> {
    let packets = bench.sent.iter().filter(|(_, packet)| packet.kind == Kind::Data);
    packets.map(|(_, packet)| packet.psn).collect()
}

/// Completions of both kinds, as (received, message), in order.
fn completions<F>(bench: &Bench<Roce, F>) -> Vec<(bool, u32)> {
    let of = |completion: &Completion| match completion {
        Completion::Sent { slot } => (false, *slot),
        Completion::Received { message, .. } => (true, message.0),
        Completion::Failed { slot } => panic!("message {slot} failed"),
    };
    bench.completed.iter().map(|(_, _, completion)| of(completion)).collect()
}

fn last_completion<F>(bench: &Bench<Roce, F>) -> Time {
    bench.completed.iter().map(|(at, ..)| *at).max().expect("a completion")
}

/// Without loss a message takes n frames, the line there and back, and the last acknowledgement.
#[test]
fn an_unloaded_message_takes_its_closed_form() {
    let mut bench = bench(config(), |_, _| Fate::Arrive);
    bench.post(0, message(7, 1, 50_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench), [(true, 7), (false, 7)]);
    let (frame, ack) = (RATE.time_for(1_062), RATE.time_for(66));
    assert_eq!(last_completion(&bench), Time::ZERO + frame * 50 + ack + DELAY * 2);
    assert_eq!(bench.counters(1).acks, 50);
}

/// A lost packet is reported by one NAK, and everything from it on is sent again.
#[test]
fn a_gap_is_reported_once_and_gone_back_to() {
    let mut bench = bench(config(), lose_once(20));
    bench.post(0, message(0, 1, 100_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench), [(true, 0), (false, 0)]);
    assert_eq!(bench.counters(1).nacks, 1);
    let sent = data(&bench);
    let turn = sent.windows(2).position(|pair| pair[1] < pair[0]).expect("it goes back");
    assert_eq!(sent[turn + 1], 20);
    assert!(sent[turn + 1..].is_sorted() && sent.last() == Some(&99));
    assert_eq!(bench.counters(0).retransmitted as usize, turn + 1 - 20);
    assert_eq!(bench.counters(0).timeouts, 0);
}

/// Nothing follows the last packet, so only the timeout finds that it is lost.
#[test]
fn a_lost_tail_is_found_by_timeout() {
    let mut bench = bench(config(), lose_once(9));
    bench.post(0, message(0, 1, 10_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench), [(true, 0), (false, 0)]);
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).retransmitted), (1, 1));
    let timeout = config().timeout.expect("a timeout").after;
    let end = last_completion(&bench);
    assert!(end > Time::ZERO + timeout && end < Time::ZERO + timeout * 2, "{end}");
}

/// Marks slow the sender down: frames are spaced by the rate that DCQCN allows.
#[test]
fn marked_packets_are_paced() {
    let mut bench = bench(config(), |_, packet| match packet.kind {
        Kind::Data => Fate::Mark,
        _ => Fate::Arrive,
    });
    bench.post(0, message(0, 1, 400_000));
    assert!(bench.run(FOREVER));
    let times: Vec<Time> =
        bench.sent.iter().filter(|sent| sent.1.kind == Kind::Data).map(|s| s.0).collect();
    let frame = RATE.time_for(1_062);
    assert_eq!(times[1].since(times[0]), frame, "it starts at line rate");
    let last = times[times.len() - 1].since(times[times.len() - 2]);
    assert!(last.0 > 3 * frame.0, "{last} after many cuts");
    assert!(bench.counters(1).cnps > 100 && bench.counters(1).ecn_marked == 400);
}

/// The paper's receiver notifies at most once in its interval.
#[test]
fn notifications_keep_their_interval() {
    let paper = RoceConfig { payload: 1_000, ..RoceConfig::new(RATE, Preset::Paper, None) };
    let mut bench = bench(paper, |_, packet| match packet.kind {
        Kind::Data => Fate::Mark,
        _ => Fate::Arrive,
    });
    bench.post(0, message(0, 1, 2_000_000));
    assert!(bench.run(FOREVER));
    let times: Vec<Time> =
        bench.sent.iter().filter(|sent| sent.1.kind == Kind::Cnp).map(|s| s.0).collect();
    assert!(times.len() > 2);
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Span::from_micros(50)));
}

/// Two queue pairs share the port in turn.
#[test]
fn queue_pairs_take_turns() {
    let mut bench = bench(config(), |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 10_000));
    bench.post(0, message(1, 2, 10_000));
    assert!(bench.run(FOREVER));
    let to: Vec<u32> =
        bench.sent.iter().filter(|s| s.1.kind == Kind::Data).map(|s| s.1.dst.0).collect();
    assert!(to[1..18].windows(2).all(|pair| pair[0] != pair[1]), "{to:?}");
}

fn selective(patience: Span) -> RoceConfig {
    RoceConfig { recovery: Recovery::Selective { patience }, ..config() }
}

/// Selective retransmission sends what is lost again and nothing else, at the first sign (IRN) or after
/// patience.
#[test]
fn only_what_is_lost_goes_again() {
    for patience in [Span::ZERO, Span::from_micros(6)] {
        let mut bench = bench(selective(patience), lose_once(20));
        bench.post(0, message(0, 1, 200_000));
        assert!(bench.run(FOREVER));
        assert_eq!(completions(&bench), [(true, 0), (false, 0)]);
        assert_eq!((bench.counters(0).retransmitted, bench.counters(0).timeouts), (1, 0));
        let again = |sent: &&(Time, Packet)| sent.1.psn == 20 && sent.1.kind == Kind::Data;
        let times: Vec<Time> = bench.sent.iter().filter(again).map(|sent| sent.0).collect();
        let waited = times[1].since(times[0]);
        assert!(waited >= DELAY * 2 + patience && waited < DELAY * 3 + patience, "{waited}");
    }
}

/// A receiver with patience takes packets that overtake each other without calling any lost; one without
/// asks for them.
#[test]
fn patience_tolerates_reordering() {
    let retransmitted = |patience: u64| {
        let late = |_: Time, packet: &Packet| match (packet.kind, packet.psn % 7) {
            (Kind::Data, 3) => Fate::Late(Span::from_nanos(700)),
            _ => Fate::Arrive,
        };
        let mut bench = bench(selective(Span::from_nanos(patience)), late);
        bench.post(0, message(0, 1, 300_000));
        assert!(bench.run(FOREVER));
        assert_eq!(completions(&bench), [(true, 0), (false, 0)]);
        bench.counters(0).retransmitted
    };
    assert_eq!(retransmitted(1_000), 0);
    assert!(retransmitted(0) > 10);
}

/// Without an answer a queue pair is given up after its retries, and what is posted to it fails at once.
#[test]
fn a_queue_pair_is_given_up() {
    let timeout = Timeout { after: Span::from_micros(10), few: None, retries: Some(3) };
    let config = RoceConfig { timeout: Some(timeout), ..config() };
    let mut bench = bench(config, |_, _| Fate::Lose);
    bench.post(0, message(0, 1, 2_000));
    assert!(bench.run(FOREVER));
    bench.post(0, message(1, 1, 2_000));
    let failed = |slot| (HostId(0), Completion::Failed { slot });
    let ends: Vec<(HostId, Completion)> =
        bench.completed.iter().map(|(_, host, completion)| (*host, *completion)).collect();
    assert_eq!(ends, [failed(0), failed(1)]);
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).qp_errors), (4, 1));
}

/// With several queue pairs messages take them in turn, or go in parts over all; either way each completes
/// once.
#[test]
fn messages_spread_over_queue_pairs() {
    for split in [false, true] {
        let qp_scope = QpScope::Destination { count: 4, split };
        let mut bench = bench(RoceConfig { qp_scope, ..config() }, |_, _| Fate::Arrive);
        (0..4).for_each(|id| bench.post(0, message(id, 1, 10_000)));
        assert!(bench.run(FOREVER));
        assert_eq!(sorted(&bench), once(4));
        let mut flows: Vec<u32> = bench.sent.iter().map(|sent| sent.1.flow).collect();
        flows.sort_unstable();
        flows.dedup();
        assert_eq!((flows.len(), bench.counters(1).delivered_bytes), (4, 40_000));
    }
}

/// Where the hash does not see queue pairs, all those of two hosts have one path; setting one up takes its
/// time.
#[test]
fn host_pairs_share_a_path_and_set_up_takes_time() {
    let config = RoceConfig {
        qp_scope: QpScope::Destination { count: 4, split: true },
        path_key: PathKey::HostPair,
        qp_setup: Span::from_micros(30),
        ..config()
    };
    let mut bench = bench(config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 10_000));
    bench.post(0, message(1, 2, 10_000));
    assert!(bench.run(FOREVER));
    let path = |dst: u32| {
        let to = bench.sent.iter().filter(|s| s.1.kind == Kind::Data && s.1.dst == HostId(dst));
        let mut paths: Vec<(u32, u16)> = to.map(|s| (s.1.flow, s.1.entropy)).collect();
        paths.dedup();
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths[0]
    };
    assert_ne!(path(1), path(2));
    assert_eq!(bench.sent[0].0, Time::ZERO + Span::from_micros(30));
}

fn sorted<F>(bench: &Bench<Roce, F>) -> Vec<(bool, u32)> {
    let mut done = completions(bench);
    done.sort_unstable();
    done
}

/// Messages 0 to `count`, each sent and received once.
fn once(count: u32) -> Vec<(bool, u32)> {
    [false, true].iter().flat_map(|kind| (0..count).map(move |id| (*kind, id))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// With selective retransmission too, whatever is lost or late, and over any number of queue pairs.
    #[test]
    fn selective_messages_complete_exactly_once(
        sizes in proptest::collection::vec(1u64..20_000, 1..6), seed: u64, percent in 0u32..20,
        patience in 0u64..5_000, count in 1u32..4, split: bool,
    ) {
        let mut random = Stream::new(seed, 0, Purpose::Transport);
        let few = Some((3, Span::from_micros(50)));
        let timeout = Timeout { after: Span::from_micros(200), few, retries: None };
        let lossy = RoceConfig {
            congestion: Congestion::None,
            qp_scope: QpScope::Destination { count, split },
            timeout: Some(timeout),
            ..selective(Span::from_nanos(patience))
        };
        let mut bench = bench(lossy, move |_, _| match random.below(100) {
            hit if hit < percent => Fate::Lose,
            hit if hit < 40 => Fate::Late(Span(u64::from(random.below(2_000_000)))),
            _ => Fate::Arrive,
        });
        for (id, bytes) in sizes.iter().enumerate() {
            bench.post(0, message(id as u32, 1, *bytes));
        }
        prop_assert!(bench.run(FOREVER));
        prop_assert_eq!(sorted(&bench), once(sizes.len() as u32));
        prop_assert_eq!(bench.counters(1).delivered_bytes, sizes.iter().sum::<u64>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever is lost, every message completes exactly once at both ends, in order on its queue pair.
    #[test]
    fn messages_complete_exactly_once(
        sizes in proptest::collection::vec(1u64..20_000, 1..6), seed: u64, percent in 0u32..20,
    ) {
        let mut random = Stream::new(seed, 0, Purpose::Transport);
        let config = config();
        // One in a few thousand would run out of retries.
        let timeout = config.timeout.map(|timeout| Timeout { retries: None, ..timeout });
        let lossy = RoceConfig { congestion: Congestion::None, timeout, ..config };
        let mut bench = bench(lossy, move |_, _| {
            if random.below(100) < percent { Fate::Lose } else { Fate::Arrive }
        });
        for (id, bytes) in sizes.iter().enumerate() {
            bench.post(0, message(id as u32, 1, *bytes));
        }
        prop_assert!(bench.run(FOREVER));
        let done = completions(&bench);
        for received in [true, false] {
            let of_kind: Vec<u32> =
                done.iter().filter(|(kind, _)| *kind == received).map(|(_, id)| *id).collect();
            prop_assert_eq!(of_kind, (0..sizes.len() as u32).collect::<Vec<_>>());
        }
        prop_assert_eq!(bench.counters(1).delivered_bytes, sizes.iter().sum::<u64>());
    }
}

fn reading() -> RoceConfig {
    RoceConfig { operation: Operation::Read, ..config() }
}

/// A read takes a request, the line there and back, and its data; the poster completes, and nobody acknowledges.
#[test]
fn an_unloaded_read_takes_its_closed_form() {
    let mut bench = bench(RoceConfig { first_header: 16, ..reading() }, |_, _| Fate::Arrive);
    bench.post(0, message(7, 1, 50_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench), [(true, 7), (false, 7)]);
    assert!(bench.completed.iter().all(|(_, host, _)| *host == HostId(0)));
    let [request, frame, edge] = [78, 1_062, 1_066].map(|bytes| RATE.time_for(bytes));
    let data = frame * 48 + edge * 2;
    assert_eq!(last_completion(&bench), Time::ZERO + request + data + DELAY * 2);
    assert_eq!((bench.counters(0).acks, bench.counters(1).new), (0, 50));
    assert_eq!(bench.sent.len(), 51);
}

/// Data that is lost is asked for again from there, once a gap; later reads follow.
#[test]
fn lost_data_is_asked_for_again() {
    let mut bench = bench(reading(), lose_once(20));
    bench.post(0, message(0, 1, 30_000));
    bench.post(0, message(1, 1, 5_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench), [(true, 0), (false, 0), (true, 1), (false, 1)]);
    let requests: Vec<u32> = bench
        .sent
        .iter()
        .filter(|(_, packet)| packet.kind == Kind::Control)
        .map(|(_, packet)| packet.psn)
        .collect();
    assert_eq!(requests, [0, 30, 20, 30]);
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).delivered_bytes), (0, 35_000));
}

/// A request that is lost is noticed by the next one, and reported.
#[test]
fn a_lost_request_is_reported() {
    let mut lost = false;
    let mut bench = bench(reading(), move |_, packet| match packet.kind {
        Kind::Control if !std::mem::replace(&mut lost, true) => Fate::Lose,
        _ => Fate::Arrive,
    });
    bench.post(0, message(0, 1, 3_000));
    bench.post(0, message(1, 1, 3_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench).len(), 4);
    assert_eq!((bench.counters(1).nacks, bench.counters(0).timeouts), (1, 0));
}

/// A host that never answers: after the retries every read of the queue pair fails, and later ones at once.
#[test]
fn reads_are_given_up() {
    let timeout = Timeout { after: Span::from_micros(50), few: None, retries: Some(2) };
    let config = RoceConfig { timeout: Some(timeout), ..reading() };
    let mut bench = bench(config, |_, _| Fate::Lose);
    bench.post(0, message(0, 1, 3_000));
    bench.post(0, message(1, 1, 3_000));
    assert!(bench.run(FOREVER));
    bench.post(0, message(2, 1, 3_000));
    let failed: Vec<u32> = bench
        .completed
        .iter()
        .filter_map(|(_, _, completion)| match completion {
            Completion::Failed { slot } => Some(*slot),
            _ => None,
        })
        .collect();
    assert_eq!(failed, [0, 1, 2]);
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).qp_errors), (3, 1));
}

/// Marked data is notified to the host that sends it, which slows down.
#[test]
fn marks_slow_a_read_down() {
    let interval = Span::from_micros(4);
    let config = RoceConfig { mark_report: MarkReport::Cnp { interval }, ..reading() };
    let end = |mark: bool| {
        let mut bench = bench(config.clone(), move |_, packet| match packet.kind {
            Kind::Data if mark => Fate::Mark,
            _ => Fate::Arrive,
        });
        bench.post(0, message(0, 1, 1_000_000));
        assert!(bench.run(FOREVER));
        assert_eq!(bench.counters(0).cnps > 0, mark);
        last_completion(&bench)
    };
    assert!(end(true).0 > 2 * end(false).0);
}

/// Acknowledgements wait for eight packets, or for the delay from the first on.
#[test]
fn acknowledgements_do_not_wait_for_ever() {
    let delay = Span::from_micros(30);
    let config = RoceConfig { ack_every: 8, ack_delay: Some(delay), ..config() };
    // The sixth packet onwards comes so late that the first five have to be acknowledged without them.
    let mut bench = bench(config, |_, packet| match packet.kind {
        Kind::Data if packet.psn >= 5 => Fate::Late(Span::from_micros(100)),
        _ => Fate::Arrive,
    });
    bench.post(0, message(0, 1, 10_000));
    assert!(bench.run(FOREVER));
    let answers: Vec<(Time, u32)> = bench
        .sent
        .iter()
        .filter(|(_, packet)| packet.kind == Kind::Ack)
        .map(|(at, packet)| (*at, packet.psn))
        .collect();
    let first = Time::ZERO + RATE.time_for(1_062) + DELAY;
    assert_eq!(answers[0], (first + delay, 5));
    assert_eq!(answers[1..].iter().map(|answer| answer.1).collect::<Vec<_>>(), [10]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever is lost or late, on any number of queue pairs, every read completes exactly once, at its poster.
    #[test]
    fn reads_complete_exactly_once(
        sizes in proptest::collection::vec((0u32..2, 1u64..20_000), 1..30), seed: u64,
        percent in 0u32..20, late in 0u32..10, count in 1u32..4, split: bool,
    ) {
        let mut random = Stream::new(seed, 0, Purpose::Transport);
        let timeout = Timeout { after: Span::from_micros(200), few: None, retries: None };
        let lossy = RoceConfig {
            congestion: Congestion::None,
            qp_scope: QpScope::Destination { count, split },
            timeout: Some(timeout),
            ..reading()
        };
        let mut bench = bench(lossy, move |_, _| match random.below(100) {
            hit if hit < percent => Fate::Lose,
            hit if hit < percent + late => Fate::Late(Span(u64::from(random.below(2_000_000)))),
            _ => Fate::Arrive,
        });
        for (id, (from, bytes)) in sizes.iter().enumerate() {
            bench.post(*from, message(id as u32, 1 - from, *bytes));
        }
        prop_assert!(bench.run(FOREVER));
        prop_assert_eq!(sorted(&bench), once(sizes.len() as u32));
        let delivered = bench.counters(0).delivered_bytes + bench.counters(1).delivered_bytes;
        prop_assert_eq!(delivered, sizes.iter().map(|size| size.1).sum::<u64>());
    }
}
