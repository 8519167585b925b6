//! The stack's segments as packets of the model, and back.
//!
//! All that smoltcp puts into a segment fits into a packet's body; payload is zeros. Beside it goes
//! what the application says of its message, which would be bytes of the stream: the model counts
//! none for it, as it does for the other transports.

use fabric::ids::{HostId, MessageId};
use fabric::packet::Packet;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use crate::wire::outer::{self, ETHERNET, FCS, IPV4};

/// The port that hosts listen on.
pub const SERVER_PORT: u16 = 5_001;
/// IPv4 and TCP headers without options.
pub const LEAST: usize = IPV4 + TCP;
/// TCP header without options.
const TCP: usize = 20;
/// Everything of a full segment's frame but payload.
pub const FRAME: u16 = (ETHERNET + LEAST + FCS) as u16;
/// Shortest frame.
const SHORTEST: usize = 64;
/// Time to live.
const HOP_LIMIT: u8 = 64;

/// Bits of a segment's marks.
mod mark {
    pub(super) const SYN: u8 = 1;
    pub(super) const PSH: u8 = 1 << 1;
    pub(super) const ACK: u8 = 1 << 2;
    pub(super) const SACK_PERMITTED: u8 = 1 << 3;
    pub(super) const SACK: u8 = 1 << 4;
}

/// The message on a connection: what an application's framing would say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Framing {
    /// The message.
    pub id: MessageId,
    /// Sequence number of its first byte.
    pub start: u32,
    /// Its length.
    pub bytes: u64,
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; 0 if there is none.
    pub ack: u32,
    /// Window, not scaled.
    pub window: u16,
    /// Maximum segment size option; 0 if there is none.
    pub mss: u16,
    /// Window scale option plus 1; 0 if there is none.
    pub scale: u8,
    /// Payload bytes.
    pub payload: u16,
    /// Selective acknowledgement.
    pub sack: (u32, u32),
    /// The message that the payload belongs to.
    pub framing: Framing,
    pub(super) marks: u8,
}

impl Segment {
    /// Whether the client sent it.
    pub fn to_server(&self) -> bool {
        self.dst_port == SERVER_PORT
    }

    /// Whether it opens a connection.
    pub fn is_syn(&self) -> bool {
        self.marks & mark::SYN != 0
    }

    /// Length of its frame.
    pub fn frame_bytes(&self) -> u16 {
        let ip = IPV4 + self.repr(&[]).header_len() + usize::from(self.payload);
        (ETHERNET + ip + FCS).max(SHORTEST) as u16
    }

    /// The body of its packet.
    pub(super) fn pack(&self) -> [u64; 5] {
        let Framing { id, start, bytes } = self.framing;
        [
            u64::from(self.ack)
                | u64::from(self.window) << 32
                | u64::from(self.marks) << 48
                | u64::from(self.scale) << 56,
            u64::from(self.src_port)
                | u64::from(self.dst_port) << 16
                | u64::from(self.mss) << 32
                | u64::from(self.payload) << 48,
            u64::from(self.sack.0) | u64::from(self.sack.1) << 32,
            u64::from(id.0) | u64::from(start) << 32,
            bytes,
        ]
    }

    /// The segment in a packet.
    pub fn unpack(packet: &Packet) -> Segment {
        let [first, second, sack, message, bytes] = packet.body;
        Segment {
            src_port: second as u16,
            dst_port: (second >> 16) as u16,
            seq: packet.psn,
            ack: first as u32,
            window: (first >> 32) as u16,
            mss: (second >> 32) as u16,
            scale: (first >> 56) as u8,
            payload: (second >> 48) as u16,
            sack: (sack as u32, (sack >> 32) as u32),
            framing: Framing {
                id: MessageId(message as u32),
                start: (message >> 32) as u32,
                bytes,
            },
            marks: (first >> 48) as u8,
        }
    }

    fn repr<'a>(&self, payload: &'a [u8]) -> TcpRepr<'a> {
        let has = |bit: u8| self.marks & bit != 0;
        TcpRepr {
            src_port: self.src_port,
            dst_port: self.dst_port,
            control: match (has(mark::SYN), has(mark::PSH)) {
                (true, _) => TcpControl::Syn,
                (false, true) => TcpControl::Psh,
                (false, false) => TcpControl::None,
            },
            seq_number: TcpSeqNumber(self.seq as i32),
            ack_number: has(mark::ACK).then_some(TcpSeqNumber(self.ack as i32)),
            window_len: self.window,
            window_scale: self.scale.checked_sub(1),
            max_seg_size: (self.mss > 0).then_some(self.mss),
            sack_permitted: has(mark::SACK_PERMITTED),
            sack_ranges: [has(mark::SACK).then_some(self.sack), None, None],
            timestamp: None,
            payload,
        }
    }

    /// The segment that an IPv4 packet of the stack's carries; `None` if it is none that goes on the
    /// emulated wire.
    pub(super) fn parse(bytes: &[u8]) -> Option<Segment> {
        let ip = Ipv4Packet::new_checked(bytes).ok()?;
        let (src, dst) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
        let tcp = TcpPacket::new_checked(ip.payload()).ok()?;
        let repr = TcpRepr::parse(&tcp, &src, &dst, &ChecksumCapabilities::ignored()).ok()?;
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let marks = match repr.control {
            TcpControl::None => 0,
            TcpControl::Psh => mark::PSH,
            TcpControl::Syn => mark::SYN,
            // Connections are never closed, and never refused.
            TcpControl::Fin | TcpControl::Rst => return None,
        };
        Some(Segment {
            src_port: repr.src_port,
            dst_port: repr.dst_port,
            seq: repr.seq_number.0 as u32,
            ack: repr.ack_number.map_or(0, |ack| ack.0 as u32),
            window: repr.window_len,
            mss: repr.max_seg_size.unwrap_or(0),
            scale: repr.window_scale.map_or(0, |scale| scale + 1),
            payload: repr.payload.len() as u16,
            sack: repr.sack_ranges[0].unwrap_or((0, 0)),
            framing: Framing::default(),
            marks: marks
                | bit(repr.ack_number.is_some(), mark::ACK)
                | bit(repr.sack_permitted, mark::SACK_PERMITTED)
                | bit(repr.sack_ranges[0].is_some(), mark::SACK),
        })
    }

    /// Writes the IPv4 packet into `bytes`, which is cleared first; `checksums` says which to fill.
    pub(crate) fn emit(
        &self,
        src: HostId,
        dst: HostId,
        checksums: &ChecksumCapabilities,
        bytes: &mut Vec<u8>,
    ) {
        let repr = self.repr(&[]);
        let rest = repr.header_len() + usize::from(self.payload);
        bytes.clear();
        bytes.resize(IPV4 + rest, 0);
        let ip = Ipv4Repr {
            src_addr: outer::ip(src),
            dst_addr: outer::ip(dst),
            next_header: IpProtocol::Tcp,
            payload_len: rest,
            hop_limit: HOP_LIMIT,
        };
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), checksums);
        let (src, dst) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
        let mut packet = TcpPacket::new_unchecked(&mut bytes[IPV4..]);
        repr.emit(&mut packet, &src, &dst, checksums);
    }
}
