//! How contexts begin, are shared, run out, end and fail (`uet-transport.md` §1, 2, 8).

use super::*;
use crate::uet::config::Operation;
use crate::uet::header::{Ack, Control, NackCode};

fn controls<F>(bench: &Bench<Uet<Nscc>, F>, kind: ControlType) -> Vec<(Time, Packet)> {
    let same =
        |packet: &Packet| packet.kind == Kind::Control && Control::unpack(packet).kind == kind;
    bench.sent.iter().filter(|(_, packet)| same(packet)).copied().collect()
}

/// Contexts begin at a random PSN in [2^16, 2^31), each at its own, and count from there.
#[test]
fn contexts_begin_at_random_numbers() {
    let config = UetConfig { random_start_psn: true, ..specification() };
    let mut bench = bench(3, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 2, 50_000));
    bench.post(1, message(1, 2, 50_000));
    assert!(bench.run(FOREVER));
    let starts: Vec<u32> = (0..2)
        .map(|host| {
            let own = |(_, p): &&(Time, Packet)| p.src == HostId(host) && p.kind == Kind::Data;
            let psns: Vec<u32> = bench.sent.iter().filter(own).map(|(_, p)| p.psn).collect();
            assert!(psns.windows(2).all(|pair| pair[1] == pair[0] + 1));
            psns[0]
        })
        .collect();
    assert!(starts.iter().all(|start| (1 << 16..1 << 31).contains(start)));
    assert_ne!(starts[0], starts[1]);
}

/// Before the target has answered, no more than 4,096 packets go out: `psn_offset` has 12 bits.
#[test]
fn a_context_in_the_syn_state_sends_what_its_offset_can_number() {
    let config = UetConfig {
        payload: 64,
        mp_range: 1 << 14,
        initial_window: Some(1 << 30),
        ..specification()
    };
    let mut bench = bench(2, &config, |_, packet| match packet.kind {
        Kind::Ack => Fate::Late(Span::from_millis(1)),
        _ => Fate::Arrive,
    });
    bench.post(0, message(0, 1, 64 * 10_000));
    bench.run(Time::ZERO + Span::from_micros(60));
    let sent = bench.sent.iter().filter(|(_, p)| p.src == HostId(0)).count();
    assert_eq!(sent, 4_096);
}

/// Two contexts to one host share window and bytes in flight: together they send what one may.
#[test]
fn contexts_to_one_host_share_their_congestion_control() {
    let alone = UetConfig { initial_window: Some(40_000), ..specification() };
    let shared = UetConfig { pdcs: 2, ..alone.clone() };
    let first_window = |config: &UetConfig| {
        let mut bench = bench(2, config, |_, _| Fate::Arrive);
        (0..2).for_each(|id| bench.post(0, message(id, 1, 400_000)));
        bench.run(Time::ZERO + DELAY);
        let contexts = bench.endpoint(0).senders().count();
        let sent = bench.sent.iter().map(|(_, packet)| u64::from(packet.bytes)).sum::<u64>();
        assert!(bench.run(FOREVER));
        (sent, contexts)
    };
    assert_eq!((first_window(&alone).1, first_window(&shared).1), (1, 2));
    assert_eq!(first_window(&alone).0, first_window(&shared).0);
}

/// An idle context is closed by its initiator with a PSN of its own, its place is used again, and the next
/// message begins another one.
#[test]
fn an_idle_context_is_closed() {
    let idle = Span::from_micros(100);
    let config = UetConfig { pdc_idle: Some(idle), ..specification() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 10_000));
    assert!(bench.run(FOREVER));
    let close = controls(&bench, ControlType::CloseCmd);
    assert_eq!(close.len(), 1);
    assert_eq!(close[0].1.psn, 3, "after three packets");
    assert_eq!(close[0].0, completions(&bench, false)[0].1 + idle);
    let places = |bench: &Bench<Uet<Nscc>, _>| bench.endpoint(0).senders().count();
    bench.post(0, message(1, 1, 10_000));
    assert!(bench.run(FOREVER));
    assert_eq!((bench.counters(0).pdcs, bench.counters(0).closes, places(&bench)), (2, 2, 2));
    bench.now += config.syn_safety;
    bench.post(0, message(2, 1, 10_000));
    assert!(bench.run(FOREVER));
    assert_eq!((bench.counters(0).pdcs, places(&bench)), (3, 2), "rested places are used again");
}

