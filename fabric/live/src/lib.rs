//! Real hosts on the emulated fabric, in wall-clock time.
//!
//! An attached host sends frames into the fabric as its NIC would, and gets those that reach it, changed as switches would
//! have changed them. In between they are packets of the engine, among those of simulated hosts: the same links, queues,
//! marks, trims, pauses and faults.
//!
//! # Map of the code
//! - [`frame`]: what a frame is and where it wants to go; [`leave`]: what the fabric changed, written into its bytes
//! - [`directory`]: whose address is whose
//! - [`yard`]: frames within the fabric; [`gate`]: the endpoint that takes them in and gives them out; [`answer`]: simulated hosts
//!   that answer
//! - [`motor`]: the engine, run up to a moment and changed at it; [`pace`]: emulated time against the clock, and the lag;
//!   [`session`]: the loop that runs both
//! - [`control`]: orders to the loop, and what it shows: HTTP, a page, metrics
//! - [`capture`]: frames with their bytes as they pass ports; [`offload`]: interfaces whose frames are not those of a wire
//! - [`wire`]: raw sockets; [`space`]: network namespaces and interfaces, made and removed
//! - [`journal`]: what was injected and when, to be replayed
//! - [`endpoint`]: UET and RoCE over real sockets
//!
//! Times within are emulated ones; only [`pace`] and [`session`] know the clock.

pub mod answer;
pub mod capture;
pub mod control;
pub mod directory;
pub mod endpoint;
pub mod error;
pub mod frame;
pub mod gate;
pub mod journal;
pub mod leave;
pub mod motor;
pub mod offload;
pub mod pace;
pub mod session;
pub mod space;
pub mod wire;
pub mod yard;
