//! Topologies: how hosts and switches are wired, where ranks sit, and how a fabric is cut into shards.
//!
//! Pure: importers take text, not files.
//!
//! # Map of the code
//! - Trees: [`clos`] of one to three tiers; [`build`]: fat tree, leaf-spine, single switch, dumbbell; [`rails`];
//!   what is done to them: [`planes`], [`buildings`], [`scale_up`]
//! - [`direct`]: dragonfly, HyperX, torus, slim fly; [`routes`]: tables of shortest ways
//! - Files: [`htsim_topo`]: the reference simulator's `.topo`; [`ns3_topo`]: those of the HPCC
//!   authors' model and SimAI; [`astra`]: astra-sim's; [`named`]: GraphML, `ibnetdiscover`, tables of neighbours;
//!   [`wiring`]: what they have in common
//! - [`properties`]: diameter, base round trip; [`ideal`]: what slowdowns are measured against;
//!   [`check`]: every route arrives; [`channels`]: none waits for itself
//! - [`describe`]: a fabric in figures; [`export`]: GraphML and DOT
//! - [`partition`]: nodes to shards; [`placement`]: ranks to hosts; [`links`]: links by name
//! - [`text`]: positions in files and nearest words, for errors

pub mod astra;
pub mod build;
pub mod buildings;
pub mod channels;
pub mod check;
pub mod clos;
pub mod describe;
pub mod direct;
pub mod error;
pub mod export;
pub mod htsim_topo;
pub mod ideal;
pub mod links;
pub mod named;
pub mod ns3_topo;
pub mod partition;
pub mod placement;
pub mod planes;
pub mod properties;
pub mod rails;
pub mod routes;
pub mod scale_up;
pub mod text;
pub mod wiring;
