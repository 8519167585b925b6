//! Ethernet, IPv4 and UDP around a packet: smoltcp's formats, the project's addresses.

use fabric::ids::HostId;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, UdpPacket,
};

use crate::wire::WireError;

/// UDP port of UET (`uet-wire.md` §1).
pub const UET_PORT: u16 = 4_793;
/// UDP port of RoCEv2 (§6).
pub const ROCE_PORT: u16 = 4_791;
/// Ethernet header.
pub const ETHERNET: usize = 14;
/// IPv4 header without options.
pub const IPV4: usize = 20;
/// UDP header.
pub const UDP: usize = 8;
/// Everything before the transport's own headers.
pub const OUTER: usize = ETHERNET + IPV4 + UDP;
/// Frame check sequence, which captures leave out.
pub const FCS: usize = 4;
/// Time to live of what hosts send. Switches of the model bridge: they do not count it down.
const HOP_LIMIT: u8 = 64;

/// ECN codepoints.
pub mod ecn {
    /// Not capable.
    pub const NOT_ECT: u8 = 0;
    /// Capable; what UET sends.
    pub const ECT1: u8 = 1;
    /// Capable; what RoCE sends.
    pub const ECT0: u8 = 2;
    /// Congestion experienced.
    pub const CE: u8 = 3;
}

/// What IP and UDP say of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// Sending host.
    pub src: HostId,
    /// Receiving host.
    pub dst: HostId,
    /// Differentiated services.
    pub dscp: u8,
    /// See [`ecn`].
    pub ecn: u8,
    /// UDP source port: the entropy value.
    pub entropy: u16,
    /// UDP destination port.
    pub port: u16,
}

/// A host's Ethernet address: locally administered, its number in the low bytes.
pub fn mac(host: HostId) -> EthernetAddress {
    let [a, b, c, d] = host.0.to_be_bytes();
    EthernetAddress([0x02, 0x00, a, b, c, d])
}

/// A host's IPv4 address, in 10.0.0.0/8.
pub fn ip(host: HostId) -> Ipv4Address {
    let [_, b, c, d] = host.0.to_be_bytes();
    Ipv4Address::new(10, b, c, d)
}

/// Writes the headers to the front of `frame`, which ends with the payload. `whole` is the length that UDP
/// has, which trimming does not rewrite; IP has the one that is there.
///
/// # Panics
/// If `frame` is shorter than [`OUTER`].
pub fn emit(outer: &Outer, frame: &mut [u8], whole: usize) {
    let ethernet = EthernetRepr {
        src_addr: mac(outer.src),
        dst_addr: mac(outer.dst),
        ethertype: EthernetProtocol::Ipv4,
    };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut *frame));
    let rest = frame.len() - ETHERNET;
    let repr = Ipv4Repr {
        src_addr: ip(outer.src),
        dst_addr: ip(outer.dst),
        next_header: IpProtocol::Udp,
        payload_len: rest - IPV4,
        hop_limit: HOP_LIMIT,
    };
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
    repr.emit(&mut packet, &ChecksumCapabilities::ignored());
    packet.set_dscp(outer.dscp);
    packet.set_ecn(outer.ecn);
    packet.fill_checksum();
    let mut udp = UdpPacket::new_unchecked(packet.payload_mut());
    udp.set_src_port(outer.entropy);
    udp.set_dst_port(outer.port);
    udp.set_len((UDP + whole) as u16);
    // No checksum: it would have to change with every trim (§1).
    udp.set_checksum(0);
}

/// Reads the headers of a frame over IPv4 and UDP, and what UDP carries, as far as it is there.
///
/// # Errors
/// When it is no such frame, or malformed.
pub fn parse(frame: &[u8]) -> Result<(String, u16, &[u8]), WireError> {
    let ethernet = EthernetFrame::new_checked(frame).map_err(|_| WireError::Outer("Ethernet"))?;
    let ip = Ipv4Packet::new_checked(&frame[ETHERNET..]).map_err(|_| WireError::Outer("IPv4"))?;
    if ip.next_header() != IpProtocol::Udp {
        let value = u64::from(u8::from(ip.next_header()));
        return Err(WireError::Unknown { header: "IPv4", field: "protocol", value });
    }
    let from = ETHERNET + usize::from(ip.header_len());
    let udp = frame.get(from..ETHERNET + usize::from(ip.total_len())).unwrap_or_default();
    // A trimmed packet's UDP length is longer than what is there, so its fields are read one by one.
    if udp.len() < UDP {
        return Err(WireError::Outer("UDP"));
    }
    let port = |place: usize| u16::from_be_bytes([udp[place], udp[place + 1]]);
    let text = format!(
        "{} > {} {} > {} dscp={} ecn={} udp {} > {} len={}",
        ethernet.src_addr(),
        ethernet.dst_addr(),
        ip.src_addr(),
        ip.dst_addr(),
        ip.dscp(),
        ip.ecn(),
        port(0),
        port(2),
        port(4),
    );
    Ok((text, port(2), &udp[UDP..]))
}
