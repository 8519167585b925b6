//! What several transports share.
//!
//! - [`bits`]: a bitmap over a window of sequence numbers
//! - `frugal`: lists that are short
//! - `target`: a target of the round-trip time by the size of the window
//! - `pair` (tests only): endpoints joined without a fabric

pub mod bits;
pub(crate) mod frugal;
#[cfg(test)]
pub(crate) mod pair;
pub(crate) mod target;
