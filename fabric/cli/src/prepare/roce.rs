//! RoCE: the options of a scenario in each profile, and the lossless class that it runs on.

use std::sync::Arc;

use fabric::config::{ClassConfig, Ecn, Overflow};
use fabric::ids::Class;
use fabric::units::{Rate, Ratio, Span};
use transports::roce::config::{
    Congestion, MarkReport, Operation, PathKey, Preset, QpScope, Recovery, RoceConfig, Timeout,
};
use transports::roce::congestion::dctcp::DctcpOptions;
use transports::roce::congestion::hpcc::HpccOptions;
use transports::roce::congestion::swift::SwiftOptions;
use transports::roce::congestion::timely::TimelyOptions;

use crate::prepare::behaviour::{Basis, Parts, TransportConfig, class, ecn};
use crate::scenario::model::{
    Hash, Profile, RoceCongestion, RoceOptions, RoceRecovery, RoceTimeout, RoutingOptions,
    SwitchOptions,
};

/// Frames of the htsim reference: header of data, and every control packet.
const HTSIM_HEADER: u16 = 64;
/// Payload of the ns-3 model's packets.
pub(super) const NS3_PAYLOAD: u64 = 1_000;
/// Its PFC frames.
pub(super) const NS3_PFC_BYTES: u16 = 43;
/// Its data header: PPP, IP, UDP and sequence.
const NS3_HEADER: u16 = 48;
/// Its time stamp, for TIMELY and Swift.
const NS3_STAMP: u16 = 8;
/// Its acknowledgements, and those that carry telemetry.
const NS3_ACK: (u16, u16) = (60, 88);
/// Its least time between two NAKs for one gap.
const NS3_NAK_INTERVAL: Span = Span::from_micros(500);
/// Its DCTCP adds 615 Mb/s a round trip at 100 Gb/s: a packet of 1 KB in 13 us.
const NS3_DCTCP_AI: f64 = 615e6 / 100e9;
/// Telemetry of up to five hops in a frame.
const TELEMETRY: u16 = 42;
/// Control queues of a lossless fabric; acknowledgements are short and never fill it.
const CONTROL_LIMIT: u64 = 4 << 20;
/// Least time between two notifications of a reader, whose marks no acknowledgement can echo: the Mellanox
/// form's least time between two cuts.
const READ_CNP_INTERVAL: Span = Span::from_micros(4);
/// IRN's timeouts in round trips: 320 and 100 us at 24 us, the shorter with at most three packets
/// outstanding (`roce-dcqcn.md` §5).
const IRN_FEW: u32 = 3;

/// Frames of a full data packet and of an acknowledgement.
pub(super) fn frames(options: &RoceOptions, profile: Profile) -> (u64, u64) {
    let config = example(options, profile);
    let frame = config.frame(u64::from(config.payload), false, false);
    (u64::from(frame), u64::from(config.ack_bytes))
}

/// Bytes by which the first frame of a message is longer.
pub(super) fn longer_first(options: &RoceOptions, profile: Profile) -> u64 {
    let config = example(options, profile);
    u64::from(config.frame(64, true, false) - config.frame(64, false, false))
}

/// Frames do not depend on rate and round trip.
fn example(options: &RoceOptions, profile: Profile) -> RoceConfig {
    config(options, profile, Rate::from_gbps(400), Span::from_micros(10))
}

/// The transport, and data lossless over a shared buffer, marked as the preset's source does.
pub(super) fn roce(
    basis: &Basis,
    options: &RoceOptions,
    switch: &SwitchOptions,
    routing: &RoutingOptions,
) -> Parts {
    let mut config = config(options, basis.profile, basis.rate, basis.base_rtt);
    config.ports = basis.ports;
    if routing.hash == Hash::FiveTuple {
        config.path_key = PathKey::HostPair;
    }
    let lossless = switch.lossless.unwrap_or(options.recovery != RoceRecovery::Irn);
    let limit = if lossless { u64::MAX } else { switch.queue.unwrap_or(5 * basis.bdp()) };
    let marks = marks(options, basis.profile, basis.rate, switch);
    let data = ClassConfig { ecn: marks, lossless, ..class(limit, Overflow::TailDrop) };
    let control = class(CONTROL_LIMIT, Overflow::TailDrop);
    (TransportConfig::Roce(Arc::new(config)), vec![control, data], None)
}

/// Marking thresholds: those of the congestion control's source, in proportion to the link's rate.
fn marks(
    options: &RoceOptions,
    profile: Profile,
    rate: Rate,
    switch: &SwitchOptions,
) -> Option<Ecn> {
    let at = |bytes: u64, gbps: u64| {
        let scaled = u128::from(bytes) * u128::from(rate.bits_per_second());
        (scaled / (u128::from(gbps) * 1_000_000_000)) as u64
    };
    match (options.congestion, preset(options, profile)) {
        // The HPCC authors' DCTCP: a step.
        (RoceCongestion::Dctcp, _) => ecn(at(30_000, 10), at(30_000, 10), Ratio::ONE, switch),
        // SIGCOMM 2015, at 40 Gb/s.
        (_, Preset::Paper) => ecn(at(5_000, 40), at(200_000, 40), Ratio::new(1, 100), switch),
        // The HPCC authors: 100 and 400 KB at 25 Gb/s.
        _ if profile == Profile::Ns3Rdma => {
            ecn(at(100_000, 25), at(400_000, 25), Ratio::new(1, 5), switch)
        }
        // SimAI's map for 400 Gb/s, half of that.
        _ => ecn(at(800_000, 400), at(3_200_000, 400), Ratio::new(1, 5), switch),
    }
}

