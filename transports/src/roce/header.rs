//! The transport fields of RoCE packets, as they lie in [`Packet::body`].

use fabric::packet::Packet;
use fabric::units::Time;
use serde::{Deserialize, Serialize};

/// A queue pair that is not known yet.
pub const UNKNOWN: u32 = u32::MAX;

/// Fields of every packet: queue pairs at both ends, and what the kind of packet adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The data sender's queue pair.
    pub sender_qp: u32,
    /// The data receiver's queue pair, or [`UNKNOWN`].
    pub receiver_qp: u32,
    /// Data: the message it belongs to. Acknowledgements: the next PSN expected.
    pub number: u32,
    /// Data: payload bytes. Acknowledgements: 1 if the packet acknowledged was marked.
    pub detail: u32,
    /// Data: payload bytes of the whole message. Acknowledgements: one more than the PSN of a packet that
    /// has arrived early, or 0.
    pub length: u64,
    /// Data: when it left. Acknowledgements: the same of the packet they answer.
    pub stamp: Time,
    /// Data: it is the first packet of its message.
    pub first: bool,
}

impl Header {
    /// Writes the fields.
    #[inline]
    pub fn pack(&self) -> [u64; 5] {
        let qps = (u64::from(self.sender_qp) << 32) | u64::from(self.receiver_qp);
        let rest = (u64::from(self.number) << 32) | u64::from(self.detail);
        [qps, rest, self.length, self.stamp.0, u64::from(self.first)]
    }

    /// Reads the fields.
    #[inline]
    pub fn unpack(packet: &Packet) -> Header {
        let [qps, rest, length, stamp, first] = packet.body;
        Header {
            sender_qp: (qps >> 32) as u32,
            receiver_qp: qps as u32,
            number: (rest >> 32) as u32,
            detail: rest as u32,
            length,
            stamp: Time(stamp),
            first: first != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is packed is unpacked.
        #[test]
        fn headers_survive_packing(
            sender_qp: u32, receiver_qp: u32, number: u32, detail: u32, length: u64, stamp: u64,
            first: bool,
        ) {
            let stamp = Time(stamp);
            let header = Header { sender_qp, receiver_qp, number, detail, length, stamp, first };
            let packet = Packet { body: header.pack(), ..Packet::default() };
            prop_assert_eq!(Header::unpack(&packet), header);
        }
    }
}
