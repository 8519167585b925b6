//! Queues, marking, trimming, buffers and transports, by profile.

use std::sync::Arc;

use fabric::config::{Buffer, ClassConfig, Ecn, FabricConfig, Overflow, Schedule};
use fabric::graph::{Graph, Link};
use fabric::ids::{Class, HostId};
use fabric::link::LinkConfig;
use fabric::shape::{Channels, Paths};
use fabric::units::{Rate, Ratio, Span};
use topologies::properties::{Diameter, oversubscription};
use transports::AnyEndpoint;
use transports::roce::Roce;
use transports::roce::config::RoceConfig;
use transports::sprayed::Sprayed;
use transports::sprayed::config::SprayedConfig;
use transports::tcp::Tcp;
use transports::tcp::config::TcpConfig;
use transports::uet::Uet;
use transports::uet::config::{Congestion, Oversubscribed, UetConfig};
use transports::wire::compose::Protocol;
use workloads::choice::Network;

use crate::error::UserError;
use crate::prepare::routing::routing;
use crate::prepare::{lossless, roce, sprayed, tcp};
use crate::scenario::model::{
    Profile, RoutingOptions, SwitchOptions, Transport, UetOptions, Variant,
};

/// Preamble and inter-frame gap.
const PREAMBLE_AND_GAP: u16 = 20;
/// What a trimmed packet is cut to.
pub(super) const TRIM_BYTES: u16 = 64;
/// Bytes a round of a class of weight one.
const QUANTUM: u32 = 4_096;
/// Share of trimmed packets where they and data share a port (`uet-wire.md` §5.2).
const TRIMMED_SHARE: f64 = 0.25;

/// Default link delay and switch latency of a profile.
pub fn delays(profile: Profile) -> (Span, Span) {
    match profile {
        Profile::Ethernet => (Span::from_nanos(300), Span::from_nanos(400)),
        Profile::Htsim | Profile::Ns3Rdma => (Span::from_micros(1), Span::ZERO),
    }
}

/// The transport of a variant.
#[derive(Clone, Debug)]
pub enum TransportConfig {
    /// UET.
    Uet(Arc<UetConfig>),
    /// RoCE.
    Roce(Arc<RoceConfig>),
    /// A sprayed rival.
    Sprayed(Arc<SprayedConfig>),
    /// TCP.
    Tcp(Arc<TcpConfig>),
}

impl TransportConfig {
    /// What its packets are on the wire.
    pub fn protocol(&self) -> Protocol {
        match self {
            TransportConfig::Uet(config) => Protocol::Uet(Arc::clone(config)),
            TransportConfig::Roce(config) => Protocol::Roce(Arc::clone(config)),
            TransportConfig::Tcp(_) => Protocol::Tcp,
            TransportConfig::Sprayed(_) => Protocol::Unpublished,
        }
    }

    /// How many times faster than the emulation's the transport's clock runs.
    pub fn dilation(&self) -> u32 {
        match self {
            TransportConfig::Tcp(config) => config.dilation,
            _ => 1,
        }
    }

    /// Whether its state can be stored: that of TCP lies in sockets of smoltcp, which have no stored form.
    pub fn is_stored(&self) -> bool {
        !matches!(self, TransportConfig::Tcp(_))
    }

    /// What units of telemetry are multiplied by, if packets ask for it: one at 25 Gb/s and below.
    fn telemetry(&self) -> Option<u32> {
        match self {
            TransportConfig::Roce(config) if config.telemetry() => {
                Some((config.rate.bits_per_second() / 25_000_000_000).max(1) as u32)
            }
            _ => None,
        }
    }

