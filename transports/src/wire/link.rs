//! What two ends of a link say to each other: priority flow control (`uet-wire.md` §7), and the control
//! ordered sets of link-level retry and credits (`link.md` §1, 2).

use crate::wire::layout::layout;

/// The destination of PFC frames.
pub const PFC_DESTINATION: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x01];
/// EtherType of MAC control.
pub const MAC_CONTROL: u16 = 0x8808;
/// Opcode of priority flow control.
pub const PFC_OPCODE: u16 = 0x0101;
/// Pause until told otherwise; links of the model resume by a frame of their own.
pub const LONGEST_PAUSE: u16 = 0xffff;

layout! {
    /// Priority flow control, behind the Ethernet header.
    Pfc / PfcPacket, "PFC", 20 {
        /// [`PFC_OPCODE`].
        opcode / set_opcode: u16 = 0, 16;
        /// Bit n: the pause of priority n counts.
        enable / set_enable: u16 = 16, 16;
        /// Pause of priority 0, in 512 bit times; 0 resumes.
        quanta0 / set_quanta0: u16 = 32, 16;
        /// Of priority 1.
        quanta1 / set_quanta1: u16 = 48, 16;
        /// Of priority 2.
        quanta2 / set_quanta2: u16 = 64, 16;
        /// Of priority 3.
        quanta3 / set_quanta3: u16 = 80, 16;
        /// Of priority 4.
        quanta4 / set_quanta4: u16 = 96, 16;
        /// Of priority 5.
        quanta5 / set_quanta5: u16 = 112, 16;
        /// Of priority 6.
        quanta6 / set_quanta6: u16 = 128, 16;
        /// Of priority 7.
        quanta7 / set_quanta7: u16 = 144, 16;
    }
}

impl Pfc {
    /// Pauses the priorities in `mask`, and resumes the others of the lower `count`.
    pub fn pausing(mask: u8, count: u32) -> Pfc {
        let quanta = |priority: u32| if mask >> priority & 1 == 1 { LONGEST_PAUSE } else { 0 };
        Pfc {
            opcode: PFC_OPCODE,
            enable: (1 << count) - 1,
            quanta0: quanta(0),
            quanta1: quanta(1),
            quanta2: quanta(2),
            quanta3: quanta(3),
            quanta4: quanta(4),
            quanta5: quanta(5),
            quanta6: quanta(6),
            quanta7: quanta(7),
        }
    }
}

/// Message types of control ordered sets.
pub mod ordered_set {
    /// Frames up to a number have arrived.
    pub const ACK: u8 = 1;
    /// A frame is missing or in error.
    pub const NACK: u8 = 2;
    /// The link begins.
    pub const INIT: u8 = 3;
    /// Answer to [`INIT`].
    pub const INIT_ECHO: u8 = 4;
    /// Credits.
    pub const CREDITS: u8 = 0x10;
}

layout! {
    /// Payload of a 64B/66B control block of link-level retry: what replaces no frame and takes the time of
    /// eight bytes. Never in a capture, which begins at the Ethernet header.
    OrderedSet / OrderedSetPacket, "CtlOS", 8 {
        /// Block type, 0x4B.
        block / set_block: u8 = 0, 8;
        /// See [`ordered_set`].
        message / set_message: u8 = 8, 8;
        /// Sequence number.
        sequence / set_sequence: u32 = 16, 20;
        /// O code, 6.
        code / set_code: u8 = 36, 4;
        /// Data of INIT.
        data / set_data: u16 = 40, 16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pause of the data class that leaves control alone.
    #[test]
    fn a_pause_names_its_classes() {
        let bytes = Pfc::pausing(0b010, 4).to_bytes();
        assert_eq!(bytes[..10], [0x01, 0x01, 0x00, 0x0f, 0, 0, 0xff, 0xff, 0, 0]);
        assert!(bytes[10..].iter().all(|byte| *byte == 0));
    }

    /// The sequence number lies over two and a half bytes.
    #[test]
    fn an_ordered_set_has_its_number() {
        let (block, message) = (0x4b, ordered_set::NACK);
        let set = OrderedSet { block, message, sequence: 0xa_bcde, code: 6, data: 0 };
        assert_eq!(set.to_bytes(), [0x4b, 0x02, 0xab, 0xcd, 0xe6, 0, 0, 0]);
        assert_eq!(OrderedSet::parse(&set.to_bytes()), Ok(set));
    }
}
