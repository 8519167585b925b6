//! STrack-like: window by delay, paths by marks.
//!
//! Sources: STrack (arXiv 2407.15266, 2024), as far as its public re-implementation in csg-htsim has it
//! (`sim/strack.cpp`; its constants are called guesses there): a target delay like Swift's, raised for
//! small windows; below it the window grows by α = 0.25 of the distance, in microseconds and packets a
//! round trip, on a fabric of 12 us (here in proportion to the base round trip); above it, once a round
//! trip, it falls by β = 0.8 of the excess and by half at most; at more than twice the target it falls to
//! what was delivered in the last base round trip. Packets go round all paths and leave out those that
//! came back marked.

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::common::target::target_delay;

/// Constants.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct StrackOptions {
    /// Increase a round trip, in packets for the distance to the target in twelfths of the base round
    /// trip.
    pub alpha: f64,
    /// Strength of a decrease.
    pub beta: f64,
    /// Most that one decrease takes away.
    pub decrease_most: f64,
    /// Target delay of large windows.
    pub target: Span,
    /// First window and two thirds of the largest, in packets.
    pub window: f64,
    /// Base round trip.
    pub base_rtt: Span,
}

impl StrackOptions {
    /// The target is 20 us on a fabric of 12 us, here in proportion; windows begin with one
    /// bandwidth-delay product of `packets`.
    pub fn at(packets: u32, base_rtt: Span) -> StrackOptions {
        StrackOptions {
            alpha: 0.25,
            beta: 0.8,
            decrease_most: 0.5,
            target: Span(base_rtt.0 * 5 / 3),
            window: f64::from(packets),
            base_rtt,
        }
    }
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Strack {
    options: StrackOptions,
    cwnd: f64,
    decreased: Time,
    /// Packets delivered since, and in the last whole base round trip.
    since: Time,
    delivered: u32,
    achieved: u32,
}

impl Strack {
    pub(super) fn new(options: StrackOptions) -> Strack {
        Strack {
            options,
            cwnd: options.window,
            decreased: Time::ZERO,
            since: Time::ZERO,
            delivered: 0,
            achieved: 0,
        }
    }

    pub(super) fn window(&self) -> f64 {
        self.cwnd
    }

    fn target(&self) -> f64 {
        target_delay(self.options.target, self.options.target * 5, self.cwnd)
    }

    pub(super) fn on_ack(&mut self, now: Time, rtt: Span) {
        self.delivered += 1;
        if now.since(self.since) >= self.options.base_rtt {
            (self.achieved, self.delivered, self.since) = (self.delivered, 0, now);
        }
        let (delay, target) = (rtt.0 as f64, self.target());
        if delay < target {
            let distance = (target - delay) * 12.0 / self.options.base_rtt.0 as f64;
            self.cwnd += self.options.alpha * distance / self.cwnd;
        } else if now.since(self.decreased) >= rtt {
            let factor = 1.0 - self.options.beta * (delay - target) / delay;
            let slower = self.cwnd * factor.max(1.0 - self.options.decrease_most);
            let far = delay > 2.0 * target && self.achieved > 0;
            self.cwnd = if far { slower.min(f64::from(self.achieved)) } else { slower };
            self.decreased = now;
        }
        self.cwnd = self.cwnd.clamp(1.0, self.options.window * 1.5);
    }

    pub(super) fn on_loss(&mut self) {
        self.cwnd = (self.cwnd - 1.0).max(1.0);
    }

    pub(super) fn on_timeout(&mut self) {
        self.cwnd = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strack() -> Strack {
        Strack { cwnd: 100.0, ..Strack::new(StrackOptions::at(150, Span::from_micros(12))) }
    }

    /// Eight microseconds below the target a window grows by two packets in a round trip.
    #[test]
    fn the_window_grows_with_the_distance() {
        let mut strack = strack();
        (0..100).for_each(|_| strack.on_ack(Time(1), Span::from_micros(12)));
        assert!((strack.window() - 102.0).abs() < 0.05, "{}", strack.window());
    }

    /// Above the target it falls once a round trip, far above to what was delivered.
    #[test]
    fn the_window_falls_once_a_round_trip() {
        let at = |us: u64| Time(us * 1_000_000);
        let mut strack = strack();
        strack.on_ack(at(100), Span::from_micros(25));
        assert!((strack.window() - 100.0 * (1.0 - 0.8 * 5.0 / 25.0)).abs() < 1e-9);
        let after = strack.window();
        strack.on_ack(at(101), Span::from_micros(25));
        assert_eq!(strack.window(), after);
        (0..30).for_each(|_| strack.on_ack(at(102), Span::from_micros(25)));
        strack.on_ack(at(170), Span::from_micros(60));
        assert_eq!(strack.window(), 32.0);
    }
}
