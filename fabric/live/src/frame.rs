//! What a frame is, and where it wants to go: read from its bytes, whatever they are.
//!
//! Formats are smoltcp's, of IPv6 pnet's (whose feature would change smoltcp's stack for all of the workspace), ports those of UET and RoCEv2 (`uet-wire.md` §1, §6). A frame that is cut short, or says wrong
//! lengths, is no error here: it is [`Kind::Malformed`], is counted, and goes nowhere.

use std::net::IpAddr;

use fabric::ids::Class;
use fabric::packet;
use fabric::rng::mix64;
use pnet::packet::Packet as _;
use pnet::packet::ipv6::Ipv6Packet;
use serde::Serialize;
use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol,
    Ipv4Packet,
};
use transports::wire::outer::{ROCE_PORT, UDP, UET_PORT, ecn};
use transports::wire::pds::PdsType;
use transports::wire::roce::opcode;

/// Longest frame that is taken, without frame check sequence: a jumbo frame.
pub const LONGEST: usize = 9_216;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Address resolution.
    Arp,
    /// UET over UDP.
    Uet,
    /// RoCEv2.
    Roce,
    /// Any other IPv4.
    Ipv4,
    /// Any other IPv6.
    Ipv6,
    /// Another protocol.
    Other,
    /// Not what it says it is.
    Malformed,
    /// Longer than [`LONGEST`].
    Oversized,
}

/// All kinds, in their order.
pub const KINDS: [Kind; 8] = [
    Kind::Arp,
    Kind::Uet,
    Kind::Roce,
    Kind::Ipv4,
    Kind::Ipv6,
    Kind::Other,
    Kind::Malformed,
    Kind::Oversized,
];

impl Kind {
    /// Whether the fabric carries it.
    pub fn is_carried(self) -> bool {
        !matches!(self, Kind::Malformed | Kind::Oversized)
    }
}

/// Whom a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The owner of an Ethernet address.
    Mac(EthernetAddress),
    /// The owner of an IP address: ARP requests and neighbour solicitations, which are broadcast, but meant for one host.
    Ip(IpAddr),
    /// Everybody. Fabrics of this kind do not flood.
    Everybody,
}

/// What is read of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sight {
    /// What it carries.
    pub kind: Kind,
    /// Whom it is for.
    pub target: Target,
    /// Who sent it.
    pub source: EthernetAddress,
    /// The sender's IP address, if it says one.
    pub source_ip: Option<IpAddr>,
    /// The label that switches hash: protocol, addresses and ports.
    pub flow: u32,
    /// What a transport varies of the hash: the UDP source port of UET and RoCE.
    pub entropy: u16,
    /// What it is to counters and captures.
    pub packet: packet::Kind,
    /// Its traffic class.
    pub class: Class,
    /// Switches may mark it.
    pub ecn_capable: bool,
    /// It is marked already.
    pub marked: bool,
}

impl Sight {
    fn of(kind: Kind, frame: &EthernetFrame<&[u8]>) -> Sight {
        let (target, source) = (frame.dst_addr(), frame.src_addr());
        let target = if target.is_unicast() { Target::Mac(target) } else { Target::Everybody };
        Sight {
            kind,
            target,
            source,
            source_ip: None,
            flow: hash(&[frame.dst_addr().as_bytes(), source.as_bytes()]),
            entropy: 0,
            packet: packet::Kind::Data,
            class: Class::DATA,
            ecn_capable: false,
            marked: false,
        }
    }

    fn with_ecn(self, codepoint: u8) -> Sight {
        Sight { ecn_capable: codepoint != ecn::NOT_ECT, marked: codepoint == ecn::CE, ..self }
    }
}

/// A label of bytes. Not secret: it only has to spread.
fn hash(parts: &[&[u8]]) -> u32 {
    let mut sum = 0;
    for part in parts {
        for bytes in part.chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            sum = mix64(sum ^ u64::from_le_bytes(word));
        }
        sum = mix64(sum ^ part.len() as u64);
    }
    (sum ^ sum >> 32) as u32
}

/// Reads a frame, without frame check sequence.
pub fn look(bytes: &[u8]) -> Sight {
    let Ok(frame) = EthernetFrame::new_checked(bytes) else {
        let nobody = EthernetAddress([0; 6]);
        return Sight {
            kind: Kind::Malformed,
            target: Target::Everybody,
            source: nobody,
            source_ip: None,
            flow: 0,
            entropy: 0,
            packet: packet::Kind::Data,
            class: Class::DATA,
            ecn_capable: false,
            marked: false,
        };
    };
    let read = match frame.ethertype() {
        _ if bytes.len() > LONGEST => Some(Sight::of(Kind::Oversized, &frame)),
        EthernetProtocol::Arp => arp(&frame),
        EthernetProtocol::Ipv4 => ipv4(&frame),
        EthernetProtocol::Ipv6 => ipv6(&frame),
        EthernetProtocol::Unknown(_) => Some(Sight::of(Kind::Other, &frame)),
    };
    read.unwrap_or_else(|| Sight::of(Kind::Malformed, &frame))
}

