//! SRD-like: after what is public of Amazon's Scalable Reliable Datagram.
//!
//! Sources: packets over up to 64 paths, delivered to the host out of order, timeouts of the order of the
//! data centre's round trip (`published.md`, AWS SRD). What its congestion control measures is described
//! only in words: it aims at the least that must be in flight for full bandwidth, lowers it when round
//! trips grow on most paths, and moves single flows of packets away from slow paths. The rule below is
//! ours: the bandwidth seen over a round trip times the base round trip and a half is the window while
//! round trips are long, a packet a round trip is added while they are short.

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

/// Constants.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SrdOptions {
    /// Round trips above this are long.
    pub rtt_high: Span,
    /// First and largest window, in packets.
    pub window: f64,
    /// Base round trip.
    pub base_rtt: Span,
}

impl SrdOptions {
    /// Long is one and a half base round trips; windows begin with one bandwidth-delay product of `packets`
    /// and may reach one and a half.
    pub fn at(packets: u32, base_rtt: Span) -> SrdOptions {
        SrdOptions { rtt_high: Span(base_rtt.0 * 3 / 2), window: f64::from(packets), base_rtt }
    }
}

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Srd {
    options: SrdOptions,
    cwnd: f64,
    /// When the present round trip began, and what it has seen: packets, and those that took long.
    since: Time,
    packets: u32,
    long: u32,
}

impl Srd {
    pub(super) fn new(options: SrdOptions) -> Srd {
        Srd { options, cwnd: options.window, since: Time::ZERO, packets: 0, long: 0 }
    }

    pub(super) fn window(&self) -> f64 {
        self.cwnd
    }

    pub(super) fn on_ack(&mut self, now: Time, rtt: Span) {
        self.packets += 1;
        self.long += u32::from(rtt > self.options.rtt_high);
        let elapsed = now.since(self.since);
        if elapsed < rtt {
            return;
        }
        if self.long * 2 > self.packets {
            // Packets a base round trip at the rate seen, and a half more.
            let share = self.options.base_rtt.0 as f64 / elapsed.0.max(1) as f64;
            let achieved = f64::from(self.packets) * share.min(1.0);
            self.cwnd = self.cwnd.min((achieved * 1.5).max(self.cwnd / 2.0));
        } else {
            self.cwnd += 1.0;
        }
        self.cwnd = self.cwnd.clamp(1.0, self.options.window * 1.5);
        (self.since, self.packets, self.long) = (now, 0, 0);
    }

    pub(super) fn on_loss(&mut self) {
        self.cwnd = (self.cwnd - 0.5).max(1.0);
    }

    pub(super) fn on_timeout(&mut self) {
        self.cwnd = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long round trips bring the window to what is delivered, short ones raise it by a packet each.
    #[test]
    fn the_window_follows_what_is_delivered() {
        let base = Span::from_micros(10);
        let mut srd = Srd::new(SrdOptions::at(100, base));
        for step in 1..=20u64 {
            srd.on_ack(Time(step * 1_000_000), Span::from_micros(20));
        }
        // Twenty packets in 20 us are ten a base round trip: fifteen, but half at most at once.
        assert_eq!(srd.window(), 50.0);
        srd.on_ack(Time(40_000_000), Span::from_micros(9));
        assert_eq!(srd.window(), 51.0);
        srd.on_timeout();
        assert_eq!(srd.window(), 1.0);
    }
}
