//! RoCE packets as datagrams and back.
//!
//! What two hosts tell each other when they connect is agreed beforehand: the queue pair at a host for its connection with rank r is
//! `16 + r`. PSNs have 24 bits on the wire; only the first packet of a message says which it is, so where messages begin is
//! remembered, and when packets were sent, which acknowledgements do not say.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use fabric::ids::HostId;
use fabric::packet::{Kind, Packet};
use fabric::units::Time;
use transports::roce::config::RoceConfig;
use transports::roce::header::{Header, UNKNOWN};
use transports::wire::compose::Protocol;
use transports::wire::outer::{ETHERNET, IPV4, OUTER};
use transports::wire::receive::{self, Datagram};
use transports::wire::roce::{BthPacket, ICRC};
use transports::wire::{WireError, crc};

use super::host::{Placed, Taken};
use super::uet::nearest;

/// The first queue pair: the lowest are for management.
const FIRST_QP: u32 = 16;
/// Bits of a PSN.
const BITS: u32 = 24;
/// Packets whose departures are remembered.
const SENT: usize = 4_096;

/// A connection's memory.
#[derive(Default)]
struct Connection {
    /// This host's queue pair to the peer, by the transport's number.
    own: Option<u32>,
    /// One more than the highest PSN sent.
    sent: u64,
    /// When packets left, by their PSN modulo [`SENT`].
    stamps: Vec<(u32, Time)>,
    /// First PSN of each message that is being sent.
    sending: BTreeMap<u32, u32>,
    /// The highest PSN received.
    received: u64,
    /// First PSN, number and bytes of each message that arrives.
    arriving: BTreeMap<u32, (u32, u32)>,
}

/// See the module.
pub(super) struct Codec {
    rank: HostId,
    protocol: Protocol,
    payload: u32,
    addresses: Vec<Ipv4Addr>,
    /// UDP source port of entropy value 0, and how many there are.
    ports: (u16, u16),
    peers: Vec<Connection>,
}

impl Codec {
    pub(super) fn new(
        rank: HostId,
        config: RoceConfig,
        addresses: &[Ipv4Addr],
        ports: (u16, u16),
    ) -> Codec {
        let payload = u32::from(config.payload);
        let protocol = Protocol::Roce(Arc::new(config));
        let peers = addresses.iter().map(|_| Connection::default()).collect();
        Codec { rank, protocol, payload, addresses: addresses.to_vec(), ports, peers }
    }

    /// The frame of a packet, and which bytes of which message its payload is. The ICRC is not right before [`Codec::seal`].
    pub(super) fn frame(&mut self, packet: &Packet) -> Option<(Vec<u8>, Option<Placed>)> {
        let header = Header::unpack(packet);
        let mut frame = self.protocol.frame(packet)?;
        let mut bth = BthPacket::new_checked(&mut frame[OUTER..]).ok()?;
        bth.set_dest_qp(FIRST_QP + self.rank.0);
        if packet.kind != Kind::Data {
            return Some((frame, None));
        }
        let peer = &mut self.peers[packet.dst.index()];
        peer.own = Some(header.sender_qp);
        peer.sent = peer.sent.max(u64::from(packet.psn) + 1);
        peer.stamps.resize(SENT, (0, Time::ZERO));
        peer.stamps[packet.psn as usize % SENT] = (packet.psn, header.stamp);
        if header.first {
            peer.sending.insert(header.number, packet.psn);
        }
        let first = peer.sending.get(&header.number).copied().unwrap_or(packet.psn);
        let placed = Placed {
            message: header.number,
            offset: u64::from(packet.psn - first) * u64::from(self.payload),
            length: header.detail as usize,
            tail: ICRC + header.detail.next_multiple_of(4) as usize - header.detail as usize,
        };
        Some((frame, Some(placed)))
    }

    /// Writes the ICRC of a frame whose payload is there: it covers the addresses and ports that the packet really goes by.
    pub(super) fn seal(&self, packet: &Packet, frame: &mut [u8]) {
        self.readdress(frame, packet.src, packet.dst, packet.entropy);
        let end = frame.len() - ICRC;
        let icrc = crc::icrc(&frame[..end]);
        frame[end..].copy_from_slice(&icrc);
    }

    fn readdress(&self, frame: &mut [u8], src: HostId, dst: HostId, entropy: u16) {
        let (first, count) = self.ports;
        let octets = |host: HostId| self.addresses[host.index()].octets();
        frame[ETHERNET + 12..ETHERNET + 16].copy_from_slice(&octets(src));
        frame[ETHERNET + 16..ETHERNET + IPV4].copy_from_slice(&octets(dst));
        let port = first + entropy % count;
        frame[ETHERNET + IPV4..ETHERNET + IPV4 + 2].copy_from_slice(&port.to_be_bytes());
    }

