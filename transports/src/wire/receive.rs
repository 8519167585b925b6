//! What a datagram says, as the model packet that a transport takes: the way back from [`super::compose`], for real sockets.
//!
//! Some fields of the model are not on the wire, or only their low bits are: those are named at each function, and whoever keeps the
//! connection's state fills them in. Datagrams come from outside, so every value is looked at before it is used.

use fabric::ids::{Class, HostId};
use fabric::packet::{Kind, Packet, flags};

use crate::uet::config::Delivery;
use crate::uet::header::{Ack, Control, ControlType, Data, NackCode, Op, UNKNOWN};
use crate::wire::WireError;
use crate::wire::compose::dscp;
use crate::wire::outer::{FCS, OUTER, ecn};
use crate::wire::pds::{self, PdsType, next};
use crate::wire::roce::{self, opcode};
use crate::wire::ses;

/// A datagram, with what its outer headers said.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub src: HostId,
    /// Who has it.
    pub dst: HostId,
    /// Its entropy value, by the UDP source port.
    pub entropy: u16,
    /// Differentiated services and ECN, as IP has them.
    pub tos: u8,
    /// Bytes that UDP says it carries.
    pub length: usize,
    /// Those that are there: fewer, if a switch has trimmed it.
    pub bytes: &'a [u8],
}

impl Datagram<'_> {
    fn is_trimmed(&self) -> bool {
        self.length > self.bytes.len()
    }

    /// Its packet, of `kind`, without what the transport says.
    fn packet(&self, kind: Kind) -> Packet {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let codepoint = self.tos & 3;
        Packet {
            src: self.src,
            dst: self.dst,
            entropy: self.entropy,
            bytes: (OUTER + self.bytes.len() + FCS).min(usize::from(u16::MAX)) as u16,
            kind,
            class: if kind == Kind::Data { Class::DATA } else { Class::CONTROL },
            flags: flag(codepoint == ecn::CE, flags::CE)
                | flag(codepoint != ecn::NOT_ECT, flags::ECN_CAPABLE)
                | flag(self.is_trimmed(), flags::TRIMMED)
                | flag(
                    self.is_trimmed() && self.tos >> 2 == dscp::TRIMMED_LASTHOP,
                    flags::LAST_HOP,
                ),
            ..Packet::default()
        }
    }
}

fn unknown(header: &'static str, field: &'static str, value: u64) -> WireError {
    WireError::Unknown { header, field, value }
}

/// The bytes from `place` on.
fn from(bytes: &[u8], place: usize) -> &[u8] {
    bytes.get(place..).unwrap_or_default()
}

/// On the wire contexts are numbered from 1, and 0 is none.
fn pdc(number: u16) -> u32 {
    u32::from(number).checked_sub(1).unwrap_or(UNKNOWN)
}

/// A UET datagram: the packet, and the payload of data.
///
/// Flow labels are not on the wire, nor is the first PSN of a context outside of its SYN packets (the packet's own stands there). Of
/// `credit_target` there are the low 24 bits, of `rcvd_bytes` 32 in whole 256s, of contexts' numbers those below 2¹⁶. Of a trimmed packet only
/// what PDS says is there.
///
/// # Errors
/// When it is none that an endpoint of ours sends with SEND, TAGGED_SEND or WRITE on a reliable context.
pub fn uet<'a>(datagram: &Datagram<'a>) -> Result<(Packet, &'a [u8]), WireError> {
    let prologue = pds::Prologue::parse(datagram.bytes)?;
    match PdsType::of(&prologue)? {
        PdsType::RudCcReq => request(datagram, Delivery::Rud),
        PdsType::RodCcReq => request(datagram, Delivery::Rod),
        PdsType::AckCc => ack(datagram).map(|packet| (packet, &[][..])),
        PdsType::Nack => nack(datagram).map(|packet| (packet, &[][..])),
        PdsType::Cp => control(datagram).map(|packet| (packet, &[][..])),
        _ => Err(unknown("PDS", "type", u64::from(prologue.kind))),
    }
}

/// What SES says of a request.
struct Asked {
    op: Op,
    message: u32,
    message_bytes: u64,
    offset: u32,
    ends: bool,
    /// Length of the header.
    header: usize,
}

