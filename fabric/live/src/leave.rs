//! What the fabric changed of a packet, written into the bytes of its frame as a switch would: the mark, what trimming left,
//! the time to live.

use std::sync::Arc;

use fabric::ids::HostId;
use fabric::packet::{Packet, flags};
use pnet::packet::ipv6::MutableIpv6Packet;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Ipv4Packet};
use transports::wire::compose::{SHORTEST, TRIMMED, dscp};
use transports::wire::outer::{ETHERNET, ecn};

use crate::frame::Kind;

/// Routers between two hosts, where switches route.
pub type Hops = Arc<dyn Fn(HostId, HostId) -> u8 + Send + Sync>;

/// Why a frame is not handed on although its packet arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its time to live ran out.
    TimeToLive,
}

/// Changes the bytes of a frame of `kind` as its `packet` was changed on the way; with `routed`, by so many routers.
///
/// # Errors
/// When it would not have arrived on a real network.
pub fn rewrite(
    frame: &mut Vec<u8>,
    kind: Kind,
    packet: &Packet,
    routed: u8,
) -> Result<(), Refusal> {
    // Switches drop what is of another protocol.
    let trimmed = packet.has(flags::TRIMMED) && kind == Kind::Uet;
    let Ok(ethernet) = EthernetFrame::new_checked(&frame[..]) else { return Ok(()) };
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => ipv4(frame, packet, trimmed, routed),
        EthernetProtocol::Ipv6 => ipv6(frame, packet, routed),
        _ => Ok(()),
    }
}

fn ipv4(frame: &mut Vec<u8>, packet: &Packet, trimmed: bool, routed: u8) -> Result<(), Refusal> {
    let mut ip = Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]);
    let may_be_marked = ![ecn::NOT_ECT, ecn::CE].contains(&ip.ecn());
    let marked = packet.has(flags::CE) && may_be_marked;
    if !(marked || trimmed || routed > 0) {
        return Ok(());
    }
    let error = wrong_by(&mut ip);
    if marked {
        ip.set_ecn(ecn::CE);
    }
    if routed > 0 {
        let left = ip.hop_limit().checked_sub(routed).filter(|left| *left > 0);
        ip.set_hop_limit(left.ok_or(Refusal::TimeToLive)?);
    }
    let mut length = None;
    if trimmed {
        // IP says what is left, UDP goes on saying what there was (`uet-wire.md` §5.2).
        let header = usize::from(ip.header_len());
        let left = usize::from(ip.total_len()).min(header + TRIMMED);
        ip.set_total_len(left as u16);
        let last_hop = packet.has(flags::LAST_HOP);
        ip.set_dscp(if last_hop { dscp::TRIMMED_LASTHOP } else { dscp::TRIMMED });
        length = Some(ETHERNET + left);
    }
    ip.fill_checksum();
    if let Some(error) = error {
        ip.set_checksum(plus(ip.checksum(), error));
    }
    if let Some(length) = length {
        frame.truncate(length);
        frame.resize(length.max(SHORTEST), 0);
    }
    Ok(())
}

/// By how much a header's checksum is wrong, if it is. Switches add what they change to the checksum (RFC 1624): one that was wrong
/// stays wrong by as much.
fn wrong_by(ip: &mut Ipv4Packet<&mut [u8]>) -> Option<u16> {
    if ip.verify_checksum() {
        return None;
    }
    let stored = ip.checksum();
    ip.fill_checksum();
    Some(plus(stored, !ip.checksum()))
}

/// A sum in ones' complement.
fn plus(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u16::from(carry)
}

