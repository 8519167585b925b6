//! Emulated time against the clock, and how late things are.

use std::time::{Duration, Instant};

use fabric::units::{Span, Time};
use hdrhistogram::Histogram;
use serde::Serialize;
use utoipa::ToSchema;

/// Longest lag that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// Emulated time by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    /// Seconds of the clock for a second of emulated time.
    dilation: f64,
}

impl Pace {
    /// Emulated time begins at `start`.
    pub fn new(start: Instant, dilation: f64) -> Pace {
        Pace { start, dilation }
    }

    /// Emulated time has stood still for so long.
    pub fn stand(&mut self, real: Duration) {
        self.start += real;
    }

    /// The emulated time of a moment; zero before the start.
    pub fn emulated(&self, moment: Instant) -> Time {
        Time::ZERO + self.span(moment.saturating_duration_since(self.start))
    }

    /// How much emulated time passes in so much of the clock's.
    pub fn span(&self, real: Duration) -> Span {
        Span((real.as_nanos() as f64 * 1e3 / self.dilation) as u64)
    }

    /// How long an emulated span takes.
    pub fn real(&self, span: Span) -> Duration {
        Duration::from_nanos((span.0 as f64 * self.dilation / 1e3) as u64)
    }

    /// The moment of an emulated time.
    pub fn moment(&self, time: Time) -> Instant {
        self.start + self.real(Span(time.0))
    }
}

/// How late frames were handed over.
#[derive(Clone, Debug)]
pub struct Lag(Histogram<u64>);

impl Default for Lag {
    fn default() -> Lag {
        Lag(Histogram::new_with_bounds(1, LONGEST, 3).expect("constants are within bounds"))
    }
}

impl Lag {
    /// A frame that was due at `due` is handed over at `now`.
    pub fn note(&mut self, due: Instant, now: Instant) {
        let late = now.saturating_duration_since(due).as_nanos() as u64;
        self.0.saturating_record(late.max(1));
    }

    /// What is told of it.
    pub fn figures(&self) -> LagFigures {
        let of = |share: f64| self.0.value_at_quantile(share) as f64 / 1e3;
        if self.0.is_empty() {
            return LagFigures::default();
        }
        LagFigures {
            frames: self.0.len(),
            p50_us: of(0.5),
            p99_us: of(0.99),
            p999_us: of(0.999),
            max_us: self.0.max() as f64 / 1e3,
        }
    }
}

/// Percentiles of the lag, in microseconds of the clock.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct LagFigures {
    /// Frames handed over.
    pub frames: u64,
    /// Half of them were no later.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1,000: what the tolerance is held against.
    pub p999_us: f64,
    /// The latest.
    pub max_us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a dilation of 100 a microsecond takes 100, and there and back is the same moment.
    #[test]
    fn dilated_time_goes_slower() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let pace = Pace::new(start, 100.0);
        let later = start + Duration::from_micros(500);
        assert_eq!(pace.emulated(later), Time(5_000_000));
        assert_eq!(pace.moment(Time(5_000_000)), later);
        assert_eq!(pace.emulated(start - Duration::from_micros(1)), Time::ZERO);
        let mut stood = pace;
        stood.stand(Duration::from_micros(200));
        assert_eq!(stood.emulated(later), Time(3_000_000), "it stood still in between");
    }

    /// Percentiles of lags are those of the list.
    #[test]
    fn lags_have_percentiles() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let mut lag = Lag::default();
        assert_eq!(lag.figures(), LagFigures::default());
        (1..=1_000).for_each(|us| lag.note(start, start + Duration::from_micros(us)));
        let figures = lag.figures();
        assert!((figures.p50_us - 500.0).abs() < 1.0 && (figures.max_us - 1_000.0).abs() < 1.0);
    }
}
