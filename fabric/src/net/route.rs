//! Equal-cost choice by hash.

use serde::{Deserialize, Serialize};

use crate::packet::Label;

/// A switch's secret in the hash; different salts make switches choose independently.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Salt(pub(crate) u64);

/// The number below `choices` to which a packet hashes at a switch with `salt`.
///
/// Flow label and entropy value are spread by one widening multiplication whose halves are folded,
/// and mapped to the range by another: no division, no table.
#[inline]
pub(crate) fn choose(label: &Label, salt: Salt, choices: u16) -> u16 {
    let name = (u64::from(label.flow) << 16) | u64::from(label.entropy);
    let spread = fold(name ^ salt.0, 0x9e37_79b9_7f4a_7c15);
    let hash = fold(spread ^ 0xd1b5_4a32_d192_ed03, salt.0 | 1);
    (((hash >> 32) * u64::from(choices)) >> 32) as u16
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;
    use crate::rng::{Purpose, key};

    fn label(flow: u32, entropy: u16) -> Label {
        Label::new(&Packet { flow, entropy, ..Packet::default() }, 0)
    }

    fn counts(salt: u64, flows: u32, entropies: u16, choices: u16) -> Vec<u32> {
        let mut counts = vec![0; choices as usize];
        for flow in 0..flows {
            for entropy in 0..entropies {
                counts[choose(&label(flow, entropy), Salt(salt), choices) as usize] += 1;
            }
        }
        counts
    }

    /// Consecutive entropy values and consecutive flows spread evenly over any number of ports.
    #[test]
    fn choices_are_even() {
        for choices in [2u16, 3, 4, 7, 8, 16, 32] {
            let salt = key(1, u64::from(choices), Purpose::Salt);
            let counts = counts(salt, 400, 64, choices);
            let mean = 400 * 64 / u32::from(choices);
            assert!(
                counts.iter().all(|c| c.abs_diff(mean) < mean / 8),
                "{choices} choices: {counts:?}"
            );
        }
    }

    /// Two switches choose independently: pairs of choices are as even as single ones.
    #[test]
    fn switches_do_not_polarise() {
        let mut pairs = vec![0u32; 16];
        for flow in 0..4_000 {
            let [first, second] = [1, 2]
                .map(|switch| choose(&label(flow, 9), Salt(key(5, switch, Purpose::Salt)), 4));
            pairs[usize::from(first) * 4 + usize::from(second)] += 1;
        }
        assert!(pairs.iter().all(|c| (180..320).contains(c)), "{pairs:?}");
    }
}
