//! Rivals against each other, over lines that lose, trim, mark and delay.

use std::sync::Arc;

use fabric::ids::MessageId;
use fabric::units::{Rate, Span, Time};
use proptest::prelude::*;

use super::ndp::NdpOptions;
use super::srd::SrdOptions;
use super::strack::StrackOptions;
use super::*;
use crate::common::pair::{Bench, Fate};

const RATE: Rate = Rate::from_gbps(100);
const DELAY: Span = Span::from_micros(2);
const RTT: Span = Span::from_micros(5);
const FOREVER: Time = Time(1 << 50);

fn rivals() -> [Rival; 3] {
    [
        Rival::Srd(SrdOptions::at(15, RTT)),
        Rival::Strack(StrackOptions::at(15, RTT)),
        Rival::Ndp(NdpOptions { unsolicited: 15 }),
    ]
}

fn bench<F>(rival: Rival, fate: F) -> Bench<Sprayed, F>
where
    F: FnMut(Time, &Packet) -> Fate,
{
    let config = Arc::new(SprayedConfig::new(rival, RATE, RTT));
    let endpoint = |host| Sprayed::new(HostId(host), Arc::clone(&config), 1);
    Bench::new((0..3).map(endpoint).collect(), RATE, DELAY, fate)
}

fn message(id: u32, dst: u32, bytes: u64) -> Message {
    Message { id: MessageId(id), dst: HostId(dst), bytes, slot: id }
}

fn completed<F>(bench: &Bench<Sprayed, F>) -> (usize, usize) {
    let received =
        bench.completed.iter().filter(|done| matches!(done.2, Completion::Received { .. })).count();
    (received, bench.completed.len() - received)
}

/// Without loss every rival keeps a line of one round trip full: n frames and a round trip.
#[test]
fn an_unloaded_message_is_at_line_rate() {
    for rival in rivals() {
        let mut bench = bench(rival, |_, _| Fate::Arrive);
        bench.post(0, message(7, 1, 4_096 * 400));
        assert!(bench.run(FOREVER));
        assert_eq!(completed(&bench), (1, 1));
        let end = bench.completed.iter().map(|done| done.0).max().unwrap();
        let ideal = RATE.time_for(4_170) * 400 + DELAY * 2;
        assert!(end.0 < ideal.0 * 103 / 100, "{rival:?}: {end} for {ideal}");
        assert_eq!(bench.counters(0).retransmitted, 0);
    }
}

/// A short message that overtakes a long one on the same connection completes first.
#[test]
fn messages_complete_out_of_order() {
    let late = |_: Time, packet: &Packet| match (packet.kind, packet.psn) {
        (Kind::Data, 0) => Fate::Late(Span::from_micros(3)),
        _ => Fate::Arrive,
    };
    let mut bench = bench(rivals()[0], late);
    bench.post(0, message(1, 1, 8_192));
    bench.post(0, message(2, 1, 100));
    assert!(bench.run(FOREVER));
    let order: Vec<u32> = bench
        .completed
        .iter()
        .filter_map(|done| match done.2 {
            Completion::Received { message, .. } => Some(message.0),
            _ => None,
        })
        .collect();
    assert_eq!(order, [2, 1]);
}

/// A loss is found by what overtakes it, long before the timeout, and only what is lost goes again.
#[test]
fn a_loss_is_found_by_what_overtakes_it() {
    for rival in &rivals()[..2] {
        let mut lost = false;
        let mut bench = bench(*rival, move |_, packet| {
            let hit = packet.kind == Kind::Data && packet.psn == 40 && !lost;
            lost |= hit;
            if hit { Fate::Lose } else { Fate::Arrive }
        });
        bench.post(0, message(0, 1, 4_096 * 200));
        assert!(bench.run(FOREVER));
        assert_eq!((bench.counters(0).retransmitted, bench.counters(0).timeouts), (1, 0));
    }
}

/// A trimmed packet is pulled again at once.
#[test]
fn trimmed_packets_are_pulled_again() {
    let trim = |_: Time, packet: &Packet| match (packet.kind, packet.psn % 5) {
        (Kind::Data, 0) if !packet.has(flags::RETRANSMITTED) => Fate::Trim { last_hop: true },
        _ => Fate::Arrive,
    };
    let mut bench = bench(rivals()[2], trim);
    bench.post(0, message(0, 1, 4_096 * 100));
    assert!(bench.run(FOREVER));
    assert_eq!(completed(&bench), (1, 1));
    assert_eq!((bench.counters(0).retransmitted, bench.counters(0).timeouts), (20, 0));
    assert_eq!((bench.counters(1).nacks, bench.counters(1).trimmed), (20, 20));
}

/// A message posted while the last packets of another are on their way does not wait for a timeout.
#[test]
fn a_message_behind_another_is_not_forgotten() {
    let mut bench = bench(rivals()[2], |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 4_096 * 3));
    bench.run(Time(2_000_000));
    bench.post(0, message(1, 1, 4_096 * 40));
    assert!(bench.run(FOREVER));
    assert_eq!((completed(&bench), bench.counters(0).timeouts), ((2, 2), 0));
}

/// Two senders to one receiver are pulled in turn: neither is ahead by more than its first window.
#[test]
fn pulls_share_a_receiver() {
    let mut bench = bench(rivals()[2], |_, _| Fate::Arrive);
    bench.post(0, message(0, 2, 4_096 * 100));
    bench.post(1, message(1, 2, 4_096 * 100));
    assert!(bench.run(FOREVER));
    let ends: Vec<Time> = bench
        .completed
        .iter()
        .filter(|done| matches!(done.2, Completion::Sent { .. }))
        .map(|done| done.0)
        .collect();
    assert!(ends[1].since(ends[0]) < RATE.time_for(4_170) * 4, "{ends:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever is lost, late, marked or trimmed, every message completes exactly once at both ends.
    #[test]
    fn messages_complete_exactly_once(
        sizes in proptest::collection::vec(1u64..60_000, 1..6), which in 0usize..3, seed: u64,
        percent in 0u32..20,
    ) {
        let mut random = Stream::new(seed, 0, Purpose::Transport);
        let mut bench = bench(rivals()[which], move |_, packet| {
            match random.below(100) {
                hit if hit < percent => Fate::Lose,
                hit if hit < 25 => Fate::Late(Span(u64::from(random.below(4_000_000)))),
                hit if hit < 30 => Fate::Mark,
                hit if hit < 40 && packet.kind == Kind::Data => Fate::Trim { last_hop: false },
                _ => Fate::Arrive,
            }
        });
        for (id, bytes) in sizes.iter().enumerate() {
            bench.post(0, message(id as u32, 1 + id as u32 % 2, *bytes));
        }
        prop_assert!(bench.run(FOREVER));
        prop_assert_eq!(completed(&bench), (sizes.len(), sizes.len()));
        let delivered = bench.counters(1).delivered_bytes + bench.counters(2).delivered_bytes;
        prop_assert_eq!(delivered, sizes.iter().sum::<u64>());
    }
}
