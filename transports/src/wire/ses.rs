//! Semantic sublayer (SES): `uet-wire.md` §3.

use crate::wire::layout::layout;

/// Names of request opcodes (§3.3), by value.
pub const OPCODE_NAMES: [&str; 16] = [
    "NO_OP",
    "WRITE",
    "READ",
    "ATOMIC",
    "FETCHING_ATOMIC",
    "SEND",
    "RENDEZVOUS_SEND",
    "DATAGRAM_SEND",
    "DEFERRABLE_SEND",
    "TAGGED_SEND",
    "RENDEZVOUS_TSEND",
    "DEFERRABLE_TSEND",
    "DEFERRABLE_RTR",
    "TSEND_ATOMIC",
    "TSEND_FETCH_ATOMIC",
    "MSG_ERROR",
];

/// Response opcodes (§3.3).
pub mod response {
    /// All is well, nothing else to say.
    pub const DEFAULT: u8 = 0;
    /// A response.
    pub const RESPONSE: u8 = 1;
    /// A response with data.
    pub const WITH_DATA: u8 = 2;
}

/// Return code of what went well (§3.3).
pub const RC_OK: u8 = 1;

layout! {
    /// The first twelve bytes of a standard request (§3.1).
    Common / CommonPacket, "SES", 12 {
        /// See [`OPCODE_NAMES`].
        opcode / set_opcode: u8 = 2, 6;
        /// Version.
        version / set_version: u8 = 8, 2;
        /// Delivery is to be complete.
        dc / set_dc: bool = 10, 1;
        /// Initiator error.
        ie / set_ie: bool = 11, 1;
        /// Relative addressing.
        rel / set_rel: bool = 12, 1;
        /// Header data is present.
        hd / set_hd: bool = 13, 1;
        /// The last packet of its message.
        eom / set_eom: bool = 14, 1;
        /// The first packet of its message.
        som / set_som: bool = 15, 1;
        /// The message.
        message_id / set_message_id: u16 = 16, 16;
        /// Generation of the resource index.
        ri_generation / set_ri_generation: u8 = 32, 8;
        /// The job.
        job_id / set_job_id: u32 = 40, 24;
        /// The process.
        pid_on_fep / set_pid_on_fep: u16 = 68, 12;
        /// The resource.
        resource_index / set_resource_index: u16 = 84, 12;
    }
}

layout! {
    /// The first twelve bytes of a small or medium request: its length instead of a message (§3.1).
    CommonShort / CommonShortPacket, "SES", 12 {
        /// See [`OPCODE_NAMES`].
        opcode / set_opcode: u8 = 2, 6;
        /// Version.
        version / set_version: u8 = 8, 2;
        /// Delivery is to be complete.
        dc / set_dc: bool = 10, 1;
        /// Initiator error.
        ie / set_ie: bool = 11, 1;
        /// Relative addressing.
        rel / set_rel: bool = 12, 1;
        /// Header data is present.
        hd / set_hd: bool = 13, 1;
        /// Set: it has one packet.
        eom / set_eom: bool = 14, 1;
        /// Set.
        som / set_som: bool = 15, 1;
        /// Bytes of the message.
        request_length / set_request_length: u16 = 18, 14;
        /// Generation of the resource index.
        ri_generation / set_ri_generation: u8 = 32, 8;
        /// The job.
        job_id / set_job_id: u32 = 40, 24;
        /// The process.
        pid_on_fep / set_pid_on_fep: u16 = 68, 12;
        /// The resource.
        resource_index / set_resource_index: u16 = 84, 12;
    }
}

layout! {
    /// What the first packet of a standard request has after [`Common`] (§3.2).
    First / FirstPacket, "first", 32 {
        /// Place in the target's buffer.
        buffer_offset / set_buffer_offset: u64 = 0, 64;
        /// The initiator.
        initiator / set_initiator: u32 = 64, 32;
        /// Match bits, or memory key.
        match_bits / set_match_bits: u64 = 96, 64;
        /// Header data.
        header_data / set_header_data: u64 = 160, 64;
        /// Bytes of the message.
        request_length / set_request_length: u32 = 224, 32;
    }
}

