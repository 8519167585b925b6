//! The packet: 64 plain bytes, one cache line.
//!
//! The first 24 bytes are what switches read and write; the other 40 belong to the transport, which
//! packs its header fields into [`Packet::body`]. A switch never looks into the body; it does not even
//! load the packet, but works on a `Label`, a copy of those fields that travels through wires and
//! queues while the packet stays where it is.

use crate::ids::{Class, HostId};

/// Traffic classes a port can have.
pub const CLASSES: usize = 4;

/// What a packet is, as far as counters and captures care.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Kind {
    /// Carries payload (also when trimmed).
    #[default]
    Data,
    /// Positive acknowledgement.
    Ack,
    /// Negative acknowledgement.
    Nack,
    /// Control packet of a transport (UET CP: credit, probe, close).
    Control,
    /// Congestion notification packet (RoCEv2).
    Cnp,
    /// Priority flow control frame of a link; made and consumed by ports, never routed.
    Pfc,
    /// Credit update of a link (CF_Update and CC_Update); made and consumed by ports, never routed.
    LinkCredit,
}

/// Bits of [`Packet::flags`].
pub mod flags {
    /// Congestion experienced: set by a switch at dequeue.
    pub const CE: u8 = 1 << 0;
    /// The payload was cut off by a switch.
    pub const TRIMMED: u8 = 1 << 1;
    /// The trimming switch was the last before the receiver.
    pub const LAST_HOP: u8 = 1 << 2;
    /// Retransmission.
    pub const RETRANSMITTED: u8 = 1 << 3;
    /// The sender asks for an acknowledgement at once (UET `AR`, RoCE `A`).
    pub const ACK_REQUEST: u8 = 1 << 4;
    /// Last packet of its message.
    pub const END_OF_MESSAGE: u8 = 1 << 5;
    /// ECN-capable transport: a switch may mark it.
    pub const ECN_CAPABLE: u8 = 1 << 6;
    /// Switches add a record of themselves; see [`crate::telemetry`].
    pub const TELEMETRY: u8 = 1 << 7;
}

/// A packet on its way.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Packet {
    /// Destination host.
    pub dst: HostId,
    /// Source host.
    pub src: HostId,
    /// The flow label switches hash: a PDC or queue pair, unique per direction and source.
    pub flow: u32,
    /// Sequence number in the transport's own space (UET PSN, RoCE PSN).
    pub psn: u32,
    /// Entropy value: the part of the hash that a transport varies (UET EV, RoCE UDP source port).
    pub entropy: u16,
    /// Frame length in bytes, from the Ethernet header to the frame check sequence.
    pub bytes: u16,
    /// What it is.
    pub kind: Kind,
    /// Its traffic class.
    pub class: Class,
    /// See [`flags`].
    pub flags: u8,
    /// The transport's own header fields.
    pub body: [u64; 5],
}

const _: () = assert!(size_of::<Packet>() == 64, "a packet is one cache line");

impl Default for Packet {
    fn default() -> Packet {
        Packet {
            dst: HostId(0),
            src: HostId(0),
            flow: 0,
            psn: 0,
            entropy: 0,
            bytes: 64,
            kind: Kind::Data,
            class: Class::DATA,
            flags: 0,
            body: [0; 5],
        }
    }
}

impl Packet {
    /// Whether every bit of `mask` is set.
    #[inline]
    pub const fn has(&self, mask: u8) -> bool {
        self.flags & mask == mask
    }
}

/// What a packet shows to the elements it passes, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label {
    pub(crate) dst: HostId,
    pub(crate) flow: u32,
    /// Where the packet lies in its shard's arena.
    pub(crate) slot: u32,
    pub(crate) entropy: u16,
    pub(crate) bytes: u16,
    /// Port of the present node through which it came in.
    pub(crate) ingress: u16,
    pub(crate) class: Class,
    pub(crate) flags: u8,
}

const _: () = assert!(size_of::<Label>() == 20, "a label is short");

impl Label {
    /// The label of `packet`, which lies in `slot`.
    #[inline]
    pub(crate) fn new(packet: &Packet, slot: u32) -> Label {
        Label {
            dst: packet.dst,
            flow: packet.flow,
            slot,
            entropy: packet.entropy,
            bytes: packet.bytes,
            ingress: 0,
            class: packet.class,
            flags: packet.flags,
        }
    }

    /// Writes what elements changed on the way into the packet.
    #[inline]
    pub(crate) fn update(&self, packet: &mut Packet) {
        packet.bytes = self.bytes;
        packet.class = self.class;
        packet.flags = self.flags;
    }
}
