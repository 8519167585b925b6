//! A model packet as the frame that it stands for: real headers of every layer, payload of a pattern.
//!
//! A frame has as many bytes as the model counts, less the frame check sequence. Where the model counts fewer
//! for headers than there are (the reference's profile has 64 for all of them), headers are whole, and payload
//! makes up for it as far as there is any. What the model does not know is filled with constants that stand
//! here.

use std::sync::Arc;

use fabric::packet::{Kind, Packet, flags};

use crate::roce::config::{Operation, RoceConfig};
use crate::roce::header::{self as roce_header, Header};
use crate::uet::config::{Delivery, UetConfig};
use crate::uet::header::{Ack, Control, ControlType, Data, NackCode, Op, UNKNOWN};
use crate::uet::initiator::RETURN;
use crate::uet::ses::{self as model, Form};
use crate::wire::crc;
use crate::wire::link::{MAC_CONTROL, PFC_DESTINATION, Pfc};
use crate::wire::outer::{self, FCS, OUTER, Outer, ROCE_PORT, UET_PORT, ecn};
use crate::wire::pds::{self, PdsType, next};
use crate::wire::roce::{self, opcode};
use crate::wire::ses;
use crate::wire::tcp;

/// Shortest frame, without frame check sequence.
pub const SHORTEST: usize = 60;
/// What IP carries of a trimmed packet: UDP and 16 bytes of PDS (`uet-wire.md` §5.2).
pub const TRIMMED: usize = 24;
/// Differentiated services, which operators choose; these are the examples of `uet-wire.md` §5.1 …
pub mod dscp {
    pub(super) const CONTROL: u8 = 46;
    pub(super) const TRIMMABLE: u8 = 8;
    /// Trimmed before the last hop.
    pub const TRIMMED: u8 = 16;
    /// Trimmed at the last hop.
    pub const TRIMMED_LASTHOP: u8 = 18;
    /// … and those that RoCE deployments commonly use.
    pub(super) const ROCE: u8 = 26;
    pub(super) const CNP: u8 = 48;
}
/// All hosts work on one job.
const JOB: u32 = 1;
/// The first queue pair of a host: the model numbers from 0, and the lowest are for management.
const FIRST_QP: u32 = 16;
/// UDP port of protocols without a published one: the first of those for private use.
const UNPUBLISHED_PORT: u16 = 49_152;
/// The default partition.
const P_KEY: u16 = 0xffff;

/// The protocol that packets are of.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// Ultra Ethernet.
    Uet(Arc<UetConfig>),
    /// RoCEv2.
    Roce(Arc<RoceConfig>),
    /// TCP.
    Tcp,
    /// One whose format nobody has published: UDP with a payload of its length.
    Unpublished,
}

impl Protocol {
    /// The frame of `packet`, without frame check sequence; `None` for what is no frame (credit updates are
    /// ordered sets between frames).
    pub fn frame(&self, packet: &Packet) -> Option<Vec<u8>> {
        match (packet.kind, self) {
            (Kind::LinkCredit, _) => None,
            (Kind::Pfc, _) => Some(pfc(packet)),
            (_, Protocol::Uet(config)) => Some(uet(packet, config)),
            (_, Protocol::Roce(config)) => Some(roce(packet, config)),
            (_, Protocol::Tcp) => Some(tcp::frame(packet)),
            (_, Protocol::Unpublished) => Some(unpublished(packet)),
        }
    }
}

fn pfc(packet: &Packet) -> Vec<u8> {
    let mut frame = vec![0; SHORTEST];
    frame[..6].copy_from_slice(&PFC_DESTINATION);
    // A port's own address: locally administered, its number in the low bytes.
    frame[6..8].copy_from_slice(&[0x02, 0x01]);
    frame[8..12].copy_from_slice(&packet.flow.to_be_bytes());
    frame[12..14].copy_from_slice(&MAC_CONTROL.to_be_bytes());
    Pfc::pausing(packet.body[0] as u8, fabric::packet::CLASSES as u32).emit(&mut frame[14..]);
    frame
}

