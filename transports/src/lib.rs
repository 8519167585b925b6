//! Transport protocols of Ultraloom as sans-IO state machines.

pub mod common;
pub mod uet;
