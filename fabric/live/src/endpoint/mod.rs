//! UET and RoCE over real sockets: the transports of the engine, run by the clock, with real bytes.
//!
//! # Map of the code
//! - [`config`]: which transport, and its options for a software path
//! - [`host`]: a transport outside of the engine, with the bytes of its messages; it knows no socket and no clock
//! - `uet`, `roce`: its packets as datagrams and back, with what connections have to remember for that
//! - [`sockets`]: UDP, and what a switch has trimmed
//! - [`node`]: the loop that keeps a host, its sockets and the clock together
//! - [`jobs`]: what endpoints do: send, receive, ping-pong, all-reduce
//!
//! Ranks are numbered by their place in a list of addresses that all of them have.

pub mod config;
pub mod host;
pub mod jobs;
pub mod node;
mod roce;
pub mod sockets;
mod uet;
