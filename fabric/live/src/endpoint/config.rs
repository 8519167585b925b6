//! Which transport an endpoint runs, and its options for a path of software.

use std::sync::Arc;

use fabric::ids::HostId;
use fabric::units::{Rate, Span};
use transports::AnyEndpoint;
use transports::roce::Roce;
use transports::roce::config::{MarkReport, Preset, RoceConfig, Timeout};
use transports::uet::Uet;
use transports::uet::config::{LossInference, NsccOptions, Operation, UetConfig};
use transports::wire::outer::{FCS, OUTER};

/// Ethernet header and frame check sequence, which an MTU does not count.
const FRAME: u16 = 18;
/// Room for the IPv4 and UDP headers in an MTU.
const DATAGRAM: u16 = (OUTER + FCS) as u16 - FRAME;
/// Most payload of a packet.
const LARGEST: u16 = 4_096;
/// Smallest MTU: room for RoCE's least path MTU of 256 bytes.
pub const LEAST_MTU: u16 = 384;
/// Largest MTU: a jumbo frame.
pub const MOST_MTU: u16 = 9_216;
/// Full packets that a round trip takes at the least: a window holds some.
const PACKETS: u64 = 4;
/// RoCE's local ACK timeout: 4.096 us · 2^14, as is usual on large networks. Losses are told by NAKs; it is for the last packets of a
/// message, and a shorter one makes a path that is late for a moment worse.
const TIMEOUT: Span = Span(4_096_000 << 14);
/// The first UDP source port of packets; entropy values count from it.
pub const FIRST_PORT: u16 = 49_152;

/// A transport's protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Ultra Ethernet: reliable, unordered, sprayed; NSCC, and receiver credit if asked for.
    Uet,
    /// RoCEv2: reliable connection, go-back-N, DCQCN with congestion notification packets.
    Roce,
}

/// Options of an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// Protocol.
    pub kind: Kind,
    /// Rate of the NIC: no more is sent.
    pub rate: Rate,
    /// The longest unloaded round trip, software included; see [`Options::base_rtt`].
    pub rtt: Span,
    /// Bytes of an IP packet at most, from [`LEAST_MTU`] to [`MOST_MTU`].
    pub mtu: u16,
    /// UET: whether switches trim. If not, losses are inferred from overtaking packets.
    pub trimming: bool,
    /// UET: entropy values, and UDP source ports, a power of two.
    pub entropy_values: u16,
    /// UET: receiver credit (RCCC) beside NSCC.
    pub rccc: bool,
    /// Seed of start PSNs and of the choice of entropy values.
    pub seed: u64,
}

impl Options {
    /// The round trip that windows and timeouts follow: no shorter than a few full packets take at this rate, or a window would hold
    /// none.
    pub fn base_rtt(&self) -> Span {
        self.rtt.max(self.rate.time_for(PACKETS * u64::from(self.mtu + FRAME)))
    }

    /// UET's configuration: the specification's defaults for this rate and round trip. Messages are tagged sends, whose tag is on
    /// the wire; contexts live as long as the endpoint.
    pub(super) fn uet(&self) -> UetConfig {
        let spec = UetConfig::new(self.rate, self.base_rtt(), self.trimming);
        let payload = (self.mtu - (spec.header - FRAME)).min(LARGEST) & !63;
        UetConfig {
            payload,
            operation: Operation::TaggedSend,
            entropy_values: self.entropy_values,
            rccc: self.rccc.then(|| spec.default_rccc()),
            // Loss beside trimming has to be found as well, before its timeout.
            inference: LossInference::Sleek,
            // The shortest round trip of a host of software, of a small packet while nothing else ran, is far too short
            // for a window: it would hold less than a full packet.
            nscc: NsccOptions { keep_base_rtt: true, ..spec.nscc },
            // A peer may be started much later than this endpoint.
            max_timeouts: None,
            ..spec
        }
    }

    /// RoCE's configuration: DCQCN as published, which reports marks by CNPs. A NIC never gives up.
    pub(super) fn roce(&self) -> RoceConfig {
        let preset = RoceConfig::new(self.rate, Preset::Paper, None);
        let room = self.mtu - DATAGRAM - (preset.header - FRAME - DATAGRAM) - preset.first_header;
        // A path MTU is a power of two (InfiniBand: 256 to 4,096).
        let payload = (1 << room.ilog2()).min(LARGEST);
        RoceConfig {
            payload,
            window: Some(self.rate.bytes_in(self.base_rtt())),
            window_follows_rate: false,
            mark_report: MarkReport::Cnp { interval: Span::from_micros(50) },
            timeout: Some(Timeout {
                after: TIMEOUT.max(self.base_rtt() * 4),
                few: None,
                retries: None,
            }),
            ..preset
        }
    }

    /// The transport of a rank.
    pub(super) fn endpoint(&self, rank: HostId) -> AnyEndpoint {
        match self.kind {
            Kind::Uet => AnyEndpoint::UetNscc(Uet::new(rank, Arc::new(self.uet()), self.seed)),
            Kind::Roce => AnyEndpoint::Roce(Roce::new(rank, Arc::new(self.roce()), self.seed)),
        }
    }

    /// After so long without a datagram nobody misses anything any more: longer than several timeouts of either transport.
    pub(super) fn quiet(&self) -> Span {
        (self.base_rtt() * 50).max(TIMEOUT * 5)
    }

    /// UDP port that packets go to.
    pub fn port(&self) -> u16 {
        match self.kind {
            Kind::Uet => transports::wire::outer::UET_PORT,
            Kind::Roce => transports::wire::outer::ROCE_PORT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(mtu: u16) -> Options {
        Options {
            kind: Kind::Uet,
            rate: Rate::from_gbps(1),
            rtt: Span::from_millis(2),
            mtu,
            trimming: true,
            entropy_values: 64,
            rccc: false,
            seed: 1,
        }
    }

    /// Full packets of both transports fit into the MTU, and into no MTU that is much smaller.
    #[test]
    fn packets_fit_into_the_mtu() {
        for mtu in [LEAST_MTU, 1_500, 4_200, 9_000] {
            let (uet, roce) = (options(mtu).uet(), options(mtu).roce());
            let full = uet.payload + uet.header - FRAME;
            assert!(full <= mtu && (full + 64 > mtu || uet.payload == LARGEST), "{mtu}: {full}");
            let full = roce.frame(u64::from(roce.payload), true, false) - FRAME;
            assert!(full <= mtu && roce.payload.is_power_of_two(), "{mtu}: {full}");
            assert!(roce.payload >= 256);
        }
    }
}
