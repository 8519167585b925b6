//! smoltcp's stack over lines that lose and delay.

use std::sync::Arc;

use fabric::endpoint::Completion;
use fabric::ids::MessageId;
use fabric::packet::Kind;
use fabric::units::{Rate, Span, Time};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;

use super::*;
use crate::common::pair::{Bench, Fate};

const RATE: Rate = Rate::from_gbps(100);
const DELAY: Span = Span::from_micros(5);
const RTT: Span = Span::from_micros(10);
const FOREVER: Time = Time(1 << 50);

fn bench<F>(config: TcpConfig, fate: F) -> Bench<Tcp, F>
where
    F: FnMut(Time, &Packet) -> Fate,
{
    let config = Arc::new(config);
    let endpoint = |host| Tcp::new(HostId(host), Arc::clone(&config), 1);
    Bench::new((0..3).map(endpoint).collect(), RATE, DELAY, fate)
}

fn config() -> TcpConfig {
    TcpConfig::new(RATE, RTT)
}

fn message(id: u32, dst: u32, bytes: u64) -> Message {
    Message { id: MessageId(id), dst: HostId(dst), bytes, slot: id }
}

fn received<F>(bench: &Bench<Tcp, F>) -> Vec<(Time, u32)> {
    let of = |done: &(Time, HostId, Completion)| match done.2 {
        Completion::Received { message, .. } => Some((done.0, message.0)),
        _ => None,
    };
    bench.completed.iter().filter_map(of).collect()
}

fn data<F>(bench: &Bench<Tcp, F>) -> Vec<(Time, Packet)> {
    bench.sent.iter().filter(|sent| sent.1.kind == Kind::Data).copied().collect()
}

/// The clock: 10 us are 100 ms, and a deadline is met at the first time that shows it.
#[test]
fn the_clock_is_dilated() {
    let dilation = clock::dilation(RTT);
    assert_eq!(dilation, 10_000);
    assert_eq!(clock::instant(Time(10_000_000), dilation), Instant::from_millis(100));
    for (micros, dilation) in [(0i64, 1), (1, 3), (1_000_001, 7_777), (123_456_789, 10_000)] {
        let instant = Instant::from_micros(micros);
        let first = clock::time(instant, dilation);
        assert_eq!(clock::instant(first, dilation), instant);
        assert!(first.0 == 0 || clock::instant(Time(first.0 - 1), dilation) < instant);
    }
    assert_eq!(clock::dilation(Span::from_millis(5_000)), 1);
}

/// A message waits for the handshake; the next to the same host takes the same connection.
#[test]
fn an_idle_connection_is_used_again() {
    let mut bench = bench(config(), |_, _| Fate::Arrive);
    bench.post(0, message(1, 1, 1_000));
    assert!(bench.run(FOREVER));
    let first = received(&bench)[0].0;
    assert!(first.0 > (RTT + DELAY).0 && first.0 < (RTT + DELAY).0 * 11 / 10, "{first}");
    let again = bench.now;
    bench.post(0, message(2, 1, 1_000));
    bench.post(0, message(3, 2, 1_000));
    assert!(bench.run(FOREVER));
    let second = received(&bench).iter().find(|done| done.1 == 2).unwrap().0.since(again);
    assert!(second.0 < DELAY.0 * 11 / 10, "{second}");
    let handshakes = bench.sent.iter().filter(|sent| sent.1.kind == Kind::Control).count();
    assert_eq!(handshakes, 2 * 2, "two connections, each SYN answered");
}

/// Messages posted together to one host go side by side, each on a connection of its own.
#[test]
fn messages_do_not_wait_for_each_other() {
    let mut bench = bench(config(), |_, _| Fate::Arrive);
    bench.post(0, message(1, 1, 4 << 20));
    bench.post(0, message(2, 1, 1_000));
    assert!(bench.run(FOREVER));
    let order: Vec<u32> = received(&bench).iter().map(|done| done.1).collect();
    assert_eq!(order, [2, 1]);
}

/// More messages to one host than there are ports wait for a connection, and all arrive.
#[test]
fn messages_wait_for_a_port() {
    let mut bench = bench(TcpConfig { buffer: 4_096, ..config() }, |_, _| Fate::Arrive);
    let count = PORTS + 10;
    (0..count).for_each(|id| bench.post(0, message(id, 1, 10)));
    assert!(bench.run(FOREVER));
    assert_eq!(received(&bench).len(), count as usize);
    let handshakes = bench.sent.iter().filter(|sent| sent.1.kind == Kind::Control).count();
    assert!(handshakes >= 2 * PORTS as usize);
}