    /// A host's endpoint.
    pub fn endpoint(&self, host: HostId, seed: u64) -> AnyEndpoint {
        match self {
            TransportConfig::Uet(config) => {
                let shared = Arc::clone(config);
                match config.congestion {
                    Congestion::Nscc => AnyEndpoint::UetNscc(Uet::new(host, shared, seed)),
                    Congestion::Dctcp => AnyEndpoint::UetDctcp(Uet::new(host, shared, seed)),
                    Congestion::Constant | Congestion::Open => {
                        AnyEndpoint::UetConstant(Uet::new(host, shared, seed))
                    }
                }
            }
            TransportConfig::Roce(config) => {
                AnyEndpoint::Roce(Roce::new(host, Arc::clone(config), seed))
            }
            TransportConfig::Sprayed(config) => {
                AnyEndpoint::Sprayed(Sprayed::new(host, Arc::clone(config), seed))
            }
            TransportConfig::Tcp(config) => {
                AnyEndpoint::Tcp(Box::new(Tcp::new(host, Arc::clone(config), seed)))
            }
        }
    }
}

/// How a fabric and its hosts behave.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The fabric.
    pub fabric: FabricConfig,
    /// The hosts.
    pub transport: TransportConfig,
    /// The hosts in the network of their domain, if there is one.
    pub scale_up: Option<TransportConfig>,
    /// Latency and payload rate within domains, without contention.
    pub domain_network: Option<Network>,
    /// Longest unloaded round trip.
    pub base_rtt: Span,
    /// Rate of all ports of a host's NIC together.
    pub nic_rate: Rate,
}

/// What sizes are derived from.
pub(super) struct Basis {
    pub(super) profile: Profile,
    /// Rate of a link of a host.
    pub(super) rate: Rate,
    /// Ports of a host's NIC, one in each plane.
    pub(super) ports: u8,
    pub(super) base_rtt: Span,
    /// Frame of a full data packet.
    frame: u64,
    /// Most bandwidth below a switch over that above it.
    oversubscription: f64,
}

impl Basis {
    /// Rate of all ports of a NIC together.
    pub(super) fn nic_rate(&self) -> Rate {
        Rate::from_bits_per_second(self.rate.bits_per_second() * u64::from(self.ports))
    }

    /// The bandwidth-delay product; htsim rounds it up to whole packets.
    pub(super) fn bdp(&self) -> u64 {
        let bytes = self.rate.bytes_in(self.base_rtt);
        match self.profile {
            Profile::Ethernet | Profile::Ns3Rdma => bytes,
            Profile::Htsim => bytes.div_ceil(self.frame) * self.frame,
        }
    }

    /// A number of tenths of the bandwidth-delay product, rounded likewise.
    pub(super) fn tenths(&self, tenths: u64) -> u64 {
        match self.profile {
            Profile::Ethernet | Profile::Ns3Rdma => self.bdp() * tenths / 10,
            Profile::Htsim => (self.bdp() / self.frame * tenths).div_ceil(10) * self.frame,
        }
    }
}

