//! Figures, as SVG and PNG: readable in print, in palettes that stay apart for colour-blind readers.
//!
//! - [`style`]: what all of them share
//! - [`completion`]: distributions of completion times; [`fidelity`]: differences from a reference
//! - [`lines`]: lines over an axis, with intervals; [`heat`]: load of links over time

pub mod completion;
pub mod fidelity;
pub mod heat;
pub mod lines;
pub mod style;

pub use style::png;