fn request<'a>(
    datagram: &Datagram<'a>,
    delivery: Delivery,
) -> Result<(Packet, &'a [u8]), WireError> {
    const PDS: usize = pds::Request::LEN + pds::RequestCc::LEN;
    let request = pds::Request::parse(datagram.bytes)?;
    let cc = pds::RequestCc::parse(from(datagram.bytes, pds::Request::LEN))?;
    let psn = request.psn;
    let back = -(i32::from(request.clear_psn_offset) + 1);
    let clear = u16::try_from(back).ok().filter(|clear| u32::from(*clear) <= psn);
    let clear = clear.ok_or_else(|| unknown("request", "clear_psn_offset", back as u64))?;
    let start_psn = if request.syn {
        let syn = pds::Syn::parse(from(datagram.bytes, pds::Syn::PLACE))?;
        let start = psn.checked_sub(u32::from(syn.psn_offset));
        start.ok_or_else(|| unknown("syn", "psn_offset", u64::from(syn.psn_offset)))?
    } else {
        psn
    };
    let asked = if datagram.is_trimmed() {
        Asked { op: Op::Send, message: 0, message_bytes: 0, offset: 0, ends: false, header: 0 }
    } else {
        asks(request.next, from(datagram.bytes, PDS))?
    };
    let payload = from(datagram.bytes, PDS + asked.header);
    if !datagram.is_trimmed() {
        let end = u64::from(asked.offset) + payload.len() as u64;
        if payload.is_empty() || end > asked.message_bytes {
            return Err(unknown("SES", "request_length", asked.message_bytes));
        }
    }
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut packet = datagram.packet(Kind::Data);
    packet.psn = psn;
    packet.flags |= flag(request.retx, flags::RETRANSMITTED)
        | flag(request.ar, flags::ACK_REQUEST)
        | flag(asked.ends, flags::END_OF_MESSAGE);
    let data = Data {
        spdcid: pdc(request.spdcid),
        dpdcid: if request.syn { UNKNOWN } else { pdc(request.dpdcid) },
        message: asked.message,
        payload: if datagram.is_trimmed() {
            datagram.length.saturating_sub(PDS).min(usize::from(u16::MAX)) as u16
        } else {
            payload.len() as u16
        },
        delivery,
        op: asked.op,
        message_bytes: asked.message_bytes,
        ccc: u32::from(cc.ccc_id),
        credit_target: cc.credit_target,
        start_psn,
        offset: asked.offset,
        clear,
    };
    packet.body = data.pack();
    Ok((packet, payload))
}

/// The operation of an opcode, of those that bring their data along.
fn op(code: u8) -> Result<Op, WireError> {
    let known = [Op::Send, Op::TaggedSend, Op::Write].into_iter().find(|op| op.code() == code);
    known.ok_or_else(|| unknown("SES", "opcode", u64::from(code)))
}

fn asks(next: u8, bytes: &[u8]) -> Result<Asked, WireError> {
    match next {
        next::REQ_MEDIUM => {
            let common = ses::CommonShort::parse(bytes)?;
            let medium = ses::Medium::parse(from(bytes, ses::CommonShort::LEN))?;
            Ok(Asked {
                op: op(common.opcode)?,
                message: medium.match_bits as u32,
                message_bytes: u64::from(common.request_length),
                offset: 0,
                ends: true,
                header: ses::CommonShort::LEN + ses::Medium::LEN,
            })
        }
        next::REQ_STD => {
            let common = ses::Common::parse(bytes)?;
            let rest = from(bytes, ses::Common::LEN);
            let (match_bits, length, offset) = if common.som {
                let first = ses::First::parse(rest)?;
                (first.match_bits, first.request_length, 0)
            } else {
                let later = ses::Later::parse(rest)?;
                (later.match_bits, later.request_length, later.message_offset)
            };
            Ok(Asked {
                op: op(common.opcode)?,
                message: match_bits as u32,
                message_bytes: u64::from(length),
                offset,
                ends: common.eom,
                header: ses::Common::LEN + ses::First::LEN,
            })
        }
        other => Err(unknown("PDS", "next_hdr", u64::from(other))),
    }
}

fn ack(datagram: &Datagram<'_>) -> Result<Packet, WireError> {
    let base = pds::Ack::parse(datagram.bytes)?;
    let rest = from(datagram.bytes, pds::Ack::LEN);
    let cc = pds::AckCc::parse(rest)?;
    let state = pds::NsccState::parse(from(rest, pds::AckCc::LEN))?;
    let away = |offset: i16| base.cack_psn.wrapping_add_signed(i32::from(offset));
    let psn = match base.p {
        // The probe's number.
        true => u32::from(base.ack_psn_offset as u16),
        false => away(base.ack_psn_offset),
    };
    let mut packet = datagram.packet(Kind::Ack);
    packet.psn = psn;
    let ack = Ack {
        spdcid: pdc(base.dpdcid),
        dpdcid: pdc(base.spdcid),
        cack: base.cack_psn.wrapping_add(1),
        sack_base: away(cc.sack_psn_offset),
        sack: cc.sack_bitmap,
        rcvd_bytes: u64::from(state.rcvd_bytes) * 256,
        ooo_count: u32::from(state.ooo_count),
        marked: base.m,
        retransmitted: base.retx,
        probe: base.p,
        mpr: cc.mpr,
        penalty: state.rcv_cwnd_pend,
        restore: state.rc,
        ..Ack::to(&packet, UNKNOWN)
    };
    packet.body = ack.pack();
    Ok(packet)
}

