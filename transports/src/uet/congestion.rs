//! The seam between a PDC and its congestion control.

use fabric::units::{Span, Time};

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
    /// Bytes in flight, the new ones already subtracted; can be negative for a moment.
    pub in_flight: i64,
}

/// What a negative acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub struct NackSample {
    /// Time of its arrival.
    pub now: Time,
    /// Frame bytes of the packet that was lost.
    pub bytes: u64,
    /// Time from sending that packet.
    pub rtt: Span,
    /// Bytes in flight, the lost packet included or not by [`super::config::NsccOptions`].
    pub in_flight: i64,
}

/// A window-based congestion control of one sender.
pub trait CongestionControl: Send + Sized {
    /// What all senders of a network share, derived from the configuration once.
    type Parameters: Clone + Send + Sync;

    /// Derives the parameters.
    fn parameters(config: &UetConfig) -> Self::Parameters;
    /// A new sender.
    fn new(parameters: &Self::Parameters) -> Self;
    /// Bytes that may be in flight.
    fn window(&self) -> u64;
    /// An acknowledgement arrived.
    fn on_ack(&mut self, parameters: &Self::Parameters, sample: &AckSample);
    /// A packet was trimmed.
    fn on_nack(&mut self, parameters: &Self::Parameters, sample: &NackSample);
    /// A packet of `bytes` timed out.
    fn on_timeout(&mut self, parameters: &Self::Parameters, bytes: u64);
}

/// A constant window of 1.5 bandwidth-delay products.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    window: u64,
}

impl CongestionControl for Constant {
    type Parameters = u64;

    fn parameters(config: &UetConfig) -> u64 {
        config.rate.bytes_in(config.base_rtt) * 3 / 2
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
