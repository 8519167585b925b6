//! The witness of a run: a 128-bit sum over all deliveries and drops.
//!
//! Each delivery or drop is hashed with its time and place, and the hashes are added; a sum does not
//! depend on who added first, so shards keep their own and a run adds them up.

use crate::packet::Packet;
use crate::rng::mix64;
use crate::units::Time;
use serde::{Deserialize, Serialize};

/// A sum of event hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Digest(pub u128);

impl Digest {
    /// Adds `packet`, which ended at `place` (host or port) at `now`.
    #[inline]
    pub(crate) fn record(&mut self, now: Time, place: u32, packet: &Packet) {
        let path = (u64::from(packet.src.0) << 32) | u64::from(place);
        let name = (u64::from(packet.flow) << 32) | u64::from(packet.psn);
        let state = (u64::from(packet.bytes) << 16)
            | (u64::from(packet.kind as u8) << 8)
            | u64::from(packet.flags);
        let low = mix64(now.0 ^ mix64(path ^ name.rotate_left(17)));
        let high = mix64(low ^ name ^ state.rotate_left(40));
        self.0 = self.0.wrapping_add((u128::from(high) << 64) | u128::from(low));
    }

    /// Adds the sum of another part of the fabric.
    pub fn merge(&mut self, other: Digest) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum does not depend on the order, and a different time gives a different sum.
    #[test]
    fn order_does_not_matter_but_time_does() {
        let (one, two) = (Packet::default(), Packet { psn: 7, ..Packet::default() });
        let sum = |events: &[(u64, &Packet)]| {
            let mut digest = Digest::default();
            events.iter().for_each(|(at, packet)| digest.record(Time(*at), 3, packet));
            digest
        };
        assert_eq!(sum(&[(1, &one), (2, &two)]), sum(&[(2, &two), (1, &one)]));
        assert_ne!(sum(&[(1, &one), (2, &two)]), sum(&[(2, &one), (1, &two)]));
    }
}
