//! Packet delivery sublayer (PDS): `uet-wire.md` §2.

use crate::wire::WireError;
use crate::wire::layout::layout;

/// PDS types (§2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PdsType {
    /// The security header comes first.
    Tss = 1,
    /// Request, reliable unordered.
    RudReq = 2,
    /// Request, reliable ordered.
    RodReq = 3,
    /// Request, idempotent.
    RudiReq = 4,
    /// Response, idempotent.
    RudiResp = 5,
    /// Datagram.
    UudReq = 6,
    /// Acknowledgement.
    Ack = 7,
    /// Acknowledgement with congestion control state.
    AckCc = 8,
    /// The same with extended state.
    AckCcx = 9,
    /// Negative acknowledgement.
    Nack = 10,
    /// Control packet.
    Cp = 11,
    /// Negative acknowledgement with extended state.
    NackCcx = 12,
    /// RUD request with congestion control fields.
    RudCcReq = 13,
    /// ROD request with congestion control fields.
    RodCcReq = 14,
}

impl PdsType {
    const ALL: [PdsType; 14] = [
        PdsType::Tss,
        PdsType::RudReq,
        PdsType::RodReq,
        PdsType::RudiReq,
        PdsType::RudiResp,
        PdsType::UudReq,
        PdsType::Ack,
        PdsType::AckCc,
        PdsType::AckCcx,
        PdsType::Nack,
        PdsType::Cp,
        PdsType::NackCcx,
        PdsType::RudCcReq,
        PdsType::RodCcReq,
    ];

    /// The type of a prologue.
    ///
    /// # Errors
    /// When it is reserved.
    pub fn of(prologue: &Prologue) -> Result<PdsType, WireError> {
        let known = PdsType::ALL.into_iter().find(|kind| *kind as u8 == prologue.kind);
        known.ok_or(WireError::Unknown {
            header: "PDS",
            field: "type",
            value: u64::from(prologue.kind),
        })
    }
}

/// Values of `next_hdr` (§2.1): what follows.
pub mod next {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// A small request.
    pub const REQ_SMALL: u8 = 1;
    /// A medium request.
    pub const REQ_MEDIUM: u8 = 2;
    /// A standard request.
    pub const REQ_STD: u8 = 3;
    /// A response.
    pub const RSP: u8 = 4;
    /// A response with data.
    pub const RSP_DATA: u8 = 5;
    /// A response with data, short form.
    pub const RSP_DATA_SMALL: u8 = 6;
}

/// Names of `ctl_type` (§2.1), by value.
pub const CONTROL_NAMES: [&str; 10] = [
    "NOOP",
    "ACK_REQ",
    "CLEAR_CMD",
    "CLEAR_REQ",
    "CLOSE_CMD",
    "CLOSE_REQ",
    "PROBE",
    "CREDIT",
    "CREDIT_REQ",
    "NEGOTIATION",
];

/// The name of a NACK code (§2.7).
pub fn nack_name(code: u8) -> &'static str {
    match code {
        0x01 => "TRIMMED",
        0x02 => "TRIMMED_LASTHOP",
        0x03 => "TRIMMED_ACK",
        0x04 => "NO_PDC_AVAIL",
        0x05 => "NO_CCC_AVAIL",
        0x06 => "NO_BITMAP",
        0x07 => "NO_PKT_BUFFER",
        0x08 => "NO_GTD_DEL_AVAIL",
        0x09 => "NO_SES_MSG_AVAIL",
        0x0a => "NO_RESOURCE",
        0x0b => "PSN_OOR_WINDOW",
        0x0d => "ROD_OOO",
        0x0e => "INV_DPDCID",
        0x0f => "PDC_HDR_MISMATCH",
        0x10 => "CLOSING",
        0x11 => "CLOSING_IN_ERR",
        0x12 => "PKT_NOT_RCVD",
        0x13 => "GTD_RESP_UNAVAIL",
        0x14 => "ACK_WITH_DATA",
        0x15 => "INVALID_SYN",
        0x16 => "PDC_MODE_MISMATCH",
        0x17 => "NEW_START_PSN",
        0x18 => "RCVD_SES_PROCG",
        0x19 => "UNEXP_EVENT",
        0x1a => "RCVR_INFER_LOSS",
        0xfd..=0xff => "experimental",
        _ => "reserved",
    }
}

layout! {
    /// The first two bytes of every PDS header (§2.1).
    Prologue / ProloguePacket, "PDS", 2 {
        /// See [`PdsType`].
        kind / set_kind: u8 = 0, 5;
        /// `next_hdr`, or `ctl_type` of a control packet.
        next / set_next: u8 = 5, 4;
        /// Meaning depends on the type.
        flags / set_flags: u8 = 9, 7;
    }
}

