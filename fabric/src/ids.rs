//! Dense identifiers: every table of the fabric is a `Vec` indexed by one of these.

use serde::{Deserialize, Serialize};

/// Declares a newtype over `u32` that indexes a table.
macro_rules! dense_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[derive(Serialize, Deserialize)]
pub struct $name(pub u32);

        impl $name {
            /// The table index.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

dense_id!(
    /// A host: one NIC with one or more ports. Hosts count from zero.
    HostId
);
dense_id!(
    /// A node of the graph: hosts first (same numbers as [`HostId`]), then switches.
    NodeId
);
dense_id!(
    /// A full-duplex port, numbered over the whole fabric: all ports of node 0, then of node 1, …
    PortId
);
dense_id!(
    /// A full-duplex link, in the order of the graph's list.
    LinkId
);
dense_id!(
    /// A message of the workload, unique over the run; the workload chooses the number.
    MessageId
);

/// A traffic class of a port, 0 being the one served first among strict classes.
///
/// A port has at most [`crate::packet::CLASSES`] of them.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Class(pub u8);

impl Class {
    /// Control: acknowledgements and credits; trimmed packets where they have no class of their own.
    pub const CONTROL: Class = Class(0);
    /// Data.
    pub const DATA: Class = Class(1);
    /// Trimmed packets, where they share with data by weight.
    pub const TRIMMED: Class = Class(2);
    /// A link's own frames (PFC): in no queue, never routed.
    pub(crate) const LINK: Class = Class(7);

    /// The table index.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The bit of this class in a class mask.
    #[inline]
    pub const fn bit(self) -> u8 {
        1 << self.0
    }
}
