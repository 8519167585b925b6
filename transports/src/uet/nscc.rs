//! NSCC: network-signal-based congestion control (UE 1.0 §3.6.13; `uet-cc.md` §1–2).
//!
//! Two signals, the mark `M` and the queueing delay `D`, give four cases: neither high, the window grows
//! by how far the delay is below its target; delay alone, by a fair share; both, it shrinks; the mark
//! alone only moves packets to other paths. Heavy loss sets it to what got through (QuickAdapt).

use fabric::units::{Rate, Span, Time};
use serde::{Deserialize, Serialize};

use crate::uet::config::{NsccOptions, UetConfig};
use crate::uet::congestion::{AckSample, CongestionControl, NackSample};

/// Bandwidth-delay product of the network for which the constants were chosen: 100 Gb/s, 12 us.
const REFERENCE_BDP: f64 = 150_000.0;
/// Its round trip, in picoseconds.
const REFERENCE_RTT: f64 = 12_000_000.0;
/// Largest cut of a multiplicative decrease keeps this share.
const MAX_MD_JUMP: f64 = 0.5;
/// How hard a multiplicative decrease follows the delay.
const GAMMA: f64 = 0.8;
/// QuickAdapt acts below this power of two of the largest window.
const QA_GATE: u32 = 3;
/// A queueing delay below this counts as none.
const NO_DELAY: Span = Span::from_micros(1);

/// What all senders share (`uet-cc.md` §1). Sizes in bytes, times in picoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameters {
    rate: Rate,
    base_rtt: Span,
    mtu: i64,
    /// Target queueing delay T: 0.75 base round trips with trimming, 1 without.
    target_delay: Span,
    /// Bytes a picosecond of delay slack: 4·a·b·MSS / T.
    alpha: f64,
    /// Fair increase: 5·MSS·a.
    fi: f64,
    /// Fast increase: 0.25·a.
    fi_scale: f64,
    /// Added each adjust period: 0.15·MSS·a.
    eta: i64,
    /// Adjusts after this many bytes: 8·MTU.
    adjust_bytes: i64,
    /// Queueing delay that arms QuickAdapt.
    qa_delay: f64,
    /// Window at the start.
    initial: i64,
    /// Receiver credit is on as well.
    credit: bool,
    options: NsccOptions,
}

impl Parameters {
    /// The largest window for a round trip: 1.5 bandwidth-delay products.
    fn window_max(&self, base_rtt: Span) -> i64 {
        (self.rate.bytes_in(base_rtt) * 3 / 2) as i64
    }
}

/// One sender's state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nscc {
    /// cwnd.
    window: i64,
    window_max: i64,
    base_rtt: Span,
    /// Average queueing delay, in picoseconds.
    average_delay: f64,
    /// Increase not yet granted, in bytes times window.
    increase: i64,
    received_since_adjust: i64,
    /// Bytes acknowledged since the QuickAdapt period began.
    achieved: i64,
    bytes_ignored: i64,
    bytes_to_ignore: i64,
    /// End of the QuickAdapt period; zero before the first.
    qa_end: Time,
    trigger_qa: bool,
    /// Bytes acknowledged without delay in a row.
    fast_count: i64,
    fast: bool,
    last_decrease: Time,
    last_adjust: Time,
    /// The window before the receiver's penalty; zero while there is none.
    saved: i64,
}

impl CongestionControl for Nscc {
    type Parameters = Parameters;

    fn parameters(config: &UetConfig) -> Parameters {
        let base_rtt = config.base_rtt;
        let target = config.target_delay();
        let mss = f64::from(config.payload);
        let a = config.rate.bytes_in(base_rtt) as f64 / REFERENCE_BDP;
        let b = target.0 as f64 / REFERENCE_RTT;
        let targets = config.nscc.quick_adapt_targets;
        Parameters {
            rate: config.rate,
            base_rtt,
            mtu: config.mtu() as i64,
            target_delay: target,
            alpha: 4.0 * mss * a * b / target.0 as f64,
            fi: 5.0 * mss * a,
            fi_scale: 0.25 * a,
            eta: (0.15 * mss * a) as i64,
            adjust_bytes: 8 * config.mtu() as i64,
            qa_delay: targets.map_or(f64::INFINITY, |targets| targets * target.0 as f64),
            initial: config.initial_window.unwrap_or_else(|| config.window_max()) as i64,
            credit: config.rccc.is_some(),
            options: config.nscc,
        }
    }

