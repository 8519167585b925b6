//! The sprayed rivals: their options and queues.

use std::sync::Arc;

use fabric::config::{ClassConfig, Overflow};
use fabric::ids::Class;
use fabric::units::{Rate, Ratio, Span};
use transports::sprayed::config::{Rival, SprayedConfig};
use transports::sprayed::ndp::NdpOptions;
use transports::sprayed::srd::SrdOptions;
use transports::sprayed::strack::StrackOptions;

use crate::prepare::behaviour::{Basis, Parts, TRIM_BYTES, TransportConfig, class, ecn};
use crate::scenario::model::{SprayedKind, SprayedOptions, SwitchOptions};

/// NDP's data queues, in packets; beyond, switches trim.
const NDP_QUEUE: u64 = 8;

/// Frames of a full data packet and of an acknowledgement.
pub(super) fn frames(options: &SprayedOptions) -> (u64, u64) {
    let config = config(options, Rate::from_gbps(400), Span::from_micros(10));
    (u64::from(config.payload) + u64::from(config.header), u64::from(config.ack_bytes))
}

/// The transport and its queues: NDP's are short and trim, the others' drop and mark as UET's without
/// trimming do.
pub(super) fn sprayed(basis: &Basis, options: &SprayedOptions, switch: &SwitchOptions) -> Parts {
    let config = config(options, basis.nic_rate(), basis.base_rtt);
    let bdp = basis.bdp();
    let lossless = switch.lossless.unwrap_or(false);
    let ndp = options.kind == SprayedKind::Ndp;
    let (queue, overflow) = if ndp {
        (NDP_QUEUE * frames(options).0, Overflow::Trim { bytes: TRIM_BYTES, to: Class::CONTROL })
    } else {
        (5 * bdp, Overflow::TailDrop)
    };
    let limit = if lossless { u64::MAX } else { switch.queue.unwrap_or(queue) };
    let marks = if ndp { None } else { ecn(basis.tenths(2), basis.tenths(8), Ratio::ONE, switch) };
    let control = class(bdp.max(1 << 20), Overflow::TailDrop);
    let data = ClassConfig { ecn: marks, lossless, ..class(limit, overflow) };
    (TransportConfig::Sprayed(Arc::new(config)), vec![control, data], None)
}

fn config(options: &SprayedOptions, rate: Rate, base_rtt: Span) -> SprayedConfig {
    let payload = options.payload.unwrap_or(4_096);
    let packets = (rate.bytes_in(base_rtt) / u64::from(payload)).max(1) as u32;
    let rival = match options.kind {
        SprayedKind::Srd => Rival::Srd(SrdOptions::at(packets, base_rtt)),
        SprayedKind::Strack => Rival::Strack(StrackOptions::at(packets, base_rtt)),
        SprayedKind::Ndp => Rival::Ndp(NdpOptions { unsolicited: packets }),
    };
    let mut config = SprayedConfig::new(rival, rate, base_rtt);
    config.payload = payload;
    config.paths = options.paths.unwrap_or(config.paths);
    config.timeout = options.timeout.unwrap_or(config.timeout);
    config
}
