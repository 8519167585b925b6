//! RCCC: receiver-credit congestion control (UE 1.0 §3.6.14; `uet-cc.md` §3).
//!
//! - [`account`]: the sender's credit, and the demand it advertises
//! - [`pacer`]: the receiver's, one a NIC: grants in turn, a little below the rate of its link
//! - [`oversubscription`]: slows the pacer when the core, not the last hop, is the bottleneck
//!
//! Credit and demand are cumulative counts of 256-byte quanta in 24 bits that wrap, so a lost credit
//! packet is made good by the next.

pub(super) mod account;
pub(super) mod oversubscription;
pub(super) mod pacer;

/// Bytes of a quantum.
pub(super) const QUANTUM: i64 = 256;
/// Counts are taken modulo this.
const MODULUS: u32 = 1 << 24;

/// How far `later` is ahead of `earlier`; zero if it is not.
#[inline]
pub(super) fn ahead(later: u32, earlier: u32) -> u32 {
    let distance = later.wrapping_sub(earlier) % MODULUS;
    if distance < MODULUS / 2 { distance } else { 0 }
}

/// `count` further.
#[inline]
pub(super) fn advance(from: u32, count: i64) -> u32 {
    (i64::from(from) + count).rem_euclid(i64::from(MODULUS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts compare across the wrap, and what lies behind is no distance.
    #[test]
    fn counts_wrap() {
        assert_eq!(ahead(advance(MODULUS - 3, 10), MODULUS - 3), 10);
        assert_eq!(ahead(5, 5), 0);
        assert_eq!(ahead(advance(2, -7), 2), 0);
    }
}
