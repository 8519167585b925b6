//! The transport fields of the rivals' packets, as they lie in [`Packet::body`].

use fabric::packet::Packet;
use fabric::units::Time;

/// A connection that is not known yet.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// Fields of every packet: connections at both ends, and what the kind of packet adds. The PSN and the
/// entropy value of an answer are those of the packet it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) sender: u32,
    pub(super) receiver: u32,
    /// Data: the message. Answers: every PSN below has arrived.
    pub(super) number: u32,
    /// Data: payload bytes. Answers: 1 if the packet was marked.
    pub(super) detail: u32,
    /// Data: payload bytes of the whole message.
    pub(super) length: u64,
    /// Data: when it left. Answers: the same of the packet they answer.
    pub(super) stamp: Time,
    /// Data: packets that wait at the sender. Pulls: how many were sent.
    pub(super) count: u32,
}

impl Header {
    pub(super) fn pack(&self) -> [u64; 5] {
        let pair = |high: u32, low: u32| (u64::from(high) << 32) | u64::from(low);
        [
            pair(self.sender, self.receiver),
            pair(self.number, self.detail),
            self.length,
            self.stamp.0,
            u64::from(self.count),
        ]
    }

    pub(super) fn unpack(packet: &Packet) -> Header {
        let [ends, rest, length, stamp, count] = packet.body;
        Header {
            sender: (ends >> 32) as u32,
            receiver: ends as u32,
            number: (rest >> 32) as u32,
            detail: rest as u32,
            length,
            stamp: Time(stamp),
            count: count as u32,
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
        fn headers_survive_packing(ends: (u32, u32), number: u32, detail: u32, rest: (u64, u64, u32)) {
            let ((sender, receiver), (length, stamp, count)) = (ends, rest);
            let stamp = Time(stamp);
            let header = Header { sender, receiver, number, detail, length, stamp, count };
            let packet = Packet { body: header.pack(), ..Packet::default() };
            prop_assert_eq!(Header::unpack(&packet), header);
        }
    }
}
