//! Timed changes of links.

use crate::ids::LinkId;
use crate::link::FrameErrors;
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
    /// Frames arrive in error this often; `None`: as built.
    Errors(Option<FrameErrors>),
    /// Each frame is lost on the wire by this chance; zero: none.
    DropRandom(Ratio),
    /// Of so many frames, each direction, one is lost on the wire; zero: none.
    DropPeriodic(u32),
}

impl Change {
    /// Whether it changes what the link loses, without being up or down.
    pub(crate) const fn is_loss(&self) -> bool {
        matches!(self, Change::Errors(_) | Change::DropRandom(_) | Change::DropPeriodic(_))
    }
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