impl Behaviour {
    /// The behaviour of a variant on a graph.
    ///
    /// # Errors
    /// When options do not fit each other.
    pub fn new(variant: &Variant, graph: &Graph) -> Result<Behaviour, UserError> {
        let profile = variant.profile;
        let rate = graph.links.first().map_or(Rate::from_gbps(400), |link| link.rate);
        let overhead = if profile == Profile::Ethernet { PREAMBLE_AND_GAP } else { 0 };
        let host_latency = variant.topology.host_latency.unwrap_or(match profile {
            Profile::Ethernet => Span::from_nanos(500),
            Profile::Htsim | Profile::Ns3Rdma => Span::ZERO,
        });
        let (frame, ack) = frames(&variant.transport, profile);
        let wire = u64::from(overhead);
        let mut diameter = Diameter::of(graph);
        if variant.topology.routing.paths != Paths::Minimal {
            diameter = diameter.by_another_region();
        }
        let base_rtt = match profile {
            Profile::Ns3Rdma => diameter.one_way_rtt(roce::NS3_PAYLOAD),
            _ => diameter.base_rtt(frame + wire, ack + wire, host_latency),
        };
        let oversubscription = oversubscription(graph);
        let ports = nic_ports(graph);
        let basis = Basis { profile, rate, ports, base_rtt, frame, oversubscription };
        let switch = &lossless::flow_control(variant)?;
        let (transport, classes, host_facing) = match &variant.transport {
            Transport::Uet(options) => uet(&basis, options, switch),
            Transport::Sprayed(options) => sprayed::sprayed(&basis, options, switch),
            Transport::Tcp(options) => tcp::tcp(&basis, options, switch),
            Transport::Roce(options) => {
                roce::roce(&basis, options, switch, &variant.topology.routing)
            }
        };
        let channels = |classes| channels(weigh(classes, switch), graph, &variant.topology.routing);
        let (classes, host_facing) = (channels(classes), host_facing.map(channels));
        let lossless = classes[Class::DATA.index()].lossless;
        let mut fabric = FabricConfig {
            reference_rate: rate,
            classes,
            host_facing,
            buffer: Buffer::PerQueue,
            frame_overhead: overhead,
            host_latency,
            pfc_bytes: if profile == Profile::Ns3Rdma { roce::NS3_PFC_BYTES } else { 64 },
            link: LinkConfig { errors: variant.link.errors, llr: variant.link.llr },
            routing: routing(&variant.topology.routing, profile),
            telemetry: transport.telemetry(),
        };
        if variant.link.cbfc.is_some() {
            fabric.buffer = Buffer::Credits(lossless::credits(variant, frame)?);
        } else if lossless {
            fabric.buffer = Buffer::Shared(lossless::shared(variant, graph, &fabric, frame + wire));
        }
        let trims = !lossless
            && matches!(
                classes_overflow(&fabric),
                Overflow::Trim { .. } | Overflow::CoinTrim { .. }
            );
        let scale_up =
            graph.scale_up.is_some().then(|| within_domains(graph, &fabric, trims, wire));
        let (scale_up, domain_network) = scale_up.unzip();
        let nic_rate = basis.nic_rate();
        Ok(Behaviour { fabric, transport, scale_up, domain_network, base_rtt, nic_rate })
    }
}

/// Ports of a host's NIC in the network that joins all hosts.
fn nic_ports(graph: &Graph) -> u8 {
    let first = graph.links.iter().filter(|link| link.a.0 == 0 || link.b.0 == 0).count();
    graph.scale_up.map_or(first, |scale_up| usize::from(scale_up.first_port)).max(1) as u8
}

/// What is done with data that does not fit.
fn classes_overflow(fabric: &FabricConfig) -> Overflow {
    fabric.classes[Class::DATA.index()].overflow
}

/// Lossless data has as many classes as it needs virtual channels, as far as there are classes.
fn channels(
    mut classes: Vec<ClassConfig>,
    graph: &Graph,
    routing: &RoutingOptions,
) -> Vec<ClassConfig> {
    let data = classes[Class::DATA.index()];
    if let (Some(shape), true) = (&graph.shape, data.lossless) {
        let needed = shape.channels.needed(routing.paths).min(Channels::MOST);
        classes.resize(Class::DATA.index() + needed as usize, data);
    }
    classes
}

/// The transport within domains: UET with NSCC, whatever joins the domains, at the rate of all links of a host to its domain
/// and with the round trip over one switch; and what that makes of its messages, each packet having `extra` bytes besides its frame.
fn within_domains(
    graph: &Graph,
    fabric: &FabricConfig,
    trims: bool,
    extra: u64,
) -> (TransportConfig, Network) {
    let first = graph.scale_up.map_or(0, |scale_up| usize::from(scale_up.first_port));
    let of_host = graph.links.iter().filter(|link| link.a.0 == 0);
    let links: Vec<&Link> = of_host.skip(first).collect();
    let rate: u64 = links.iter().map(|link| link.rate.bits_per_second()).sum();
    let switch = links.first().and_then(|link| graph.switch(link.b));
    let latency = links.first().map_or(Span::ZERO, |link| link.delay * 2)
        + switch.map_or(Span::ZERO, |switch| switch.latency);
    let wire = Rate::from_bits_per_second(links.first().map_or(rate, |l| l.rate.bits_per_second()));
    let frames = wire.time_for(4_096 + 64) * 2 + wire.time_for(64) * 2;
    let base_rtt = latency * 2 + fabric.host_latency * 2 + frames;
    let rate = Rate::from_bits_per_second(rate);
    let config = UetConfig::new(rate, base_rtt, trims);
    let payload = f64::from(config.payload);
    let wire = payload + f64::from(config.header) + extra as f64;
    let network = Network {
        latency: base_rtt.0 as f64 / 2.0,
        bytes_per_picosecond: rate.bits_per_second() as f64 / 8e12 * payload / wire,
    };
    (TransportConfig::Uet(Arc::new(config)), network)
}

