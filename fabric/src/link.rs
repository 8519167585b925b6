//! The link layer as configured: frame errors, link-level retry, credits.
//!
//! - [`FrameErrors`]: how often a frame arrives in error, from the chance of a frame, of a bit, or of a
//!   codeword of the forward error correction
//! - [`LlrConfig`]: link-level retry, UE 1.0 §5.1 (`link.md` §1)
//! - [`CreditConfig`]: credit-based flow control, UE 1.0 §5.2 (`link.md` §2)
//!
//! What ports do with it is in `net::link`.

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::units::{Rate, Span};

/// A chance, kept in units of 2⁻⁶⁴ so that comparing and combining chances is exact everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Chance(pub u64);

impl Chance {
    /// The chance nearest to `value`; below 0 is never, above 1 is always.
    pub fn new(value: f64) -> Chance {
        // A cast to an integer saturates. 2^64 is exact as a float.
        Chance((value * 18_446_744_073_709_551_616.0) as u64)
    }

    /// As a number from 0 to 1, for tables.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 18_446_744_073_709_551_616.0
    }

    /// Of two independent events, at least one.
    #[must_use]
    pub const fn or(self, other: Chance) -> Chance {
        let (one, two) = (self.0 as u128, other.0 as u128);
        let sum = one + two - ((one * two) >> 64);
        Chance(if sum > u64::MAX as u128 { u64::MAX } else { sum as u64 })
    }

    /// Of `count` independent events of this chance, at least one.
    #[must_use]
    pub const fn any_of(self, count: u64) -> Chance {
        let (mut all, mut power, mut left) = (Chance(0), self, count);
        while left > 0 {
            if left & 1 == 1 {
                all = all.or(power);
            }
            power = power.or(power);
            left >>= 1;
        }
        all
    }
}

/// Symbols of a codeword of RS(544,514), the forward error correction of 100 Gb/s lanes and faster.
const SYMBOLS: u32 = 544;
/// Symbols in error that it corrects.
const CORRECTED: u32 = 15;
/// Bits of a symbol.
const SYMBOL_BITS: u64 = 10;
/// Bits of frames that a codeword carries: of its 5440 bits 5140 are not parity, and those are 20 blocks
/// of 257 bits, which hold 256 each.
const CODEWORD_PAYLOAD_BITS: u64 = 5_120;

/// How often frames arrive in error on one direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum FrameErrors {
    /// Never.
    #[default]
    None,
    /// By this chance, whatever their length.
    Frame(Chance),
    /// When one of their bits is, by this chance; for links without forward error correction.
    Bit(Chance),
    /// When a codeword they touch could not be corrected, by this chance.
    Codeword(Chance),
}

impl FrameErrors {
    /// Errors after RS(544,514), when bits are wrong by the chance `ber` before it, each for itself.
    pub fn after_fec(ber: f64) -> FrameErrors {
        FrameErrors::Codeword(Chance::new(codeword_failure(ber)))
    }

    /// The chance that a frame of `bytes` arrives in error.
    pub fn of(self, bytes: u64) -> Chance {
        let bits = 8 * bytes;
        match self {
            FrameErrors::None => Chance(0),
            FrameErrors::Frame(chance) => chance,
            FrameErrors::Bit(chance) => chance.any_of(bits),
            FrameErrors::Codeword(chance) => {
                // A frame begins anywhere in a codeword, so by this part of a codeword it touches
                // one more.
                let (whole, part) = (bits / CODEWORD_PAYLOAD_BITS, bits % CODEWORD_PAYLOAD_BITS);
                let (few, many) = (chance.any_of(whole + 1), chance.any_of(whole + 2));
                let more = u128::from(many.0 - few.0) * u128::from(part);
                Chance(few.0 + (more / u128::from(CODEWORD_PAYLOAD_BITS)) as u64)
            }
        }
    }
}