    fn new(parameters: &Parameters) -> Nscc {
        let window_max = parameters.window_max(parameters.base_rtt);
        Nscc {
            window: parameters.initial,
            window_max,
            base_rtt: parameters.base_rtt,
            average_delay: 0.0,
            increase: 0,
            received_since_adjust: 0,
            achieved: 0,
            bytes_ignored: 0,
            bytes_to_ignore: 0,
            qa_end: Time::ZERO,
            trigger_qa: false,
            fast_count: 0,
            fast: false,
            last_decrease: Time::ZERO,
            last_adjust: Time::ZERO,
            saved: 0,
        }
    }

    #[inline]
    fn window(&self) -> u64 {
        self.window as u64
    }

    fn on_ack(&mut self, p: &Parameters, sample: &AckSample) {
        let newly = sample.newly as i64;
        self.achieved += newly;
        self.received_since_adjust += newly;
        self.bytes_ignored += newly;
        let limited = self.flow_control(p, newly, sample);
        let delay = match sample.rtt {
            Some(rtt) => {
                // A probe tells the delay, not the base: a window for its round trip could be too small for
                // one packet (so does the reference's SLEEK).
                // spec: nscc-base-rtt
                if !sample.probe {
                    self.observe_rtt(p, rtt);
                }
                let delay = Span(rtt.0.saturating_sub(self.base_rtt.0));
                self.observe_delay(p, delay, sample.marked);
                delay
            }
            None if p.options.continue_without_sample => Span(self.average_delay as u64),
            None => return,
        };
        if self.quick_adapt(p, sample.now, sample.in_flight, false, sample.marked, delay) {
            return;
        }
        match (sample.marked, delay >= p.target_delay) {
            (false, _) if limited => {}
            (false, true) => self.increase += (p.fi * newly as f64) as i64,
            (false, false) => self.proportional_increase(p, newly, delay),
            (true, true) => self.multiplicative_decrease(p, sample.now),
            (true, false) => {}
        }
        self.clamp(p);
        let since_adjust = sample.now.since(self.last_adjust);
        if self.received_since_adjust > p.adjust_bytes || since_adjust > p.base_rtt {
            self.fulfil(p, sample.now);
            self.clamp(p);
        }
    }

    fn on_nack(&mut self, p: &Parameters, sample: &NackSample) {
        if let Some(rtt) = sample.rtt {
            self.observe_rtt(p, rtt);
        }
        self.bytes_ignored += sample.bytes as i64;
        // A trim says that the queue was full: a sample of one base round trip of delay.
        self.observe_delay(p, p.base_rtt, true);
        // Incast is for credit to handle, where there is credit.
        // spec: nscc-last-hop
        let spared = p.credit && sample.last_hop;
        if spared && !p.options.last_hop_quick_adapt {
            return;
        }
        self.trigger_qa = true;
        let adapted = self.quick_adapt(p, sample.now, sample.in_flight, true, true, Span::ZERO);
        if !adapted && !spared {
            self.window -= sample.bytes as i64;
            self.clamp(p);
        }
    }

    fn on_timeout(&mut self, p: &Parameters, bytes: u64) {
        self.window = (self.window - bytes as i64).max(p.mtu);
        if p.options.count_lost_as_ignored {
            self.bytes_ignored += bytes as i64;
        }
    }
}

impl Nscc {
    /// Destination flow control (`uet-cc.md` §2.6): the receiver's penalty shrinks the window at once and
    /// stops its growth, until the receiver says that its buffer is empty again. True while it limits.
    fn flow_control(&mut self, p: &Parameters, newly: i64, sample: &AckSample) -> bool {
        if sample.penalty > 0 {
            if self.saved == 0 {
                self.saved = self.window;
            }
            let window = self.window.min(sample.in_flight);
            self.window = (window - ((i64::from(sample.penalty) * newly) >> 7)).max(p.mtu);
            return true;
        }
        if sample.restore && self.saved > 0 {
            self.window = self.saved;
            self.saved = 0;
        }
        false
    }

    /// A shorter round trip than ever becomes the base, and shrinks the largest window.
    fn observe_rtt(&mut self, p: &Parameters, rtt: Span) {
        if rtt < self.base_rtt && !p.options.keep_base_rtt {
            self.base_rtt = rtt;
            self.window_max = p.window_max(rtt);
        }
    }

    /// Updates the average. An unmarked packet with a high delay saw a queue that has drained since
    /// and counts as a quarter of the base round trip.
    fn observe_delay(&mut self, p: &Parameters, delay: Span, marked: bool) {
        let sample = if !marked && delay > p.target_delay {
            self.base_rtt.0 as f64 * 0.25
        } else {
            delay.0 as f64
        };
        let weight = p.options.delay_weight;
        self.average_delay = weight * sample + (1.0 - weight) * self.average_delay;
    }