layout! {
    /// RUD or ROD request (§2.2).
    Request / RequestPacket, "request", 12 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// What follows.
        next / set_next: u8 = 5, 4;
        /// A retransmission.
        retx / set_retx: bool = 11, 1;
        /// An acknowledgement is asked for.
        ar / set_ar: bool = 12, 1;
        /// The SYN state: the target's PDC is not known yet.
        syn / set_syn: bool = 13, 1;
        /// CLEAR_PSN less PSN.
        clear_psn_offset / set_clear_psn_offset: i16 = 16, 16;
        /// Packet sequence number.
        psn / set_psn: u32 = 32, 32;
        /// The sender's PDC.
        spdcid / set_spdcid: u16 = 64, 16;
        /// The target's PDC; [`Syn`] in the SYN state.
        dpdcid / set_dpdcid: u16 = 80, 16;
    }
}

layout! {
    /// What stands for `dpdcid` in a request in the SYN state (§2.2).
    Syn / SynPacket, "syn", 2 {
        /// Reserved PDC asked for, and the like.
        pdc_info / set_pdc_info: u8 = 0, 4;
        /// PSN less the PDC's first PSN.
        psn_offset / set_psn_offset: u16 = 4, 12;
    }
}

impl Syn {
    /// Where it stands in a request.
    pub const PLACE: usize = 10;
}

layout! {
    /// What a request with congestion control fields has more (§2.3).
    RequestCc / RequestCcPacket, "cc", 4 {
        /// The congestion control context.
        ccc_id / set_ccc_id: u8 = 0, 8;
        /// Cumulative demand for credit, in quanta of 256 bytes.
        credit_target / set_credit_target: u32 = 8, 24;
    }
}

layout! {
    /// Acknowledgement (§2.4).
    Ack / AckPacket, "ACK", 12 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// What follows.
        next / set_next: u8 = 5, 4;
        /// The packet acknowledged had met congestion.
        m / set_m: bool = 10, 1;
        /// It was a retransmission.
        retx / set_retx: bool = 11, 1;
        /// The answer to a probe; `ack_psn_offset` then is its echo.
        p / set_p: bool = 12, 1;
        /// The target asks: 1 for a clear, 2 for a close.
        req / set_req: u8 = 13, 2;
        /// ACK_PSN less CACK_PSN.
        ack_psn_offset / set_ack_psn_offset: i16 = 16, 16;
        /// Everything up to this PSN has arrived.
        cack_psn / set_cack_psn: u32 = 32, 32;
        /// The PDC of the acknowledgement's sender.
        spdcid / set_spdcid: u16 = 64, 16;
        /// The PDC of the initiator.
        dpdcid / set_dpdcid: u16 = 80, 16;
    }
}

layout! {
    /// What ACK_CC and ACK_CCX have after [`Ack`], before their state (§2.5).
    AckCc / AckCcPacket, "cc", 12 {
        /// 0: NSCC, 1: credit.
        cc_type / set_cc_type: u8 = 0, 4;
        /// Reserved.
        cc_flags / set_cc_flags: u8 = 4, 4;
        /// Packets that may be outstanding, in 128s; 0 says nothing.
        mpr / set_mpr: u8 = 8, 8;
        /// SACK_base less CACK_PSN.
        sack_psn_offset / set_sack_psn_offset: i16 = 16, 16;
        /// Bit i: PSN SACK_base + i has arrived.
        sack_bitmap / set_sack_bitmap: u64 = 32, 64;
    }
}

layout! {
    /// `ack_cc_state` of NSCC (§2.5).
    NsccState / NsccStatePacket, "nscc", 8 {
        /// Time inside the target, in 128 ns; 0: invalid.
        service_time / set_service_time: u16 = 0, 16;
        /// The window before the penalty is right again.
        rc / set_rc: bool = 16, 1;
        /// Penalty for the window, in 1/128.
        rcv_cwnd_pend / set_rcv_cwnd_pend: u8 = 17, 7;
        /// Cumulative bytes received in the context, in 256s, rounded up.
        rcvd_bytes / set_rcvd_bytes: u32 = 24, 24;
        /// Packets out of order; 0xFFFF: invalid.
        ooo_count / set_ooo_count: u16 = 48, 16;
    }
}

layout! {
    /// `ack_cc_state` of receiver credit (§2.5).
    CreditState / CreditStatePacket, "credit", 8 {
        /// Cumulative credit.
        credit / set_credit: u32 = 0, 24;
        /// Packets out of order; 0xFFFF: invalid.
        ooo_count / set_ooo_count: u16 = 48, 16;
    }
}

