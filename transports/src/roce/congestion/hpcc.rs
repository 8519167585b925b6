//! HPCC: high precision congestion control (SIGCOMM 2019), as its authors' model has it
//! (`roce-dcqcn.md` §5): the rate follows the most loaded hop's utilisation, read from telemetry.
//!
//! Once a round trip the reference rate is replaced; every acknowledgement in between computes from the
//! same reference, and moves also the packet that already waits.

use fabric::telemetry::{Hop, MOST_HOPS, Telemetry};
use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::roce::congestion::Feedback;

/// HPCC's constants. Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct HpccOptions {
    /// η: utilisation aimed at.
    pub eta: f64,
    /// Additive increase, W_AI as a rate.
    pub rate_ai: f64,
    /// Round trips of additive increase before a multiplicative one; 0: always multiplicative.
    pub max_stage: u32,
    /// T: the base round trip.
    pub base_rtt: Span,
    /// A bandwidth-delay product of the NIC, in bytes.
    pub window: u64,
    /// Least rate.
    pub rate_min: f64,
}

impl HpccOptions {
    /// η 0.95, W_AI 0.4 Mb/s for each Gb/s of the NIC (10 Mb/s at 25 Gb/s, `run.py`), five round trips
    /// of additive increase (the paper).
    pub fn at(rate: Rate, base_rtt: Span) -> HpccOptions {
        let line = rate.bits_per_second() as f64;
        HpccOptions {
            eta: 0.95,
            rate_ai: line * 4e-4,
            max_stage: 5,
            base_rtt,
            window: rate.bytes_in(base_rtt),
            rate_min: line / 100.0,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hpcc {
    options: HpccOptions,
    line: f64,
    rate: f64,
    /// The rate that acknowledgements of one round trip compute from, R_c.
    reference: f64,
    /// Utilisation, averaged over about a round trip.
    utilisation: f64,
    stage: u32,
    /// A round trip ends with an acknowledgement beyond this PSN; `None` before the first.
    round: Option<u32>,
    hops: [Hop; MOST_HOPS],
}

impl Hpcc {
    pub(super) fn new(options: HpccOptions, line: f64) -> Hpcc {
        Hpcc {
            options,
            line,
            rate: line,
            reference: line,
            utilisation: 1.0,
            stage: 0,
            round: None,
            hops: [Hop::default(); MOST_HOPS],
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// True if the rate was set.
    pub(super) fn on_ack(&mut self, feedback: &Feedback<'_>) -> bool {
        let Some(round) = self.round else {
            self.round = Some(feedback.next);
            self.hops.iter_mut().zip(feedback.telemetry.hops()).for_each(|(last, hop)| *last = hop);
            return false;
        };
        let ends = feedback.acked > round;
        let changed = self.measure(feedback.telemetry);
        if changed {
            let (rate, stage) = self.target();
            self.rate = rate;
            if ends {
                (self.reference, self.stage) = (rate, stage);
            }
        }
        if ends {
            self.round = Some(feedback.next.max(round));
        }
        changed
    }

    /// Takes the utilisation of the most loaded hop into the average; false if no record is newer.
    fn measure(&mut self, telemetry: &Telemetry) -> bool {
        let (mut most, mut elapsed, mut any) = (0.0, 0, false);
        for (hop, last) in telemetry.hops().zip(&mut self.hops) {
            let nanoseconds = hop.nanoseconds_since(last);
            if nanoseconds == 0 {
                continue;
            }
            any = true;
            let sent = hop.sent_since(last) as f64 * 8e9 / nanoseconds as f64;
            let queue = hop.queue().min(last.queue()) as f64;
            let load =
                sent / hop.rate() + queue * self.line / hop.rate() / self.options.window as f64;
            if load > most {
                (most, elapsed) = (load, nanoseconds);
            }
            *last = hop;
        }
        let base = self.options.base_rtt.0 as f64 / 1e3;
        let weight = (elapsed as f64).min(base);
        if any {
            self.utilisation = (self.utilisation * (base - weight) + most * weight) / base;
        }
        any
    }

    /// The rate and stage that follow from the reference and the utilisation.
    fn target(&self) -> (f64, u32) {
        let load = self.utilisation / self.options.eta;
        let (rate, stage) = if load >= 1.0 || self.stage >= self.options.max_stage {
            (self.reference / load + self.options.rate_ai, 0)
        } else {
            (self.reference + self.options.rate_ai, self.stage + 1)
        };
        // A line that stood idle for a round trip has no load at all.
        (rate.clamp(self.options.rate_min, self.line), stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::telemetry::Sampler;
    use fabric::units::Time;

    const RATE: Rate = Rate::from_gbps(100);

    fn hpcc() -> Hpcc {
        Hpcc::new(HpccOptions::at(RATE, Span::from_micros(4)), 100e9)
    }

    /// Reports a hop that has sent `sent` bytes by `now` and keeps `queue`.
    fn ack(hpcc: &mut Hpcc, acked: u32, now_ns: u64, sent: u64, queue: u64) -> bool {
        let mut telemetry = Telemetry::default();
        let mut sampler = Sampler::new(1);
        (0..sent / 128).for_each(|_| sampler.count(128));
        sampler.start(Time(now_ns * 1_000), queue);
        telemetry.push(sampler.hop(RATE));
        let (now, rtt) = (Time::ZERO, Span::ZERO);
        let next = acked + 10;
        let feedback =
            Feedback { now, acked, newly: 1, next, marked: false, rtt, telemetry: &telemetry };
        hpcc.on_ack(&feedback)
    }

    /// A line that is full over a round trip brings the rate to eta of it, and a queue of one window
    /// to half of that.
    #[test]
    fn the_rate_follows_the_utilisation() {
        let mut full = hpcc();
        assert!(!ack(&mut full, 1, 0, 0, 0), "the first record is only kept");
        assert!(ack(&mut full, 2, 4_000, 50_048, 0));
        let load = 50_048.0 / 50_000.0;
        assert!((full.rate - (100e9 * 0.95 / load + 40e6)).abs() < 1e3, "{}", full.rate);
        let mut queued = hpcc();
        ack(&mut queued, 1, 0, 0, 50_000);
        ack(&mut queued, 2, 4_000, 50_048, 50_000);
        assert!((queued.rate - (100e9 * 0.95 / (load + 1.0) + 40e6)).abs() < 1e3);
    }

    /// Within a round trip every acknowledgement computes from the same reference.
    #[test]
    fn the_reference_moves_once_a_round_trip() {
        let mut hpcc = hpcc();
        ack(&mut hpcc, 1, 0, 0, 0);
        for step in 1..=5u64 {
            ack(&mut hpcc, 1 + step as u32, step * 4_000, step * 50_000, 25_000);
        }
        assert_eq!(hpcc.reference, 100e9);
        let rate = hpcc.rate;
        ack(&mut hpcc, 12, 24_000, 300_000, 25_000);
        assert!((hpcc.reference - rate).abs() / rate < 0.01, "{} {rate}", hpcc.reference);
    }

    /// An idle line is filled by steps at first, after five of them at once.
    #[test]
    fn an_idle_line_is_filled_after_five_steps() {
        let mut hpcc = hpcc();
        (hpcc.rate, hpcc.reference, hpcc.round) = (10e9, 10e9, Some(0));
        for round in 1..=5u64 {
            ack(&mut hpcc, 20 * round as u32, round * 4_000, round * 5_000, 0);
        }
        assert!((hpcc.reference - 10.2e9).abs() < 1.0, "{}", hpcc.reference);
        ack(&mut hpcc, 120, 24_000, 30_000, 0);
        assert!(hpcc.reference > 80e9, "{}", hpcc.reference);
    }
}