    /// Once a period of base round trip and target delay: if congestion was heavy and less than an
    /// eighth of the largest window got through, the window becomes what got through. True if it
    /// acted, or if the acknowledgement is of a packet sent before it acted.
    fn quick_adapt(
        &mut self,
        p: &Parameters,
        now: Time,
        in_flight: i64,
        loss: bool,
        marked: bool,
        delay: Span,
    ) -> bool {
        let mut done = self.bytes_ignored < self.bytes_to_ignore && marked;
        if !done && now >= self.qa_end {
            let heavy = self.trigger_qa || loss || delay.0 as f64 > p.qa_delay;
            let armed = self.qa_end != Time::ZERO;
            if armed && heavy && self.achieved < self.window_max >> QA_GATE {
                self.window = self.achieved.max(p.mtu);
                self.bytes_to_ignore = in_flight;
                self.bytes_ignored = 0;
                self.trigger_qa = false;
                done = true;
            }
            self.achieved = 0;
            self.qa_end = now + self.base_rtt + p.target_delay;
        }
        if done {
            self.increase = 0;
            self.received_since_adjust = 0;
        }
        done
    }

    fn proportional_increase(&mut self, p: &Parameters, newly: i64, delay: Span) {
        self.fast_increase(p, newly, delay);
        if !self.fast {
            let slack = (p.target_delay - delay).0 as f64;
            self.increase += (p.alpha * newly as f64 * slack) as i64;
        }
    }

    /// After a whole window without delay, the window grows with every byte acknowledged.
    fn fast_increase(&mut self, p: &Parameters, newly: i64, delay: Span) {
        if delay < NO_DELAY {
            self.fast_count += newly;
            if self.fast_count > self.window || self.fast {
                self.window += (newly as f64 * p.fi_scale) as i64;
                self.fast = true;
                return;
            }
        } else {
            self.fast_count = 0;
        }
        self.fast = false;
    }

    /// At most once a base round trip, by how far the average delay is above target, at most to half.
    fn multiplicative_decrease(&mut self, p: &Parameters, now: Time) {
        self.fast = false;
        self.fast_count = 0;
        let (average, target) = (self.average_delay, p.target_delay.0 as f64);
        if average > target && now.since(self.last_decrease) > self.base_rtt {
            let keep = (1.0 - GAMMA * (average - target) / average).max(MAX_MD_JUMP);
            self.window = ((self.window as f64 * keep) as i64).max(p.mtu);
            self.last_decrease = now;
        }
    }

    /// Grants the increase gathered, and once a period the small constant that makes shares equal.
    fn fulfil(&mut self, p: &Parameters, now: Time) {
        self.window += self.increase / self.window;
        if now.since(self.last_adjust) >= p.base_rtt {
            self.window += p.eta;
            self.last_adjust = now;
        }
        self.increase = 0;
        self.received_since_adjust = 0;
    }

    fn clamp(&mut self, p: &Parameters) {
        self.window = self.window.min(self.window_max).max(p.mtu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(gbps: u64, micros: u64) -> Parameters {
        let rtt = Span::from_micros(micros);
        let config = UetConfig {
            payload: 4_096,
            header: 64,
            ..UetConfig::htsim(Rate::from_gbps(gbps), rtt, true, 600_000)
        };
        Nscc::parameters(&config)
    }

    fn ack(now: u64, newly: u64, marked: bool, rtt: Span) -> AckSample {
        AckSample {
            now: Time(now),
            newly,
            marked,
            rtt: Some(rtt),
            probe: false,
            in_flight: 0,
            penalty: 0,
            restore: false,
        }
    }

    /// The worked values of `uet-cc.md` §1: fi, 4·a·b·MSS, eta, fi_scale and the largest window.
    #[test]
    fn parameters_scale_with_the_network() {
        for (gbps, micros, fi, prop, eta, scale, max) in [
            (100, 12, 20_480, 12_288, 614, 0.25, 225_000),
            (400, 8, 54_613, 21_845, 1_638, 2.0 / 3.0, 600_000),
            (400, 12, 81_920, 49_152, 2_457, 1.0, 900_000),
            (800, 10, 136_533, 68_266, 4_096, 5.0 / 3.0, 1_500_000),
        ] {
            let p = parameters(gbps, micros);
            assert_eq!(p.fi as i64, fi);
            assert_eq!((p.alpha * p.target_delay.0 as f64 + 1e-6) as i64, prop);
            assert_eq!(p.eta, eta);
            assert!((p.fi_scale - scale).abs() < 1e-9);
            assert_eq!(p.window_max(p.base_rtt), max);
        }
    }

    /// Delay at or above target without a mark adds about `fi` bytes for each window acknowledged.
    #[test]
    fn fair_increase_adds_fi_a_window() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 300_000, last_adjust: Time(1), ..Nscc::new(&p) };
        let rtt = p.base_rtt + p.target_delay;
        nscc.on_ack(&p, &ack(2, 300_000, false, rtt));
        assert_eq!(nscc.window - 300_000, p.fi as i64);
    }

