//! The transport fields of UET packets, as they lie in [`Packet::body`].
//!
//! Field names are the specification's (PDS, `uet-wire.md` §2). `dpdcid` is [`UNKNOWN`] in the SYN state,
//! until an acknowledgement has named the target's context.

use fabric::packet::{Packet, flags};
use serde::{Deserialize, Serialize};

use crate::uet::config::Delivery;

/// A PDC that is not known yet.
pub const UNKNOWN: u32 = u32::MAX;

fn join(high: u32, low: u32) -> u64 {
    (u64::from(high) << 32) | u64::from(low)
}

fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn bit(word: u64, number: u32) -> bool {
    word >> number & 1 != 0
}

/// What a data packet is part of (SES opcodes, `uet-wire.md` §3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Op {
    /// SEND.
    #[default]
    Send,
    /// TAGGED_SEND.
    TaggedSend,
    /// WRITE.
    Write,
    /// READ: the request, without payload; `message_bytes` are asked for.
    Read,
    /// RENDEZVOUS_TSEND: the eager part of a message; the target reads the rest.
    RendezvousSend,
    /// The data of a READ (next header RSP_DATA, no request opcode).
    ReadResponse,
    /// DATAGRAM_SEND.
    Datagram,
    /// ATOMIC: changes memory of the target.
    Atomic,
    /// FETCHING_ATOMIC: the same, and its acknowledgement brings back what was there.
    FetchingAtomic,
}

impl Op {
    const ALL: [Op; 9] = [
        Op::Send,
        Op::TaggedSend,
        Op::Write,
        Op::Read,
        Op::RendezvousSend,
        Op::ReadResponse,
        Op::Datagram,
        Op::Atomic,
        Op::FetchingAtomic,
    ];

    /// The opcode on the wire; RESPONSE_W_DATA's for the data of a READ.
    pub const fn code(self) -> u8 {
        match self {
            Op::Write => 1,
            Op::Read | Op::ReadResponse => 2,
            Op::Atomic => 3,
            Op::FetchingAtomic => 4,
            Op::Send => 5,
            Op::Datagram => 7,
            Op::TaggedSend => 9,
            Op::RendezvousSend => 10,
        }
    }
}

const DELIVERIES: [Delivery; 4] = [Delivery::Rud, Delivery::Rod, Delivery::Rudi, Delivery::Uud];

/// Fields of a data packet. The PSN, flags and EV are in the packet itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data {
    /// The sender's PDC.
    pub spdcid: u32,
    /// The target's PDC, or [`UNKNOWN`]: then the packet is a SYN.
    pub dpdcid: u32,
    /// The message it belongs to.
    pub message: u32,
    /// Payload bytes it carries (also when trimmed).
    pub payload: u16,
    /// Delivery mode of the PDC.
    pub delivery: Delivery,
    /// What it is part of.
    pub op: Op,
    /// Payload bytes of the whole message, below 2⁴⁸.
    pub message_bytes: u64,
    /// The sender's congestion control context (`ccc_id`; the wire has its low 8 bits).
    pub ccc: u32,
    /// Cumulative demand in 256-byte quanta (RCCC).
    pub credit_target: u32,
    /// PSN of the PDC's first packet (the wire has the distance to it, `psn_offset`, in SYN packets).
    pub start_psn: u32,
    /// Where its payload lies in the message, modulo 2³².
    pub offset: u32,
    /// How far below its PSN the first lies that the sender still waits for; everything below that is cleared
    /// (`clear_psn_offset` is its negative, less one).
    pub clear: u16,
}

impl Data {
    /// Writes the fields.
    #[inline]
    pub fn pack(&self) -> [u64; 5] {
        let kind = u32::from(self.payload) | (self.delivery as u32) << 16 | (self.op as u32) << 24;
        [
            join(self.spdcid, self.dpdcid),
            join(self.message, kind),
            self.message_bytes << 16 | u64::from(self.clear),
            join(self.ccc, self.credit_target),
            join(self.start_psn, self.offset),
        ]
    }

    /// Reads the fields.
    #[inline]
    pub fn unpack(packet: &Packet) -> Data {
        let (spdcid, dpdcid) = split(packet.body[0]);
        let (message, kind) = split(packet.body[1]);
        let (ccc, credit_target) = split(packet.body[3]);
        let (start_psn, offset) = split(packet.body[4]);
        Data {
            spdcid,
            dpdcid,
            message,
            payload: kind as u16,
            delivery: DELIVERIES[(kind >> 16 & 3) as usize],
            op: Op::ALL[(kind >> 24) as usize],
            message_bytes: packet.body[2] >> 16,
            ccc,
            credit_target,
            start_psn,
            offset,
            clear: packet.body[2] as u16,
        }
    }
}

