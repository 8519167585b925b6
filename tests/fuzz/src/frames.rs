//! A frame of an attached host: what the fabric did to its packet, in the first byte, and its bytes.

use fabric::endpoint::{Endpoint, Send};
use fabric::ids::HostId;
use fabric::packet::flags;
use fabric::units::Time;
use live::directory::Directory;
use live::frame::look;
use live::gate::{Gate, Live};
use live::leave::rewrite;
use live::yard::SharedYard;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, Ipv4Packet};
use transports::wire::compose::SHORTEST;
use transports::wire::outer::ETHERNET;

use crate::answers::{Silent, with};

/// Longest frame that an interface gives.
const LONGEST: usize = 9_234;

/// Takes the frame in, lets it through, and looks at what leaves: no longer than what came (or padded); the same, if nothing was done
/// to it; and an IPv4 header that was right still is.
pub fn run(data: &[u8]) {
    let Some((fate, frame)) = data.split_first() else { return };
    let frame = &frame[..frame.len().min(LONGEST)];
    let sight = look(frame);
    if !sight.kind.is_carried() {
        return;
    }
    let mut directory = Directory::new(4);
    directory.learn(HostId(0), sight.source, sight.source_ip);
    let dst = directory.find(sight.target).unwrap_or(HostId(1));
    let yard = SharedYard::new(1 << 20);
    assert!(yard.lock().take_in((Time::ZERO, HostId(0), dst), frame, &sight), "there is room");
    let mut gate = Live::<Silent>::Gate(Gate::new(HostId(0), yard.clone()));
    let sent = with(HostId(0), Time::ZERO, |cx| gate.poll_send(cx, 0, 0));
    let Send::Packet(mut packet) = sent else { panic!("what was taken in is sent") };
    let (done, routed) = (fate & (flags::CE | flags::TRIMMED | flags::LAST_HOP), fate >> 6);
    packet.flags |= done;

    let mut yard = yard.lock();
    let (kind, bytes) = yard.bytes(&packet).expect("it lies there");
    assert_eq!((kind, &bytes[..]), (sight.kind, frame));
    if rewrite(bytes, kind, &packet, routed).is_err() {
        return;
    }
    assert!(bytes.len() <= frame.len().max(SHORTEST), "{} of {}", bytes.len(), frame.len());
    if done & !flags::LAST_HOP == 0 && routed == 0 {
        assert_eq!(&bytes[..], frame);
    }
    if is_right(frame) {
        assert!(is_right(bytes), "{fate:08b} makes {bytes:02x?} of {frame:02x?}");
    }
    let again = look(bytes);
    assert!(again.kind.is_carried() || !is_right(frame), "{:?} became {:?}", kind, again.kind);
}

/// Whether it has an IPv4 header that fits and has its checksum.
pub(crate) fn is_right(frame: &[u8]) -> bool {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return false };
    ethernet.ethertype() == EthernetProtocol::Ipv4
        && Ipv4Packet::new_checked(&frame[ETHERNET..]).is_ok_and(|ip| ip.verify_checksum())
}