fn ipv6(frame: &mut [u8], packet: &Packet, routed: u8) -> Result<(), Refusal> {
    let Some(mut ip) = MutableIpv6Packet::new(&mut frame[ETHERNET..]) else { return Ok(()) };
    let class = ip.get_traffic_class();
    if packet.has(flags::CE) && class & 3 != ecn::NOT_ECT {
        ip.set_traffic_class(class | ecn::CE);
    }
    if routed > 0 {
        let left = ip.get_hop_limit().checked_sub(routed).filter(|left| *left > 0);
        ip.set_hop_limit(left.ok_or(Refusal::TimeToLive)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::look;
    use fabric::units::{Rate, Span};
    use proptest::prelude::*;
    use transports::uet::config::UetConfig;
    use transports::wire::compose::Protocol;

    /// Where UDP says how long it is.
    const UDP_LENGTH: std::ops::Range<usize> = 38..40;

    fn packet(flags: u8) -> Packet {
        Packet { src: HostId(1), dst: HostId(2), bytes: 4_202, flags, ..Packet::default() }
    }

    fn frame(flags: u8) -> Vec<u8> {
        let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
        Protocol::Uet(Arc::new(config)).frame(&packet(flags)).expect("a frame")
    }

    fn checksum_holds(frame: &[u8]) -> bool {
        Ipv4Packet::new_checked(&frame[ETHERNET..]).expect("IPv4").verify_checksum()
    }

    /// A mark goes into the IP header of what may be marked, and the checksum holds; nothing else changes.
    #[test]
    fn marks_are_written() {
        let before = frame(flags::ECN_CAPABLE);
        let mut after = before.clone();
        let marked = packet(flags::ECN_CAPABLE | flags::CE);
        assert_eq!(rewrite(&mut after, Kind::Uet, &marked, 0), Ok(()));
        assert_eq!(Ipv4Packet::new_unchecked(&after[ETHERNET..]).ecn(), ecn::CE);
        assert!(checksum_holds(&after));
        let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(changed <= 3, "{changed} bytes: the code point and the checksum");
        assert!(look(&after).marked);
    }

    /// A header that was damaged on its way to the fabric is not mended by it.
    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut damaged = frame(flags::ECN_CAPABLE);
        damaged[ETHERNET + 10] ^= 1;
        for (flags, routed) in [(flags::CE, 0), (flags::TRIMMED, 0), (0, 1)] {
            let (mut after, packet) = (damaged.clone(), packet(flags::ECN_CAPABLE | flags));
            assert_eq!(rewrite(&mut after, Kind::Uet, &packet, routed), Ok(()));
            assert_ne!(after, damaged);
            assert!(!checksum_holds(&after));
        }
    }

    /// A trimmed frame is what the model's own trimmed frame is, and UDP goes on saying how long it was.
    #[test]
    fn trims_are_those_of_the_wire_format() {
        for hop in [0, flags::LAST_HOP] {
            let flags = flags::ECN_CAPABLE | flags::TRIMMED | hop;
            let mut after = frame(flags::ECN_CAPABLE);
            let trimmed = Packet { bytes: 64, ..packet(flags) };
            assert_eq!(rewrite(&mut after, Kind::Uet, &trimmed, 0), Ok(()));
            let mut model = frame(flags);
            // The model's packet does not know its payload here.
            model[UDP_LENGTH].copy_from_slice(&frame(0)[UDP_LENGTH]);
            assert_eq!(after, model);
        }
    }

    /// Routers count the time to live down; where it is over, nothing leaves.
    #[test]
    fn what_would_not_arrive_does_not_leave() {
        let mut after = frame(0);
        assert_eq!(rewrite(&mut after, Kind::Uet, &packet(0), 3), Ok(()));
        assert_eq!(Ipv4Packet::new_unchecked(&after[ETHERNET..]).hop_limit(), 61);
        assert!(checksum_holds(&after));
        assert_eq!(rewrite(&mut after, Kind::Uet, &packet(0), 61), Err(Refusal::TimeToLive));
    }

    proptest! {
        /// Whatever the frame, whatever the fabric did: nothing fails.
        #[test]
        fn anything_can_be_rewritten(
            bytes in prop::collection::vec(any::<u8>(), 0..200), flags: u8, routed in 0..6u8,
        ) {
            let mut frame = bytes;
            let kind = look(&frame).kind;
            if kind != Kind::Malformed {
                let _ = rewrite(&mut frame, kind, &packet(flags), routed);
            }
        }
    }
}