/// Why a packet was not accepted (NACK codes of `uet-wire.md` §2.7 that the model raises).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum NackCode {
    /// An acknowledgement, no NACK.
    #[default]
    None,
    /// Trimmed before the last hop.
    Trimmed,
    /// Trimmed at the last hop.
    TrimmedLastHop,
    /// The target has no PDC left.
    NoPdcAvail,
    /// The target's buffer is full.
    NoPktBuffer,
    /// The target has no room to keep another guaranteed response.
    NoGtdDelAvail,
    /// Beyond the target's window.
    PsnOorWindow,
    /// Out of order on an ordered PDC.
    RodOoo,
    /// There is no such PDC.
    InvDpdcid,
    /// The PDC has been closed.
    Closing,
    /// The target takes it for lost.
    RcvrInferLoss,
}

impl NackCode {
    const ALL: [NackCode; 11] = [
        NackCode::None,
        NackCode::Trimmed,
        NackCode::TrimmedLastHop,
        NackCode::NoPdcAvail,
        NackCode::NoPktBuffer,
        NackCode::NoGtdDelAvail,
        NackCode::PsnOorWindow,
        NackCode::RodOoo,
        NackCode::InvDpdcid,
        NackCode::Closing,
        NackCode::RcvrInferLoss,
    ];

    /// The one with this code on the wire.
    pub fn of(code: u8) -> Option<NackCode> {
        NackCode::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code on the wire; 0 for none.
    pub const fn code(self) -> u8 {
        match self {
            NackCode::None => 0,
            NackCode::Trimmed => 0x01,
            NackCode::TrimmedLastHop => 0x02,
            NackCode::NoPdcAvail => 0x04,
            NackCode::NoPktBuffer => 0x07,
            NackCode::NoGtdDelAvail => 0x08,
            NackCode::PsnOorWindow => 0x0b,
            NackCode::RodOoo => 0x0d,
            NackCode::InvDpdcid => 0x0e,
            NackCode::Closing => 0x10,
            NackCode::RcvrInferLoss => 0x1a,
        }
    }
}

/// Fields of an acknowledgement (`ACK_CC`, `RUDI_RESP`) or negative acknowledgement. The packet's own PSN
/// is the `ACK_PSN` (`NACK_PSN`): the packet that caused it, or that is wanted.
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
    /// Cumulative bytes accepted, without duplicates and trimmed packets; 48 bits.
    pub rcvd_bytes: u64,
    /// Packets that arrived above the first hole, at most 65,535.
    pub ooo_count: u32,
    /// EV of the packet that caused it.
    pub entropy: u16,
    /// That packet was marked.
    pub marked: bool,
    /// That packet was a retransmission.
    pub retransmitted: bool,
    /// It answers a probe.
    pub probe: bool,
    /// It answers one packet of a RUDI sender, which keeps its own count.
    pub rudi: bool,
    /// Most packets that may be outstanding, in 128s; 0 says nothing (`mpr`).
    pub mpr: u8,
    /// Penalty for the window, in 1/128 (`rcv_cwnd_pend`).
    pub penalty: u8,
    /// The window before the penalty is right again (`rc`).
    pub restore: bool,
    /// Bytes of the guaranteed response that it carries; 0: a default response.
    pub data: u16,
    /// Why, for a NACK.
    pub code: NackCode,
}

impl Ack {
    /// An answer to `packet` of PDC `spdcid` that says nothing but what the packet was.
    pub fn to(packet: &Packet, spdcid: u32) -> Ack {
        Ack {
            spdcid,
            dpdcid: UNKNOWN,
            cack: 0,
            sack_base: 0,
            sack: 0,
            rcvd_bytes: 0,
            ooo_count: 0,
            entropy: packet.entropy,
            marked: packet.has(flags::CE),
            retransmitted: packet.has(flags::RETRANSMITTED),
            probe: false,
            rudi: false,
            mpr: 0,
            penalty: 0,
            restore: false,
            data: 0,
            code: NackCode::None,
        }
    }

    /// Writes the fields.
    #[inline]
    pub fn pack(&self) -> [u64; 5] {
        let bits = u64::from(self.marked)
            | u64::from(self.retransmitted) << 1
            | u64::from(self.probe) << 2
            | u64::from(self.rudi) << 3
            | u64::from(self.restore) << 4;
        [
            join(self.spdcid, self.dpdcid),
            join(self.cack, self.sack_base),
            self.sack,
            self.rcvd_bytes << 16 | u64::from(self.mpr) << 8 | u64::from(self.penalty),
            u64::from(self.ooo_count.min(0xffff)) << 48
                | u64::from(self.entropy) << 32
                | u64::from(self.data) << 16
                | u64::from(self.code as u8) << 8
                | bits,
        ]
    }

