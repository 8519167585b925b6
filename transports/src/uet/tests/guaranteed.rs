//! Guaranteed delivery (`uet-transport.md` §6): responses that ride in acknowledgements.

use super::*;
use crate::uet::config::{Operation, PdcScope};
use crate::uet::header::{Ack, Control, NackCode};

fn fetching() -> UetConfig {
    UetConfig { operation: Operation::FetchingAtomic, ..specification() }
}

fn controls<F>(bench: &Bench<Uet<Nscc>, F>, kind: ControlType) -> Vec<(Time, Control)> {
    let controls = bench.sent.iter().filter(|(_, packet)| packet.kind == Kind::Control);
    let controls = controls.map(|(at, packet)| (*at, Control::unpack(packet)));
    controls.filter(|(_, control)| control.kind == kind).collect()
}

fn answers<F>(bench: &Bench<Uet<Nscc>, F>) -> Vec<(Packet, Ack)> {
    let answers = bench.sent.iter().filter(|(_, packet)| packet.kind == Kind::Ack);
    answers.map(|(_, packet)| (*packet, Ack::unpack(packet))).collect()
}

/// Every fetching atomic is answered by an acknowledgement of its own, longer by what it brings back.
#[test]
fn a_response_rides_in_the_acknowledgement() {
    let config = fetching();
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    (0..6).for_each(|id| bench.post(0, message(id, 1, 8)));
    assert!(bench.run(FOREVER));
    let answers = answers(&bench);
    assert_eq!(answers.len(), 6);
    for (packet, ack) in &answers {
        assert_eq!((packet.bytes, ack.data), (config.ack_bytes + 20 + 8, 8));
    }
    // Request: standard header, atomic extension, operand.
    assert_eq!(bench.sent[0].1.bytes, config.header + 4 + 8);
    let done = Time::ZERO + RATE.time_for(106 + 4 + 8) + DELAY + RATE.time_for(78 + 28) + DELAY;
    assert_eq!(completions(&bench, false)[0], (0, done));
    assert_eq!(completions(&bench, true).len(), 6);
}

/// A response that is lost comes again from what the target has kept; the operation is not done twice.
#[test]
fn a_lost_response_comes_again_from_what_is_kept() {
    let mut lost = 0;
    let mut bench = bench(2, &fetching(), |_, packet| {
        let lose = packet.kind == Kind::Ack && packet.psn == 2 && lost < 3;
        lost += u32::from(lose);
        if lose { Fate::Lose } else { Fate::Arrive }
    });
    (0..6).for_each(|id| bench.post(0, message(id, 1, 16)));
    assert!(bench.run(FOREVER));
    let target = bench.counters(1);
    assert_eq!((target.duplicates, target.delivered_bytes), (3, 6 * 16));
    assert_eq!(bench.counters(0).retransmitted, 3, "others' acknowledgements do not stand for it");
    let again: Vec<u16> =
        answers(&bench).iter().filter(|(p, _)| p.psn == 2).map(|(_, ack)| ack.data).collect();
    assert_eq!(again, [16; 4]);
    assert_eq!(completions(&bench, false).len(), 6);
}

/// What is answered is cleared by the next request; when there is none, by a CLEAR_CMD after a while.
#[test]
fn responses_are_cleared() {
    let config = fetching();
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 8));
    bench.run(Time::ZERO + DELAY * 3);
    assert_eq!(bench.endpoint(1).kept, 1, "the response may be asked for again");
    bench.post(0, message(1, 1, 8));
    bench.run(bench.now + DELAY * 3);
    assert_eq!(bench.endpoint(1).kept, 1, "the second request has cleared the first");
    assert!(controls(&bench, ControlType::ClearCmd).is_empty());
    let idle = completions(&bench, false)[1].1;
    assert!(bench.run(FOREVER));
    let clears = controls(&bench, ControlType::ClearCmd);
    assert_eq!(clears.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [idle + config.clear_time]);
    assert_eq!(clears[0].1.payload, 2, "everything below the third PSN");
    assert_eq!(bench.endpoint(1).kept, 0);
}

