//! Losses inferred before their timeout, and receivers that cannot keep up (`uet-transport.md` §8, `uet-cc.md`
//! §2.6).

use super::*;
use crate::uet::config::{HostBuffer, LossInference, NsccOptions};

fn untrimmed(inference: LossInference) -> UetConfig {
    UetConfig { inference, trimming: false, ..specification() }
}

/// A packet lost in the middle of a long message is sent again long before its timeout, once by the
/// sender's inference and once by the target's.
#[test]
fn a_loss_in_the_middle_is_inferred() {
    for inference in [LossInference::Sleek, LossInference::Receiver] {
        let config = UetConfig { initial_window: Some(200_000), ..untrimmed(inference) };
        let mut bench = bench(2, &config, first_times([40], 1, Fate::Lose));
        bench.post(0, message(0, 1, 4_000_000));
        assert!(bench.run(FOREVER));
        let times = transmissions(&bench, 40);
        assert_eq!(times.len(), 2, "{inference:?}");
        let wait = times[1].0.since(times[0].0);
        assert!(wait < config.base_rtt * 5 && wait < config.rto, "{inference:?}: {wait}");
        assert_eq!(bench.counters(0).timeouts, 0);
        // SLEEK takes for lost what no acknowledgement has named yet.
        let spurious = if inference == LossInference::Sleek { 8 } else { 0 };
        assert!(bench.counters(1).duplicates <= spurious, "{inference:?}");
    }
}

/// The last packet of a message, lost, is found by a probe: about two round trips instead of a timeout.
#[test]
fn a_lost_tail_is_probed() {
    let config = untrimmed(LossInference::Sleek);
    let mut bench = bench(2, &config, first_times([9], 1, Fate::Lose));
    bench.post(0, message(0, 1, 40_000));
    assert!(bench.run(FOREVER));
    let times = transmissions(&bench, 9);
    let wait = times[1].0.since(times[0].0);
    assert_eq!((bench.counters(0).timeouts, bench.counters(0).probes), (0, 1));
    assert!(wait > config.base_rtt * 2 && wait < config.base_rtt * 5, "{wait}");
}

/// A packet that was trimmed, that the sender took for lost and sent again before the NACK came: the NACK is not of the second
/// transmission, so nothing is sent a third time, the window is what it is without the NACK, and no round trip is taken from it. The
/// reference takes it for one of the second, and the window stays below what the short round trip allows.
#[test]
fn a_nack_of_a_transmission_given_up_changes_nothing() {
    let psn = 40;
    let run = |stale_nacks: bool, nack_at: Option<Time>| {
        let spec = specification();
        let nscc = NsccOptions { stale_nacks, ..spec.nscc };
        let config = UetConfig { inference: LossInference::Sleek, nscc, ..spec };
        let mut trim = first_times([psn], 1, Fate::Trim { last_hop: false });
        let mut bench = bench(2, &config, move |at, packet| match packet.kind {
            // The line adds its delay and a frame of 64 bytes.
            Kind::Nack => nack_at.map_or(Fate::Lose, |nack_at| Fate::Late(nack_at.since(at))),
            _ => trim(at, packet),
        });
        bench.post(0, message(0, 1, 8_000_000));
        assert!(bench.run(FOREVER));
        let times: Vec<Time> = transmissions(&bench, psn).iter().map(|(at, _)| *at).collect();
        let window = bench.endpoint(0).senders().next().map(|state| state.window);
        (times, window.expect("a context"))
    };
    let (times, window) = run(false, None);
    assert_eq!(times.len(), 2, "SLEEK has found it");
    // Between the second transmission and its acknowledgement.
    let nack_at = Some(times[1]);
    assert_eq!(run(false, nack_at), (times.clone(), window));
    let (again, held) = run(true, nack_at);
    assert_eq!((again.len(), &again[..2]), (3, &times[..]));
    assert!(held < window * 7 / 10, "{held} of {window}");
}

/// Reordering alone, up to what the window allows, makes nobody send anything again.
#[test]
fn reordering_is_no_loss() {
    for inference in [LossInference::Sleek, LossInference::Receiver] {
        let config = untrimmed(inference);
        let mut bench = bench(2, &config, |_, packet| match packet.psn % 7 {
            0 if packet.kind == Kind::Data => Fate::Late(RATE.time_for(20 * 4_202)),
            _ => Fate::Arrive,
        });
        bench.post(0, message(0, 1, 2_000_000));
        assert!(bench.run(FOREVER));
        assert_eq!(bench.counters(0).retransmitted, 0, "{inference:?}");
    }
}

/// A host that takes data at a quarter of the rate makes its sender slow down, so that nothing is refused;
/// without the penalty packets are.
#[test]
fn a_slow_host_slows_its_sender() {
    let buffer = HostBuffer { bytes: 2_000_000, rate: Rate::from_gbps(100) };
    let config = UetConfig { host_buffer: Some(buffer), ..specification() };
    let mut bench = bench(2, &config, |_, _| Fate::Arrive);
    bench.post(0, message(0, 1, 20_000_000));
    assert!(bench.run(FOREVER));
    assert_eq!(bench.counters(1).nacks, 0, "nothing was refused");
    let done = completions(&bench, true)[0].1.since(Time::ZERO);
    let drained = Rate::from_gbps(100).time_for(20_000_000 - 2_000_000);
    assert!(done > drained, "no faster than the host: {done}");
    assert!(done < Span(drained.0 * 3 / 2), "and not much slower: {done}");
    let small = HostBuffer { bytes: 50_000, ..buffer };
    let config = UetConfig {
        host_buffer: Some(small),
        nack_retry: Span::from_micros(20),
        ..specification()
    };
    let mut full = super::bench(2, &config, |_, _| Fate::Arrive);
    full.post(0, message(0, 1, 2_000_000));
    assert!(full.run(FOREVER));
    assert!(full.counters(1).nacks > 0);
    assert_eq!(full.counters(1).delivered_bytes, 2_000_000);
}
