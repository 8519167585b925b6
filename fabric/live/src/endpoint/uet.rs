//! UET packets as datagrams and back.
//!
//! Two counters that only grow are on the wire by their low 24 bits; the higher ones are remembered here, for each peer, which has one
//! congestion control context.

use std::sync::Arc;

use fabric::packet::{Kind, Packet, flags};
use transports::uet::config::UetConfig;
use transports::uet::header::{Ack, Data};
use transports::wire::WireError;
use transports::wire::compose::Protocol;
use transports::wire::receive::{self, Datagram};

use super::host::{Placed, Taken};

/// Bits of the counters that are on the wire.
const BITS: u32 = 24;

/// See the module.
pub(super) struct Codec {
    protocol: Protocol,
    /// Of each peer: quanta received, credit asked for.
    peers: Vec<(u64, u64)>,
}

impl Codec {
    pub(super) fn new(config: UetConfig, ranks: u32) -> Codec {
        let protocol = Protocol::Uet(Arc::new(config));
        Codec { protocol, peers: vec![(0, 0); ranks as usize] }
    }

    /// The frame of a packet, and which bytes of which message its payload is.
    pub(super) fn frame(&self, packet: &Packet) -> Option<(Vec<u8>, Option<Placed>)> {
        let frame = self.protocol.frame(packet)?;
        let placed = (packet.kind == Kind::Data).then(|| {
            let data = Data::unpack(packet);
            Placed {
                message: data.message,
                offset: u64::from(data.offset),
                length: usize::from(data.payload),
                // UET ends with its payload.
                tail: 0,
            }
        });
        Some((frame, placed))
    }

    pub(super) fn take<'a>(&mut self, datagram: &Datagram<'a>) -> Result<Taken<'a>, WireError> {
        let (mut packet, payload) = receive::uet(datagram)?;
        let (received, asked) = &mut self.peers[packet.src.index()];
        match packet.kind {
            Kind::Data => {
                let data = Data::unpack(&packet);
                let credit_target = widen(asked, data.credit_target) as u32;
                packet.body = Data { credit_target, ..data }.pack();
                let placed = (!packet.has(flags::TRIMMED)).then(|| Placed {
                    message: data.message,
                    offset: u64::from(data.offset),
                    length: payload.len(),
                    tail: 0,
                });
                return Ok(Taken { packet, placed, payload, bytes: data.message_bytes });
            }
            Kind::Ack => {
                let ack = Ack::unpack(&packet);
                let quanta = widen(received, (ack.rcvd_bytes / 256) as u32);
                packet.body = Ack { rcvd_bytes: quanta * 256, ..ack }.pack();
            }
            _ => {}
        }
        Ok(Taken { packet, placed: None, payload, bytes: 0 })
    }

    /// Most ranks: congestion control contexts have 8 bits on the wire.
    pub(super) const RANKS: usize = 256;
}

/// The value nearest to the highest so far whose low bits these are; it may be an older one.
fn widen(highest: &mut u64, low: u32) -> u64 {
    let value = nearest(*highest, u64::from(low), BITS);
    *highest = value.max(*highest);
    value
}

/// The value nearest to `about` whose low `bits` bits are `low`.
pub(super) fn nearest(about: u64, low: u64, bits: u32) -> u64 {
    let (span, mask) = (1u64 << bits, (1u64 << bits) - 1);
    let ahead = low.wrapping_sub(about) & mask;
    if ahead < span / 2 || about + ahead < span { about + ahead } else { about + ahead - span }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters go on over the end of their bits, late ones are older, and nothing is below zero.
    #[test]
    fn low_bits_are_widened() {
        let mut highest = 0;
        for (low, value) in [
            (5, 5),
            (0x70_0000, 0x70_0000),
            (0xe0_0000, 0xe0_0000),
            (0x10, 0x100_0010),
            (0xff_fff0, 0xff_fff0),
            (0x11, 0x100_0011),
        ] {
            assert_eq!(widen(&mut highest, low), value);
        }
        assert_eq!(nearest(0, 0xff_ffff, BITS), 0xff_ffff);
    }
}