fn arp(frame: &EthernetFrame<&[u8]>) -> Option<Sight> {
    let arp = ArpPacket::new_checked(frame.payload()).ok()?;
    if arp.hardware_len() != 6 || arp.protocol_len() != 4 {
        return None;
    }
    let ip = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    let sight = Sight::of(Kind::Arp, frame);
    let source_ip = ip(arp.source_protocol_addr());
    let target = match (arp.operation(), sight.target) {
        (ArpOperation::Request, Target::Everybody) => Target::Ip(ip(arp.target_protocol_addr())?),
        (_, target) => target,
    };
    Some(Sight { target, source_ip, ..sight })
}

fn ipv4(frame: &EthernetFrame<&[u8]>) -> Option<Sight> {
    let ip = Ipv4Packet::new_checked(frame.payload()).ok()?;
    let (src, dst) = (ip.src_addr(), ip.dst_addr());
    let sight = Sight::of(Kind::Ipv4, frame).with_ecn(ip.ecn());
    let sight = Sight { source_ip: Some(IpAddr::V4(src)), ..sight };
    // Later fragments have no ports: they take the way of all that goes between these addresses.
    let whole = !ip.more_frags() && ip.frag_offset() == 0;
    let addresses: [&[u8]; 2] = [&src.octets(), &dst.octets()];
    Some(ports(sight, ip.next_header(), if whole { ip.payload() } else { &[] }, addresses))
}

fn ipv6(frame: &EthernetFrame<&[u8]>) -> Option<Sight> {
    let ip = Ipv6Packet::new(frame.payload())?;
    let whole = usize::from(ip.get_payload_length()) <= ip.payload().len();
    if ip.get_version() != 6 || !whole {
        return None;
    }
    let (src, dst) = (ip.get_source(), ip.get_destination());
    let sight = Sight::of(Kind::Ipv6, frame).with_ecn(ip.get_traffic_class() & 3);
    let sight = Sight { source_ip: Some(IpAddr::V6(src)), ..sight };
    let payload = ip.payload();
    let protocol = IpProtocol::from(ip.get_next_header().0);
    // A neighbour solicitation asks for one address, which stands behind its first eight bytes (RFC 4861 §4.3).
    let asked = payload.get(8..24).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let is_solicitation = protocol == IpProtocol::Icmpv6 && payload.first() == Some(&135);
    let target = match (sight.target, asked) {
        (Target::Everybody, Some(asked)) if is_solicitation => Target::Ip(IpAddr::from(asked)),
        (target, _) => target,
    };
    let sight = Sight { target, ..sight };
    Some(ports(sight, protocol, payload, [&src.octets(), &dst.octets()]))
}

/// Takes ports into the flow, and tells UET and RoCE apart.
fn ports(sight: Sight, protocol: IpProtocol, payload: &[u8], addresses: [&[u8]; 2]) -> Sight {
    let [src, dst] = addresses;
    let proto = [u8::from(protocol)];
    let port =
        |place: usize| Some(u16::from_be_bytes([*payload.get(place)?, *payload.get(place + 1)?]));
    let ends = match protocol {
        IpProtocol::Tcp | IpProtocol::Udp => port(0).zip(port(2)),
        _ => None,
    };
    let Some((from, to)) = ends else {
        return Sight { flow: hash(&[&proto, src, dst]), ..sight };
    };
    let inner = payload.get(UDP..).unwrap_or_default();
    match (protocol, to) {
        (IpProtocol::Udp, UET_PORT) => {
            let (packet, class) = uet(inner);
            let flow = hash(&[&proto, src, dst, &to.to_be_bytes()]);
            Sight { kind: Kind::Uet, flow, entropy: from, packet, class, ..sight }
        }
        (IpProtocol::Udp, ROCE_PORT) => {
            let (packet, class) = roce(inner);
            let flow = hash(&[&proto, src, dst, &to.to_be_bytes()]);
            Sight { kind: Kind::Roce, flow, entropy: from, packet, class, ..sight }
        }
        _ => {
            let flow = hash(&[&proto, src, dst, &from.to_be_bytes(), &to.to_be_bytes()]);
            Sight { flow, ..sight }
        }
    }
}

