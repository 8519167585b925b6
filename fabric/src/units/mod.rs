//! Time, bytes and rates as integers; nothing outside this module converts between them.
//!
//! [`Time`] and [`Span`] count picoseconds (213 days fit), [`Rate`] is kept as picoseconds per byte
//! in Q48.16 fixed point, so that 100, 200, 400 and 800 Gb/s (80, 40, 20, 10 ps/B) are exact and a
//! serialisation time is one multiplication and one shift.

mod parse;

pub use parse::{UnitError, parse_bytes, parse_length, parse_rate, parse_ratio, parse_span};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Mul, Sub};

/// An instant of the simulation, in picoseconds from its start.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A duration in picoseconds.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Span(pub u64);

impl Time {
    /// The start of the simulation.
    pub const ZERO: Time = Time(0);
    /// Later than every event: "never".
    pub const NEVER: Time = Time(u64::MAX);

    /// The span since `earlier`; zero if `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// This instant in microseconds, for people and records.
    pub fn as_micros(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Span {
        Span(nanos * 1_000)
    }

    /// A span of whole microseconds.
    pub const fn from_micros(micros: u64) -> Span {
        Span(micros * 1_000_000)
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis * 1_000_000_000)
    }

    /// This span in microseconds, for people and records.
    pub fn as_micros(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl Add<Span> for Time {
    type Output = Time;
    #[inline]
    fn add(self, span: Span) -> Time {
        Time(self.0 + span.0)
    }
}

impl AddAssign<Span> for Time {
    #[inline]
    fn add_assign(&mut self, span: Span) {
        self.0 += span.0;
    }
}

impl Add for Span {
    type Output = Span;
    #[inline]
    fn add(self, other: Span) -> Span {
        Span(self.0 + other.0)
    }
}

impl Sub for Span {
    type Output = Span;
    #[inline]
    fn sub(self, other: Span) -> Span {
        Span(self.0 - other.0)
    }
}

impl Mul<u64> for Span {
    type Output = Span;
    #[inline]
    fn mul(self, factor: u64) -> Span {
        Span(self.0 * factor)
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Span>>(spans: I) -> Span {
        Span(spans.map(|span| span.0).sum())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Span(self.0).fmt(f)
    }
}

impl fmt::Display for Span {
    /// Writes the span in the largest unit that keeps it at one or more: `12.5057 us`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scale, unit) = match self.0 {
            0..1_000 => return write!(f, "{} ps", self.0),
            1_000..1_000_000 => (1e3, "ns"),
            1_000_000..1_000_000_000 => (1e6, "us"),
            1_000_000_000..1_000_000_000_000 => (1e9, "ms"),
            _ => (1e12, "s"),
        };
        write!(f, "{} {unit}", self.0 as f64 / scale)
    }
}

/// A link or sending rate: picoseconds per byte in Q48.16 fixed point.
///
/// The slowest rate that can be written is 1 Mb/s, the fastest 100 Tb/s (see [`parse_rate`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Rate {
    ps_per_byte_q16: u64,
}

/// Picoseconds a second, times eight bits, in Q48.16: dividing it by bits a second gives the rate.
const PS_BITS_Q16: u128 = (8 * 1_000_000_000_000u128) << 16;

impl Rate {
    /// The rate of `bits` a second.
    ///
    /// # Panics
    /// If `bits` is zero.
    pub const fn from_bits_per_second(bits: u64) -> Rate {
        assert!(bits > 0, "a rate of zero never sends");
        Rate { ps_per_byte_q16: ((PS_BITS_Q16 + bits as u128 / 2) / bits as u128) as u64 }
    }

    /// The rate of `gigabits` (10⁹ bits) a second.
    pub const fn from_gbps(gigabits: u64) -> Rate {
        Rate::from_bits_per_second(gigabits * 1_000_000_000)
    }

    /// Bits a second, rounded to the nearest.
    pub const fn bits_per_second(self) -> u64 {
        ((PS_BITS_Q16 + self.ps_per_byte_q16 as u128 / 2) / self.ps_per_byte_q16 as u128) as u64
    }

    /// The time that `bytes` take at this rate, to the picosecond below.
    #[inline]
    pub const fn time_for(self, bytes: u64) -> Span {
        Span((bytes * self.ps_per_byte_q16) >> 16)
    }

    /// The bytes that fit into `span` at this rate, rounded down.
    pub const fn bytes_in(self, span: Span) -> u64 {
        (((span.0 as u128) << 16) / self.ps_per_byte_q16 as u128) as u64
    }

    /// This rate times `ratio`.
    pub const fn scaled(self, ratio: Ratio) -> Rate {
        let inverse = self.ps_per_byte_q16 as u128 * ratio.denominator as u128;
        Rate { ps_per_byte_q16: (inverse / ratio.numerator as u128) as u64 }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits_per_second() as f64;
        match bits {
            _ if bits >= 1e12 => write!(f, "{} Tb/s", bits / 1e12),
            _ if bits >= 1e9 => write!(f, "{} Gb/s", bits / 1e9),
            _ => write!(f, "{} Mb/s", bits / 1e6),
        }
    }
}

/// An exact non-negative fraction: probabilities, weights, scale factors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// Above the line.
    pub numerator: u32,
    /// Below the line; never zero.
    pub denominator: u32,
}

impl Ratio {
    /// One.
    pub const ONE: Ratio = Ratio { numerator: 1, denominator: 1 };

    /// `numerator / denominator`.
    ///
    /// # Panics
    /// If `denominator` is zero.
    pub const fn new(numerator: u32, denominator: u32) -> Ratio {
        assert!(denominator > 0, "a ratio over zero");
        Ratio { numerator, denominator }
    }

    /// `value` times this ratio, rounded down.
    #[inline]
    pub const fn of(self, value: u64) -> u64 {
        (value as u128 * self.numerator as u128 / self.denominator as u128) as u64
    }

    /// This ratio as a float, for tables and set-up code.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet's rates are whole picoseconds a byte, so serialisation is exact.
    #[test]
    fn serialisation_of_standard_rates_is_exact() {
        for (gbps, ps) in [(100, 80), (200, 40), (400, 20), (800, 10), (1600, 5)] {
            assert_eq!(Rate::from_gbps(gbps).time_for(4_150), Span(4_150 * ps));
            assert_eq!(Rate::from_gbps(gbps).bits_per_second(), gbps * 1_000_000_000);
        }
    }

    /// A scaled rate takes proportionally longer.
    #[test]
    fn a_quarter_of_the_rate_takes_four_times_as_long() {
        let slow = Rate::from_gbps(400).scaled(Ratio::new(1, 4));
        assert_eq!(slow, Rate::from_gbps(100));
    }

    /// Bytes in a span invert the time for bytes.
    #[test]
    fn bytes_in_inverts_time_for() {
        let rate = Rate::from_gbps(400);
        assert_eq!(rate.bytes_in(rate.time_for(123_456)), 123_456);
    }
}