/// Outer headers, `inner` headers, and payload up to the length that the model counts.
fn assemble(outer: &Outer, inner: &[u8], packet: &Packet, tail: usize, offset: u32) -> Vec<u8> {
    let headers = OUTER + inner.len();
    let counted = usize::from(packet.bytes).saturating_sub(FCS + tail);
    let has_payload = matches!(packet.kind, Kind::Data | Kind::Ack | Kind::Nack);
    let payload = if has_payload { counted.saturating_sub(headers) } else { 0 };
    let mut frame = vec![0; headers + payload];
    frame[OUTER..headers].copy_from_slice(inner);
    for (place, byte) in frame[headers..].iter_mut().enumerate() {
        *byte = (offset as usize).wrapping_add(place) as u8;
    }
    outer::emit(outer, &mut frame, inner.len() + payload + tail);
    frame
}

/// Outer headers; what follows has no meaning.
fn unpublished(packet: &Packet) -> Vec<u8> {
    let outer = Outer {
        src: packet.src,
        dst: packet.dst,
        dscp: if packet.kind == Kind::Data { dscp::TRIMMABLE } else { dscp::CONTROL },
        ecn: codepoint(packet, ecn::ECT0),
        entropy: packet.entropy,
        port: UNPUBLISHED_PORT,
    };
    let length = usize::from(packet.bytes).saturating_sub(FCS).max(SHORTEST);
    let mut frame = vec![0; length];
    outer::emit(&outer, &mut frame, length - OUTER);
    frame
}

fn codepoint(packet: &Packet, capable: u8) -> u8 {
    match (packet.has(flags::CE), packet.has(flags::ECN_CAPABLE)) {
        (true, _) => ecn::CE,
        (false, true) => capable,
        (false, false) => ecn::NOT_ECT,
    }
}

fn uet(packet: &Packet, config: &UetConfig) -> Vec<u8> {
    let trimmed = packet.has(flags::TRIMMED);
    let dscp = match (packet.kind, trimmed, packet.has(flags::LAST_HOP)) {
        (Kind::Data, false, _) => dscp::TRIMMABLE,
        (Kind::Data, true, false) => dscp::TRIMMED,
        (Kind::Data, true, true) => dscp::TRIMMED_LASTHOP,
        _ => dscp::CONTROL,
    };
    let outer = Outer {
        src: packet.src,
        dst: packet.dst,
        dscp,
        ecn: codepoint(packet, ecn::ECT1),
        entropy: packet.entropy,
        port: UET_PORT,
    };
    if packet.kind != Kind::Data {
        let inner = match packet.kind {
            Kind::Ack => ack(packet, config),
            Kind::Nack => nack(packet).to_vec(),
            _ => control(packet, config).to_vec(),
        };
        let mut frame = assemble(&outer, &inner, packet, 0, 0);
        frame.resize(frame.len().max(SHORTEST), 0);
        return frame;
    }
    let data = Data::unpack(packet);
    let inner = [request(packet, &data, config), request_ses(packet, &data, config)].concat();
    if !trimmed {
        return assemble(&outer, &inner, packet, 0, data.offset);
    }
    // As a switch leaves it: IP says what is left, UDP what there was.
    let mut frame = vec![0; OUTER + inner.len()];
    frame[OUTER..].copy_from_slice(&inner);
    frame.truncate(OUTER + TRIMMED - outer::UDP);
    outer::emit(&outer, &mut frame, inner.len() + usize::from(data.payload));
    frame.resize(SHORTEST, 0);
    frame
}

/// The model numbers from 0, and 0 is reserved on the wire.
fn pdcid(number: u32) -> u16 {
    match number {
        UNKNOWN => 0,
        number => ((number & !RETURN) % 0xffff) as u16 + 1,
    }
}

