//! Why a fabric could not be assembled or changed. Broken invariants at run time are panics, not errors.

use crate::units::Span;

/// A graph and configuration that cannot run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssembleError {
    /// A link without any latency leaves no lookahead.
    #[error("the link {link} has no latency at all; give it at least 1 ps of delay")]
    NoLookahead {
        /// The ends of the link.
        link: String,
    },
    /// A node has more ports than the order key can hold.
    #[error("{node} has {ports} ports; at most {most} are possible")]
    TooManyPorts {
        /// The node.
        node: String,
        /// Ports it has.
        ports: usize,
        /// Ports it may have.
        most: usize,
    },
    /// A host without a link.
    #[error("{node} has no link")]
    Unconnected {
        /// The node.
        node: String,
    },
    /// The shared buffer is smaller than what is set aside of it.
    #[error(
        "the shared buffer of {node} has {buffer} B, but reserves and headroom of its {ports} ports take {needed} B"
    )]
    BufferTooSmall {
        /// The switch.
        node: String,
        /// Bytes it has.
        buffer: u64,
        /// Ports it has.
        ports: usize,
        /// Bytes set aside.
        needed: u64,
    },
    /// Lossless traffic would need more traffic classes than there are, or than are given.
    #[error(
        "lossless traffic needs {needed} virtual channels to be free of deadlock in this topology; {given} are possible"
    )]
    TooFewChannels {
        /// Channels it needs.
        needed: u32,
        /// Channels there are.
        given: u32,
    },
    /// Virtual channels and credits of links exclude each other.
    #[error(
        "credit-based flow control has no virtual channels, which lossless traffic needs in this topology"
    )]
    CreditsWithChannels,
    /// Fewer credits than a frame takes, and some more that are told late.
    #[error("credits for {bytes} B are too few; a class needs at least {least} B")]
    CreditsTooFew {
        /// Bytes of a class.
        bytes: u64,
        /// Bytes it needs.
        least: u64,
    },
}

/// A link cannot become as short while the run is on: nodes already run ahead of each other by more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a delay of {delay} is too short; {shortest} is the least while the run is on")]
pub struct TooShort {
    /// The delay asked for.
    pub delay: Span,
    /// The shortest possible.
    pub shortest: Span,
}
