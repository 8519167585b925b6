//! TCP's frames: the stack's segments with real checksums.

use fabric::packet::Packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, TcpPacket,
};

use crate::tcp::header::Segment;
use crate::wire::WireError;
use crate::wire::compose::SHORTEST;
use crate::wire::outer::{ETHERNET, mac};

/// The frame of a packet, without frame check sequence; its payload is zeros.
pub(super) fn frame(packet: &Packet) -> Vec<u8> {
    let mut ip = Vec::new();
    let segment = Segment::unpack(packet);
    segment.emit(packet.src, packet.dst, &ChecksumCapabilities::default(), &mut ip);
    let mut frame = vec![0; ETHERNET + ip.len()];
    let ethernet = EthernetRepr {
        src_addr: mac(packet.src),
        dst_addr: mac(packet.dst),
        ethertype: EthernetProtocol::Ipv4,
    };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    frame[ETHERNET..].copy_from_slice(&ip);
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}

/// A frame's TCP header as text; `None` if it carries something else.
///
/// # Errors
/// When a header is cut off or malformed.
pub(super) fn describe(frame: &[u8]) -> Result<Option<String>, WireError> {
    let ip = Ipv4Packet::new_checked(&frame[ETHERNET..]).map_err(|_| WireError::Outer("IPv4"))?;
    if ip.next_header() != IpProtocol::Tcp {
        return Ok(None);
    }
    let tcp = TcpPacket::new_checked(ip.payload()).map_err(|_| WireError::Outer("TCP"))?;
    let (src, dst) = (ip.src_addr(), ip.dst_addr());
    let checksum = match tcp.verify_checksum(&src.into(), &dst.into()) {
        true => "right",
        false => "wrong",
    };
    let marks: String = [(tcp.syn(), 'S'), (tcp.psh(), 'P'), (tcp.ack(), 'A')]
        .iter()
        .filter_map(|(set, letter)| set.then_some(*letter))
        .collect();
    Ok(Some(format!(
        "{src} > {dst} tcp {} > {} [{marks}] seq={} ack={} win={} len={} checksum {checksum}",
        tcp.src_port(),
        tcp.dst_port(),
        tcp.seq_number().0 as u32,
        tcp.ack_number().0 as u32,
        tcp.window_len(),
        tcp.payload().len(),
    )))
}
