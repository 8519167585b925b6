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
        newly
    }
}