fn nack(datagram: &Datagram<'_>) -> Result<Packet, WireError> {
    let nack = pds::Nack::parse(datagram.bytes)?;
    let code = NackCode::of(nack.nack_code).filter(|code| *code != NackCode::None);
    let code = code.ok_or_else(|| unknown("NACK", "nack_code", u64::from(nack.nack_code)))?;
    let mut packet = datagram.packet(Kind::Nack);
    packet.psn = nack.nack_psn;
    let ack = Ack {
        dpdcid: pdc(nack.spdcid),
        marked: nack.m,
        retransmitted: nack.retx,
        rudi: nack.nt,
        code,
        ..Ack::to(&packet, pdc(nack.dpdcid))
    };
    packet.body = ack.pack();
    Ok(packet)
}

fn control(datagram: &Datagram<'_>) -> Result<Packet, WireError> {
    let control = pds::Control::parse(datagram.bytes)?;
    let kind = ControlType::of(control.ctl_type);
    let kind = kind.ok_or_else(|| unknown("CP", "ctl_type", u64::from(control.ctl_type)))?;
    let mut packet = datagram.packet(Kind::Control);
    packet.psn = match kind {
        // What comes back with the answer.
        ControlType::Probe => u32::from(control.probe_opaque),
        _ => control.psn,
    };
    packet.flags |= if control.ar { flags::ACK_REQUEST } else { 0 };
    let (spdcid, dpdcid) = (pdc(control.spdcid), pdc(control.dpdcid));
    packet.body = Control { kind, spdcid, dpdcid, payload: control.payload }.pack();
    Ok(packet)
}

/// What a RoCE datagram says.
#[derive(Clone, Copy, Debug)]
pub struct Roce<'a> {
    /// The packet, without transport fields but for the low 24 bits of its PSN: for an acknowledgement or NAK the next PSN
    /// that its sender expects.
    pub packet: Packet,
    /// The queue pair that it is for.
    pub dest_qp: u32,
    /// The first packet of a message: its number and bytes, where the opcode has them (WRITE).
    pub message: Option<(u32, u32)>,
    /// It is the first of its message.
    pub first: bool,
    /// Payload, without pad.
    pub payload: &'a [u8],
}

/// A RoCE datagram. Its ICRC is looked at by whoever knows the outer headers.
///
/// # Errors
/// When it is none of WRITE, acknowledgement, NAK and CNP.
pub fn roce<'a>(datagram: &Datagram<'a>) -> Result<Roce<'a>, WireError> {
    let bth = roce::Bth::parse(datagram.bytes)?;
    let end = datagram.bytes.len().saturating_sub(roce::ICRC);
    let inner = datagram.bytes.get(roce::Bth::LEN..end).unwrap_or_default();
    let (first, last) = match bth.opcode {
        opcode::WRITE_ONLY => (true, true),
        opcode::WRITE_FIRST => (true, false),
        opcode::WRITE_LAST => (false, true),
        opcode::WRITE_MIDDLE => (false, false),
        opcode::ACK | opcode::CNP => return answer(datagram, &bth, inner),
        other => return Err(unknown("BTH", "opcode", u64::from(other))),
    };
    let (message, payload) = if first {
        let reth = roce::Reth::parse(inner)?;
        (Some((reth.r_key, reth.dma_length)), from(inner, roce::Reth::LEN))
    } else {
        (None, inner)
    };
    let length = payload.len().checked_sub(usize::from(bth.pad)).filter(|length| *length > 0);
    let length = length.ok_or_else(|| unknown("BTH", "pad", u64::from(bth.pad)))?;
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mut packet = datagram.packet(Kind::Data);
    packet.psn = bth.psn;
    packet.flags |= flag(last, flags::END_OF_MESSAGE) | flag(bth.ack_request, flags::ACK_REQUEST);
    Ok(Roce { packet, dest_qp: bth.dest_qp, message, first, payload: &payload[..length] })
}

fn answer<'a>(
    datagram: &Datagram<'a>,
    bth: &roce::Bth,
    inner: &[u8],
) -> Result<Roce<'a>, WireError> {
    let (kind, psn) = if bth.opcode == opcode::CNP {
        (Kind::Cnp, bth.psn)
    } else {
        let aeth = roce::Aeth::parse(inner)?;
        match aeth.syndrome {
            roce::NAK_SEQUENCE => (Kind::Nack, bth.psn),
            roce::ACK_UNLIMITED => (Kind::Ack, bth.psn + 1),
            other => return Err(unknown("AETH", "syndrome", u64::from(other))),
        }
    };
    let packet = Packet { psn, ..datagram.packet(kind) };
    Ok(Roce { packet, dest_qp: bth.dest_qp, message: None, first: false, payload: &[] })
}
