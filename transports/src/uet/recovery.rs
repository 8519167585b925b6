//! SLEEK: a sender infers losses from how many packets have overtaken the first hole, and from probes that
//! come back fast while data is missing (`uet-transport.md` §8.2, from the reference).

use std::ops::Range;

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::uet::config::UetConfig;
use crate::uet::header::Ack;

/// Packets that overtake a hole at the least before it counts as a loss.
const LEAST_OVERTAKEN: u64 = 5;

/// State of one sender's recovery.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Recovery {
    /// PSN after the last that the present recovery looks at; it ends when all below is acknowledged.
    until: Option<u32>,
    /// Above the last packet that was taken for lost.
    high: u32,
    /// When the last probe left.
    probe: Option<Time>,
    /// Its number, which comes back (`probe_opaque`).
    number: u16,
}

impl Recovery {
    /// Whether a recovery is going on: what it found lost may go out beyond the window.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// A probe leaves; its number.
    pub(super) fn next_probe(&mut self, now: Time) -> u16 {
        self.probe = Some(now);
        self.number = self.number.wrapping_add(1);
        self.number
    }

    /// Round trip of the probe of this number, if it is the last one.
    pub(super) fn round_trip(&self, now: Time, number: u32) -> Option<Span> {
        self.probe.filter(|_| number == u32::from(self.number)).map(|sent| now.since(sent))
    }

    /// The packet was taken for lost.
    pub(super) fn note(&mut self, psn: u32) {
        self.high = psn + 1;
    }

    /// Takes in an acknowledgement; returns the PSNs among which those in flight are lost. `clear`: it
    /// answers a probe, which met no queue. `window` in bytes; `lost` packets wait to be sent again;
    /// `next` is the next new PSN.
    pub(super) fn on_ack(
        &mut self,
        ack: &Ack,
        clear: bool,
        window: u64,
        lost: u32,
        next: u32,
        config: &UetConfig,
    ) -> Range<u32> {
        let payload = u64::from(config.payload);
        if self.until.is_some_and(|until| ack.cack >= until) {
            self.until = None;
        }
        if clear {
            self.until = Some(next);
            self.high = ack.cack;
        }
        let threshold = (window * 3 / 2).min(config.window_max()).max(LEAST_OVERTAKEN * payload);
        if self.until.is_none() && lost == 0 && u64::from(ack.ooo_count) >= threshold / payload {
            self.until = Some(next);
        }
        let Some(until) = self.until else { return 0..0 };
        let reach = ack.cack.saturating_add((window / payload) as u32);
        self.high.max(ack.cack)..until.min(reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::packet::Packet;
    use fabric::units::Rate;

    fn config() -> UetConfig {
        UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), false, 600_000)
    }

    fn ack(cack: u32, ooo_count: u32) -> Ack {
        Ack { cack, sack_base: cack, ooo_count, ..Ack::to(&Packet::default(), 0) }
    }

    /// With a window of 20 packets, 29 that overtake are patience and 30 a loss; it ends when all that was
    /// out is acknowledged.
    #[test]
    fn enough_overtaking_packets_begin_a_recovery() {
        let (config, mut recovery) = (config(), Recovery::default());
        let window = 20 * 4_086;
        assert!(recovery.on_ack(&ack(3, 29), false, window, 0, 100, &config).is_empty());
        assert_eq!(recovery.on_ack(&ack(3, 30), false, window, 0, 100, &config), 3..23);
        recovery.note(3);
        assert_eq!(recovery.on_ack(&ack(3, 31), false, window, 1, 110, &config), 4..23);
        assert!(recovery.is_on());
        assert!(recovery.on_ack(&ack(100, 0), false, window, 0, 110, &config).is_empty());
        assert!(!recovery.is_on());
    }

    /// A probe that met no queue begins a recovery at once.
    #[test]
    fn a_fast_probe_begins_a_recovery() {
        let (config, mut recovery) = (config(), Recovery::default());
        let first = recovery.next_probe(Time(3)).into();
        let second = recovery.next_probe(Time(5)).into();
        assert_eq!(recovery.round_trip(Time(9), second), Some(Span(4)));
        assert_eq!(recovery.round_trip(Time(9), first), None, "the answer to the one before");
        let found = recovery.on_ack(&ack(38, 0), true, 900_000, 0, 41, &config);
        assert_eq!(found, 38..41);
    }
}
