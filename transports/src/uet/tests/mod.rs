//! UET endpoints against each other, over lines that lose, mark, trim and delay.
//!
//! - this file: what tests share; windows, timeouts, contexts, the NIC
//! - `answers`: when a receiver answers, and what it says
//! - `modes`: delivery modes and operations
//! - `life`: how contexts begin, run out, end and fail
//! - `loss`: losses inferred; a receiver that cannot keep up
//! - `credit`: RCCC
//! - `guaranteed`: responses with data, and their clearing
//! - `property`: everything at once, at random

mod answers;
mod credit;
mod guaranteed;
mod life;
mod loss;
mod modes;
mod property;

use std::collections::BTreeMap;

use fabric::engine::timers::Timers;
use fabric::ids::MessageId;
use fabric::probe::EndpointCounters;
use fabric::series::Measured;
use fabric::telemetry::Telemetry;
use fabric::units::{Rate, Span, Time};

use fabric::endpoint::Completion;
use fabric::packet::flags;

use super::config::{Delivery, Spraying};
use super::header::{Data, Op, UNKNOWN};
use super::nscc::Nscc;
use super::*;
use crate::common::pair::{Bench, Fate};

const RATE: Rate = Rate::from_gbps(400);
const DELAY: Span = Span::from_micros(6);
const FOREVER: Time = Time(1 << 50);

/// A line's round trip with full packets of the reference.
fn base_rtt() -> Span {
    DELAY * 2 + RATE.time_for(4_150 + 64)
}

fn htsim() -> UetConfig {
    UetConfig::htsim(RATE, base_rtt(), true, 626_650)
}

fn specification() -> UetConfig {
    UetConfig { random_start_psn: false, ..UetConfig::new(RATE, base_rtt(), true) }
}

fn bench<F>(hosts: u32, config: &UetConfig, fate: F) -> Bench<Uet<Nscc>, F>
where
    F: FnMut(Time, &Packet) -> Fate,
{
    let config = Arc::new(config.clone());
    let endpoint = |host| Uet::new(HostId(host), Arc::clone(&config), 1);
    Bench::new((0..hosts).map(endpoint).collect(), RATE, DELAY, fate)
}

fn message(id: u32, dst: u32, bytes: u64) -> Message {
    Message { id: MessageId(id), dst: HostId(dst), bytes, slot: id }
}

/// Fails the first `times` transmissions of the data packets `psns`.
fn first_times<const N: usize>(
    psns: [u32; N],
    times: u32,
    fate: Fate,
) -> impl FnMut(Time, &Packet) -> Fate {
    let mut left = BTreeMap::from(psns.map(|psn| (psn, times)));
    move |_, packet| match left.get_mut(&packet.psn) {
        Some(left) if packet.kind == Kind::Data && *left > 0 => {
            *left -= 1;
            fate
        }
        _ => Fate::Arrive,
    }
}

/// When each completion of one kind came, by message id or slot.
fn completions<F>(bench: &Bench<Uet<Nscc>, F>, received: bool) -> Vec<(u32, Time)> {
    let number = |completion: &Completion| match completion {
        Completion::Sent { slot } if !received => Some(*slot),
        Completion::Received { message, .. } if received => Some(message.0),
        _ => None,
    };
    bench.completed.iter().filter_map(|(at, _, done)| Some((number(done)?, *at))).collect()
}

/// When the transmissions of data packet `psn` of host 0 began.
fn transmissions<F>(bench: &Bench<Uet<Nscc>, F>, psn: u32) -> Vec<(Time, Packet)> {
    let data = |packet: &Packet| packet.kind == Kind::Data && packet.psn == psn;
    bench.sent.iter().filter(|(_, p)| data(p) && p.src == HostId(0)).copied().collect()
}

/// Alone on a line, 2 MB take 490 packets and 124 acknowledgements and exactly the closed form's time.
#[test]
fn one_message_takes_the_closed_form() {
    let mut bench = bench(2, &htsim(), |_, _| Fate::Arrive);
    bench.post(0, message(7, 1, 2_000_000));
    assert!(bench.run(FOREVER));
    let (sender, target) = (bench.counters(0), bench.counters(1));
    assert_eq!((sender.new, sender.retransmitted, target.acks), (490, 0, 124));
    assert_eq!(target.delivered_bytes, 2_000_000);
    let last = 2_000_000 - 489 * 4_086 + 64;
    let received = Time::ZERO + RATE.time_for(489 * 4_150 + last) + DELAY;
    assert_eq!(completions(&bench, true), [(7, received)]);
    let acknowledged = received + RATE.time_for(64) + DELAY;
    assert_eq!(completions(&bench, false), [(7, acknowledged)]);
}

