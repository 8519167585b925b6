//! What several transports share.
//!
//! - [`bits`]: a bitmap over a window of sequence numbers
//! - `pair` (tests only): endpoints joined without a fabric

pub mod bits;
#[cfg(test)]
pub(crate) mod pair;
