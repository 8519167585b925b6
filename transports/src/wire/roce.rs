//! RoCEv2: `uet-wire.md` §6.

use crate::wire::layout::layout;

/// Opcodes of reliable connections, and CNP.
pub mod opcode {
    /// First packet of a SEND.
    pub const SEND_FIRST: u8 = 0x00;
    /// A middle one.
    pub const SEND_MIDDLE: u8 = 0x01;
    /// The last.
    pub const SEND_LAST: u8 = 0x02;
    /// The only one.
    pub const SEND_ONLY: u8 = 0x04;
    /// First packet of a WRITE; has a RETH.
    pub const WRITE_FIRST: u8 = 0x06;
    /// A middle one.
    pub const WRITE_MIDDLE: u8 = 0x07;
    /// The last.
    pub const WRITE_LAST: u8 = 0x08;
    /// The only one; has a RETH.
    pub const WRITE_ONLY: u8 = 0x0a;
    /// READ request; has a RETH.
    pub const READ_REQUEST: u8 = 0x0c;
    /// First packet of a READ response; has an AETH.
    pub const READ_FIRST: u8 = 0x0d;
    /// A middle one.
    pub const READ_MIDDLE: u8 = 0x0e;
    /// The last; has an AETH.
    pub const READ_LAST: u8 = 0x0f;
    /// The only one; has an AETH.
    pub const READ_ONLY: u8 = 0x10;
    /// Acknowledgement or NAK; has an AETH.
    pub const ACK: u8 = 0x11;
    /// Congestion notification packet.
    pub const CNP: u8 = 0x81;
}

/// The name of an opcode.
pub fn opcode_name(code: u8) -> &'static str {
    match code {
        opcode::SEND_FIRST => "SEND first",
        opcode::SEND_MIDDLE => "SEND middle",
        opcode::SEND_LAST => "SEND last",
        opcode::SEND_ONLY => "SEND only",
        opcode::WRITE_FIRST => "WRITE first",
        opcode::WRITE_MIDDLE => "WRITE middle",
        opcode::WRITE_LAST => "WRITE last",
        opcode::WRITE_ONLY => "WRITE only",
        opcode::READ_REQUEST => "READ request",
        opcode::READ_FIRST => "READ response first",
        opcode::READ_MIDDLE => "READ response middle",
        opcode::READ_LAST => "READ response last",
        opcode::READ_ONLY => "READ response only",
        opcode::ACK => "ACK",
        opcode::CNP => "CNP",
        _ => "opcode",
    }
}

/// Whether packets of an opcode have a RETH.
pub fn has_reth(code: u8) -> bool {
    matches!(code, opcode::WRITE_FIRST | opcode::WRITE_ONLY | opcode::READ_REQUEST)
}

/// Whether packets of an opcode have an AETH.
pub fn has_aeth(code: u8) -> bool {
    matches!(code, opcode::ACK | opcode::READ_FIRST | opcode::READ_LAST | opcode::READ_ONLY)
}

/// Syndrome of an acknowledgement without credit count.
pub const ACK_UNLIMITED: u8 = 0b0001_1111;
/// Syndrome of a NAK for a PSN sequence error.
pub const NAK_SEQUENCE: u8 = 0b0110_0000;
/// Reserved bytes of a CNP behind its BTH.
pub const CNP_RESERVED: usize = 16;
/// Bytes of the ICRC.
pub const ICRC: usize = 4;

layout! {
    /// Base transport header.
    Bth / BthPacket, "BTH", 12 {
        /// See [`opcode`].
        opcode / set_opcode: u8 = 0, 8;
        /// Solicited event.
        se / set_se: bool = 8, 1;
        /// Migration.
        m / set_m: bool = 9, 1;
        /// Bytes of pad.
        pad / set_pad: u8 = 10, 2;
        /// Transport version.
        version / set_version: u8 = 12, 4;
        /// Partition.
        p_key / set_p_key: u16 = 16, 16;
        /// FECN.
        fecn / set_fecn: bool = 32, 1;
        /// BECN: set in a CNP.
        becn / set_becn: bool = 33, 1;
        /// Destination queue pair.
        dest_qp / set_dest_qp: u32 = 40, 24;
        /// An acknowledgement is asked for.
        ack_request / set_ack_request: bool = 64, 1;
        /// Packet sequence number.
        psn / set_psn: u32 = 72, 24;
    }
}

layout! {
    /// RDMA extended transport header.
    Reth / RethPacket, "RETH", 16 {
        /// Virtual address.
        va / set_va: u64 = 0, 64;
        /// Remote key.
        r_key / set_r_key: u32 = 64, 32;
        /// Bytes of the message.
        dma_length / set_dma_length: u32 = 96, 32;
    }
}

layout! {
    /// Acknowledgement extended transport header.
    Aeth / AethPacket, "AETH", 4 {
        /// What it is: [`ACK_UNLIMITED`], [`NAK_SEQUENCE`].
        syndrome / set_syndrome: u8 = 0, 8;
        /// Message sequence number.
        msn / set_msn: u32 = 8, 24;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last packet of a WRITE that asks for an acknowledgement, by hand.
    #[test]
    fn a_base_header_is_twelve_bytes() {
        let bytes = [0x08, 0x40, 0xff, 0xff, 0, 0, 0, 0x11, 0x80, 0x01, 0x02, 0x03];
        let bth = Bth::parse(&bytes).unwrap();
        assert_eq!(opcode_name(bth.opcode), "WRITE last");
        assert_eq!((bth.m, bth.p_key, bth.dest_qp), (true, 0xffff, 17));
        assert_eq!((bth.ack_request, bth.psn), (true, 0x01_0203));
        assert_eq!(bth.to_bytes(), bytes);
    }

    /// A NAK for a sequence error, and a CNP's bit.
    #[test]
    fn a_nak_has_a_syndrome() {
        let aeth = Aeth { syndrome: NAK_SEQUENCE, msn: 7 };
        assert_eq!(aeth.to_bytes(), [0x60, 0, 0, 7]);
        let cnp = Bth { opcode: opcode::CNP, becn: true, ..Bth::default() };
        assert_eq!(cnp.to_bytes()[..5], [0x81, 0, 0, 0, 0x40]);
        let reth = Reth { va: 1, r_key: 2, dma_length: 3 };
        assert_eq!(reth.to_bytes(), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    }
}