/// A close whose answer is lost is commanded again, and answered again.
#[test]
fn a_close_without_an_answer_is_repeated() {
    let config = UetConfig { pdc_idle: Some(Span::from_micros(1)), ..specification() };
    let mut lost = false;
    let mut bench = bench(2, &config, |at, packet| {
        let late = at > Time::ZERO + Span::from_micros(15);
        let lose = packet.kind == Kind::Ack && late && !lost;
        lost |= lose;
        if lose { Fate::Lose } else { Fate::Arrive }
    });
    bench.post(0, message(0, 1, 100));
    assert!(bench.run(FOREVER));
    assert_eq!(controls(&bench, ControlType::CloseCmd).len(), 2);
    assert_eq!(bench.counters(0).closes, 1);
}

/// A reader of which no command to close has arrived gives the context up; the one that still sends to it
/// again learns that all was read, whether or not it had learned the reader's context.
#[test]
fn a_reader_that_gave_up_closing_has_read_all() {
    let idle = Some(Span::from_micros(1));
    let config = UetConfig { pdc_idle: idle, rendezvous: Some(4_096), ..specification() };
    let config = UetConfig { operation: Operation::TaggedSend, ..config };
    for first_lost in [0, 2] {
        let mut bench = bench(2, &config, |_, packet| {
            let close = packet.kind == Kind::Control
                && Control::unpack(packet).kind == ControlType::CloseCmd;
            let answers_read = packet.kind == Kind::Ack && Ack::unpack(packet).spdcid == 1;
            let lose = close || (answers_read && packet.psn >= first_lost);
            if lose && packet.src == HostId(1) { Fate::Lose } else { Fate::Arrive }
        });
        bench.post(0, message(0, 1, 16_000));
        assert!(bench.run(FOREVER));
        assert_eq!(controls(&bench, ControlType::CloseCmd).len(), 6, "five, and one of host 0");
        assert_eq!((completions(&bench, true).len(), completions(&bench, false).len()), (1, 1));
        assert_eq!(bench.counters(0).pdc_errors, 0);
        assert!(bench.endpoint(0).senders().all(|sender| sender.in_flight == 0));
    }
}

/// A target with one context refuses a second host, asks the first to close, and serves the second then.
#[test]
fn a_target_without_contexts_gets_one_back() {
    let retry = Span::from_micros(50);
    let config = UetConfig { target_pdcs: Some(1), nack_retry: retry, ..specification() };
    let mut bench = bench(3, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 2, 10_000));
    assert!(bench.run(FOREVER));
    bench.post(1, message(1, 2, 10_000));
    assert!(bench.run(FOREVER));
    let refused = |(_, p): &&(Time, Packet)| {
        p.kind == Kind::Nack && Ack::unpack(p).code == NackCode::NoPdcAvail
    };
    assert_eq!(bench.sent.iter().filter(refused).count(), 3, "one for each packet of the SYN");
    assert_eq!(controls(&bench, ControlType::CloseReq).len(), 1);
    assert_eq!(bench.counters(0).closes, 1);
    assert_eq!(completions(&bench, true).len(), 2);
}

/// After as many timeouts of one packet as allowed the context fails, says so, and the next message
/// begins a new one.
#[test]
fn a_context_fails_after_too_many_timeouts() {
    let config = UetConfig { max_timeouts: Some(3), ..specification() };
    let heal = Time::ZERO + config.rto * 20;
    let fate = |at: Time, _: &Packet| if at < heal { Fate::Lose } else { Fate::Arrive };
    let mut bench = bench(2, &config, fate);
    bench.post(0, message(0, 1, 10_000));
    bench.post(0, message(1, 1, 10_000));
    assert!(bench.run(FOREVER));
    let failed: Vec<(Time, u32)> = (bench.completed.iter())
        .filter_map(|(at, _, done)| match done {
            Completion::Failed { slot } => Some((*at, *slot)),
            _ => None,
        })
        .collect();
    assert_eq!(failed.iter().map(|f| f.1).collect::<Vec<u32>>(), [0, 1]);
    // Four timeouts of 1, 2, 4 and 8 units: the first and three retransmissions.
    assert_eq!(failed[0].0, Time::ZERO + config.rto * 15);
    assert_eq!(bench.counters(0).pdc_errors, 1);
    assert!(bench.endpoint(0).senders().all(|sender| sender.in_flight == 0));
    bench.now = heal;
    bench.post(0, message(2, 1, 10_000));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench, true).len(), 1);
}
