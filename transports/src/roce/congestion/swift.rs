//! Swift (SIGCOMM 2020), in the form of the reference simulator (`roce-dcqcn.md` §5): a window that
//! follows the distance of the round-trip time to a target, which small windows raise.

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::common::target::target_delay;
use crate::roce::congestion::Feedback;

/// Smallest window: a packet in a hundred round trips.
const LEAST: f64 = 0.01;

/// Swift's constants.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SwiftOptions {
    /// Target of the round-trip time for large windows.
    pub target: Span,
    /// Most that small windows add to it.
    pub scaling: Span,
    /// Packets that a window grows by in a round trip.
    pub increase: f64,
    /// β: strength of a decrease.
    pub beta: f64,
    /// Most that one decrease takes away.
    pub decrease_most: f64,
    /// The base round trip.
    pub base_rtt: Span,
    /// First and largest window, in bytes.
    pub window: u64,
    /// Payload of a full packet.
    pub payload: u16,
}

impl SwiftOptions {
    /// The reference's target, 20 us, and its range of flow scaling, 100 us, are those of a fabric with
    /// 12 us; here both are in that proportion to `base_rtt`, which counts the hops. Windows begin with
    /// one bandwidth-delay product.
    pub fn at(window: u64, payload: u16, base_rtt: Span) -> SwiftOptions {
        let target = Span(base_rtt.0 * 5 / 3);
        SwiftOptions {
            target,
            scaling: target * 5,
            increase: 1.0,
            beta: 0.8,
            decrease_most: 0.5,
            base_rtt,
            window,
            payload,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Swift {
    options: SwiftOptions,
    line: f64,
    /// Congestion window, in packets.
    cwnd: f64,
    /// Last round-trip time.
    rtt: Span,
    decreased: Time,
}

impl Swift {
    pub(super) fn new(options: SwiftOptions, line: f64) -> Swift {
        let cwnd = options.window as f64 / f64::from(options.payload);
        Swift { options, line, cwnd, rtt: options.base_rtt, decreased: Time::ZERO }
    }

    /// Line rate; below one packet, the window spread over a round trip.
    pub(super) fn rate(&self) -> f64 {
        if self.cwnd >= 1.0 {
            return self.line;
        }
        let bits = self.cwnd * f64::from(self.options.payload) * 8e12;
        (bits / self.rtt.0.max(1) as f64).min(self.line)
    }

    pub(super) fn window(&self) -> f64 {
        self.cwnd.max(1.0) * f64::from(self.options.payload)
    }

    fn target(&self) -> f64 {
        target_delay(self.options.target, self.options.scaling, self.cwnd)
    }

    pub(super) fn on_ack(&mut self, feedback: &Feedback<'_>) {
        self.rtt = feedback.rtt;
        let (delay, target) = (feedback.rtt.0 as f64, self.target());
        let acked = f64::from(feedback.newly);
        if delay < target {
            let share = if self.cwnd >= 1.0 { acked / self.cwnd } else { acked };
            self.cwnd += self.options.increase * share;
        } else if feedback.now.since(self.decreased) >= feedback.rtt {
            let factor = 1.0 - self.options.beta * (delay - target) / delay;
            self.cwnd *= factor.max(1.0 - self.options.decrease_most);
            self.decreased = feedback.now;
        }
        let most = self.options.window as f64 / f64::from(self.options.payload);
        self.cwnd = self.cwnd.clamp(LEAST, most.max(1.0));
    }

    pub(super) fn on_timeout(&mut self) {
        self.cwnd = (self.cwnd * (1.0 - self.options.decrease_most)).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::telemetry::Telemetry;

    fn swift() -> Swift {
        Swift::new(SwiftOptions::at(100_000, 1_000, Span::from_micros(12)), 100e9)
    }

    fn ack(swift: &mut Swift, now_us: u64, rtt_us: u64) {
        let telemetry = Telemetry::default();
        let (now, rtt) = (Time(now_us * 1_000_000), Span::from_micros(rtt_us));
        let feedback = Feedback {
            now,
            acked: 0,
            newly: 1,
            next: 0,
            marked: false,
            rtt,
            telemetry: &telemetry,
        };
        swift.on_ack(&feedback);
    }

    /// Large windows aim at 20 us on a fabric of 12, the smallest at 120.
    #[test]
    fn small_windows_have_a_larger_target() {
        let mut swift = swift();
        assert_eq!(swift.target(), 20e6);
        swift.cwnd = 0.1;
        assert_eq!(swift.target(), 120e6);
    }

    /// Below the target a window grows by a packet a round trip, above it shrinks once a round trip and
    /// never by more than half.
    #[test]
    fn windows_follow_the_delay() {
        let mut swift = swift();
        swift.cwnd = 50.0;
        (0..50).for_each(|_| ack(&mut swift, 1_000, 12));
        assert!((swift.cwnd - 51.0).abs() < 0.02, "{}", swift.cwnd);
        swift.cwnd = 50.0;
        ack(&mut swift, 2_000, 1_000);
        ack(&mut swift, 2_500, 1_000);
        assert_eq!(swift.cwnd, 25.0);
        assert_eq!((swift.rate(), swift.window()), (100e9, 25_000.0));
        swift.cwnd = 0.5;
        swift.rtt = Span::from_micros(40);
        assert_eq!((swift.rate(), swift.window()), (0.1e9, 1_000.0));
    }
}