/// A context of one message clears as well.
#[test]
fn a_context_of_one_message_clears() {
    let config = UetConfig { pdc_scope: PdcScope::Message, ..fetching() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    (0..3).for_each(|id| bench.post(0, message(id, 1, 8)));
    assert!(bench.run(FOREVER));
    assert_eq!(controls(&bench, ControlType::ClearCmd).len(), 3);
    assert_eq!(bench.endpoint(1).kept, 0);
}

/// A target without room refuses, asks for a clear, and takes the request when it comes again.
#[test]
fn a_target_without_room_asks_for_a_clear() {
    let clear_time = Span::from_millis(500);
    let config = UetConfig { gtd_responses: Some(2), clear_time, ..fetching() };
    let mut bench = bench(3, &config, |_, _| Fate::Arrive);
    (0..2).for_each(|id| bench.post(0, message(id, 1, 8)));
    bench.run(Time::ZERO + DELAY * 3);
    assert_eq!(bench.endpoint(1).kept, 2);
    bench.post(2, message(2, 1, 8));
    assert!(bench.run(FOREVER));
    let refused = bench.sent.iter().filter(|(_, packet)| {
        packet.kind == Kind::Nack && Ack::unpack(packet).code == NackCode::NoGtdDelAvail
    });
    assert_eq!(refused.count(), 1);
    let asked = controls(&bench, ControlType::ClearReq);
    assert_eq!((asked.len(), asked[0].1.payload), (1, 1), "up to the second PSN");
    assert_eq!(completions(&bench, false).len(), 3);
}

/// A short read comes back in its acknowledgement; a longer one as data of its own.
#[test]
fn a_short_read_rides_in_the_acknowledgement() {
    for (bytes, packets) in [(16, 1), (17, 2)] {
        let config = UetConfig { operation: Operation::Read, ..specification() };
        let mut bench = bench(2, &config, |_, _| Fate::Arrive);
        bench.post(0, message(0, 1, bytes));
        assert!(bench.run(FOREVER));
        let data = bench.sent.iter().filter(|(_, packet)| packet.kind == Kind::Data);
        assert_eq!(data.count(), packets, "{bytes} B");
        assert_eq!(bench.counters(0).delivered_bytes, bytes);
        assert_eq!(completions(&bench, true).len(), 1);
        assert_eq!(completions(&bench, false).len(), 1);
    }
}

/// A close clears what is kept without another word.
#[test]
fn a_close_clears_what_is_kept() {
    let idle = Some(Span::from_micros(50));
    let config = UetConfig { pdc_idle: idle, ..fetching() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 8));
    assert!(bench.run(FOREVER));
    assert_eq!((bench.endpoint(1).kept, bench.counters(0).closes), (0, 1));
    assert!(controls(&bench, ControlType::ClearCmd).is_empty());
}

/// Clears are cumulative, so what arrives above a hole leaves room for the hole: nothing waits for ever.
#[test]
fn a_hole_finds_room() {
    for most in [1, 2] {
        let config = UetConfig { gtd_responses: Some(most), ..fetching() };
        let mut bench = bench(2, &config, first_times([0], 1, Fate::Lose));
        (0..5).for_each(|id| bench.post(0, message(id, 1, 8)));
        assert!(bench.run(FOREVER));
        assert_eq!(completions(&bench, false).len(), 5);
        assert_eq!(bench.counters(1).delivered_bytes, 40);
    }
}

/// Of two contexts that fill a target's room, one waits for a request that was trimmed and can clear nothing; the other, whose CLEAR_CMD
/// was lost, is asked as well.
#[test]
fn each_context_is_asked_for_a_clear() {
    let config = UetConfig { gtd_responses: Some(2), ..fetching() };
    let (mut trimmed, mut cleared) = (false, false);
    let mut bench = bench(3, &config, |_, packet| {
        let (first, from_0) = (packet.psn == 0, packet.src == HostId(0));
        let clears =
            packet.kind == Kind::Control && Control::unpack(packet).kind == ControlType::ClearCmd;
        if packet.kind == Kind::Data && first && from_0 && !std::mem::replace(&mut trimmed, true) {
            Fate::Trim { last_hop: false }
        } else if clears && !from_0 && !std::mem::replace(&mut cleared, true) {
            Fate::Lose
        } else {
            Fate::Arrive
        }
    });
    (0..2).for_each(|id| bench.post(0, message(id, 1, 8)));
    bench.run(Time::ZERO + RATE.time_for(500));
    bench.post(2, message(2, 1, 8));
    assert!(bench.run(FOREVER));
    assert_eq!(completions(&bench, false).len(), 3);
    let asked = controls(&bench, ControlType::ClearReq);
    let first_of = |spdcid| asked.iter().position(|(_, control)| control.spdcid == spdcid);
    assert_eq!((first_of(0), first_of(1)), (Some(0), Some(1)), "in turn");
}