layout! {
    /// What the other packets of a standard request have after [`Common`] (§3.2).
    Later / LaterPacket, "later", 32 {
        /// Place in the target's buffer.
        buffer_offset / set_buffer_offset: u64 = 0, 64;
        /// The initiator.
        initiator / set_initiator: u32 = 64, 32;
        /// Match bits, or memory key.
        match_bits / set_match_bits: u64 = 96, 64;
        /// Payload of this packet.
        payload_length / set_payload_length: u16 = 178, 14;
        /// Its place in the message.
        message_offset / set_message_offset: u32 = 192, 32;
        /// Bytes of the message.
        request_length / set_request_length: u32 = 224, 32;
    }
}

layout! {
    /// What a medium request has after [`CommonShort`] (§3.2).
    Medium / MediumPacket, "medium", 20 {
        /// Header data, or place in the target's buffer.
        buffer_offset / set_buffer_offset: u64 = 0, 64;
        /// The initiator.
        initiator / set_initiator: u32 = 64, 32;
        /// Match bits, or memory key.
        match_bits / set_match_bits: u64 = 96, 64;
    }
}

layout! {
    /// What a small request has after [`CommonShort`] (§3.2).
    Small / SmallPacket, "small", 8 {
        /// Place in the target's buffer.
        buffer_offset / set_buffer_offset: u64 = 0, 64;
    }
}

layout! {
    /// Extension of a rendezvous (§3.2).
    Rendezvous / RendezvousPacket, "rendezvous", 24 {
        /// Bytes sent at once.
        eager_length / set_eager_length: u32 = 0, 32;
        /// Generation of the resource index to read from.
        ri_generation / set_ri_generation: u8 = 32, 8;
        /// The process to read from.
        pid_on_fep / set_pid_on_fep: u16 = 40, 12;
        /// The resource to read from.
        resource_index / set_resource_index: u16 = 52, 12;
        /// Place in the buffer to read from.
        buffer_offset / set_buffer_offset: u64 = 64, 64;
        /// Its memory key.
        memory_key / set_memory_key: u64 = 128, 64;
    }
}

layout! {
    /// Extension of an atomic operation (§3.2).
    Atomic / AtomicPacket, "atomic", 4 {
        /// Which operation.
        opcode / set_opcode: u8 = 0, 8;
        /// On what type.
        datatype / set_datatype: u8 = 8, 8;
        /// Semantic control.
        control / set_control: u8 = 16, 8;
    }
}

layout! {
    /// What compare-and-swap has after [`Atomic`] (§3.2).
    CompareSwap / CompareSwapPacket, "compare-swap", 32 {
        /// High half of the value to compare with.
        compare_high / set_compare_high: u64 = 0, 64;
        /// Low half.
        compare_low / set_compare_low: u64 = 64, 64;
        /// High half of the value to write.
        swap_high / set_swap_high: u64 = 128, 64;
        /// Low half.
        swap_low / set_swap_low: u64 = 192, 64;
    }
}

layout! {
    /// Response (§3.2).
    Response / ResponsePacket, "RSP", 12 {
        /// The list that matched.
        list / set_list: u8 = 0, 2;
        /// See [`response`].
        opcode / set_opcode: u8 = 2, 6;
        /// Version.
        version / set_version: u8 = 8, 2;
        /// How it went.
        return_code / set_return_code: u8 = 10, 6;
        /// The message answered.
        message_id / set_message_id: u16 = 16, 16;
        /// Generation of the resource index.
        ri_generation / set_ri_generation: u8 = 32, 8;
        /// The job.
        job_id / set_job_id: u32 = 40, 24;
        /// Bytes taken.
        modified_length / set_modified_length: u32 = 64, 32;
    }
}

layout! {
    /// Response with data (§3.2).
    ResponseData / ResponseDataPacket, "RSP_DATA", 20 {
        /// The list that matched.
        list / set_list: u8 = 0, 2;
        /// See [`response`].
        opcode / set_opcode: u8 = 2, 6;
        /// Version.
        version / set_version: u8 = 8, 2;
        /// How it went.
        return_code / set_return_code: u8 = 10, 6;
        /// The response as a message.
        response_message_id / set_response_message_id: u16 = 16, 16;
        /// The job.
        job_id / set_job_id: u32 = 40, 24;
        /// The request answered.
        read_message_id / set_read_message_id: u16 = 64, 16;
        /// Payload of this packet.
        payload_length / set_payload_length: u16 = 82, 14;
        /// Bytes of the whole response.
        modified_length / set_modified_length: u32 = 96, 32;
        /// The payload's place in it.
        message_offset / set_message_offset: u32 = 128, 32;
    }
}

