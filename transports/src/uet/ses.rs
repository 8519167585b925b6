//! Semantic sublayer (SES): what messages ask for beyond moving bytes (`uet-wire.md` §3).
//!
//! - A *read* is a request without payload; the data comes back on the same PDC.
//! - A long tagged send goes by *rendezvous*: its first part at once, and the rest when the target, having
//!   found the receive that matches, reads it.
//! - A tagged send is complete at the target when its receive has been posted as well.

use std::collections::BTreeMap;

use fabric::ids::HostId;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

use crate::uet::config::{Delivery, UetConfig};
use crate::uet::header::{Ack, Op};

/// PDS header of a request with congestion control fields (RUD_CC_REQ, ROD_CC_REQ).
const REQUEST: u16 = 16;
/// Of RUDI requests and responses.
const RUDI: u16 = 8;
/// Of a datagram.
const UUD: u16 = 4;
/// PDS header of an acknowledgement (ACK_CC).
const ACK_CC: u16 = 32;
/// SES header of a response without data (RSP).
const PLAIN_RESPONSE: u16 = 12;
/// SES header of a message of several packets.
const STANDARD: u16 = 44;
/// Of a single packet for memory or tag (REQ_MEDIUM).
const MEDIUM: u16 = 32;
/// Of a single packet for whatever receive comes next (REQ_SMALL).
const SMALL: u16 = 20;
/// Of the data of a read (RSP_DATA).
const RESPONSE: u16 = 20;
/// Extension of an atomic operation.
const ATOMIC: u16 = 4;
/// Extension of a rendezvous; counted with every packet of its eager part.
const RENDEZVOUS: u16 = 24;

/// The SES header that a packet has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// REQ_SMALL.
    Small,
    /// REQ_MEDIUM.
    Medium,
    /// REQ_STD, with the operation's extension.
    Standard,
    /// RSP_DATA.
    ResponseData,
}

/// The SES header of packets of a message of `bytes`.
pub(crate) fn form(op: Op, bytes: u64, config: &UetConfig) -> Form {
    let short = config.short_headers && bytes <= u64::from(config.payload);
    match op {
        Op::ReadResponse => Form::ResponseData,
        Op::Send | Op::Datagram if short => Form::Small,
        Op::TaggedSend | Op::Write if short => Form::Medium,
        _ => Form::Standard,
    }
}

/// Frame bytes beside the payload, for a message of `bytes`.
pub(super) fn header(op: Op, bytes: u64, config: &UetConfig) -> u16 {
    if !config.short_headers {
        return config.header;
    }
    let ses = match (form(op, bytes, config), op) {
        (Form::Small, _) => SMALL,
        (Form::Medium, _) => MEDIUM,
        (Form::ResponseData, _) => RESPONSE,
        (Form::Standard, Op::RendezvousSend) => STANDARD + RENDEZVOUS,
        (Form::Standard, Op::Atomic | Op::FetchingAtomic) => STANDARD + ATOMIC,
        (Form::Standard, _) => STANDARD,
    };
    let pds = match config.delivery {
        Delivery::Rud | Delivery::Rod => REQUEST,
        Delivery::Rudi => RUDI,
        Delivery::Uud => UUD,
    };
    config.header - STANDARD - REQUEST + ses + pds
}

/// Frame bytes of an acknowledgement.
pub(super) fn ack_bytes(ack: &Ack, config: &UetConfig) -> u16 {
    if ack.rudi && config.short_headers {
        return config.ack_bytes - ACK_CC + RUDI + PLAIN_RESPONSE;
    }
    config.ack_bytes + if ack.data > 0 { RESPONSE + ack.data } else { 0 }
}

/// Something to do later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Later {
    /// A receive is posted for a message that is all there.
    Receive { message: u32, src: HostId },
    /// A receive is posted for a rendezvous: read the rest.
    Fetch { message: u32, src: HostId, bytes: u64 },
}

/// What is half done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Ses {
    /// Reads posted here: message to log slot.
    reads: BTreeMap<u32, u32>,
    /// Rendezvous posted here: log slot, and parts not yet acknowledged.
    offered: BTreeMap<u32, (u32, u8)>,
    /// Rendezvous arriving here: parts not yet complete.
    fetched: BTreeMap<u32, u8>,
    /// READ requests of this host that wait for data: message to sending context.
    asked: BTreeMap<u32, u32>,
    later: BTreeMap<(Time, u64), Later>,
    /// Entries of `later` so far: their order within an instant.
    count: u64,
}

