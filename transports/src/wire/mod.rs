//! Wire formats: the bytes of what the model sends, and back.
//!
//! The model's packets are plain records; here they become frames, for captures and for real sockets. Facts:
//! `uet-wire.md`, as confirmed there by two sources unless its tables say otherwise.
//!
//! # Map of the code
//! - `layout`: one table of fields a header makes its view, representation and display
//! - [`pds`], [`ses`], [`tss`]: Ultra Ethernet; [`roce`]: RoCEv2; `tcp`: TCP; [`link`]: pauses, ordered sets
//! - [`crc`]: UET's CRC and RoCE's ICRC
//! - [`outer`]: Ethernet, IPv4 and UDP, which are smoltcp's
//! - [`compose`]: a model packet as a frame; [`receive`]: a datagram as a model packet; [`decode`]: a frame as text

pub mod compose;
pub mod crc;
pub mod decode;
pub mod layout;
pub mod link;
pub mod outer;
pub mod pds;
pub mod receive;
pub mod roce;
pub mod ses;
mod tcp;
#[cfg(test)]
mod tests;
pub mod tss;

pub use layout::WireError;