layout! {
    /// Extended state of ACK_CCX (§2.6).
    ExtendedState / ExtendedStatePacket, "ccx", 16 {
        /// First half.
        high / set_high: u64 = 0, 64;
        /// Second half.
        low / set_low: u64 = 64, 64;
    }
}

layout! {
    /// Negative acknowledgement (§2.7).
    Nack / NackPacket, "NACK", 16 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// What follows.
        next / set_next: u8 = 5, 4;
        /// The packet had met congestion.
        m / set_m: bool = 10, 1;
        /// It was a retransmission.
        retx / set_retx: bool = 11, 1;
        /// RUDI: `nack_psn` is a `pkt_id`.
        nt / set_nt: bool = 12, 1;
        /// See [`nack_name`].
        nack_code / set_nack_code: u8 = 16, 8;
        /// The vendor's own.
        vendor_code / set_vendor_code: u8 = 24, 8;
        /// The packet that is not accepted, or wanted.
        nack_psn / set_nack_psn: u32 = 32, 32;
        /// The target's PDC; 0 if there is none.
        spdcid / set_spdcid: u16 = 64, 16;
        /// The initiator's PDC.
        dpdcid / set_dpdcid: u16 = 80, 16;
        /// By code: the new first PSN.
        payload / set_payload: u32 = 96, 32;
    }
}

layout! {
    /// What NACK_CCX has after [`Nack`] (§2.7).
    NackCcx / NackCcxPacket, "ccx", 16 {
        /// Type of the state.
        nccx_type / set_nccx_type: u8 = 0, 4;
        /// First part.
        nccx_state1 / set_nccx_state1: u64 = 4, 60;
        /// Second part.
        nccx_state2 / set_nccx_state2: u64 = 64, 64;
    }
}

layout! {
    /// Control packet (§2.8).
    Control / ControlPacket, "CP", 16 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// See [`CONTROL_NAMES`].
        ctl_type / set_ctl_type: u8 = 5, 4;
        /// Of an ordered PDC.
        isrod / set_isrod: bool = 10, 1;
        /// A retransmission.
        retx / set_retx: bool = 11, 1;
        /// An acknowledgement is asked for.
        ar / set_ar: bool = 12, 1;
        /// The SYN state.
        syn / set_syn: bool = 13, 1;
        /// Comes back with the answer to a probe.
        probe_opaque / set_probe_opaque: u16 = 16, 16;
        /// Packet sequence number.
        psn / set_psn: u32 = 32, 32;
        /// The sender's PDC.
        spdcid / set_spdcid: u16 = 64, 16;
        /// The receiver's PDC.
        dpdcid / set_dpdcid: u16 = 80, 16;
        /// By type: credit, demand, PSN.
        payload / set_payload: u32 = 96, 32;
    }
}

layout! {
    /// RUDI request or response (§2.9).
    Rudi / RudiPacket, "RUDI", 8 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// What follows.
        next / set_next: u8 = 5, 4;
        /// Response: the request had met congestion.
        m / set_m: bool = 10, 1;
        /// A retransmission.
        retx / set_retx: bool = 11, 1;
        /// Names the packet.
        pkt_id / set_pkt_id: u32 = 32, 32;
    }
}

