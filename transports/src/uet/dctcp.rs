//! DCTCP in the reference's form, for comparison (`uet-cc.md` §2.7): a packet a round trip more without
//! marks, a third of what was acknowledged less with each mark.

use serde::{Deserialize, Serialize};

use crate::uet::config::UetConfig;
use crate::uet::congestion::{AckSample, CongestionControl, NackSample};

/// See the module. Sizes in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Dctcp {
    window: i64,
}

/// What all senders share.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Parameters {
    initial: i64,
    mtu: i64,
}

impl Dctcp {
    fn lower(&mut self, p: &Parameters, bytes: i64) {
        self.window = (self.window - bytes).max(p.mtu);
    }
}

impl CongestionControl for Dctcp {
    type Parameters = Parameters;

    fn parameters(config: &UetConfig) -> Parameters {
        let initial = config.initial_window.unwrap_or_else(|| config.window_max()) as i64;
        Parameters { initial, mtu: config.mtu() as i64 }
    }
    fn new(p: &Parameters) -> Dctcp {
        Dctcp { window: p.initial }
    }
    fn window(&self) -> u64 {
        self.window as u64
    }
    fn on_ack(&mut self, p: &Parameters, sample: &AckSample) {
        let newly = sample.newly as i64;
        if sample.marked {
            self.lower(p, newly / 3);
        } else {
            self.window += newly * p.mtu / self.window;
        }
    }
    fn on_nack(&mut self, p: &Parameters, sample: &NackSample) {
        self.lower(p, sample.bytes as i64);
    }
    fn on_timeout(&mut self, p: &Parameters, bytes: u64) {
        self.lower(p, bytes as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::units::{Rate, Span, Time};

    /// A window without marks adds one packet, a marked one takes a third off, and never below a packet.
    #[test]
    fn marks_take_a_third() {
        let config = UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 600_000);
        let p = Dctcp::parameters(&config);
        let mut dctcp = Dctcp { window: 400_000 };
        let sample = |newly, marked| AckSample {
            now: Time(1),
            newly,
            marked,
            rtt: None,
            probe: false,
            in_flight: 0,
            penalty: 0,
            restore: false,
        };
        dctcp.on_ack(&p, &sample(400_000, false));
        assert_eq!(dctcp.window, 404_150);
        dctcp.on_ack(&p, &sample(300_000, true));
        assert_eq!(dctcp.window, 304_150);
        (0..9).for_each(|_| dctcp.on_ack(&p, &sample(300_000, true)));
        assert_eq!(dctcp.window(), 4_150);
    }
}
