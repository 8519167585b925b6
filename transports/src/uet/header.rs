//! The transport fields of UET packets, as they lie in [`Packet::body`].
//!
//! Field names are the specification's (PDS, `uet-wire.md` §2). `dpdcid` is [`UNKNOWN`] in the SYN state, until an
//! acknowledgement has named the target's context.

use fabric::packet::Packet;

/// A PDC that is not known yet.
pub const UNKNOWN: u32 = u32::MAX;

fn join(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// Fields of a data packet. The PSN, flags and EV are in the packet itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data {
    /// The sender's PDC.
    pub spdcid: u32,
    /// The target's PDC, or [`UNKNOWN`].
    pub dpdcid: u32,
    /// The message it belongs to.
    pub message: u32,
    /// Payload bytes it carries (also when trimmed).
    pub payload: u32,
    /// Payload bytes of the whole message.
    pub message_bytes: u64,
}

impl Data {
    /// Writes the fields.
    #[inline]
    pub fn pack(&self) -> [u64; 5] {
        [join(self.spdcid, self.dpdcid), join(self.message, self.payload), self.message_bytes, 0, 0]
    }

    /// Reads the fields.
    #[inline]
    pub fn unpack(packet: &Packet) -> Data {
        let (spdcid, dpdcid) = split(packet.body[0]);
        let (message, payload) = split(packet.body[1]);
        Data { spdcid, dpdcid, message, payload, message_bytes: packet.body[2] }
    }
}

/// Fields of an acknowledgement (`ACK_CC`) or negative acknowledgement. The packet's own PSN is the
/// `ACK_PSN`: the packet that caused it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    /// The PDC of the data's sender.
    pub spdcid: u32,
    /// The target's PDC.
    pub dpdcid: u32,
    /// Everything below this PSN has arrived (one more than the wire's `CACK_PSN`).
    pub cack: u32,
    /// PSN of the lowest bit of `sack`.
    pub sack_base: u32,
    /// Which of the 64 packets from `sack_base` have arrived; a clear bit says nothing.
    pub sack: u64,
    /// Cumulative bytes accepted, without duplicates and trimmed packets.
    pub rcvd_bytes: u64,
    /// Packets that arrived above the first hole.
    pub ooo_count: u32,
    /// EV of the packet that caused it.
    pub entropy: u16,
    /// That packet was marked.
    pub marked: bool,
    /// That packet was a retransmission.
    pub retransmitted: bool,
    /// That packet was trimmed at the last hop (NACK only).
    pub last_hop: bool,
}

impl Ack {
    /// Writes the fields.
    #[inline]
    pub fn pack(&self) -> [u64; 5] {
        let bits = u64::from(self.marked)
            | u64::from(self.retransmitted) << 1
            | u64::from(self.last_hop) << 2;
        [
            join(self.spdcid, self.dpdcid),
            join(self.cack, self.sack_base),
            self.sack,
            self.rcvd_bytes,
            join(self.ooo_count, 0) | u64::from(self.entropy) << 8 | bits,
        ]
    }

    /// Reads the fields.
    #[inline]
    pub fn unpack(packet: &Packet) -> Ack {
        let (spdcid, dpdcid) = split(packet.body[0]);
        let (cack, sack_base) = split(packet.body[1]);
        let last = packet.body[4];
        Ack {
            spdcid,
            dpdcid,
            cack,
            sack_base,
            sack: packet.body[2],
            rcvd_bytes: packet.body[3],
            ooo_count: (last >> 32) as u32,
            entropy: (last >> 8) as u16,
            marked: last & 1 != 0,
            retransmitted: last & 2 != 0,
            last_hop: last & 4 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is packed is unpacked, for every value of every field.
        #[test]
        fn headers_survive_packing(
            ids in any::<[u32; 5]>(), words in any::<[u64; 2]>(), entropy: u16, bits in any::<[bool; 3]>(),
        ) {
            let data = Data {
                spdcid: ids[0], dpdcid: ids[1], message: ids[2], payload: ids[3], message_bytes: words[0],
            };
            let packet = Packet { body: data.pack(), ..Packet::default() };
            prop_assert_eq!(Data::unpack(&packet), data);
            let ack = Ack {
                spdcid: ids[0], dpdcid: ids[1], cack: ids[2], sack_base: ids[3], ooo_count: ids[4],
                sack: words[0], rcvd_bytes: words[1], entropy,
                marked: bits[0], retransmitted: bits[1], last_hop: bits[2],
            };
            let packet = Packet { body: ack.pack(), ..Packet::default() };
            prop_assert_eq!(Ack::unpack(&packet), ack);
        }
    }
}
