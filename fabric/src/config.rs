//! How switches and NICs behave: classes, queues, marking, trimming, buffers, routing.

use serde::{Deserialize, Serialize};

use crate::ids::{Class, HostId, NodeId};
use crate::link::{CreditConfig, LinkConfig};
use crate::shape::Paths;
use crate::units::{Rate, Ratio, Span, Time};

/// Explicit congestion notification of one queue.
///
/// The chance of a mark grows linearly from 0 at `kmin` to `pmax` at `kmax` and is 1 above. The
/// decision falls at dequeue, on the bytes that stay behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ecn {
    /// Bytes below which nothing is marked.
    pub kmin: u64,
    /// Bytes above which all is marked.
    pub kmax: u64,
    /// Chance just below `kmax`.
    pub pmax: Ratio,
}

/// What happens to a packet that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// The arriving packet is dropped.
    TailDrop,
    /// By the toss of a coin the arriving packet or the newest in the queue is dropped.
    CoinDrop,
    /// The arriving packet is cut to `bytes` and moved to class `to`.
    Trim {
        /// Length of what is left.
        bytes: u16,
        /// Class of what is left.
        to: Class,
    },
    /// By the toss of a coin the arriving packet or the newest in the queue is cut (the composite
    /// queue, `uet-cc.md` §5.2; it avoids phase effects).
    CoinTrim {
        /// Length of what is left.
        bytes: u16,
        /// Class of what is left.
        to: Class,
    },
}

/// When a class is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Schedule {
    /// Before all classes of a higher number and before all weighted ones.
    Strict,
    /// Deficit round robin among the weighted classes, with this many bytes a round.
    Weighted(u32),
}

/// One traffic class of a port. Byte counts hold for a port at [`FabricConfig::reference_rate`] and
/// scale with the port's rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassConfig {
    /// Most bytes queued; `u64::MAX` leaves it to the shared buffer.
    pub limit: u64,
    /// Marking, if any.
    pub ecn: Option<Ecn>,
    /// What happens beyond the limit.
    pub overflow: Overflow,
    /// Its turn.
    pub schedule: Schedule,
    /// Protected by flow control: priority or credits, as [`FabricConfig::buffer`] says.
    pub lossless: bool,
}

/// A switch's shared buffer with priority flow control (`roce-dcqcn.md` §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SharedBuffer {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes in all of switches of the top tier, if they have others.
    pub top_tier_bytes: Option<u64>,
    /// Guaranteed to each port (and class in the accounting).
    pub reserve: u64,
    /// Headroom of a port in one-way bandwidth-delay products of its link (the mean of both
    /// directions, pipelines included); in addition to `headroom_bytes`.
    pub headroom_bdps: u64,
    /// Headroom of a port besides: frames in the way and in flight.
    pub headroom_bytes: u64,
    /// Dynamic threshold: alpha = 1 / 2^shift for ports at the reference rate; one less for each
    /// doubling of the port's rate.
    pub alpha_shift: u32,
    /// A pause ends this many bytes below the threshold.
    pub resume_offset: u64,
    /// What ends pauses that last too long.
    pub watchdog: Option<WatchdogConfig>,
}

/// When a PFC watchdog acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WatchdogConfig {
    /// A queue that was paused for so long without a break is emptied, and drops what comes.
    pub detect: Span,
    /// It drops for so long, and longer until its pause is over.
    pub restore: Span,
}

/// How a switch holds packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffer {
    /// Each egress queue has its own limit.
    PerQueue,
    /// One pool, with ingress accounting and PFC on lossless classes.
    Shared(SharedBuffer),
    /// A buffer for each ingress port and lossless class, held back by credits instead of pauses.
    Credits(CreditConfig),
}

/// By what a switch chooses among equal-cost ports on the way up. On the way down parallel links are
/// always chosen by hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Choice {
    /// Hash of flow, entropy value and the switch's salt (`uet-cc.md` §4).
    #[default]
    Ecmp,
    /// The port with the fewest bytes queued; among several, the first from the hashed one on.
    LeastQueue,
    /// The shorter queue of two ports drawn at random.
    TwoChoices,
    /// Each port in turn.
    RoundRobin,
}

/// How switches choose among equal ports, and how they learn of dead links.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routing {
    /// Choice among equal ports.
    pub choice: Choice,
    /// Packets of a flow that follow each other within this time take the same port; `None`: every
    /// packet chooses anew. Means nothing with [`Choice::Ecmp`].
    pub flowlet_gap: Option<Span>,
    /// From a change of a link to the moment at which all switches route by it; `None`: never.
    pub convergence: Option<Span>,
    /// Links that are down from time zero on are known to be, as if they had never been there.
    pub known_at_start: bool,
    /// Packets that do not choose.
    pub pins: Vec<Pin>,
    /// Which ways packets take, in graphs with a shape.
    pub paths: Paths,
}

impl Routing {
    /// How long after a change of a link at `at` switches know of it; `None`: never.
    pub(crate) fn known_after(&self, at: Time) -> Option<Span> {
        match at {
            Time::ZERO if self.known_at_start => Some(Span::ZERO),
            _ => self.convergence,
        }
    }
}

/// A switch sends packets that come from a given neighbour for a given host to a given neighbour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pin {
    /// The switch.
    pub at: NodeId,
    /// The neighbour they come from.
    pub from: NodeId,
    /// The host they are for.
    pub dst: HostId,
    /// The neighbour they go to.
    pub to: NodeId,
}

/// Everything about the fabric that is not in the graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FabricConfig {
    /// The rate for which byte counts in `classes` are given (the hosts' link rate).
    pub reference_rate: Rate,
    /// Classes of switch ports.
    pub classes: Vec<ClassConfig>,
    /// Classes of switch ports that face a host, where they differ.
    pub host_facing: Option<Vec<ClassConfig>>,
    /// Switch buffers.
    pub buffer: Buffer,
    /// Bytes each frame costs on the wire besides its own: preamble and gap (20), or 0.
    pub frame_overhead: u16,
    /// A host's fixed receive latency, from the end of a frame to its transport.
    pub host_latency: Span,
    /// Length of a PFC frame in bytes.
    pub pfc_bytes: u16,
    /// Errors and retry of links.
    pub link: LinkConfig,
    /// Routing.
    pub routing: Routing,
    /// In-band telemetry: what units of its records are multiplied by (1 at 25 Gb/s, growing with the
    /// rate); `None`: switches write nothing.
    pub telemetry: Option<u32>,
}