/// The preset in a profile: the ns-3 model has the paper's constants in its own form only.
fn preset(options: &RoceOptions, profile: Profile) -> Preset {
    match (options.preset, profile) {
        (Preset::Paper, Profile::Ns3Rdma) => Preset::MellanoxPaper,
        (preset, _) => preset,
    }
}

/// The transport's options on a NIC of `rate`.
fn config(options: &RoceOptions, profile: Profile, rate: Rate, base_rtt: Span) -> RoceConfig {
    let bdp = rate.bytes_in(base_rtt);
    let window = options.window.then_some(bdp);
    let mut config = RoceConfig::new(rate, preset(options, profile), window);
    let measures = matches!(options.congestion, RoceCongestion::Timely | RoceCongestion::Swift);
    let telemetry = if options.congestion == RoceCongestion::Hpcc { TELEMETRY } else { 0 };
    match profile {
        Profile::Ethernet => {
            config.header += telemetry;
            config.ack_bytes += telemetry;
        }
        Profile::Htsim => {
            config.payload = 4_086;
            (config.header, config.ack_bytes) =
                (HTSIM_HEADER + telemetry, HTSIM_HEADER + telemetry);
            config.cnp_bytes = HTSIM_HEADER;
            (config.pads, config.first_header) = (false, 0);
        }
        Profile::Ns3Rdma => {
            config.payload = NS3_PAYLOAD as u16;
            config.header = NS3_HEADER + if measures { NS3_STAMP } else { telemetry };
            config.ack_bytes = if telemetry > 0 { NS3_ACK.1 } else { NS3_ACK.0 };
            (config.pads, config.first_header) = (false, 0);
            config.answer_class = Class::DATA;
            config.qp_scope = QpScope::Message;
            config.mark_report = MarkReport::Echo;
            config.nak_interval = Some(NS3_NAK_INTERVAL);
            config.ack_delay = None;
            config.timeout = None;
        }
    }
    config.payload = options.payload.unwrap_or(config.payload);
    config.ack_every = options.ack_every.unwrap_or(config.ack_every);
    config.ack_delay = options.ack_delay.or(config.ack_delay);
    config.operation = options.operation.unwrap_or(config.operation);
    config.qp_setup = options.qp_setup.unwrap_or(config.qp_setup);
    config.qp_scope = options.qp_scope.unwrap_or(config.qp_scope);
    if config.operation == Operation::Read {
        config.window = None;
        if config.mark_report == MarkReport::Echo {
            config.mark_report = MarkReport::Cnp { interval: READ_CNP_INTERVAL };
        }
    }
    recover(&mut config, options, base_rtt);
    config.congestion = congestion(options, profile, &config, base_rtt);
    config
}

/// What happens when packets are missing.
fn recover(config: &mut RoceConfig, options: &RoceOptions, base_rtt: Span) {
    match options.recovery {
        RoceRecovery::GoBackN => {}
        RoceRecovery::SelectiveRepeat => {
            let patience = options.patience.unwrap_or(base_rtt);
            config.recovery = Recovery::Selective { patience };
        }
        RoceRecovery::Irn => {
            config.recovery = Recovery::Selective { patience: Span::ZERO };
            config.window_follows_rate = false;
            let few = Some((IRN_FEW, Span(base_rtt.0 * 25 / 6)));
            let after = Span(base_rtt.0 * 40 / 3);
            config.timeout = Some(Timeout { after, few, retries: None });
        }
    }
    match options.timeout {
        None => {}
        Some(RoceTimeout::Never) => config.timeout = None,
        Some(RoceTimeout::After(after)) => {
            let few = None;
            let retries = config.timeout.map_or(Some(7), |timeout| timeout.retries);
            config.timeout = Some(Timeout { after, few, retries });
        }
    }
    if let (Some(timeout), Some(retries)) = (&mut config.timeout, options.retries) {
        timeout.retries = Some(retries);
    }
}

/// The congestion control with its constants for the NIC.
fn congestion(
    options: &RoceOptions,
    profile: Profile,
    config: &RoceConfig,
    base_rtt: Span,
) -> Congestion {
    let (rate, line) = (config.rate, config.rate.bits_per_second() as f64);
    let ns3 = profile == Profile::Ns3Rdma;
    match options.congestion {
        RoceCongestion::Dcqcn => config.congestion,
        RoceCongestion::Dctcp => {
            let mut dctcp = DctcpOptions::at(rate, u64::from(config.payload), base_rtt);
            if ns3 {
                dctcp.rate_ai = line * NS3_DCTCP_AI;
            }
            Congestion::Dctcp(dctcp)
        }
        RoceCongestion::Hpcc => {
            let mut hpcc = HpccOptions::at(rate, base_rtt);
            if ns3 {
                hpcc.max_stage = 0;
            }
            hpcc.eta = options.hpcc_eta.unwrap_or(hpcc.eta);
            hpcc.max_stage = options.hpcc_max_stage.unwrap_or(hpcc.max_stage);
            Congestion::Hpcc(hpcc)
        }
        RoceCongestion::Timely if ns3 => Congestion::Timely(TimelyOptions::published(line)),
        RoceCongestion::Timely => Congestion::Timely(TimelyOptions::at(rate, base_rtt)),
        RoceCongestion::Swift => {
            let bdp = rate.bytes_in(base_rtt);
            Congestion::Swift(SwiftOptions::at(bdp, config.payload, base_rtt))
        }
        RoceCongestion::None => Congestion::None,
    }
}