/// The PDS header of a data packet.
fn request(packet: &Packet, data: &Data, config: &UetConfig) -> Vec<u8> {
    let form = model::form(data.op, data.message_bytes, config);
    let next = match form {
        Form::Small => next::REQ_SMALL,
        Form::Medium => next::REQ_MEDIUM,
        Form::Standard => next::REQ_STD,
        Form::ResponseData => next::RSP_DATA,
    };
    let (retx, ar) = (packet.has(flags::RETRANSMITTED), packet.has(flags::ACK_REQUEST));
    let kind = match data.delivery {
        Delivery::Rud => PdsType::RudCcReq,
        Delivery::Rod => PdsType::RodCcReq,
        Delivery::Rudi => {
            let kind = PdsType::RudiReq as u8;
            return pds::Rudi { kind, next, m: false, retx, pkt_id: packet.psn }
                .to_bytes()
                .to_vec();
        }
        Delivery::Uud => return pds::Uud { kind: PdsType::UudReq as u8, next }.to_bytes().to_vec(),
    } as u8;
    let clear_psn_offset = -(i32::from(data.clear) + 1) as i16;
    let (psn, spdcid) = (packet.psn, pdcid(data.spdcid));
    let syn = data.dpdcid == UNKNOWN;
    let dpdcid = if syn {
        let psn_offset = (psn - data.start_psn) as u16;
        u16::from_be_bytes(pds::Syn { pdc_info: 0, psn_offset }.to_bytes())
    } else {
        pdcid(data.dpdcid)
    };
    let base = pds::Request { kind, next, retx, ar, syn, clear_psn_offset, psn, spdcid, dpdcid };
    let cc = pds::RequestCc { ccc_id: data.ccc as u8, credit_target: data.credit_target };
    [&base.to_bytes()[..], &cc.to_bytes()].concat()
}

/// The SES header of a data packet.
fn request_ses(packet: &Packet, data: &Data, config: &UetConfig) -> Vec<u8> {
    let opcode = data.op.code();
    let eom = packet.has(flags::END_OF_MESSAGE);
    let (buffer_offset, initiator) = (u64::from(data.offset), packet.src.0);
    let match_bits = u64::from(data.message);
    let short = ses::CommonShort {
        opcode,
        eom: true,
        som: true,
        request_length: data.message_bytes as u16,
        job_id: JOB,
        ..ses::CommonShort::default()
    };
    match model::form(data.op, data.message_bytes, config) {
        Form::Small => [&short.to_bytes()[..], &ses::Small { buffer_offset }.to_bytes()].concat(),
        Form::Medium => {
            let rest = ses::Medium { buffer_offset, initiator, match_bits };
            [&short.to_bytes()[..], &rest.to_bytes()].concat()
        }
        Form::ResponseData => response_data(data).to_vec(),
        Form::Standard => {
            let message_id = data.message as u16;
            let som = data.offset == 0;
            let job_id = JOB;
            let common =
                ses::Common { opcode, eom, som, message_id, job_id, ..ses::Common::default() };
            let request_length = data.message_bytes as u32;
            let rest = if som {
                let header_data = 0;
                let first = ses::First {
                    buffer_offset,
                    initiator,
                    match_bits,
                    header_data,
                    request_length,
                };
                first.to_bytes()
            } else {
                let later = ses::Later {
                    buffer_offset,
                    initiator,
                    match_bits,
                    payload_length: data.payload,
                    message_offset: data.offset,
                    request_length,
                };
                later.to_bytes()
            };
            [&common.to_bytes()[..], &rest, &extension(data, config)].concat()
        }
    }
}

fn extension(data: &Data, config: &UetConfig) -> Vec<u8> {
    match data.op {
        Op::RendezvousSend => {
            let eager_length = config.rendezvous.unwrap_or(0) as u32;
            let memory_key = u64::from(data.message);
            let rendezvous =
                ses::Rendezvous { eager_length, memory_key, ..ses::Rendezvous::default() };
            rendezvous.to_bytes().to_vec()
        }
        Op::Atomic | Op::FetchingAtomic => ses::Atomic::default().to_bytes().to_vec(),
        _ => Vec::new(),
    }
}

fn response_data(data: &Data) -> [u8; ses::ResponseData::LEN] {
    let response = ses::ResponseData {
        opcode: ses::response::WITH_DATA,
        return_code: ses::RC_OK,
        job_id: JOB,
        read_message_id: data.message as u16,
        payload_length: data.payload,
        modified_length: data.message_bytes as u32,
        message_offset: data.offset,
        ..ses::ResponseData::default()
    };
    response.to_bytes()
}

