//! TIMELY (SIGCOMM 2015), as the HPCC authors' model has it (`roce-dcqcn.md` §5): the rate follows the
//! gradient of the round-trip time, once a round trip.

use fabric::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::roce::congestion::Feedback;

/// Increases in a row after which they are larger.
const PATIENCE: u32 = 5;

/// TIMELY's constants. Rates in bits a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TimelyOptions {
    /// α: weight of a new difference in the gradient.
    pub alpha: f64,
    /// β: strength of a decrease.
    pub beta: f64,
    /// Below this round-trip time the rate always rises.
    pub rtt_low: Span,
    /// Above this it always falls.
    pub rtt_high: Span,
    /// What gradients are measured in.
    pub rtt_min: Span,
    /// δ: additive increase.
    pub rate_ai: f64,
    /// The same after five increases in a row.
    pub rate_hai: f64,
    /// Least rate.
    pub rate_min: f64,
}

impl TimelyOptions {
    /// Increases grow with the NIC's rate from 10 Mb/s at 10 Gb/s. Times are those of the paper, which
    /// had a least round trip of 20 us, in proportion to `base_rtt`: 2.5 and 25 of it.
    pub fn at(rate: Rate, base_rtt: Span) -> TimelyOptions {
        let line = rate.bits_per_second() as f64;
        TimelyOptions {
            rtt_low: Span(base_rtt.0 * 5 / 2),
            rtt_high: base_rtt * 25,
            rtt_min: base_rtt,
            ..TimelyOptions::published(line)
        }
    }

    /// The paper's times, whatever the fabric.
    pub fn published(line: f64) -> TimelyOptions {
        TimelyOptions {
            alpha: 0.875,
            beta: 0.8,
            rtt_low: Span::from_micros(50),
            rtt_high: Span::from_micros(500),
            rtt_min: Span::from_micros(20),
            rate_ai: line / 1_000.0,
            rate_hai: line / 200.0,
            rate_min: line / 100.0,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timely {
    options: TimelyOptions,
    line: f64,
    rate: f64,
    last: Span,
    /// Moving difference of round-trip times, in picoseconds.
    difference: f64,
    /// Increases in a row.
    increases: u32,
    /// A round trip ends with an acknowledgement beyond this PSN; `None` before the first.
    round: Option<u32>,
}

impl Timely {
    pub(super) fn new(options: TimelyOptions, line: f64) -> Timely {
        let last = Span::ZERO;
        Timely { options, line, rate: line, last, difference: 0.0, increases: 0, round: None }
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    pub(super) fn on_ack(&mut self, feedback: &Feedback<'_>) {
        if self.round.is_some_and(|round| feedback.acked <= round) {
            return;
        }
        if let Some(round) = self.round {
            self.update(feedback.rtt);
            if feedback.next <= round {
                return;
            }
        }
        self.round = Some(feedback.next);
        self.last = feedback.rtt;
    }

    fn update(&mut self, rtt: Span) {
        let options = &self.options;
        let fresh = rtt.0 as f64 - self.last.0 as f64;
        self.difference = (1.0 - options.alpha) * self.difference + options.alpha * fresh;
        let gradient = self.difference / options.rtt_min.0 as f64;
        let factor = if rtt < options.rtt_low {
            None
        } else if rtt > options.rtt_high {
            Some(1.0 - options.beta * (1.0 - options.rtt_high.0 as f64 / rtt.0 as f64))
        } else {
            (gradient > 0.0).then(|| (1.0 - options.beta * gradient).max(0.0))
        };
        if let Some(factor) = factor {
            self.rate = (self.rate * factor).max(options.rate_min);
            self.increases = 0;
        } else {
            let step = if self.increases < PATIENCE { options.rate_ai } else { options.rate_hai };
            self.rate = (self.rate + step).min(self.line);
            self.increases += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timely() -> Timely {
        let options = TimelyOptions::at(Rate::from_gbps(100), Span::from_micros(8));
        Timely { rate: 50e9, last: Span::from_micros(40), ..Timely::new(options, 100e9) }
    }

    /// Low round trips raise the rate by δ, after five in a row by more.
    #[test]
    fn low_round_trips_raise_the_rate() {
        let mut timely = timely();
        (0..5).for_each(|_| timely.update(Span::from_micros(10)));
        assert_eq!(timely.rate, 50.5e9);
        timely.update(Span::from_micros(10));
        assert_eq!(timely.rate, 51e9);
    }

    /// Between the bounds the gradient decides, above the upper one the distance to it.
    #[test]
    fn growing_round_trips_lower_it() {
        let mut growing = timely();
        growing.update(Span::from_micros(44));
        let gradient = 0.875 * 4.0 / 8.0;
        assert!((growing.rate - 50e9 * (1.0 - 0.8 * gradient)).abs() < 1.0);
        let mut high = timely();
        high.update(Span::from_micros(400));
        assert!((high.rate - 50e9 * (1.0 - 0.8 * 0.5)).abs() < 1.0);
    }
}
