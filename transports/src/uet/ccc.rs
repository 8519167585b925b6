//! Congestion control context (CCC): what all PDCs to one destination and traffic class share
//! (`uet-transport.md` §1): the window, the bytes in flight, the credit.

use fabric::units::Span;
use serde::{Deserialize, Serialize};

use crate::uet::config::UetConfig;
use crate::uet::congestion::CongestionControl;
use crate::uet::credit::account::Credit;

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Ccc<C> {
    pub(super) control: C,
    /// Bytes sent and neither reported as received nor taken for lost. An acknowledgement can show that
    /// a packet was wrongly taken for lost, so this may be negative for a moment.
    pub(super) in_flight: i64,
    /// Frame bytes posted and never sent.
    pub(super) unsent: i64,
    /// Frame bytes taken for lost, waiting to be sent again.
    pub(super) lost: i64,
    /// Credit of the receiver; unused without RCCC.
    pub(super) credit: Credit,
    /// The last round trip measured.
    pub(super) rtt: Option<Span>,
    /// Cumulative bytes that the target has reported.
    rcvd_bytes: u64,
    /// Bytes that left flight before the target has reported them, and will again with its reports.
    early: u64,
    /// The PDCs that share it.
    pub(super) members: Vec<u32>,
}

impl<C: CongestionControl> Ccc<C> {
    pub(super) fn new(control: C, config: &UetConfig) -> Ccc<C> {
        Ccc {
            control,
            in_flight: 0,
            unsent: 0,
            lost: 0,
            credit: Credit::new(config.window_max()),
            rtt: None,
            rcvd_bytes: 0,
            early: 0,
            members: Vec::new(),
        }
    }

    /// Whether window and credit let a packet of `bytes` go.
    #[inline]
    pub(super) fn admits(&self, bytes: u16, config: &UetConfig) -> bool {
        let room = if config.window_for_mtu { config.mtu() } else { u64::from(bytes) };
        self.in_flight + room as i64 <= self.control.window() as i64 && self.has_credit(config)
    }

    /// Whether credit, if it rules, lets a packet go.
    #[inline]
    pub(super) fn has_credit(&self, config: &UetConfig) -> bool {
        config.rccc.is_none() || self.credit.available() > 0
    }

    /// A packet of `bytes` leaves. Returns the credit target to advertise; `waiting` is how many senders
    /// of this NIC want to send, this one included.
    #[inline]
    pub(super) fn on_sent(&mut self, bytes: u16, waiting: usize, config: &UetConfig) -> u32 {
        self.in_flight += i64::from(bytes);
        if config.rccc.is_none() {
            return 0;
        }
        self.credit.spend(i64::from(bytes));
        self.credit_target(waiting, config)
    }

    /// The cumulative demand, in quanta (`uet-cc.md` §3.1).
    pub(super) fn credit_target(&self, waiting: usize, config: &UetConfig) -> u32 {
        let window = self.control.window().saturating_add(config.mtu()) as i64;
        let wanted = (self.unsent + self.lost).min(window);
        self.credit.target(wanted, self.unsent > 0, waiting, config.mtu() as i64)
    }

    /// Whether the next acknowledgement is wanted at once: no room for another packet is left.
    pub(super) fn is_closing(&self, config: &UetConfig) -> bool {
        let window = self.control.window() as i64;
        self.in_flight.saturating_add(config.mtu() as i64) >= window
            || (config.request_below_trigger && window < i64::from(config.ack_trigger))
            || (config.rccc.is_some() && self.credit.available() <= 0)
    }

    /// Takes in the cumulative count of an acknowledgement; returns what is new.
    #[inline]
    pub(super) fn on_received(&mut self, rcvd_bytes: u64) -> u64 {
        let newly = rcvd_bytes.saturating_sub(self.rcvd_bytes);
        self.rcvd_bytes += newly;
        self.in_flight -= newly as i64;
        if self.early > 0 {
            self.cover();
        }
        newly
    }

    /// A context has ended before its last acknowledgement, and all that it sent has arrived: the bytes in
    /// flight, and those taken for lost. They are reported later, or have been with another context.
    pub(super) fn on_arrived(&mut self, flying: u64, lost: u64) {
        self.in_flight -= flying as i64;
        self.early += flying + lost;
        self.cover();
    }

    /// What left flight twice, early and with a report, comes back.
    #[cold]
    fn cover(&mut self) {
        let twice = self.in_flight.min(0).unsigned_abs().min(self.early);
        self.early -= twice;
        self.in_flight += twice as i64;
    }

    /// Nothing is outstanding, so nothing is in flight. Less than nothing was reported too much, for targets
    /// count in 256s, rounded up (`uet-wire.md` §2.5), and comes off the next report; or arrived on a context
    /// that had been given up, and is forgotten.
    pub(super) fn settle(&mut self) {
        self.in_flight = self.in_flight.clamp(1 - 256, 0);
    }
}

#[cfg(test)]
mod tests {
    use fabric::units::{Rate, Span};

    use super::*;
    use crate::uet::nscc::Nscc;

    fn sent(bytes: u16) -> (Ccc<Nscc>, UetConfig) {
        let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
        let control = Nscc::new(&Nscc::parameters(&config));
        let mut ccc = Ccc::new(control, &config);
        ccc.on_sent(bytes, 1, &config);
        (ccc, config)
    }

    /// What left flight with the end of its context leaves once, whether its report follows or came before.
    #[test]
    fn what_arrived_early_counts_once() {
        for reported_before in [false, true] {
            let (mut ccc, config) = sent(1_000);
            if reported_before {
                ccc.on_received(1_000);
            }
            ccc.on_arrived(1_000, 0);
            assert_eq!(ccc.in_flight, 0);
            ccc.on_sent(4_000, 1, &config);
            assert_eq!(ccc.in_flight, 4_000);
            assert_eq!(ccc.on_received(5_000), if reported_before { 4_000 } else { 5_000 });
            assert_eq!((ccc.in_flight, ccc.early), (0, 0));
        }
    }

    /// Bytes reported too much because they are rounded up come off the next report; a surplus beyond
    /// rounding is forgotten.
    #[test]
    fn what_was_rounded_up_is_settled() {
        let (mut ccc, config) = sent(1_000);
        ccc.on_received(1_024);
        ccc.settle();
        assert_eq!(ccc.in_flight, -24);
        ccc.on_sent(1_000, 1, &config);
        ccc.on_received(2_048);
        ccc.settle();
        assert_eq!(ccc.in_flight, -48);
        ccc.on_received(9_000);
        ccc.settle();
        assert_eq!(ccc.in_flight, -255);
    }
}