/// Lost packets, the last one among them, are sent again when their own timeout has passed.
#[test]
fn lost_packets_come_back_after_their_timeout() {
    let config = htsim();
    let mut bench = bench(2, &config, first_times([3, 489], 1, Fate::Lose));
    bench.post(0, message(0, 1, 2_000_000));
    assert!(bench.run(FOREVER));
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).retransmitted), (2, 2));
    assert_eq!(completions(&bench, true).len(), 1);
    for psn in [3, 489] {
        let times = transmissions(&bench, psn);
        let wait = times[1].0.since(times[0].0);
        let frame = RATE.time_for(4_150);
        assert!(wait >= config.rto && wait <= config.rto + frame, "packet {psn} waited {wait}");
    }
}

/// With back-off a packet waits exactly 1, 2, 4, 8 timeouts; without, one each time.
#[test]
fn timeouts_are_exact() {
    for (config, doubling) in [(specification(), 2), (htsim(), 1)] {
        let mut bench = bench(2, &config, first_times([0], 4, Fate::Lose));
        bench.post(0, message(0, 1, 100));
        assert!(bench.run(FOREVER));
        let times: Vec<Time> = transmissions(&bench, 0).iter().map(|(at, _)| *at).collect();
        assert_eq!(times.len(), 5);
        for (tries, pair) in times.windows(2).enumerate() {
            assert_eq!(pair[1].since(pair[0]), config.rto * u64::pow(doubling, tries as u32));
        }
    }
}

/// A packet that has backed off does not delay the timeout of a fresh one on the same context.
#[test]
fn a_backed_off_packet_does_not_hold_others_up() {
    let config = specification();
    let fate = |at: Time, packet: &Packet| match (packet.kind, packet.psn) {
        (Kind::Data, 0) => Fate::Lose,
        (Kind::Data, 1) if at < Time::ZERO + config.rto * 10 => Fate::Lose,
        _ => Fate::Arrive,
    };
    let mut bench = bench(2, &config, fate);
    bench.post(0, message(0, 1, 100));
    // Lost at 0, 1 and 3 timeouts, packet 0 is next due at 7, 15, ….
    assert!(!bench.run(Time::ZERO + config.rto * 8));
    bench.post(0, message(1, 1, 100));
    bench.run(Time::ZERO + config.rto * 12);
    let times: Vec<Time> = transmissions(&bench, 1).iter().map(|(at, _)| *at).collect();
    assert_eq!(times[1].since(times[0]), config.rto);
}

/// A trimmed packet is asked for by a NACK and costs about a round trip, not a timeout. It is sent again
/// by another path, marked as a retransmission that asks for an answer.
#[test]
fn a_trimmed_packet_costs_a_round_trip() {
    let psn = 489;
    let clean = completed_at(&htsim(), |_, _| Fate::Arrive);
    for last_hop in [false, true] {
        let mut bench = bench(2, &htsim(), first_times([psn], 1, Fate::Trim { last_hop }));
        bench.post(0, message(0, 1, 2_000_000));
        assert!(bench.run(FOREVER));
        let (sender, target) = (bench.counters(0), bench.counters(1));
        assert_eq!((target.trimmed, target.nacks, sender.timeouts), (1, 1, 0));
        let late = completions(&bench, true)[0].1.since(clean);
        assert!(late <= base_rtt(), "late by {late}");
        let [(_, first), (_, second)] = transmissions(&bench, psn)[..] else { panic!("twice") };
        assert!(second.has(flags::RETRANSMITTED | flags::ACK_REQUEST | flags::END_OF_MESSAGE));
        assert!(!first.has(flags::RETRANSMITTED) && first.entropy != second.entropy);
        assert_eq!((first.psn, first.bytes), (second.psn, second.bytes));
    }
}

fn completed_at(config: &UetConfig, fate: impl FnMut(Time, &Packet) -> Fate) -> Time {
    let mut bench = bench(2, config, fate);
    bench.post(0, message(0, 1, 2_000_000));
    assert!(bench.run(FOREVER));
    completions(&bench, true)[0].1
}

/// When every answer is lost for a while, the copies that follow complete nothing a second time.
#[test]
fn duplicates_complete_nothing_twice() {
    let config = specification();
    let until = Time::ZERO + config.rto * 2;
    let mut bench = bench(2, &config, |at, packet| match packet.kind {
        Kind::Ack if at < until => Fate::Lose,
        _ => Fate::Arrive,
    });
    (0..3).for_each(|id| bench.post(0, message(id, 1, 50_000)));
    assert!(bench.run(FOREVER));
    assert!(bench.counters(1).duplicates > 0);
    assert_eq!(completions(&bench, true).len(), 3);
    assert_eq!(completions(&bench, false).len(), 3);
    assert_eq!(bench.counters(1).delivered_bytes, 150_000);
}