/// The headers of an acknowledgement.
fn ack(packet: &Packet, config: &UetConfig) -> Vec<u8> {
    let ack = Ack::unpack(packet);
    if ack.rudi && config.short_headers {
        let (kind, next) = (PdsType::RudiResp as u8, next::RSP);
        let (m, retx, pkt_id) = (ack.marked, ack.retransmitted, packet.psn);
        let rudi = pds::Rudi { kind, next, m, retx, pkt_id };
        let response =
            ses::Response { return_code: ses::RC_OK, job_id: JOB, ..ses::Response::default() };
        return [&rudi.to_bytes()[..], &response.to_bytes()].concat();
    }
    let cack_psn = ack.cack.wrapping_sub(1);
    let away = |psn: u32| psn.wrapping_sub(cack_psn) as i16;
    let base = pds::Ack {
        kind: PdsType::AckCc as u8,
        next: if ack.data > 0 { next::RSP_DATA } else { next::NONE },
        m: ack.marked,
        retx: ack.retransmitted,
        p: ack.probe,
        req: 0,
        ack_psn_offset: if ack.probe { packet.psn as i16 } else { away(packet.psn) },
        cack_psn,
        spdcid: pdcid(ack.dpdcid),
        dpdcid: pdcid(ack.spdcid),
    };
    let cc = pds::AckCc {
        cc_type: 0,
        cc_flags: 0,
        mpr: ack.mpr,
        sack_psn_offset: away(ack.sack_base),
        sack_bitmap: ack.sack,
    };
    let state = pds::NsccState {
        service_time: 0,
        rc: ack.restore,
        rcv_cwnd_pend: ack.penalty,
        rcvd_bytes: ack.rcvd_bytes.div_ceil(256) as u32 & 0x00ff_ffff,
        ooo_count: ack.ooo_count as u16,
    };
    let mut headers = [&base.to_bytes()[..], &cc.to_bytes(), &state.to_bytes()].concat();
    if ack.data > 0 {
        let response = ses::ResponseData {
            opcode: ses::response::WITH_DATA,
            return_code: ses::RC_OK,
            job_id: JOB,
            payload_length: ack.data,
            modified_length: u32::from(ack.data),
            ..ses::ResponseData::default()
        };
        headers.extend(response.to_bytes());
    }
    headers
}

fn nack(packet: &Packet) -> [u8; pds::Nack::LEN] {
    let nack = Ack::unpack(packet);
    debug_assert_ne!(nack.code, NackCode::None, "a NACK has a code");
    let repr = pds::Nack {
        kind: PdsType::Nack as u8,
        next: next::NONE,
        m: nack.marked,
        retx: nack.retransmitted,
        nt: nack.rudi,
        nack_code: nack.code.code(),
        vendor_code: 0,
        nack_psn: packet.psn,
        spdcid: pdcid(nack.dpdcid),
        dpdcid: pdcid(nack.spdcid),
        payload: 0,
    };
    repr.to_bytes()
}

fn control(packet: &Packet, config: &UetConfig) -> [u8; pds::Control::LEN] {
    let control = Control::unpack(packet);
    // A probe has a number and no PSN of its own: it tells the one that it asks about.
    let (probe_opaque, psn) = match control.kind {
        ControlType::Probe => (packet.psn as u16, control.payload),
        _ => (0, packet.psn),
    };
    let repr = pds::Control {
        kind: PdsType::Cp as u8,
        ctl_type: control.kind as u8,
        isrod: config.delivery == Delivery::Rod,
        retx: false,
        ar: packet.has(flags::ACK_REQUEST),
        syn: false,
        probe_opaque,
        psn,
        spdcid: pdcid(control.spdcid),
        dpdcid: pdcid(control.dpdcid),
        payload: control.payload,
    };
    repr.to_bytes()
}

