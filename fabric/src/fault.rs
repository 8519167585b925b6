//! Timed changes of links.

use crate::ids::LinkId;
use crate::units::{Ratio, Time};

/// What happens to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing passes any more: what is on the wire or leaves is lost.
    Down,
    /// Packets pass again.
    Up,
    /// The rate becomes this ratio of the built one; queue limits and thresholds too if `queues`.
    Rate {
        /// Ratio of the rate the link was built with.
        ratio: Ratio,
        /// Scale the egress queues as well.
        queues: bool,
    },
}

/// Which directions of a link a fault touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both.
    Both,
    /// From [`crate::graph::Link::a`] to `b`.
    Up,
    /// From [`crate::graph::Link::b`] to `a`.
    Down,
}

/// A change of a link at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Which link.
    pub link: LinkId,
    /// Which directions.
    pub direction: Direction,
    /// What.
    pub change: Change,
}