/// Frames of a full data packet and of an acknowledgement.
fn frames(transport: &Transport, profile: Profile) -> (u64, u64) {
    // The frame sizes do not depend on rate and round trip, which are not known yet.
    let (rate, rtt) = (Rate::from_gbps(400), Span::from_micros(10));
    match (transport, profile) {
        (Transport::Uet(options), profile) => {
            let config = match profile {
                Profile::Ethernet | Profile::Ns3Rdma => UetConfig::new(rate, rtt, true),
                Profile::Htsim => UetConfig::htsim(rate, rtt, true, 0),
            };
            let payload = options.payload.unwrap_or(config.payload);
            (u64::from(payload) + u64::from(config.header), u64::from(config.ack_bytes))
        }
        (Transport::Roce(options), profile) => roce::frames(options, profile),
        (Transport::Sprayed(options), _) => sprayed::frames(options),
        (Transport::Tcp(options), _) => tcp::frames(options),
    }
}

pub(super) type Parts = (TransportConfig, Vec<ClassConfig>, Option<Vec<ClassConfig>>);

pub(super) fn class(limit: u64, overflow: Overflow) -> ClassConfig {
    ClassConfig { limit, ecn: None, overflow, schedule: Schedule::Strict, lossless: false }
}

pub(super) fn ecn(kmin: u64, kmax: u64, pmax: Ratio, switch: &SwitchOptions) -> Option<Ecn> {
    let kmin = switch.ecn_kmin.unwrap_or(kmin);
    Some(Ecn {
        kmin,
        kmax: switch.ecn_kmax.unwrap_or(kmax).max(kmin),
        pmax: switch.ecn_pmax.unwrap_or(pmax),
    })
}

/// Control and data share by weight instead of control going first, if the scenario says so.
fn weigh(mut classes: Vec<ClassConfig>, switch: &SwitchOptions) -> Vec<ClassConfig> {
    if let Some(weight) = switch.control_weight {
        classes[Class::CONTROL.index()].schedule = Schedule::Weighted(weight * QUANTUM);
        classes[Class::DATA.index()].schedule = Schedule::Weighted(QUANTUM);
    }
    classes
}

/// UET: trimming or dropping queues by `uet-cc.md` §5, in the form of the profile.
fn uet(basis: &Basis, options: &UetOptions, switch: &SwitchOptions) -> Parts {
    let htsim = basis.profile == Profile::Htsim;
    let trimming = options.trimming.unwrap_or(true);
    let bdp = basis.bdp();
    let queue = switch.queue.unwrap_or(if trimming { bdp } else { 5 * bdp });
    let lossless = switch.lossless.unwrap_or(false);
    let share = switch.trimmed_weight.unwrap_or(if htsim { 0.0 } else { TRIMMED_SHARE });
    let apart = trimming && !lossless && share > 0.0;
    let (bytes, to) = (TRIM_BYTES, if apart { Class::TRIMMED } else { Class::CONTROL });
    let overflow = match (trimming, htsim) {
        (true, true) => Overflow::CoinTrim { bytes, to },
        (true, false) => Overflow::Trim { bytes, to },
        (false, true) => Overflow::CoinDrop,
        (false, false) => Overflow::TailDrop,
    };
    let control = class(if htsim { 2 * queue } else { bdp }, Overflow::TailDrop);
    let marks = ecn(basis.tenths(2), basis.tenths(8), Ratio::ONE, switch);
    let limit = if lossless { u64::MAX } else { queue };
    let data = ClassConfig { ecn: marks, lossless, ..class(limit, overflow) };
    let classes = |data| match apart {
        false => vec![control, data],
        // UE 1.0 §3.6.17: trimmed packets share with data by weight, and control goes first.
        true => {
            let quantum = (f64::from(QUANTUM) * share / (1.0 - share)) as u32;
            let weighted =
                |class, quantum| ClassConfig { schedule: Schedule::Weighted(quantum), ..class };
            vec![control, weighted(data, QUANTUM), weighted(control, quantum.max(1))]
        }
    };
    let config = uet_config(basis, options, trimming, queue);
    // UE 1.0 §3.6.17: the last hop may hold half as much again before it trims, and does not mark where
    // credit holds senders back.
    let larger = !htsim && trimming && !lossless && switch.queue.is_none();
    let marks = if config.rccc.is_some() { None } else { marks };
    let limit = if larger { queue * 3 / 2 } else { limit };
    let last_hop = (larger || config.rccc.is_some())
        .then(|| classes(ClassConfig { limit, ecn: marks, ..data }));
    (TransportConfig::Uet(Arc::new(config)), classes(data), last_hop)
}