/// The chance that more symbols of a codeword are wrong than can be corrected: the upper tail of a
/// binomial distribution. Only `+ − × ÷`, so every machine gets the same.
fn codeword_failure(ber: f64) -> f64 {
    let mut bits_right = 1.0;
    for _ in 0..SYMBOL_BITS {
        bits_right *= 1.0 - ber;
    }
    let (wrong, right) = (1.0 - bits_right, bits_right);
    if wrong <= 0.0 || right <= 0.0 {
        return wrong;
    }
    let mut term = 1.0;
    for _ in 0..SYMBOLS {
        term *= right;
    }
    let mut failure = 0.0;
    for errors in 0..SYMBOLS {
        // From the chance of exactly `errors` wrong symbols to that of one more.
        term *= f64::from(SYMBOLS - errors) / f64::from(errors + 1) * (wrong / right);
        if errors + 1 > CORRECTED {
            failure += term;
        }
    }
    failure
}

/// The largest bit error rate for which [`FrameErrors::after_fec`] is exact: beyond it the chance of no
/// error in a codeword is too small for a float, and every frame is lost long before.
pub const MOST_BIT_ERRORS: f64 = 0.01;

/// Which links have link-level retry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum LinkSet {
    /// All.
    #[default]
    All,
    /// Those between a host and a switch.
    Host,
    /// Those between switches.
    Switch,
}

impl LinkSet {
    /// Whether a link between `a` and `b` belongs to the set, in a graph with `hosts` hosts.
    pub const fn contains(self, a: NodeId, b: NodeId, hosts: u32) -> bool {
        match self {
            LinkSet::All => true,
            LinkSet::Host => a.0 < hosts || b.0 < hosts,
            LinkSet::Switch => a.0 >= hosts && b.0 >= hosts,
        }
    }
}

/// Link-level retry. The defaults are the standard's (`link.md` §1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LlrConfig {
    /// The links that have it.
    pub links: LinkSet,
    /// Frames sent and not acknowledged at which the sender stops; at most 2¹⁹, half the sequence
    /// numbers.
    pub outstanding_frames: u32,
    /// Bytes sent and not acknowledged at which the sender stops.
    pub outstanding_bytes: u64,
    /// Replay when neither acknowledgement nor NACK has come this long after a frame left.
    pub replay_timer: Span,
    /// Replays of one frame before it is given up; 255: never.
    pub replays: u8,
}

/// In [`LlrConfig::replays`]: no limit.
pub const UNLIMITED_REPLAYS: u8 = 255;

impl Default for LlrConfig {
    fn default() -> LlrConfig {
        LlrConfig {
            links: LinkSet::All,
            outstanding_frames: 2_047,
            outstanding_bytes: 64 << 20,
            replay_timer: Span::from_nanos(65_535),
            replays: UNLIMITED_REPLAYS,
        }
    }
}

/// Length of a control ordered set in byte times: acknowledgements, NACKs and credit updates.
pub const ORDERED_SET_BYTES: u64 = 8;

/// What a NACK takes from the end of a frame in error to the sender: the link twice, and an ordered set.
///
/// Link-level retry works between the ends of the link, so a receiver's pipeline is no part of it.
pub fn llr_answer(rate: Rate, delay: Span) -> Span {
    delay * 2 + rate.time_for(ORDERED_SET_BYTES)
}

/// Bytes of one credit.
pub const CELL: u64 = 64;
/// Bytes counted for a frame besides its own length.
const CELL_OVERHEAD: i64 = -4;
/// Credits freed that a receiver collects before it tells: 2 KiB, the least distance of two ordered sets
/// within a frame.
pub const COALESCED_CELLS: u32 = 32;

/// Credits that a frame of `bytes` takes: ⌈(bytes − 4) / 64⌉.
#[inline]
pub const fn cells(bytes: u64) -> u32 {
    (bytes as i64 + CELL_OVERHEAD).unsigned_abs().div_ceil(CELL) as u32
}

/// Credit-based flow control of the lossless classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CreditConfig {
    /// Buffer of an ingress port for each lossless class, in bytes; `None`: what keeps the link busy.
    pub bytes: Option<u64>,
    /// The longest frame. A class waits until there is room for one.
    pub frame: u16,
}

impl CreditConfig {
    /// The least buffer: less might stall for ever, because freed credits are told in parts.
    pub fn least_bytes(&self) -> u64 {
        u64::from(cells(u64::from(self.frame)) + COALESCED_CELLS) * CELL
    }

