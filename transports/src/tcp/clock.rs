//! The emulation's time as the stack sees it: so many times faster.
//!
//! The stack counts microseconds and milliseconds, and its timers suit paths of 100 ms (RFC 6298: no
//! retransmission timeout below 1 s). A fabric's round trip is 10,000 times shorter. With its clock
//! running that much faster, timers stand to round trips as they do on the Internet, and CUBIC's
//! curve, which is one of time, does too.

use fabric::units::{Span, Time};
use smoltcp::time::Instant;

/// The round trip that the stack's timers suit.
const INTERNET: Span = Span::from_millis(100);
/// Picoseconds of a microsecond.
const PER_MICRO: u128 = 1_000_000;

/// How many times faster the stack's clock runs, so that `base_rtt` is 100 ms to it; at least 1.
pub fn dilation(base_rtt: Span) -> u32 {
    (INTERNET.0 / base_rtt.0.max(1)).clamp(1, u64::from(u32::MAX)) as u32
}

/// The stack's clock at `time`: microseconds, rounded down.
pub fn instant(time: Time, dilation: u32) -> Instant {
    Instant::from_micros((u128::from(time.0) * u128::from(dilation) / PER_MICRO) as i64)
}

/// The first time at which the stack's clock shows `instant`.
pub fn time(instant: Instant, dilation: u32) -> Time {
    let micros = instant.total_micros().max(0) as u128;
    Time((micros * PER_MICRO).div_ceil(u128::from(dilation)) as u64)
}