    /// Reads the fields.
    #[inline]
    pub fn unpack(packet: &Packet) -> Ack {
        let (spdcid, dpdcid) = split(packet.body[0]);
        let (cack, sack_base) = split(packet.body[1]);
        let (counts, last) = (packet.body[3], packet.body[4]);
        Ack {
            spdcid,
            dpdcid,
            cack,
            sack_base,
            sack: packet.body[2],
            rcvd_bytes: counts >> 16,
            ooo_count: (last >> 48) as u32,
            entropy: (last >> 32) as u16,
            marked: bit(last, 0),
            retransmitted: bit(last, 1),
            probe: bit(last, 2),
            rudi: bit(last, 3),
            restore: bit(last, 4),
            mpr: (counts >> 8) as u8,
            penalty: counts as u8,
            data: (last >> 16) as u16,
            code: NackCode::ALL[(last >> 8 & 0xff) as usize],
        }
    }
}

/// Types of control packets (`ctl_type`, `uet-wire.md` §2.1) that the model sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ControlType {
    /// Everything below the payload's PSN has been answered: guaranteed responses can be forgotten.
    ClearCmd = 2,
    /// The target asks for a clear up to the payload's PSN.
    ClearReq = 3,
    /// Close the PDC; consumes a PSN and is acknowledged.
    CloseCmd = 4,
    /// The target asks for a close.
    CloseReq = 5,
    /// Asks for the state of a PDC.
    Probe = 6,
    /// Grants credit.
    Credit = 7,
    /// Tells a demand for credit without data.
    CreditReq = 8,
}

impl ControlType {
    /// The one of this number, on the wire and in the model.
    pub fn of(number: u8) -> Option<ControlType> {
        use ControlType::{ClearCmd, ClearReq, CloseCmd, CloseReq, Credit, CreditReq, Probe};
        let all = [ClearCmd, ClearReq, CloseCmd, CloseReq, Probe, Credit, CreditReq];
        all.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Fields of a control packet (CP). The PSN is in the packet itself; of a probe its number instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Control {
    /// What it is.
    pub kind: ControlType,
    /// The PDC of its sender; the congestion control context for CREDIT and CREDIT_REQ.
    pub spdcid: u32,
    /// The PDC of its receiver, or [`UNKNOWN`]; the context for CREDIT.
    pub dpdcid: u32,
    /// Cumulative credit or demand, in quanta; the PSN of a clear, or that a probe asks about; 0 for others.
    pub payload: u32,
}

impl Control {
    /// Writes the fields.
    pub fn pack(&self) -> [u64; 5] {
        [join(self.spdcid, self.dpdcid), join(self.kind as u32, self.payload), 0, 0, 0]
    }

    /// Reads the fields.
    ///
    /// # Panics
    /// If none were packed.
    pub fn unpack(packet: &Packet) -> Control {
        let (spdcid, dpdcid) = split(packet.body[0]);
        let (kind, payload) = split(packet.body[1]);
        let kind = u8::try_from(kind).ok().and_then(ControlType::of);
        let kind = kind.expect("a control packet has the type that was packed");
        Control { kind, spdcid, dpdcid, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(body: [u64; 5]) -> Packet {
        Packet { body, ..Packet::default() }
    }

    proptest! {
        /// What is packed of a data packet is unpacked, for every value of every field.
        #[test]
        fn data_survives_packing(
            ids in any::<[u32; 7]>(), message_bytes in 0..1u64 << 48, payload: u16,
            op in 0..9usize, mode in 0..4usize, clear: u16,
        ) {
            let data = Data {
                spdcid: ids[0], dpdcid: ids[1], message: ids[2], payload, message_bytes,
                delivery: DELIVERIES[mode], op: Op::ALL[op],
                ccc: ids[3], credit_target: ids[4], start_psn: ids[5], offset: ids[6], clear,
            };
            prop_assert_eq!(Data::unpack(&through(data.pack())), data);
        }

        /// The same for acknowledgements of every kind.
        #[test]
        fn acknowledgements_survive_packing(
            ids in any::<[u32; 4]>(), sack: u64, rcvd_bytes in 0..1u64 << 48, ooo_count in 0..1u32 << 16,
            entropy: u16, bits in any::<[bool; 5]>(), bytes in any::<[u8; 2]>(), code in 0..11usize,
            data: u16,
        ) {
            let ack = Ack {
                spdcid: ids[0], dpdcid: ids[1], cack: ids[2], sack_base: ids[3], sack, rcvd_bytes,
                ooo_count, entropy, marked: bits[0], retransmitted: bits[1], probe: bits[2],
                rudi: bits[3], restore: bits[4], mpr: bytes[0], penalty: bytes[1],
                data, code: NackCode::ALL[code],
            };
            prop_assert_eq!(Ack::unpack(&through(ack.pack())), ack);
        }

        /// And for control packets.
        #[test]
        fn control_packets_survive_packing(ids in any::<[u32; 3]>(), kind in 0..7usize) {
            use ControlType::{ClearCmd, ClearReq, CloseCmd, CloseReq, Credit, CreditReq, Probe};
            let kind = [ClearCmd, ClearReq, CloseCmd, CloseReq, Probe, Credit, CreditReq][kind];
            let control = Control { kind, spdcid: ids[0], dpdcid: ids[1], payload: ids[2] };
            prop_assert_eq!(Control::unpack(&through(control.pack())), control);
        }
    }
}