    /// Credits of a class on a link at `rate` whose latencies in both directions sum up to `round_trip`.
    ///
    /// Unless said otherwise: the round trip at the link's rate in full frames, a frame that arrives, a
    /// frame that leaves (it is freed when its last byte has), and the credits that the receiver
    /// collects.
    pub fn limit(&self, rate: Rate, round_trip: Span) -> u32 {
        match self.bytes {
            Some(bytes) => (bytes / CELL) as u32,
            None => {
                let frame = u64::from(self.frame);
                let frames = rate.bytes_in(round_trip).div_ceil(frame) as u32 + 2;
                frames * cells(frame) + COALESCED_CELLS
            }
        }
    }
}

/// What all links do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LinkConfig {
    /// Errors on every direction of every link.
    pub errors: FrameErrors,
    /// Link-level retry.
    pub llr: Option<LlrConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(found: f64, expected: f64, part: f64) {
        assert!((found / expected - 1.0).abs() < part, "{found:e} is not {expected:e}");
    }

    fn close(found: f64, expected: f64) {
        within(found, expected, 1e-9);
    }

    /// The chance of a codeword beyond correction is the binomial tail, computed elsewhere in exact
    /// fractions.
    #[test]
    fn a_codeword_fails_by_the_binomial_tail() {
        for (ber, expected) in [
            (1e-2, 0.999_999_999_617_379_4),
            (1e-3, 1.530_258_592_806_003_6e-4),
            (2.4e-4, 8.151_573_399_341_547e-13),
            (1e-4, 1.359_811_064_761_759_3e-18),
        ] {
            close(codeword_failure(ber), expected);
        }
        assert_eq!(codeword_failure(0.0), 0.0);
    }

    /// Chances combine like independent events: exact at the ends, to the last bits between.
    #[test]
    fn chances_combine() {
        let tenth = Chance::new(0.1);
        close(tenth.any_of(3).0 as f64 / Chance::new(1.0).0 as f64, 1.0 - 0.729);
        assert_eq!(tenth.any_of(0), Chance(0));
        assert_eq!(tenth.any_of(1), tenth);
        assert_eq!(Chance::new(2.0), Chance(u64::MAX));
        assert!(Chance(u64::MAX).any_of(72_000) >= Chance(u64::MAX - 64));
        assert_eq!(Chance::new(1e-12).any_of(1_000).0.div_ceil(1_000), Chance::new(1e-12).0);
    }

    /// A frame of 4200 bytes touches 7.5625 codewords on average and so fails that many times as often.
    #[test]
    fn longer_frames_are_hit_more_often() {
        let share = |errors: FrameErrors, bytes| errors.of(bytes).0 as f64 / 2f64.powi(64);
        let fec = FrameErrors::after_fec(2.4e-4);
        // Chances are whole multiples of 2^-64, 5e-20.
        within(share(fec, 4_200), 8.151_573_399_341_547e-13 * 7.562_5, 1e-6);
        within(
            share(FrameErrors::Bit(Chance::new(1e-9)), 125),
            1e-6 - 1e3 * 999.0 / 2.0 * 1e-18,
            1e-9,
        );
        assert_eq!(share(FrameErrors::Frame(Chance::new(0.5)), 64), 0.5);
        assert_eq!(share(FrameErrors::None, 9_000), 0.0);
    }

    /// Credits of a frame by the standard's formula, and the default limit of a 400 Gb/s link.
    #[test]
    fn credits_follow_the_formula() {
        for (bytes, credits) in [(64, 1), (68, 1), (69, 2), (4_202, 66), (4_228, 66), (4_229, 67)] {
            assert_eq!(cells(bytes), credits, "{bytes} B");
        }
        let config = CreditConfig { bytes: None, frame: 4_202 };
        let limit = config.limit(Rate::from_gbps(400), Span::from_micros(2));
        // 100,000 bytes are 23.8 frames.
        assert_eq!(limit, (24 + 2) * 66 + 32);
        assert_eq!(config.least_bytes(), 98 * 64);
    }
}
