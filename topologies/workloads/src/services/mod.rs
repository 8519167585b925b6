//! Services: clients that ask servers, and what it takes until they have their answers.
//!
//! - [`requests`]: reads and writes: memory pools, key-value stores, storage, checkpoints
//! - [`agents`]: calls to many tools at once, whose answers come together
//! - [`serving`]: inference with prefill and decoding on different accelerators
//! - this file: when requests come

pub mod agents;
pub mod requests;
pub mod serving;

use fabric::rng::SplitMix64;
use fabric::units::{Span, Time};

use crate::math::ln;

/// When clients ask.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Arrivals {
    /// A client has so many requests under way, and asks again as soon as one is answered.
    Closed {
        /// Under way at once.
        outstanding: u32,
    },
    /// Requests come at random (Poisson), whether or not the ones before are answered.
    Open {
        /// Requests a second of each client.
        rate: f64,
    },
}

/// Draws for one entity.
pub(crate) struct Draws(SplitMix64);

impl Draws {
    pub(crate) fn new(seed: u64, entity: u64) -> Draws {
        Draws(SplitMix64::new(fabric::rng::mix64(seed ^ (entity << 32))))
    }

    /// Uniform, from 0 up to 1, without 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `bound`.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u32
    }

    /// An exponential time with this mean, in picoseconds.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -ln(1.0 - self.share()) * mean
    }

    /// Which of the cumulative shares a draw falls into.
    pub(crate) fn pick(&mut self, cumulative: &[f64]) -> u32 {
        let share = self.share();
        cumulative.partition_point(|upto| *upto <= share).min(cumulative.len() - 1) as u32
    }

    /// Times of requests that come at random, of so many a second.
    pub(crate) fn arrivals(&mut self, rate: f64, count: u32) -> Vec<Time> {
        let mut now = 0.0;
        let next = |_| {
            now += self.exponential(1e12 / rate);
            Time(now as u64)
        };
        (0..count).map(next).collect()
    }
}

/// Time to move bytes at a rate of so many a second.
pub(crate) fn moving(bytes: u64, bytes_per_second: Option<f64>) -> Span {
    Span(bytes_per_second.map_or(0, |rate| (bytes as f64 / rate * 1e12) as u64))
}