    /// Below the target delay a window acknowledged adds in proportion to the slack: nothing at the target,
    /// half of 4·a·b·MSS half way to it.
    #[test]
    fn proportional_increase_follows_the_slack() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 300_000, last_adjust: Time(1), ..Nscc::new(&p) };
        let rtt = p.base_rtt + Span(p.target_delay.0 / 2);
        nscc.on_ack(&p, &ack(2, 300_000, false, rtt));
        assert_eq!(nscc.window - 300_000, 49_152 / 2);
    }

    /// Once a base round trip the window gains `eta`, marked or not.
    #[test]
    fn eta_comes_once_a_period() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 300_000, ..Nscc::new(&p) };
        let period = p.base_rtt.0;
        for step in 1..=10 {
            nscc.on_ack(&p, &ack(step * period / 4 + step, 4_000, true, p.base_rtt));
        }
        assert_eq!(nscc.window, 300_000 + 2 * p.eta);
    }

    /// The average delay follows marked samples; an unmarked one above the target counts as a quarter of
    /// the base round trip, and a NACK as a whole one.
    #[test]
    fn the_average_delay_weighs_what_samples_mean() {
        let p = parameters(400, 12);
        let sampled = |marked, delay: u64| {
            let mut nscc = Nscc::new(&p);
            nscc.on_ack(&p, &ack(1, 4_000, marked, p.base_rtt + Span(delay)));
            nscc.average_delay / p.options.delay_weight
        };
        let (base, target) = (p.base_rtt.0 as f64, p.target_delay.0);
        let close = |left: f64, right: f64| (left - right).abs() < 1.0;
        assert!(close(sampled(true, 2 * target), 2.0 * target as f64));
        assert!(close(sampled(false, 2 * target), base / 4.0));
        assert!(close(sampled(false, target / 2), target as f64 / 2.0));
        let mut nscc = Nscc::new(&p);
        let lost = NackSample {
            now: Time(1),
            bytes: 4_160,
            rtt: Some(p.base_rtt),
            in_flight: 0,
            last_hop: false,
        };
        nscc.on_nack(&p, &lost);
        assert!(close(nscc.average_delay / p.options.delay_weight, base));
    }

    /// A timeout takes its packet out of the window, down to one MTU.
    #[test]
    fn a_timeout_shrinks_the_window_by_the_packet() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 10_000, ..Nscc::new(&p) };
        nscc.on_timeout(&p, 4_160);
        assert_eq!(nscc.window, 5_840);
        nscc.on_timeout(&p, 4_160);
        assert_eq!(nscc.window, p.mtu);
    }

    /// With receiver credit a trim at the last hop leaves the window alone, by the specification; one before
    /// it takes its bytes off.
    #[test]
    fn a_last_hop_trim_is_for_credit_to_handle() {
        let rtt = Span::from_micros(12);
        let config = UetConfig::new(Rate::from_gbps(400), rtt, true);
        let p = Nscc::parameters(&UetConfig { rccc: Some(config.default_rccc()), ..config });
        let mut nscc = Nscc { window: 300_000, ..Nscc::new(&p) };
        let lost =
            NackSample { now: Time(1), bytes: 4_202, rtt: Some(rtt), in_flight: 0, last_hop: true };
        nscc.on_nack(&p, &lost);
        assert_eq!(nscc.window, 300_000);
        nscc.on_nack(&p, &NackSample { last_hop: false, ..lost });
        assert_eq!(nscc.window, 300_000 - 4_202);
    }

    /// The largest window follows the shortest round trip of data; probes, NACKs that may be of another transmission, and hosts whose
    /// base is kept leave it alone.
    #[test]
    fn the_largest_window_follows_round_trips_of_data() {
        let p = parameters(400, 12);
        let (half, short) = (Span::from_micros(6), Span::from_micros(2));
        let lost = NackSample { now: Time(1), bytes: 0, rtt: None, in_flight: 0, last_hop: true };
        let mut nscc = Nscc::new(&p);
        nscc.on_ack(&p, &AckSample { probe: true, ..ack(1, 0, false, short) });
        nscc.on_nack(&p, &lost);
        assert_eq!((nscc.window_max, nscc.base_rtt), (900_000, p.base_rtt));
        nscc.on_ack(&p, &ack(1, 0, false, half));
        assert_eq!((nscc.window_max, nscc.base_rtt), (450_000, half));
        nscc.on_nack(&p, &NackSample { rtt: Some(short), ..lost });
        assert_eq!((nscc.window_max, nscc.base_rtt), (150_000, short));
        let options = NsccOptions { keep_base_rtt: true, ..p.options };
        let kept = Parameters { options, ..p };
        let mut nscc = Nscc::new(&kept);
        nscc.on_ack(&kept, &ack(1, 0, false, short));
        assert_eq!((nscc.window_max, nscc.base_rtt), (900_000, kept.base_rtt));
    }

    /// A mark with low delay changes nothing but paths.
    #[test]
    fn a_mark_without_delay_keeps_the_window() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 300_000, last_adjust: Time(1), ..Nscc::new(&p) };
        nscc.on_ack(&p, &ack(2, 16_000, true, p.base_rtt));
        assert_eq!(nscc.window, 300_000);
    }

    /// A mark with high average delay shrinks the window once a round trip, at most to half.
    #[test]
    fn multiplicative_decrease_keeps_at_least_half() {
        let p = parameters(400, 12);
        let delay = p.target_delay.0 as f64 * 100.0;
        let mut nscc = Nscc { window: 300_000, average_delay: delay, ..Nscc::new(&p) };
        let now = p.base_rtt.0 * 2;
        nscc.last_adjust = Time(now);
        nscc.on_ack(&p, &ack(now, 4_000, true, p.base_rtt + p.target_delay));
        assert_eq!(nscc.window, 150_000);
        nscc.on_ack(&p, &ack(now + 1, 4_000, true, p.base_rtt + p.target_delay));
        assert_eq!(nscc.window, 150_000, "once a round trip");
    }

    /// One whole window without delay has to pass before the window grows with every byte.
    #[test]
    fn fast_increase_waits_for_a_window() {
        let p = parameters(400, 12);
        let mut nscc = Nscc { window: 100_000, last_adjust: Time(1), ..Nscc::new(&p) };
        for step in 0..6 {
            nscc.on_ack(&p, &ack(2 + step, 16_000, false, p.base_rtt));
            assert!(!nscc.fast, "step {step}");
        }
        (0..6).for_each(|step| nscc.on_ack(&p, &ack(10 + step, 16_000, false, p.base_rtt)));
        assert!(nscc.fast);
    }

    /// Heavy loss sets the window to what got through in the period; the first period only arms it.
    #[test]
    fn quick_adapt_sets_the_window_to_what_got_through() {
        let p = parameters(400, 12);
        let mut nscc = Nscc::new(&p);
        let nack = |now| NackSample {
            now: Time(now),
            bytes: 4_160,
            rtt: Some(p.base_rtt),
            in_flight: 500_000,
            last_hop: false,
        };
        nscc.on_nack(&p, &nack(1));
        assert_eq!(nscc.window, 900_000 - 4_160);
        nscc.on_ack(&p, &ack(2, 20_000, true, p.base_rtt));
        nscc.on_nack(&p, &nack(p.base_rtt.0 * 2));
        assert_eq!(nscc.window, 20_000);
        // Marked acknowledgements of packets sent before do not count until all have passed.
        nscc.on_ack(&p, &ack(p.base_rtt.0 * 2 + 1, 16_000, true, p.base_rtt * 9));
        assert_eq!(nscc.window, 20_000);
    }

    /// Without a sample the specification stops, the reference goes on with the average delay.
    #[test]
    fn an_ambiguous_sample_is_an_option() {
        let mut p = parameters(400, 12);
        let sample = AckSample { rtt: None, ..ack(p.base_rtt.0 * 3, 50_000, false, Span::ZERO) };
        let grown = |p: &Parameters| {
            let mut nscc = Nscc { window: 100_000, ..Nscc::new(p) };
            nscc.on_ack(p, &sample);
            nscc.window > 100_000
        };
        assert!(grown(&p));
        p.options.continue_without_sample = false;
        assert!(!grown(&p));
    }

    /// A shorter round trip lowers the largest window for good.
    #[test]
    fn a_shorter_base_round_trip_shrinks_the_window() {
        let p = parameters(400, 12);
        let mut nscc = Nscc::new(&p);
        nscc.on_ack(&p, &ack(1, 4_000, false, Span::from_micros(4)));
        assert_eq!(nscc.window, 300_000);
    }
}
