//! The engine and the network elements of Ultraloom.

pub mod config;
pub mod endpoint;
pub mod engine;
pub mod error;
pub mod fault;
pub mod graph;
pub mod ids;
pub mod packet;
pub mod probe;
pub mod program;
pub mod rng;
pub mod units;
