//! Topologies: how hosts and switches are wired, where ranks sit, and how a fabric is cut into shards.
//!
//! Pure: importers take text, not files.
//!
//! # Map of the code
//! - [`clos`]: trees of one to three tiers; [`build`]: fat tree, leaf-spine, single switch, dumbbell
//! - [`htsim_topo`]: the reference simulator's `.topo` files; [`ns3_topo`]: those of the HPCC authors' model
//! - [`properties`]: diameter, base round trip; [`ideal`]: what slowdowns are measured against;
//!   [`check`]: every route arrives
//! - [`partition`]: nodes to shards; [`placement`]: ranks to hosts; [`links`]: links by name
//! - [`text`]: positions in files and nearest words, for errors

pub mod build;
pub mod check;
pub mod clos;
pub mod error;
pub mod htsim_topo;
pub mod ideal;
pub mod links;
pub mod ns3_topo;
pub mod partition;
pub mod placement;
pub mod properties;
pub mod text;
