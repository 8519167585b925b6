//! DCTCP with a rate in place of a window, as the HPCC authors' model has it (`roce-dcqcn.md` §5).
//!
//! Once a round trip α moves towards the share of marked packets; the first mark in a round trip takes
//! α/2 off the rate; a round trip without adds a constant.

use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::roce::congestion::Feedback;

/// DCTCP's constants. Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct DctcpOptions {
    /// g: weight of a new share in alpha.
    pub g: f64,
    /// Added each round trip without a mark.
    pub rate_ai: f64,
    /// Least rate.
    pub rate_min: f64,
}

impl DctcpOptions {
    /// One full packet of `payload` bytes more each `base_rtt`, as a window of packets would grow.
    pub fn at(rate: Rate, payload: u64, base_rtt: Span) -> DctcpOptions {
        DctcpOptions {
            g: 1.0 / 16.0,
            rate_ai: payload as f64 * 8e12 / base_rtt.0.max(1) as f64,
            rate_min: rate.bits_per_second() as f64 / 100.0,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dctcp {
    options: DctcpOptions,
    line: f64,
    rate: f64,
    alpha: f64,
    /// Marks in this round trip.
    marks: u32,
    /// Packets in this round trip.
    batch: u32,
    /// A round trip ends with an acknowledgement beyond this PSN; `None` before the first.
    round: Option<u32>,
    /// Having slowed down, no cut until an acknowledgement beyond this PSN.
    reduced: Option<u32>,
}

impl Dctcp {
    pub(super) fn new(options: DctcpOptions, line: f64) -> Dctcp {
        Dctcp {
            options,
            line,
            rate: line,
            alpha: 1.0,
            marks: 0,
            batch: 1,
            round: None,
            reduced: None,
        }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn on_ack(&mut self, feedback: &Feedback<'_>) {
        let Feedback { acked, next, marked, .. } = *feedback;
        self.marks += u32::from(marked);
        let ends = self.round.is_none_or(|round| acked > round);
        if ends {
            self.end_round(acked, next);
        }
        if self.reduced.is_some_and(|high| acked > high) {
            self.reduced = None;
        }
        if marked && self.reduced.is_none() {
            self.rate = (self.rate * (1.0 - self.alpha / 2.0)).max(self.options.rate_min);
            self.reduced = Some(next);
        }
        if self.reduced.is_none() && ends {
            self.rate = (self.rate + self.options.rate_ai).min(self.line);
        }
    }

    fn end_round(&mut self, acked: u32, next: u32) {
        if self.round.is_none() {
            self.batch = next + 1;
        } else {
            let share = (f64::from(self.marks) / f64::from(self.batch)).min(1.0);
            self.alpha = (1.0 - self.options.g) * self.alpha + self.options.g * share;
            self.marks = 0;
            self.batch = next - acked + 1;
        }
        self.round = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::telemetry::Telemetry;
    use fabric::units::Time;

    fn ack(dctcp: &mut Dctcp, acked: u32, next: u32, marked: bool) {
        let telemetry = Telemetry::default();
        let now = Time::ZERO;
        let rtt = Span::ZERO;
        dctcp.on_ack(&Feedback { now, acked, newly: 1, next, marked, rtt, telemetry: &telemetry });
    }

    /// One cut a round trip by alpha/2, alpha being the moving share of marks, and one step up in a round
    /// without marks.
    #[test]
    fn one_cut_a_round_trip() {
        let options = DctcpOptions::at(Rate::from_gbps(100), 1_000, Span::from_micros(8));
        assert_eq!(options.rate_ai, 1e9);
        let mut dctcp = Dctcp::new(options, 100e9);
        ack(&mut dctcp, 1, 10, true);
        assert_eq!(dctcp.rate, 50e9);
        (2..=10).for_each(|psn| ack(&mut dctcp, psn, 10 + psn, true));
        assert_eq!(dctcp.rate, 50e9, "marks of the same round trip");
        ack(&mut dctcp, 11, 21, false);
        // Ten of eleven packets were marked; the round trip is over.
        let alpha = 15.0 / 16.0 + 10.0 / 11.0 / 16.0;
        assert!((dctcp.alpha - alpha).abs() < 1e-12);
        assert_eq!(dctcp.rate, 51e9);
        ack(&mut dctcp, 12, 22, true);
        assert!((dctcp.rate - 51e9 * (1.0 - alpha / 2.0)).abs() < 1.0);
    }
}