fn roce(packet: &Packet, config: &RoceConfig) -> Vec<u8> {
    let header = Header::unpack(packet);
    let outer = Outer {
        src: packet.src,
        dst: packet.dst,
        dscp: if packet.kind == Kind::Cnp { dscp::CNP } else { dscp::ROCE },
        ecn: codepoint(packet, ecn::ECT0),
        entropy: packet.entropy,
        port: ROCE_PORT,
    };
    // A queue pair is connected before it sends; until the model knows the other end's number, both have
    // the same.
    let peer = match header.receiver_qp {
        roce_header::UNKNOWN => header.sender_qp,
        known => known,
    };
    let bth = roce::Bth {
        dest_qp: FIRST_QP + if packet.kind == Kind::Data { peer } else { header.sender_qp },
        psn: packet.psn,
        p_key: P_KEY,
        ..roce::Bth::default()
    };
    let inner = match packet.kind {
        Kind::Data if config.operation == Operation::Read => read_response(packet, &header, bth),
        Kind::Data => roce_data(packet, &header, bth, config),
        Kind::Control => {
            let bth = roce::Bth { opcode: opcode::READ_REQUEST, ack_request: true, ..bth };
            [&bth.to_bytes()[..], &reth(&header).to_bytes()].concat()
        }
        Kind::Cnp => {
            let bth = roce::Bth { opcode: opcode::CNP, becn: true, psn: 0, ..bth };
            [&bth.to_bytes()[..], &[0; roce::CNP_RESERVED]].concat()
        }
        kind => {
            // An ACK names the last packet that arrived in order, a NAK the one that is wanted.
            let (syndrome, back) = match kind {
                Kind::Nack => (roce::NAK_SEQUENCE, 0),
                _ => (roce::ACK_UNLIMITED, 1),
            };
            let psn = packet.psn.wrapping_sub(back);
            let bth = roce::Bth { opcode: opcode::ACK, psn, ..bth };
            [&bth.to_bytes()[..], &roce::Aeth { syndrome, msn: 0 }.to_bytes()].concat()
        }
    };
    let mut frame = assemble(&outer, &inner, packet, roce::ICRC, packet.psn);
    // What the outer headers say of lengths counts the ICRC, which comes last.
    frame.extend([0; roce::ICRC]);
    let length = frame.len() - OUTER;
    outer::emit(&outer, &mut frame, length);
    let end = frame.len() - roce::ICRC;
    let icrc = crc::icrc(&frame[..end]);
    frame[end..].copy_from_slice(&icrc);
    frame
}

/// BTH and, in the first and last packet of a response, AETH.
fn read_response(packet: &Packet, header: &Header, bth: roce::Bth) -> Vec<u8> {
    let opcode = match (header.first, packet.has(flags::END_OF_MESSAGE)) {
        (true, true) => opcode::READ_ONLY,
        (true, false) => opcode::READ_FIRST,
        (false, true) => opcode::READ_LAST,
        (false, false) => opcode::READ_MIDDLE,
    };
    let bth = roce::Bth { opcode, pad: pad(header), ..bth };
    let mut headers = bth.to_bytes().to_vec();
    if roce::has_aeth(opcode) {
        headers.extend(roce::Aeth { syndrome: roce::ACK_UNLIMITED, msn: 0 }.to_bytes());
    }
    headers
}

/// Where a message lies at the other host.
fn reth(header: &Header) -> roce::Reth {
    roce::Reth { va: 0, r_key: header.number, dma_length: header.length as u32 }
}

/// Bytes that pad the payload to words.
fn pad(header: &Header) -> u8 {
    (4 - header.detail as u8 % 4) % 4
}

/// BTH and, in the first packet of a message, RETH.
fn roce_data(packet: &Packet, header: &Header, bth: roce::Bth, config: &RoceConfig) -> Vec<u8> {
    let last = packet.has(flags::END_OF_MESSAGE);
    let write = config.operation == Operation::Write;
    let opcode = match (header.first, last, write) {
        (true, true, true) => opcode::WRITE_ONLY,
        (true, false, true) => opcode::WRITE_FIRST,
        (false, true, true) => opcode::WRITE_LAST,
        (false, false, true) => opcode::WRITE_MIDDLE,
        (true, true, false) => opcode::SEND_ONLY,
        (true, false, false) => opcode::SEND_FIRST,
        (false, true, false) => opcode::SEND_LAST,
        (false, false, false) => opcode::SEND_MIDDLE,
    };
    let bth = roce::Bth { opcode, pad: pad(header), ack_request: last, ..bth };
    let mut headers = bth.to_bytes().to_vec();
    if header.first && write {
        headers.extend(reth(header).to_bytes());
    }
    headers
}
