//! RCCC between endpoints (`uet-cc.md` §3).

use super::*;
use crate::uet::config::Congestion;
use crate::uet::congestion::Constant;
use crate::uet::header::Control;

fn rccc() -> UetConfig {
    let config = UetConfig { congestion: Congestion::Open, ..specification() };
    UetConfig { rccc: Some(config.default_rccc()), ..config }
}

fn bench<F>(hosts: u32, config: &UetConfig, fate: F) -> Bench<Uet<Constant>, F>
where
    F: FnMut(Time, &Packet) -> Fate,
{
    let config = Arc::new(config.clone());
    let endpoint = |host| Uet::new(HostId(host), Arc::clone(&config), 1);
    Bench::new((0..hosts).map(endpoint).collect(), RATE, DELAY, fate)
}

/// Without word of the receiver a sender sends its speculative window and no more.
#[test]
fn speculation_is_a_window() {
    let config = rccc();
    let mut bench = bench(2, &config, |_, _| Fate::Lose);
    bench.post(0, message(0, 1, 8_000_000));
    bench.run(Time::ZERO + config.rto);
    let sent: u64 = bench.sent.iter().map(|(_, packet)| u64::from(packet.bytes)).sum();
    let window = config.window_max();
    assert!(sent >= window && sent < window + 4_202, "{sent} of {window}");
}

/// Credits of one receiver come at 99 % of its rate at the most, however many senders want them.
#[test]
fn credits_are_paced() {
    let mut bench = bench(5, &rccc(), |_, _| Fate::Arrive);
    (1..5).for_each(|host| bench.post(host, message(host, 0, 4_000_000)));
    assert!(bench.run(FOREVER));
    let credits: Vec<Time> = (bench.sent.iter())
        .filter(|(_, packet)| is_control(packet, ControlType::Credit))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(bench.counters(0).credits, credits.len() as u64);
    // Nineteen twentieths of the way, when all four still want: 16 KiB a credit.
    let busy = credits.len() * 9 / 10;
    let span = credits[busy].since(credits[0]);
    let least = Span(RATE.time_for(16_384).0 * busy as u64 * 99 / 100);
    assert!(span >= least, "{busy} credits in {span}");
}

fn is_control(packet: &Packet, kind: ControlType) -> bool {
    packet.kind == Kind::Control && Control::unpack(packet).kind == kind
}

/// A sender whose credits are all lost asks again, and the message arrives.
#[test]
fn lost_credits_are_asked_for_again() {
    let config = rccc();
    let heal = Time::ZERO + config.rto * 3;
    let mut bench = bench(2, &config, |at, packet| {
        let lost = is_control(packet, ControlType::Credit) && at < heal;
        if lost { Fate::Lose } else { Fate::Arrive }
    });
    bench.post(0, message(0, 1, 8_000_000));
    assert!(bench.run(FOREVER));
    assert!(bench.sent.iter().any(|(_, packet)| is_control(packet, ControlType::CreditReq)));
    assert_eq!(bench.counters(1).delivered_bytes, 8_000_000);
}

/// So does a context whose credit went to another one to the same destination, which has finished since.
#[test]
fn a_context_left_without_credit_asks_for_it() {
    // The speculative credit is used up by two packets.
    let config = UetConfig { base_rtt: Span::from_nanos(80), pdcs: 2, ..rccc() };
    let heal = Time::ZERO + config.rto * 3;
    let mut bench = bench(2, &config, |at, packet| {
        let lost = is_control(packet, ControlType::Credit) && at < heal;
        if lost { Fate::Lose } else { Fate::Arrive }
    });
    bench.post(0, message(0, 1, 8_192));
    bench.post(0, message(1, 1, 4_096));
    assert!(bench.run(FOREVER));
    assert_eq!(bench.counters(1).delivered_bytes, 12_288);
}

/// Where window and credit both rule, the tighter one does.
#[test]
fn the_tighter_of_window_and_credit_rules() {
    let config = UetConfig { congestion: Congestion::Constant, ..rccc() };
    for (window, expected) in [(50_000, 50_000), (10_000_000, config.window_max())] {
        let config = UetConfig { initial_window: Some(window), ..config.clone() };
        let mut bench = bench(2, &config, |_, _| Fate::Lose);
        bench.post(0, message(0, 1, 8_000_000));
        bench.run(Time::ZERO + config.rto);
        let sent: u64 = bench.sent.iter().map(|(_, packet)| u64::from(packet.bytes)).sum();
        assert!(sent.abs_diff(expected) < 4_202, "{sent}, not {expected}");
    }
}