/// From two segments the window doubles each round trip until it covers the line.
#[test]
fn slow_start_doubles_each_round_trip() {
    let mut bench = bench(config(), |_, _| Fate::Arrive);
    bench.post(0, message(1, 1, 64 << 20));
    assert!(bench.run(FOREVER));
    let sent = data(&bench);
    let start = sent[0].0;
    let round = |number: u64| {
        let (from, to) = (start + RTT * number, start + RTT * (number + 1));
        sent.iter().filter(|sent| (from..to).contains(&sent.0)).count()
    };
    let [second, third, fourth] = [round(1), round(2), round(3)];
    assert!(third >= 2 * second - 1 && fourth >= 2 * third - 2, "{second} {third} {fourth}");
    let end = received(&bench)[0].0;
    let ideal = RATE.time_for((64 << 20) / 4_096 * 4_154);
    assert!(end.0 < ideal.0 * 106 / 100, "{end} for {ideal}");
    assert_eq!(bench.counters(0).retransmitted, 0);
}

/// A lost segment among many is sent again after three duplicate acknowledgements, without a timeout.
#[test]
fn one_loss_is_repaired_by_fast_retransmission() {
    let mut count = 0;
    let fate = move |_: Time, packet: &Packet| {
        count += u32::from(packet.kind == Kind::Data);
        if packet.kind == Kind::Data && count == 40 { Fate::Lose } else { Fate::Arrive }
    };
    let mut bench = bench(config(), fate);
    bench.post(0, message(1, 1, 2 << 20));
    assert!(bench.run(FOREVER));
    let counters = bench.counters(0);
    assert_eq!((counters.retransmitted, counters.timeouts), (1, 0));
    assert_eq!(received(&bench).len(), 1);
}

/// The last segment has nothing behind it: its loss costs the stack's least timeout, 1 s of its clock.
#[test]
fn a_lost_tail_costs_a_dilated_second() {
    let mut lost = false;
    let fate = move |_: Time, packet: &Packet| {
        let hit = packet.kind == Kind::Data && !std::mem::replace(&mut lost, true);
        if hit { Fate::Lose } else { Fate::Arrive }
    };
    let mut bench = bench(config(), fate);
    bench.post(0, message(1, 1, 1_000));
    assert!(bench.run(FOREVER));
    let sent = data(&bench);
    let gap = sent[1].0.since(sent[0].0);
    assert!(gap >= Span::from_micros(100) && gap < Span::from_micros(101), "{gap}");
    assert_eq!(bench.counters(0).timeouts, 1);
}

/// What the stack writes is what it reads after the way through a packet's body.
#[test]
fn segments_survive_the_model_packet() {
    let mut bench = bench(config(), |_, packet| match packet.psn % 3 {
        0 if packet.kind == Kind::Data => Fate::Late(Span::from_micros(2)),
        _ => Fate::Arrive,
    });
    bench.post(0, message(1, 1, 300_000));
    assert!(bench.run(FOREVER));
    let (mut sacks, mut syns) = (0, 0);
    for (_, packet) in &bench.sent {
        let segment = Segment::unpack(packet);
        let mut bytes = Vec::new();
        segment.emit(packet.src, packet.dst, &ChecksumCapabilities::default(), &mut bytes);
        let parsed = Segment::parse(&bytes).unwrap();
        assert_eq!(Segment { framing: segment.framing, ..parsed }, segment);
        assert_eq!((bytes.len() + 18).max(64), usize::from(packet.bytes));
        sacks += u32::from(segment.sack != (0, 0));
        syns += u32::from(segment.is_syn() && segment.mss == 4_096 && segment.scale > 0);
    }
    assert!(sacks > 0 && syns == 2, "{sacks} {syns}");
}

proptest! {
    /// Whatever is lost or late, every message arrives once and whole, and the sender learns of it.
    #[test]
    fn everything_arrives_once(
        seed in any::<u64>(),
        loss in 0u32..20,
        sizes in proptest::collection::vec((0u32..3, 1u64..200_000), 1..8),
    ) {
        let mut random = Stream::new(seed, 0, Purpose::Queue);
        let fate = move |_: Time, _: &Packet| match random.below(100) {
            draw if draw < loss => Fate::Lose,
            draw if draw < loss + 10 => Fate::Late(Span(u64::from(random.below(20_000_000)))),
            _ => Fate::Arrive,
        };
        let mut bench = bench(config(), fate);
        let mut bytes = 0;
        for (id, (from, size)) in sizes.iter().enumerate() {
            bench.post(*from, message(id as u32, (from + 1) % 3, *size));
            bytes += size;
        }
        prop_assert!(bench.run(FOREVER));
        let mut ids: Vec<u32> = received(&bench).iter().map(|done| done.1).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, (0..sizes.len() as u32).collect::<Vec<_>>());
        prop_assert_eq!(bench.completed.len(), 2 * sizes.len());
        let delivered: u64 = (0..3).map(|host| bench.counters(host).delivered_bytes).sum();
        prop_assert_eq!(delivered, bytes);
    }
}
