//! What several transports share.
//!
//! - [`bits`]: a bitmap over a window of sequence numbers

pub mod bits;
