//! TCP: its options and queues.

use std::sync::Arc;

use fabric::config::{ClassConfig, Overflow};
use fabric::units::{Rate, Span};
use transports::tcp::config::TcpConfig;
use transports::tcp::header;

use crate::prepare::behaviour::{Basis, Parts, TransportConfig, class};
use crate::scenario::model::{SwitchOptions, TcpOptions};

/// Frames of a full segment and of an acknowledgement.
pub(super) fn frames(options: &TcpOptions) -> (u64, u64) {
    let config = config(options, Rate::from_gbps(400), Span::from_micros(10));
    (u64::from(config.payload) + u64::from(header::FRAME), 64)
}

/// The transport and its queues, which drop: the stack knows no marks. Acknowledgements go with data,
/// as a kernel's do.
pub(super) fn tcp(basis: &Basis, options: &TcpOptions, switch: &SwitchOptions) -> Parts {
    let mut config = config(options, basis.rate, basis.base_rtt);
    config.ports = basis.ports;
    let bdp = basis.bdp();
    let lossless = switch.lossless.unwrap_or(false);
    let limit = if lossless { u64::MAX } else { switch.queue.unwrap_or(5 * bdp) };
    let control = class(bdp.max(1 << 20), Overflow::TailDrop);
    let data = ClassConfig { lossless, ..class(limit, Overflow::TailDrop) };
    (TransportConfig::Tcp(Arc::new(config)), vec![control, data], None)
}

fn config(options: &TcpOptions, rate: Rate, base_rtt: Span) -> TcpConfig {
    let mut config = TcpConfig::new(rate, base_rtt);
    config.control = options.congestion.unwrap_or(config.control);
    config.payload = options.payload.unwrap_or(config.payload);
    config.buffer = options.buffer.unwrap_or(config.buffer);
    config.dilation = options.dilation.unwrap_or(config.dilation);
    config
}
