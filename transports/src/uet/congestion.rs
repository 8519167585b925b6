//! The seam between a congestion control context and its window.

use fabric::units::{Span, Time};
use serde::{Deserialize, Serialize};

use crate::uet::config::UetConfig;

/// What an acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// Time of its arrival.
    pub now: Time,
    /// Bytes it newly reports as received.
    pub newly: u64,
    /// Whether it echoes a mark.
    pub marked: bool,
    /// Round trip of the packet that caused it, if that is unambiguous.
    pub rtt: Option<Span>,
    /// That was a probe, whose round trip is shorter than that of data: it is small, and waits for none.
    pub probe: bool,
    /// Bytes in flight, the new ones already subtracted; can be negative for a moment.
    pub in_flight: i64,
    /// Penalty of a receiver whose buffer fills, in 1/128 of the new bytes (`rcv_cwnd_pend`).
    pub penalty: u8,
    /// The receiver's buffer has emptied: the window before the penalty is right again (`rc`).
    pub restore: bool,
}

/// What a negative acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub struct NackSample {
    /// Time of its arrival.
    pub now: Time,
    /// Frame bytes of the packet that was lost.
    pub bytes: u64,
    /// Time from sending that packet, if that is unambiguous.
    pub rtt: Option<Span>,
    /// Bytes in flight, the lost packet included or not by [`super::config::NsccOptions`].
    pub in_flight: i64,
    /// The packet was trimmed at the last hop.
    pub last_hop: bool,
}

/// A window of one congestion control context.
pub trait CongestionControl: Send + Sized {
    /// What all contexts of a network share, derived from the configuration once.
    type Parameters: Clone + Send + Sync;

    /// Derives the parameters.
    fn parameters(config: &UetConfig) -> Self::Parameters;
    /// A new context.
    fn new(parameters: &Self::Parameters) -> Self;
    /// Bytes that may be in flight; at most `i64::MAX`.
    fn window(&self) -> u64;
    /// An acknowledgement arrived.
    fn on_ack(&mut self, parameters: &Self::Parameters, sample: &AckSample);
    /// A packet was trimmed.
    fn on_nack(&mut self, parameters: &Self::Parameters, sample: &NackSample);
    /// A packet of `bytes` timed out or was inferred lost.
    fn on_timeout(&mut self, parameters: &Self::Parameters, bytes: u64);
}

/// A window that never changes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Constant {
    window: u64,
}

impl CongestionControl for Constant {
    type Parameters = u64;

    /// The initial window; none at all ([`super::config::Congestion::Open`]) where credit rules.
    fn parameters(config: &UetConfig) -> u64 {
        match config.congestion {
            super::config::Congestion::Open => i64::MAX as u64 / 2,
            _ => config.initial_window.unwrap_or_else(|| config.window_max()),
        }
    }
    fn new(window: &u64) -> Constant {
        Constant { window: *window }
    }
    fn window(&self) -> u64 {
        self.window
    }
    fn on_ack(&mut self, _: &u64, _: &AckSample) {}
    fn on_nack(&mut self, _: &u64, _: &NackSample) {}
    fn on_timeout(&mut self, _: &u64, _: u64) {}
}