    /// Whether a datagram's ICRC is right; the outer headers are made again as its sender made them.
    fn is_whole(&self, datagram: &Datagram<'_>) -> bool {
        let Some(end) = datagram.bytes.len().checked_sub(ICRC) else { return false };
        let mut frame = vec![0; OUTER + datagram.bytes.len()];
        frame[OUTER..].copy_from_slice(datagram.bytes);
        let outer = transports::wire::outer::Outer {
            src: datagram.src,
            dst: datagram.dst,
            dscp: 0,
            ecn: 0,
            entropy: datagram.entropy,
            port: transports::wire::outer::ROCE_PORT,
        };
        transports::wire::outer::emit(&outer, &mut frame, datagram.bytes.len());
        self.readdress(&mut frame, datagram.src, datagram.dst, datagram.entropy);
        crc::icrc(&frame[..OUTER + end]) == datagram.bytes[end..]
    }

    pub(super) fn take<'a>(&mut self, datagram: &Datagram<'a>) -> Result<Taken<'a>, WireError> {
        let got = receive::roce(datagram)?;
        let src = got.packet.src;
        if got.dest_qp != FIRST_QP + src.0 {
            let value = u64::from(got.dest_qp);
            return Err(WireError::Unknown { header: "BTH", field: "dest_qp", value });
        }
        if !self.is_whole(datagram) {
            return Err(WireError::Outer("ICRC"));
        }
        if got.packet.kind == Kind::Data {
            return Ok(self.data(got));
        }
        self.answer(got.packet)
    }

    fn data<'a>(&mut self, got: receive::Roce<'a>) -> Taken<'a> {
        let payload = u64::from(self.payload);
        let peer = &mut self.peers[got.packet.src.index()];
        let psn = nearest(peer.received, u64::from(got.packet.psn), BITS);
        peer.received = peer.received.max(psn);
        let psn = psn as u32;
        if let Some(message) = got.message {
            peer.arriving.insert(psn, message);
        }
        // Of a message whose first packet is missing there is nothing to place: the receiver asks for that one first.
        let begun = peer.arriving.range(..=psn).next_back();
        let known = begun.map(|(first, (number, bytes))| (psn - first, *number, *bytes));
        let of_it = known.filter(|(past, _, bytes)| {
            u64::from(*past) * payload + got.payload.len() as u64 <= u64::from(*bytes)
        });
        let (past, number, bytes) = of_it.unwrap_or((0, UNKNOWN, 0));
        let header = Header {
            sender_qp: 0,
            receiver_qp: UNKNOWN,
            number,
            detail: got.payload.len() as u32,
            length: u64::from(bytes),
            stamp: Time::ZERO,
            first: got.first,
        };
        let placed = of_it.map(|_| Placed {
            message: number,
            offset: u64::from(past) * payload,
            length: got.payload.len(),
            tail: 0,
        });
        let packet = Packet { psn, body: header.pack(), ..got.packet };
        Taken { packet, placed, payload: got.payload, bytes: u64::from(bytes) }
    }

    fn answer<'a>(&mut self, packet: Packet) -> Result<Taken<'a>, WireError> {
        let peer = &self.peers[packet.src.index()];
        let psn = nearest(peer.sent, u64::from(packet.psn), BITS);
        let sender_qp = peer.own.filter(|_| packet.kind == Kind::Cnp || psn <= peer.sent);
        let sender_qp = sender_qp.ok_or(WireError::Unknown {
            header: "AETH",
            field: "acknowledged PSN",
            value: u64::from(packet.psn),
        })?;
        let psn = psn as u32;
        let left = psn.checked_sub(1).and_then(|psn| {
            let (number, at) = *peer.stamps.get(psn as usize % SENT)?;
            (number == psn).then_some(at)
        });
        let header = Header {
            sender_qp,
            receiver_qp: UNKNOWN,
            number: psn,
            detail: 0,
            length: 0,
            stamp: left.unwrap_or(Time::NEVER),
            first: false,
        };
        let packet = Packet { psn, body: header.pack(), ..packet };
        Ok(Taken { packet, placed: None, payload: &[], bytes: 0 })
    }

    /// A message was received from `peer`, or sent to it, and its packets come no more.
    pub(super) fn forget(&mut self, peer: HostId, message: u32) {
        let peer = &mut self.peers[peer.index()];
        peer.sending.remove(&message);
        // Those below are complete as well: packets come in order.
        if let Some((first, _)) = peer.arriving.iter().find(|(_, of)| of.0 == message) {
            let first = *first;
            peer.arriving = peer.arriving.split_off(&first);
        }
    }
}
