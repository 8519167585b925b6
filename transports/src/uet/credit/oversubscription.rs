//! Slows the pacer where the core is the bottleneck: marks and trims before the last hop say so
//! (`uet-cc.md` §3.3, from the reference; used by RCCC without NSCC).

use fabric::rng::Stream;
use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

/// Share of marked packets that is no sign of congestion.
const TARGET: f64 = 0.3;
/// Weight of a new share in the average.
const WEIGHT: f64 = 0.5;
/// How hard the rate follows the excess.
const DECREASE: f64 = 0.5;
/// Added a period without congestion.
const INCREASE: f64 = 0.01;
/// Doublings of the increase after which it covers the whole range.
const DOUBLINGS: u32 = 7;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::uet) struct Oversubscription {
    /// Share of the link's rate to grant.
    rate: f64,
    least: f64,
    average: f64,
    increases: u32,
    packets: u32,
    marked: u32,
    trimmed_core: u32,
    trimmed_last: u32,
    /// End of the period; `None` while nothing arrives.
    pub(in crate::uet) ends: Option<Time>,
    base_rtt: Span,
    random: Stream,
}

impl Oversubscription {
    /// A control that never goes below the share `least`.
    pub(in crate::uet) fn new(base_rtt: Span, least: f64, random: Stream) -> Oversubscription {
        Oversubscription {
            rate: 1.0,
            least,
            average: 0.0,
            increases: 0,
            packets: 0,
            marked: 0,
            trimmed_core: 0,
            trimmed_last: 0,
            ends: None,
            base_rtt,
            random,
        }
    }

    /// A data packet arrives. Returns the end of the period that it begins, if none was running.
    pub(in crate::uet) fn on_packet(
        &mut self,
        now: Time,
        marked: bool,
        trimmed: bool,
        last_hop: bool,
    ) -> Option<Time> {
        self.packets += 1;
        match (trimmed, last_hop) {
            (true, true) => self.trimmed_last += 1,
            (true, false) => self.trimmed_core += 1,
            (false, _) => self.marked += u32::from(marked),
        }
        if self.ends.is_some() {
            return None;
        }
        self.ends = Some(now + self.period());
        self.ends
    }

    /// 1.5 base round trips, give or take a quarter, so that receivers do not move in step.
    fn period(&mut self) -> Span {
        let share = 0.75 + f64::from(self.random.bits()) / 8_589_934_592.0;
        Span((share * 1.5 * self.base_rtt.0 as f64) as u64)
    }

    /// A period ends at `now`: the new share of the rate. Another one begins if packets came in this.
    pub(in crate::uet) fn on_period(&mut self, now: Time) -> f64 {
        let whole = self.packets - self.trimmed_core - self.trimmed_last;
        let share = if whole > 0 { f64::from(self.marked) / f64::from(whole) } else { 0.0 };
        let mut congested = self.trimmed_core > 0;
        if congested {
            self.rate -= f64::from(self.trimmed_core) / f64::from(self.packets);
        }
        self.average = self.average * (1.0 - WEIGHT) + WEIGHT * share;
        if self.average > TARGET {
            self.rate *= 1.0 - (self.average - TARGET) * DECREASE;
            congested = true;
        }
        if congested {
            self.increases = 0;
        } else {
            let steps = if self.marked == 0 { 1 << self.increases.min(DOUBLINGS) } else { 1 };
            self.rate += INCREASE * f64::from(steps);
            self.increases += 1;
        }
        self.rate = self.rate.clamp(self.least, 1.0);
        self.ends = (self.packets > 0).then(|| now + self.period());
        (self.packets, self.marked, self.trimmed_core, self.trimmed_last) = (0, 0, 0, 0);
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;

    fn control(least: f64) -> Oversubscription {
        let random = Stream::new(1, 0, Purpose::Transport);
        Oversubscription::new(Span::from_micros(12), least, random)
    }

    /// Trims in the core take their share off the rate, at the last hop they do not; the rate comes back.
    #[test]
    fn trims_in_the_core_slow_the_pacer() {
        let mut control = control(0.01);
        for packet in 0..10 {
            control.on_packet(Time(1), false, packet < 4, packet < 2);
        }
        assert!((control.on_period(Time(2)) - 0.8).abs() < 1e-9);
        let rates: Vec<f64> = (0..6).map(|_| control.on_period(Time(3))).collect();
        assert!(rates.is_sorted() && rates[5] == 1.0, "{rates:?}");
    }

    /// Marks on most packets cut the rate down to the least, never below.
    #[test]
    fn marks_slow_the_pacer_to_the_least() {
        let mut control = control(0.225);
        let mut rate = 1.0;
        for _ in 0..40 {
            for _ in 0..10 {
                control.on_packet(Time(1), true, false, false);
            }
            let next = control.on_period(Time(2));
            assert!(next <= rate);
            rate = next;
        }
        assert!((rate - 0.225).abs() < 1e-9);
    }

    /// Periods begin with a packet and go on while packets come.
    #[test]
    fn periods_stop_when_nothing_arrives() {
        let mut control = control(0.01);
        assert!(control.on_packet(Time(5), false, false, false).is_some());
        assert!(control.on_packet(Time(6), false, false, false).is_none());
        control.on_period(Time(10));
        assert!(control.ends.is_some());
        control.on_period(Time(20));
        assert!(control.ends.is_none());
    }
}
