//! A frame as one line of text: every header that is there, in order.

use std::fmt::Write as _;

use smoltcp::wire::{EthernetFrame, EthernetProtocol};

use crate::wire::WireError;
use crate::wire::link::{MAC_CONTROL, Pfc};
use crate::wire::outer::{ETHERNET, ROCE_PORT, UET_PORT, parse};
use crate::wire::pds::{self, PdsType, next};
use crate::wire::roce::{self, Aeth, Bth, Reth};
use crate::wire::ses;
use crate::wire::tcp;

/// Describes an Ethernet frame: UET, RoCEv2 and TCP to their last header, pauses, and of others the outer ones.
///
/// # Errors
/// When a header is cut off or malformed. Never a panic, whatever the bytes.
pub fn describe(frame: &[u8]) -> Result<String, WireError> {
    let ethernet = EthernetFrame::new_checked(frame).map_err(|_| WireError::Outer("Ethernet"))?;
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            if let Some(text) = tcp::describe(frame)? {
                return Ok(text);
            }
            let (mut text, port, rest) = parse(frame)?;
            match port {
                UET_PORT => uet(rest, &mut text)?,
                ROCE_PORT => bth(rest, &mut text)?,
                _ => {}
            }
            Ok(text)
        }
        other if u16::from(other) == MAC_CONTROL => {
            Ok(format!("{} {}", ethernet.src_addr(), Pfc::parse(&frame[ETHERNET..])?))
        }
        other => Ok(format!("{} > {} {other}", ethernet.src_addr(), ethernet.dst_addr())),
    }
}

/// Adds ` | header` and returns what follows it.
macro_rules! header {
    ($kind:ty, $bytes:expr, $text:expr) => {{
        let header = <$kind>::parse($bytes)?;
        let _ = write!($text, " | {header}");
        &$bytes[<$kind>::LEN..]
    }};
}

fn uet(bytes: &[u8], text: &mut String) -> Result<(), WireError> {
    let prologue = pds::Prologue::parse(bytes)?;
    let kind = PdsType::of(&prologue)?;
    let rest = match kind {
        PdsType::RudReq | PdsType::RodReq => request(bytes, text)?,
        PdsType::RudCcReq | PdsType::RodCcReq => {
            let rest = request(bytes, text)?;
            let rest = header!(pds::RequestCc, rest, text);
            // A trimmed packet ends here.
            if rest.is_empty() {
                return Ok(());
            }
            rest
        }
        PdsType::RudiReq | PdsType::RudiResp => header!(pds::Rudi, bytes, text),
        PdsType::UudReq => header!(pds::Uud, bytes, text),
        PdsType::Ack => header!(pds::Ack, bytes, text),
        PdsType::AckCc => {
            let rest = header!(pds::Ack, bytes, text);
            let cc = pds::AckCc::parse(rest)?;
            let rest = header!(pds::AckCc, rest, text);
            if cc.cc_type == 1 {
                header!(pds::CreditState, rest, text)
            } else {
                header!(pds::NsccState, rest, text)
            }
        }
        PdsType::AckCcx => {
            let rest = header!(pds::Ack, bytes, text);
            let rest = header!(pds::AckCc, rest, text);
            header!(pds::ExtendedState, rest, text)
        }
        PdsType::Nack | PdsType::NackCcx => {
            let nack = pds::Nack::parse(bytes)?;
            let rest = header!(pds::Nack, bytes, text);
            let _ = write!(text, " ({})", pds::nack_name(nack.nack_code));
            if kind == PdsType::NackCcx { header!(pds::NackCcx, rest, text) } else { rest }
        }
        PdsType::Cp => {
            let control = pds::Control::parse(bytes)?;
            let _ = header!(pds::Control, bytes, text);
            let name = pds::CONTROL_NAMES.get(usize::from(control.ctl_type));
            let _ = write!(text, " ({})", name.unwrap_or(&"reserved"));
            return Ok(());
        }
        PdsType::Tss => {
            let _ = header!(crate::wire::tss::Tss, bytes, text);
            return Ok(());
        }
    };
    semantic(prologue.next, rest, text)
}

fn request<'a>(bytes: &'a [u8], text: &mut String) -> Result<&'a [u8], WireError> {
    let rest = header!(pds::Request, bytes, text);
    if pds::Request::parse(bytes)?.syn {
        let _ = header!(pds::Syn, &bytes[pds::Syn::PLACE..], text);
    }
    Ok(rest)
}

fn semantic(kind: u8, bytes: &[u8], text: &mut String) -> Result<(), WireError> {
    match kind {
        next::NONE => return Ok(()),
        next::REQ_SMALL | next::REQ_MEDIUM => {
            let opcode = ses::CommonShort::parse(bytes)?.opcode;
            let rest = header!(ses::CommonShort, bytes, text);
            name(opcode, text);
            if kind == next::REQ_SMALL {
                header!(ses::Small, rest, text)
            } else {
                header!(ses::Medium, rest, text)
            }
        }
        next::REQ_STD => {
            let common = ses::Common::parse(bytes)?;
            let rest = header!(ses::Common, bytes, text);
            name(common.opcode, text);
            match common.som {
                true => header!(ses::First, rest, text),
                false => header!(ses::Later, rest, text),
            }
        }
        next::RSP => header!(ses::Response, bytes, text),
        next::RSP_DATA => header!(ses::ResponseData, bytes, text),
        next::RSP_DATA_SMALL => header!(ses::ResponseDataSmall, bytes, text),
        value => {
            let (header, field, value) = ("PDS", "next header", u64::from(value));
            return Err(WireError::Unknown { header, field, value });
        }
    };
    Ok(())
}

fn name(opcode: u8, text: &mut String) {
    let name = ses::OPCODE_NAMES.get(usize::from(opcode)).unwrap_or(&"reserved");
    let _ = write!(text, " ({name})");
}

fn bth(bytes: &[u8], text: &mut String) -> Result<(), WireError> {
    let opcode = Bth::parse(bytes)?.opcode;
    let rest = header!(Bth, bytes, text);
    let _ = write!(text, " ({})", roce::opcode_name(opcode));
    if roce::has_reth(opcode) {
        let _ = header!(Reth, rest, text);
    } else if roce::has_aeth(opcode) {
        let _ = header!(Aeth, rest, text);
    }
    Ok(())
}
