//! A target of the round-trip time that small windows raise (Swift, SIGCOMM 2020; STrack has the same).

use fabric::units::Span;

/// Windows between which the target is raised, in packets.
const SCALED: (f64, f64) = (0.1, 100.0);

/// The target in picoseconds for a window of `cwnd` packets: `target` for large ones, at most `range` more
/// for small ones, by the inverse of the window's root.
pub(crate) fn target_delay(target: Span, range: Span, cwnd: f64) -> f64 {
    let range = range.0 as f64;
    let (few, many) = SCALED;
    let alpha = range / (1.0 / few.sqrt() - 1.0 / many.sqrt());
    let beta = -alpha / many.sqrt();
    target.0 as f64 + (alpha / cwnd.sqrt() + beta).clamp(0.0, range)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At a tenth of a packet the whole range is added, from a hundred packets on nothing.
    #[test]
    fn small_windows_have_a_larger_target() {
        let of = |cwnd| target_delay(Span(20), Span(100), cwnd);
        assert_eq!([0.01, 0.1, 100.0, 500.0].map(of), [120.0, 120.0, 20.0, 20.0]);
        assert!(of(1.0) > of(2.0) && of(2.0) > 20.0);
    }
}