layout! {
    /// Datagram (§2.10).
    Uud / UudPacket, "UUD", 4 {
        /// PDS type.
        kind / set_kind: u8 = 0, 5;
        /// What follows.
        next / set_next: u8 = 5, 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A retransmitted ROD request that asks for an acknowledgement, by hand from the table.
    #[test]
    fn a_request_is_twelve_bytes() {
        // type 3 = 00011, next 3 = 0011, flags 0011000: 0001 1001 1001 1000.
        let bytes = [0x19, 0x98, 0xff, 0xfe, 0x00, 0x01, 0x02, 0x03, 0x00, 0x07, 0x12, 0x34];
        let repr = Request {
            kind: PdsType::RodReq as u8,
            next: next::REQ_STD,
            retx: true,
            ar: true,
            syn: false,
            clear_psn_offset: -2,
            psn: 0x0001_0203,
            spdcid: 7,
            dpdcid: 0x1234,
        };
        assert_eq!(Request::parse(&bytes), Ok(repr));
        assert_eq!(repr.to_bytes(), bytes);
        assert_eq!(
            repr.to_string(),
            "request kind=3 next=3 retx=true ar=true syn=false clear_psn_offset=-2 psn=66051 \
             spdcid=7 dpdcid=4660"
        );
    }

    /// A RUD_CC_REQ in the SYN state: type 13, `syn`, 12 bits of offset, context and demand.
    #[test]
    fn a_syn_request_has_an_offset() {
        // 01101 0001 0000100: 0110 1000 1000 0100.
        let bytes = [
            0x68, 0x84, 0xff, 0xff, 0x00, 0x01, 0x00, 0x05, 0x00, 0x01, 0x00, 0x05, 0x09, 0x00,
            0x01, 0x00,
        ];
        let request = Request::parse(&bytes).unwrap();
        assert_eq!((request.kind, request.next, request.syn), (13, next::REQ_SMALL, true));
        assert_eq!((request.psn, request.spdcid), (0x1_0005, 1));
        let syn = Syn::parse(&bytes[Syn::PLACE..]);
        assert_eq!(syn, Ok(Syn { pdc_info: 0, psn_offset: 5 }));
        let cc = RequestCc::parse(&bytes[12..]);
        assert_eq!(cc, Ok(RequestCc { ccc_id: 9, credit_target: 256 }));
        assert_eq!(request.to_bytes(), bytes[..12]);
    }

    /// A marked ACK_CC with a selective acknowledgement and NSCC state: 12 + 12 + 8 bytes.
    #[test]
    fn an_ack_cc_is_thirty_two_bytes() {
        // 01000 0000 0100000: type 8, m.
        let bytes = [
            0x40, 0x20, 0x00, 0x03, 0x00, 0x00, 0x00, 0x64, 0x00, 0x02, 0x00, 0x01, // ACK
            0x00, 0x08, 0x00, 0x01, 0x80, 0, 0, 0, 0, 0, 0, 0x05, // cc
            0x00, 0x01, 0x85, 0x00, 0x01, 0x00, 0x00, 0x02, // state
        ];
        let ack = Ack::parse(&bytes).unwrap();
        assert_eq!((ack.kind, ack.m, ack.ack_psn_offset, ack.cack_psn), (8, true, 3, 100));
        let cc = AckCc::parse(&bytes[12..]).unwrap();
        assert_eq!((cc.cc_type, cc.mpr, cc.sack_psn_offset), (0, 8, 1));
        assert_eq!(cc.sack_bitmap, 0x8000_0000_0000_0005);
        let state = NsccState::parse(&bytes[24..]).unwrap();
        assert_eq!((state.service_time, state.rc, state.rcv_cwnd_pend), (1, true, 5));
        assert_eq!((state.rcvd_bytes, state.ooo_count), (256, 2));
        let again = [&ack.to_bytes()[..], &cc.to_bytes(), &state.to_bytes()].concat();
        assert_eq!(again, bytes);
        assert_eq!(Ack::LEN + AckCc::LEN + ExtendedState::LEN, 40, "ACK_CCX");
    }

    /// A NACK for a packet trimmed at the last hop, and a CREDIT.
    #[test]
    fn nacks_and_control_packets_are_sixteen_bytes() {
        // 01010 0000 0000000; 01011 0111 0000000.
        let nack = [0x50, 0x00, 0x02, 0, 0, 0, 0, 0x2a, 0x00, 0x02, 0x00, 0x01, 0, 0, 0, 0];
        let repr = Nack::parse(&nack).unwrap();
        assert_eq!(nack_name(repr.nack_code), "TRIMMED_LASTHOP");
        assert_eq!((repr.nack_psn, repr.spdcid, repr.dpdcid), (42, 2, 1));
        assert_eq!(repr.to_bytes(), nack);
        let credit = [0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x03, 0, 0, 0x01, 0x40];
        let repr = Control::parse(&credit).unwrap();
        assert_eq!(CONTROL_NAMES[usize::from(repr.ctl_type)], "CREDIT");
        assert_eq!((repr.dpdcid, repr.payload), (3, 320));
        assert_eq!(repr.to_bytes(), credit);
        assert_eq!(Nack::LEN + NackCcx::LEN, 32, "NACK_CCX");
    }

    /// RUDI has eight bytes, a datagram four, and a reserved type is an error.
    #[test]
    fn short_headers_and_reserved_types() {
        let rudi = [0x20, 0x10, 0, 0, 0, 0, 0x01, 0x00];
        let repr = Rudi::parse(&rudi).unwrap();
        assert_eq!((repr.kind, repr.retx, repr.pkt_id), (4, true, 256));
        assert_eq!(repr.to_bytes(), rudi);
        assert_eq!(Uud::parse(&[0x30, 0x80, 0, 0]).unwrap(), Uud { kind: 6, next: 1 });
        let reserved = Prologue::parse(&[0x78, 0]).unwrap();
        assert_eq!(
            PdsType::of(&reserved).unwrap_err().to_string(),
            "PDS has the type 15, which is not known"
        );
        assert_eq!(
            Ack::parse(&[0; 11]).unwrap_err().to_string(),
            "ACK needs 12 bytes, and there are 11"
        );
    }
}
