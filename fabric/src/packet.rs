//! The packet: 64 plain bytes, one cache line.
//!
//! The first 24 bytes are what switches read and write; the other 40 belong to the transport, which
//! packs its header fields into [`Packet::body`]. A switch never looks into the body; it does not even
//! load the packet, but works on a `Label`, a copy of those fields that travels through wires and
//! queues while the packet stays where it is.

use crate::ids::{Class, HostId};
use serde::{Deserialize, Serialize};

/// Traffic classes a port can have.
pub const CLASSES: usize = 4;

/// What a packet is, as far as counters and captures care.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
    /// Of a protocol that switches do not know: where they would trim it, they drop it.
    Foreign,
}

/// All kinds, by number.
const KINDS: [Kind; 8] = [
    Kind::Data,
    Kind::Ack,
    Kind::Nack,
    Kind::Control,
    Kind::Cnp,
    Kind::Pfc,
    Kind::LinkCredit,
    Kind::Foreign,
];

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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
    /// How far it is on a way that is not the shortest: for switches only.
    pub phase: Phase,
    /// The transport's own header fields.
    pub body: [u64; 5],
}

/// How far a packet is on its way through a direct network ([`crate::shape`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Phase(u8);

impl Phase {
    /// No switch has decided yet.
    pub const FRESH: Phase = Phase(0);
    /// To its destination.
    pub(crate) const DIRECT: Phase = Phase(1);
    /// To the region that it goes by.
    pub(crate) const VIA: Phase = Phase(2);
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
            phase: Phase::FRESH,
            body: [0; 5],
        }
    }
}

/// Words of a packet.
pub(crate) const PACKET_WORDS: usize = 8;

impl Packet {
    /// As words, for another process.
    pub(crate) fn to_words(self) -> [u64; PACKET_WORDS] {
        let Packet { dst, src, flow, psn, entropy, bytes, kind, class, flags, phase, body } = self;
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let small = [kind as u8, class.0, flags, phase.0].map(u32::from);
        let small = small.iter().rev().fold(0, |word, byte| word << 8 | byte);
        let lengths = u32::from(entropy) | u32::from(bytes) << 16;
        let [a, b, c, d, e] = body;
        [pair(dst.0, src.0), pair(flow, psn), pair(lengths, small), a, b, c, d, e]
    }

    /// From the words that [`Packet::to_words`] made.
    pub(crate) fn from_words(words: &[u64]) -> Packet {
        let (low, high) = (|word: u64| word as u32, |word: u64| (word >> 32) as u32);
        let byte = |place: u32| (words[2] >> (32 + 8 * place)) as u8;
        Packet {
            dst: HostId(low(words[0])),
            src: HostId(high(words[0])),
            flow: low(words[1]),
            psn: high(words[1]),
            entropy: words[2] as u16,
            bytes: (words[2] >> 16) as u16,
            kind: KINDS[usize::from(byte(0))],
            class: Class(byte(1)),
            flags: byte(2),
            phase: Phase(byte(3)),
            body: std::array::from_fn(|place| words[3 + place]),
        }
    }

    /// Whether every bit of `mask` is set.
    #[inline]
    pub const fn has(&self, mask: u8) -> bool {
        self.flags & mask == mask
    }
}

/// What a packet shows to the elements it passes, and where it lies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) dst: HostId,
    pub(crate) flow: u32,
    /// Where the packet lies in its shard's arena.
    pub(crate) slot: u32,
    pub(crate) entropy: u16,
    pub(crate) bytes: u16,
    /// Port of the present node through which it came in. The two highest bits are its [`Phase`]; where virtual
    /// channels are in use, the two below are the class by which it came in.
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
            ingress: u16::from(packet.phase.0) << PHASE,
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
        packet.phase = self.phase();
    }

    /// Port of the present node through which it came in.
    #[inline]
    pub(crate) fn ingress(&self) -> u16 {
        self.ingress & ((1 << PHASE) - 1)
    }

    /// The same where virtual channels are in use.
    pub(crate) fn ingress_with_channels(&self) -> u16 {
        self.ingress & ((1 << CAME_AS) - 1)
    }

    /// It has come in by a port of a switch that knows no phases.
    #[inline]
    pub(crate) fn enter(&mut self, ingress: usize) {
        self.ingress = ingress as u16;
    }

    /// It has come in by a port of a switch that does.
    #[inline]
    pub(crate) fn enter_in_phase(&mut self, ingress: usize) {
        self.ingress = (self.ingress & !((1 << PHASE) - 1)) | ingress as u16;
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase((self.ingress >> PHASE) as u8)
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.ingress = self.ingress() | u16::from(phase.0) << PHASE;
    }

    /// Keeps the class by which it came in, before it changes.
    pub(crate) fn keep_class(&mut self) {
        self.ingress |= u16::from(self.class.0 & 3) << CAME_AS;
    }

    /// The class by which it came in, where virtual channels are in use.
    pub(crate) fn came_as(&self) -> Class {
        Class((self.ingress >> CAME_AS & 3) as u8)
    }
}

/// Place of a label's phase beside its port.
const PHASE: u32 = 14;
/// Place of the class by which it came in.
const CAME_AS: u32 = 12;
/// Most ports of a switch with virtual channels.
pub(crate) const PORTS_WITH_CHANNELS: usize = 1 << CAME_AS;

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet that went to another process as words is the same packet, whatever its kind.
    #[test]
    fn words_keep_a_packet() {
        for (number, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            let packet = Packet {
                dst: HostId(0xffff_fffe),
                src: HostId(3),
                flow: 0x8000_0001,
                psn: 0xfedc_ba98,
                entropy: 0xabcd,
                bytes: 9_216,
                kind,
                class: Class(7),
                flags: 0xa5,
                phase: Phase::VIA,
                body: [1, 2, 3, 4, u64::MAX],
            };
            let back = Packet::from_words(&packet.to_words());
            assert_eq!(format!("{packet:?}"), format!("{back:?}"));
        }
    }
}
