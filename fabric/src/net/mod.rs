//! Network elements: what a packet meets between two hosts.
//!
//! - [`port`]: an egress port with its class queues, marking, trimming and scheduling
//! - [`profile`]: its configuration, scaled and ready for the hot path
//! - [`buffer`]: the shared buffer of a lossless switch, with PFC decisions
//! - [`link`]: the link layer of a port: losses, [`llr`] (link-level retry), [`credit`]
//! - [`route`]: the equal-cost choice by hash; [`steer`]: all other choices, and detours
//! - [`switch`]: a window of a switch; [`shared`]: of one with lossless classes; [`watchdog`]: what ends
//!   its pauses
//! - [`host`]: a window of a host: NIC, transport, program
//! - `tap`: captures
//! - [`outlet`]: what departing packets touch: arena, wires; [`mail`]: packets that change shards

pub(crate) mod buffer;
pub(crate) mod credit;
pub(crate) mod host;
pub(crate) mod indirect;
pub(crate) mod link;
pub(crate) mod llr;
pub(crate) mod mail;
pub(crate) mod outlet;
pub(crate) mod port;
pub(crate) mod profile;
pub(crate) mod route;
pub(crate) mod shared;
pub(crate) mod steer;
pub(crate) mod switch;
pub(crate) mod tap;
pub(crate) mod watchdog;