/// Messages to one host share a context and arrive in the order of their posting; by message, each has
/// a context of its own and they share the NIC packet by packet.
#[test]
fn the_scope_of_a_context_orders_messages() {
    let run = |config: &UetConfig| {
        let mut bench = bench(2, config, |_, _| Fate::Arrive);
        (0..4).for_each(|id| bench.post(0, message(id, 1, 400_000)));
        assert!(bench.run(FOREVER));
        let times = completions(&bench, true);
        let spread = times[3].1.since(times[0].1);
        (
            times.iter().map(|(id, _)| *id).collect::<Vec<u32>>(),
            spread,
            bench.endpoint(0).senders().count(),
        )
    };
    let in_turn = run(&UetConfig { interleave: 4, ..specification() });
    assert_eq!((in_turn.0, in_turn.2), (vec![0, 1, 2, 3], 1));
    assert!(in_turn.1 < RATE.time_for(16 * 4_202), "in turns: {}", in_turn.1);
    let (order, spread, contexts) = run(&specification());
    assert_eq!((order, contexts), (vec![0, 1, 2, 3], 1));
    assert!(spread > RATE.time_for(1_100_000), "one after the other: {spread}");
    let (order, spread, contexts) = run(&htsim());
    assert_eq!((order, contexts), (vec![0, 1, 2, 3], 4));
    assert!(spread < RATE.time_for(8 * 4_150), "side by side: {spread}");
}

/// Data names its target's context only once an acknowledgement has; contexts of several hosts are told
/// apart before and after.
#[test]
fn contexts_are_found_before_they_are_named() {
    let mut bench = bench(4, &specification(), |_, _| Fate::Arrive);
    (1..4).for_each(|host| bench.post(host, message(host, 0, 3_000_000)));
    assert!(bench.run(FOREVER));
    for host in 1..4 {
        let mine = |(_, packet): &&(Time, Packet)| packet.src == HostId(host);
        let named: Vec<bool> = (bench.sent.iter().filter(mine))
            .map(|(_, packet)| Data::unpack(packet).dpdcid != UNKNOWN)
            .collect();
        assert!(!named[0] && *named.last().unwrap());
        assert!(named.is_sorted(), "never forgotten");
    }
    assert_eq!(completions(&bench, true).len(), 3);
}

/// A window below its bandwidth-delay product holds data back, and asks with the packet that fills it.
#[test]
fn a_full_window_asks_for_an_answer() {
    let config = UetConfig { base_rtt: Span::from_micros(1), ..htsim() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 2_000_000));
    assert!(!bench.run(Time::ZERO + DELAY));
    let [state] = bench.endpoint(0).senders().collect::<Vec<_>>()[..] else { panic!("one") };
    assert_eq!(state.window, 75_000);
    assert_eq!(state.in_flight, 18 * 4_150, "as many packets as fit");
    assert_eq!(state.backlog, 490);
    let asks = |(_, packet): &(Time, Packet)| packet.has(flags::ACK_REQUEST);
    assert_eq!(bench.sent.iter().position(asks), Some(17));
}

/// What a NIC port is offered when an endpoint has both answers and data waiting.
fn offered(config: UetConfig, polls: usize, paused: u8) -> Vec<Option<Kind>> {
    let mut uet = Uet::<Nscc>::new(HostId(0), Arc::new(config), 1);
    let (mut timers, mut counters) = (Timers::default(), EndpointCounters::default());
    let mut cx = HostCx {
        now: Time(1),
        host: HostId(0),
        timers: &mut timers,
        completions: &mut Vec::new(),
        counters: &mut counters,
        telemetry: &mut Telemetry::default(),
        measured: &mut Measured::default(),
    };
    let header = Data {
        spdcid: 0,
        dpdcid: UNKNOWN,
        message: 0,
        payload: 10,
        delivery: Delivery::Rud,
        op: Op::Send,
        message_bytes: 1_000,
        ccc: 0,
        credit_target: 0,
        start_psn: 0,
        offset: 0,
        clear: 0,
    };
    for psn in 0..30 {
        let asking = Packet {
            src: HostId(1),
            psn,
            flags: flags::ACK_REQUEST,
            body: header.pack(),
            ..Packet::default()
        };
        uet.on_packet(&mut cx, &asking);
    }
    uet.on_post(&mut cx, message(0, 1, 100_000));
    let mut poll = || match uet.poll_send(&mut cx, 0, paused) {
        Send::Packet(packet) => Some(packet.kind),
        _ => None,
    };
    (0..polls).map(|_| poll()).collect()
}

/// Answers go before data, all of them by the specification, ten for one packet in the reference.
#[test]
fn control_goes_before_data() {
    let strict = offered(specification(), 32, 0);
    assert!(strict[..30].iter().all(|kind| *kind == Some(Kind::Ack)));
    assert_eq!(strict[30..], [Some(Kind::Data); 2]);
    let weighted = offered(htsim(), 33, 0);
    let data = |place: &usize| weighted[*place] == Some(Kind::Data);
    assert_eq!((0..33).filter(data).collect::<Vec<usize>>(), [10, 21, 32]);
}

/// A paused class waits, the other goes on.
#[test]
fn a_paused_class_waits() {
    let (control, data) = (Class::CONTROL.bit(), Class::DATA.bit());
    assert_eq!(offered(htsim(), 12, data), [Some(Kind::Ack); 12]);
    assert_eq!(offered(htsim(), 12, control), [Some(Kind::Data); 12]);
    assert_eq!(offered(htsim(), 2, control | data), [None; 2]);
}