/// What a UET packet is, by the type in its first five bits (`uet-wire.md` §2.1).
fn uet(inner: &[u8]) -> (packet::Kind, Class) {
    let kind = inner.first().map_or(0, |first| first >> 3);
    let is = |types: &[PdsType]| types.iter().any(|one| *one as u8 == kind);
    if is(&[PdsType::Ack, PdsType::AckCc, PdsType::AckCcx, PdsType::RudiResp]) {
        (packet::Kind::Ack, Class::CONTROL)
    } else if is(&[PdsType::Nack, PdsType::NackCcx]) {
        (packet::Kind::Nack, Class::CONTROL)
    } else if is(&[PdsType::Cp]) {
        (packet::Kind::Control, Class::CONTROL)
    } else {
        (packet::Kind::Data, Class::DATA)
    }
}

/// What a RoCE packet is, by its opcode (`uet-wire.md` §6).
fn roce(inner: &[u8]) -> (packet::Kind, Class) {
    match inner.first() {
        Some(&opcode::ACK) => (packet::Kind::Ack, Class::CONTROL),
        Some(&opcode::CNP) => (packet::Kind::Cnp, Class::CONTROL),
        _ => (packet::Kind::Data, Class::DATA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::ids::HostId;
    use fabric::packet::Packet;
    use fabric::units::{Rate, Span};
    use proptest::prelude::*;
    use std::sync::Arc;
    use transports::uet::config::UetConfig;
    use transports::uet::header::{Ack, NackCode};
    use transports::wire::compose::Protocol;

    /// A frame of UET as the model writes it.
    fn uet_frame(kind: packet::Kind) -> Vec<u8> {
        let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
        let packet = Packet {
            src: HostId(1),
            dst: HostId(2),
            entropy: 0xbeef,
            bytes: 4_202,
            kind,
            flags: packet::flags::ECN_CAPABLE,
            ..Packet::default()
        };
        // A NACK says why.
        let why = Ack { code: NackCode::Trimmed, ..Ack::to(&packet, 1) };
        let body = if kind == packet::Kind::Nack { why.pack() } else { packet.body };
        let packet = Packet { body, ..packet };
        Protocol::Uet(Arc::new(config)).frame(&packet).expect("a frame")
    }

    /// UET is told by its port: data may be marked and has its entropy value, acknowledgements are control.
    #[test]
    fn uet_is_known() {
        let data = look(&uet_frame(packet::Kind::Data));
        assert_eq!((data.kind, data.entropy, data.packet), (Kind::Uet, 0xbeef, packet::Kind::Data));
        assert!(data.ecn_capable && !data.marked && data.class == Class::DATA);
        for kind in [packet::Kind::Ack, packet::Kind::Nack] {
            let answer = look(&uet_frame(kind));
            assert_eq!(
                (answer.kind, answer.packet, answer.class),
                (Kind::Uet, kind, Class::CONTROL)
            );
        }
    }

    /// What is longer than any frame is told from what is malformed.
    #[test]
    fn oversized_frames_are_named() {
        let mut frame = uet_frame(packet::Kind::Data);
        frame.resize(LONGEST, 0);
        assert_eq!(look(&frame).kind, Kind::Uet);
        frame.push(0);
        assert_eq!(look(&frame).kind, Kind::Oversized);
        assert!(!Kind::Oversized.is_carried() && Kind::Uet.is_carried());
    }

    /// An ARP request is for the owner of the address it asks for.
    #[test]
    fn arp_requests_have_one_owner() {
        let mut frame = vec![0xff; 6];
        frame.extend([
            2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 2,
        ]);
        frame.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 9]);
        let sight = look(&frame);
        assert_eq!(sight.target, Target::Ip(IpAddr::from([10, 0, 0, 9])));
        assert_eq!((sight.kind, sight.source_ip), (Kind::Arp, Some(IpAddr::from([10, 0, 0, 2]))));
        assert_eq!(look(&frame[..30]).kind, Kind::Malformed);
    }

    proptest! {
        /// No bytes whatever make it fail.
        #[test]
        fn anything_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = look(&bytes);
        }

        /// Nor do frames that are right but for some bytes, or their end.
        #[test]
        fn damaged_frames_can_be_looked_at(
            place in 0..120usize, byte: u8, length in 0..200usize, kind in 0..3usize,
        ) {
            let kind = [packet::Kind::Data, packet::Kind::Ack, packet::Kind::Nack][kind];
            let mut frame = uet_frame(kind);
            if let Some(old) = frame.get_mut(place) {
                *old = byte;
            }
            frame.truncate(length);
            let _ = look(&frame);
        }
    }
}
