//! The receiving half of a connection: takes packets in any order, and completes messages one by one.

use std::collections::BTreeMap;

use fabric::ids::{HostId, MessageId};
use serde::{Deserialize, Serialize};

use crate::common::bits::RingBits;
use crate::sprayed::header::Header;

/// See the module.
#[derive(Serialize, Deserialize)]
pub(super) struct Receiver {
    pub(super) src: HostId,
    pub(super) flow: u32,
    /// The sender's number for the connection.
    pub(super) sender: u32,
    /// Every PSN below has arrived.
    pub(super) expected: u32,
    arrived: RingBits,
    /// Bytes that are missing of messages that have begun.
    missing: BTreeMap<MessageId, u64>,
}

impl Receiver {
    pub(super) fn new(src: HostId, flow: u32, sender: u32) -> Receiver {
        Receiver {
            src,
            flow,
            sender,
            expected: 0,
            arrived: RingBits::default(),
            missing: BTreeMap::new(),
        }
    }

    /// Whether the packet is here already.
    pub(super) fn knows(&self, psn: u32) -> bool {
        psn < self.expected
            || (psn - self.expected < self.arrived.capacity() && self.arrived.get(psn))
    }

    /// Takes in a packet that is news; its message, if that completes it.
    pub(super) fn take(&mut self, psn: u32, header: &Header) -> Option<MessageId> {
        while psn - self.expected >= self.arrived.capacity() {
            self.arrived = self.arrived.doubled(self.expected);
        }
        self.arrived.set(psn);
        while self.arrived.get(self.expected) {
            self.arrived.clear(self.expected);
            self.expected += 1;
        }
        let message = MessageId(header.number);
        let payload = u64::from(header.detail);
        if payload == header.length {
            return Some(message);
        }
        let missing = self.missing.entry(message).or_insert(header.length);
        *missing -= payload;
        let done = *missing == 0;
        if done {
            self.missing.remove(&message);
        }
        done.then_some(message)
    }
}
