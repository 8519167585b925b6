//! The engine and the network elements of Ultraloom.
//!
//! This package is pure: it reads no clock, file, socket, environment or global, and draws only from
//! streams keyed by seed and entity. What it is given decides what it gives back, to the bit, for any
//! number of threads and shards.
//!
//! # Map of the code
//! - What a fabric is made of: [`graph`] (hosts, switches, links, routes), [`config`] (classes,
//!   queues, buffers, routing), [`link`] (frame errors, retry, credits), [`fault`] (timed changes of links
//!   and switches), [`table`] (routes that no rule says), [`shape`] (ways that are not the shortest, virtual channels),
//!   [`detour`] (ways around dead links), `convergence` (when they are taken), [`changes`] (of a run that is on)
//! - How its ports are numbered: [`layout`]
//! - What hosts are made of: [`endpoint`] (the seam to transports), [`program`] (the seam to
//!   workloads)
//! - What is looked at: [`probe`] (counters, records), [`capture`] (frames at chosen ports),
//!   [`series`] (samples over time), [`watch`] (single messages), [`telemetry`] (what switches write into packets), `deadlock` (ports that wait for each other)
//! - From parts to a result: [`assemble`] builds a [`run::Run`]; running it gives a
//!   [`probe::RunRecord`], from the `part` of each process; [`store`]: its state, to go on later
//! - [`engine`]: windows, shards, threads; `net`: ports, switches, buffers, hosts
//! - Foundations: [`units`], [`ids`], [`rng`], [`packet`], [`digest`], [`error`]; `arena`, `fifo`
//!
//! # Invariants
//! - A packet that leaves a node within a window reaches no node that runs that window.
//! - Every window: packets created = delivered + dropped + in the arena, for every shard.
//! - Nothing on the packet path allocates once queues have reached their high-water mark.

pub(crate) mod arena;
pub mod assemble;
pub mod capture;
pub mod changes;
pub mod config;
pub(crate) mod convergence;
pub(crate) mod deadlock;
pub mod detour;
pub mod digest;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod fault;
pub(crate) mod fifo;
pub mod graph;
pub mod ids;
pub mod layout;
pub mod link;
pub(crate) mod net;
pub mod packet;
pub(crate) mod part;
pub mod probe;
pub mod program;
pub mod rng;
pub mod run;
pub mod series;
pub mod shape;
pub mod store;
pub mod table;
pub mod telemetry;
pub mod units;
pub mod watch;
