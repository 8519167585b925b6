//! Messages cut over several queue pairs: complete when every part is.

use std::collections::{BTreeMap, BTreeSet};

use fabric::ids::{HostId, MessageId};
use serde::{Deserialize, Serialize};

use crate::roce::receiver::Arrived;

/// `bytes` in at most `count` parts of whole packets of `payload` bytes, as even as that allows.
pub(super) fn pieces(bytes: u64, count: u32, payload: u64) -> Vec<u64> {
    let packets = bytes.div_ceil(payload);
    let parts = u64::from(count).min(packets);
    let start = |part: u64| (packets * part / parts * payload).min(bytes);
    (0..parts).map(|part| start(part + 1) - start(part)).collect()
}

/// See the module. Messages in one part never come here.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Parts {
    /// Parts of each message, by log slot, that are not acknowledged.
    sending: BTreeMap<u32, u32>,
    /// Messages of several parts of which one has failed.
    failed: BTreeSet<u32>,
    /// Bytes of each message that have arrived in complete parts.
    receiving: BTreeMap<(HostId, MessageId), u64>,
}

impl Parts {
    /// A message is being sent in so many parts.
    pub(super) fn expect(&mut self, slot: u32, parts: u32) {
        if parts > 1 {
            self.sending.insert(slot, parts);
        }
    }

    /// A part is acknowledged; true if the message is.
    pub(super) fn on_sent(&mut self, slot: u32) -> bool {
        let Some(left) = self.sending.get_mut(&slot) else { return true };
        *left -= 1;
        let done = *left == 0;
        if done {
            self.sending.remove(&slot);
        }
        done && !self.failed.contains(&slot)
    }

    /// A part can never be acknowledged; true if that is news for the message.
    pub(super) fn on_failed(&mut self, slot: u32) -> bool {
        !self.sending.contains_key(&slot) || self.failed.insert(slot)
    }

    /// A part has arrived; true if the message has.
    pub(super) fn on_received(&mut self, src: HostId, part: &Arrived) -> bool {
        if part.bytes == part.length {
            return true;
        }
        let key = (src, part.message);
        let bytes = self.receiving.entry(key).or_insert(0);
        *bytes += part.bytes;
        let done = *bytes == part.length;
        if done {
            self.receiving.remove(&key);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Parts add up to the message, are whole packets but for the last, and differ by one packet.
        #[test]
        fn parts_are_even_and_whole(bytes in 1u64..1_000_000, count in 1u32..9) {
            let parts = pieces(bytes, count, 1_000);
            prop_assert_eq!(parts.iter().sum::<u64>(), bytes);
            let (last, rest) = parts.split_last().expect("a part");
            prop_assert!(rest.iter().all(|part| part % 1_000 == 0) && *last > 0);
            let packets: Vec<u64> = parts.iter().map(|part| part.div_ceil(1_000)).collect();
            let spread = packets.iter().max().expect("one") - packets.iter().min().expect("one");
            prop_assert!(spread <= 1, "{:?}", parts);
        }
    }
}