fn uet_config(basis: &Basis, options: &UetOptions, trimming: bool, queue: u64) -> UetConfig {
    let mut config = match basis.profile {
        Profile::Ethernet | Profile::Ns3Rdma => {
            UetConfig::new(basis.nic_rate(), basis.base_rtt, trimming)
        }
        Profile::Htsim => UetConfig::htsim(basis.nic_rate(), basis.base_rtt, trimming, queue),
    };
    options.apply(&mut config);
    if let Some(rccc) = &mut config.rccc
        && config.congestion == Congestion::Open
        && basis.oversubscription > 1.0
    {
        // The reference counts periods in a constant of its own.
        let rtt = match basis.profile {
            Profile::Ethernet | Profile::Ns3Rdma => basis.base_rtt,
            Profile::Htsim => Span::from_micros(12),
        };
        let least = (0.9 / basis.oversubscription).max(0.01);
        rccc.oversubscription = Some(Oversubscribed { least, rtt });
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::tests::prepared;

    const WORKLOAD: &str = "[workload]\nkind = \"permutation\"\nbytes = 10\n";

    /// The htsim profile gives the reference's queue, thresholds and timeout at 400 and 100 Gb/s.
    #[test]
    fn the_htsim_profile_has_the_reference_sizes() {
        for (rate, hosts, queue, kmin, kmax, rto) in [
            (400, 128, 626_650, 128_650, 502_150, 90_198_000),
            (100, 16, 178_450, 37_350, 145_250, 100_656_000),
        ] {
            let text = format!(
                "profile = \"htsim\"\n[topology]\nhosts = {hosts}\nlink_rate = \"{rate} Gb/s\"\n{WORKLOAD}"
            );
            let Behaviour { fabric, transport, .. } = prepared(&text).behaviour;
            let data = fabric.classes[1];
            assert_eq!((data.limit, fabric.classes[0].limit), (queue, 2 * queue));
            assert_eq!(data.ecn, Some(Ecn { kmin, kmax, pmax: Ratio::ONE }));
            let TransportConfig::Uet(config) = transport else { panic!("UET") };
            assert_eq!(config.rto, Span(rto));
        }
    }

    /// The default profile counts headers, preamble and gap, and lets the last hop hold more.
    #[test]
    fn the_default_profile_is_ethernet() {
        let Behaviour { fabric, base_rtt, .. } = prepared(WORKLOAD).behaviour;
        assert_eq!(fabric.frame_overhead, 20);
        // 12 links of 300 ns, 10 switches of 400 ns, 2 hosts of 500 ns, 6 × (4222 + 98) B at 20 ps.
        assert_eq!(base_rtt, Span(3_600_000 + 4_000_000 + 1_000_000 + 518_400));
        let bdp = base_rtt.0 / 20;
        assert_eq!(fabric.classes[1].limit, bdp);
        assert_eq!(fabric.host_facing.unwrap()[1].limit, bdp * 3 / 2);
    }
}