impl Ses {
    /// A read was posted.
    pub(super) fn on_read(&mut self, message: u32, slot: u32) {
        self.reads.insert(message, slot);
    }

    /// A rendezvous was posted: two parts have to be acknowledged.
    pub(super) fn on_offer(&mut self, message: u32, slot: u32) {
        self.offered.insert(message, (slot, 2));
    }

    /// Whether the other host has yet to ask for a part of `message`, or to answer its request.
    pub(super) fn waits_for_peer(&self, message: u32) -> bool {
        self.offered.contains_key(&message) || self.reads.contains_key(&message)
    }

    /// A part of `message` was acknowledged; the log slot of the post that is complete with it.
    pub(super) fn on_part_sent(&mut self, message: u32) -> Option<u32> {
        let (slot, left) = self.offered.get_mut(&message)?;
        *left -= 1;
        let (slot, left) = (*slot, *left);
        (left == 0).then(|| self.offered.remove(&message)).map(|_| slot)
    }

    /// A rendezvous begins to arrive.
    pub(super) fn on_offered(&mut self, message: u32) {
        self.fetched.insert(message, 2);
    }

    /// A part of a rendezvous has arrived whole; true if the message is complete with it.
    pub(super) fn on_part_received(&mut self, message: u32) -> bool {
        let Some(left) = self.fetched.get_mut(&message) else { return false };
        *left -= 1;
        *left == 0 && self.fetched.remove(&message).is_some()
    }

    /// The data of a read has arrived; the log slot of its post.
    pub(super) fn on_data_read(&mut self, message: u32) -> Option<u32> {
        self.reads.remove(&message)
    }

    /// A part of `message` can never be acknowledged; the log slot of the post that fails with it.
    pub(super) fn on_part_failed(&mut self, message: u32) -> Option<u32> {
        let offered = self.offered.remove(&message).map(|(slot, _)| slot);
        offered.or_else(|| self.reads.remove(&message))
    }

    /// A READ request leaves on context `spdcid`.
    pub(super) fn on_asked(&mut self, message: u32, spdcid: u32) {
        self.asked.insert(message, spdcid);
    }

    /// Its data has arrived; the context that asked.
    pub(super) fn on_answered(&mut self, message: u32) -> Option<u32> {
        self.asked.remove(&message)
    }

    /// Keeps something for `at`.
    pub(super) fn put_off(&mut self, at: Time, later: Later) {
        self.later.insert((at, self.count), later);
        self.count += 1;
    }

    /// What is due by `now`.
    pub(super) fn due(&mut self, now: Time) -> Option<Later> {
        let entry = self.later.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.later.first_key_value().map(|(key, _)| key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::units::{Rate, Span};

    /// Frames of single packets are 24 or 12 bytes shorter than those of long messages; the reference's
    /// are all alike.
    #[test]
    fn single_packets_have_short_headers() {
        let config = UetConfig::new(Rate::from_gbps(400), Span::from_micros(12), true);
        let sizes = |config: &UetConfig| {
            [(Op::Send, 100), (Op::Write, 100), (Op::Send, 5_000), (Op::ReadResponse, 5_000)]
                .map(|(op, bytes)| header(op, bytes, config))
        };
        assert_eq!(sizes(&config), [82, 94, 106, 82]);
        let htsim = UetConfig::htsim(Rate::from_gbps(400), Span::from_micros(12), true, 0);
        assert_eq!(sizes(&htsim), [64; 4]);
    }

    /// A rendezvous is complete at both ends with its second part.
    #[test]
    fn a_rendezvous_has_two_parts() {
        let mut ses = Ses::default();
        ses.on_offer(7, 3);
        assert_eq!(
            [ses.on_part_sent(7), ses.on_part_sent(7), ses.on_part_sent(7)],
            [None, Some(3), None]
        );
        ses.on_offered(7);
        assert_eq!([ses.on_part_received(7), ses.on_part_received(7)], [false, true]);
    }

    /// What is put off comes back in order of time, then of asking.
    #[test]
    fn later_things_come_in_order() {
        let mut ses = Ses::default();
        let receive = |message| Later::Receive { message, src: HostId(0) };
        for (at, message) in [(9, 1), (5, 2), (9, 3)] {
            ses.put_off(Time(at), receive(message));
        }
        assert_eq!(ses.next(), Some(Time(5)));
        assert_eq!(ses.due(Time(4)), None);
        let all: Vec<Later> = std::iter::from_fn(|| ses.due(Time(10))).collect();
        assert_eq!(all, [2, 1, 3].map(receive));
    }
}
