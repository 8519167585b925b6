//! The engine: windows, shards, executors.

pub mod timers;
