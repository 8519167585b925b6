//! Transport protocols of Ultraloom as sans-IO state machines.
//!
//! A transport implements [`fabric::endpoint::Endpoint`]: it is told what happened and asked what to
//! send. It never sees a topology, a clock or another host's state.
//!
//! # Map of the code
//! - [`uet`]: Ultra Ethernet Transport
//! - [`roce`]: RDMA over converged Ethernet, version 2
//! - [`sprayed`]: NDP, and what is known of SRD and STrack
//! - [`tcp`]: smoltcp's stack on a dilated clock
//! - [`any`]: one type for all of them
//! - [`wire`]: the bytes of what they send
//! - [`common`]: what they share

pub mod any;
pub mod common;
pub mod roce;
pub mod sprayed;
pub mod tcp;
pub mod uet;
pub mod wire;

pub use any::AnyEndpoint;