layout! {
    /// Response with data, short form (§3.2).
    ResponseDataSmall / ResponseDataSmallPacket, "RSP_DATA_SMALL", 12 {
        /// The list that matched.
        list / set_list: u8 = 0, 2;
        /// See [`response`].
        opcode / set_opcode: u8 = 2, 6;
        /// Version.
        version / set_version: u8 = 8, 2;
        /// How it went.
        return_code / set_return_code: u8 = 10, 6;
        /// Payload of this packet.
        payload_length / set_payload_length: u16 = 18, 14;
        /// The job.
        job_id / set_job_id: u32 = 40, 24;
        /// PSN of the request answered.
        original_psn / set_original_psn: u32 = 64, 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of §3.2.
    #[test]
    fn requests_have_their_sizes() {
        assert_eq!(Common::LEN + First::LEN, 44);
        assert_eq!(Common::LEN + Later::LEN, 44);
        assert_eq!(CommonShort::LEN + Medium::LEN, 32);
        assert_eq!(CommonShort::LEN + Small::LEN, 20);
        assert_eq!(Atomic::LEN + CompareSwap::LEN, 36);
    }

    /// The last packet of a SEND, by hand: opcode 5, `eom`, job 1, payload and place in the message.
    #[test]
    fn a_later_packet_says_where_it_belongs() {
        let mut bytes = [0u8; 44];
        bytes[..12].copy_from_slice(&[0x05, 0x02, 0x00, 0x2a, 0, 0, 0, 1, 0, 0, 0, 0]);
        bytes[12..20].copy_from_slice(&8_192u64.to_be_bytes());
        bytes[34..36].copy_from_slice(&[0x07, 0x9a]);
        bytes[36..40].copy_from_slice(&8_192u32.to_be_bytes());
        bytes[40..].copy_from_slice(&10_138u32.to_be_bytes());
        let common = Common::parse(&bytes).unwrap();
        assert_eq!(OPCODE_NAMES[usize::from(common.opcode)], "SEND");
        assert_eq!(
            (common.eom, common.som, common.message_id, common.job_id),
            (true, false, 42, 1)
        );
        let later = Later::parse(&bytes[12..]).unwrap();
        assert_eq!((later.payload_length, later.message_offset), (1_946, 8_192));
        assert_eq!((later.buffer_offset, later.request_length), (8_192, 10_138));
        assert_eq!([&common.to_bytes()[..], &later.to_bytes()].concat(), bytes);
    }

    /// A small request has its length where others have their message; fields of 12 bits lie right.
    #[test]
    fn a_small_request_has_its_length() {
        let bytes = [0x05, 0x03, 0x03, 0xe8, 7, 0, 0, 1, 0x01, 0x23, 0x04, 0x56];
        let short = CommonShort::parse(&bytes).unwrap();
        assert_eq!((short.request_length, short.som, short.eom), (1_000, true, true));
        assert_eq!(
            (short.ri_generation, short.pid_on_fep, short.resource_index),
            (7, 0x123, 0x456)
        );
        assert_eq!(short.to_bytes(), bytes);
    }

    /// Responses: list and opcode share a byte, version and return code the next.
    #[test]
    fn responses_say_how_it_went() {
        let bytes = [
            0x42, 0x01, 0x00, 0x09, 0, 0, 0, 1, 0x00, 0x2a, 0x0f, 0xf6, 0, 0, 0x20, 0, 0, 0, 0x10,
            0,
        ];
        let data = ResponseData::parse(&bytes).unwrap();
        assert_eq!((data.list, data.opcode, data.return_code), (1, response::WITH_DATA, RC_OK));
        assert_eq!((data.read_message_id, data.payload_length), (42, 4_086));
        assert_eq!((data.modified_length, data.message_offset), (8_192, 4_096));
        assert_eq!(data.to_bytes(), bytes);
        let small = [0x02, 0x01, 0, 16, 0, 0, 0, 1, 0, 0, 0, 5];
        let repr = ResponseDataSmall::parse(&small).unwrap();
        assert_eq!((repr.payload_length, repr.original_psn), (16, 5));
        assert_eq!(Response::parse(&small).unwrap().message_id, 16);
        assert_eq!(repr.to_bytes(), small);
    }
}
