//! Losses inferred before their timeout, and receivers that cannot keep up (`uet-transport.md` §8, `uet-cc.md`
//! §2.6).

use super::*;
use crate::uet::config::{HostBuffer, LossInference};

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
