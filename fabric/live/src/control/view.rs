//! What is shown of a session: what never changes ([`Topology`]), and how it stands ([`Snapshot`]).
//!
//! Names carry their units: `_us` microseconds, `_bps` bits a second, shares from 0 to 1. Links and hosts are numbered as in the
//! scenario's fabric.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::pace::LagFigures;

/// The fabric as it was built, with places to draw it at.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Topology {
    /// Name of the scenario.
    pub name: String,
    /// Width of the drawing.
    pub width: f64,
    /// Height of the drawing.
    pub height: f64,
    /// Hosts first, by number, then switches.
    pub nodes: Vec<Node>,
    /// Links, by number.
    pub links: Vec<Link>,
}

/// A host or switch.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Node {
    /// Its name, as scenarios write it: `host:0`, `leaf:1`.
    pub name: String,
    /// 0 for hosts, else one more than the switch's tier.
    pub level: u8,
    /// A real host is attached.
    pub attached: bool,
    /// Where to draw it, from the left.
    pub x: f64,
    /// Where to draw it, from the top.
    pub y: f64,
}

/// A link as it was built.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Link {
    /// Number.
    pub id: u32,
    /// Name of one end, the lower.
    pub a: String,
    /// Name of the other.
    pub b: String,
    /// Bits a second.
    pub rate_bps: u64,
    /// Propagation delay.
    pub delay_us: f64,
}

/// Whether emulated time goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has not begun.
    #[default]
    Starting,
    /// It goes on.
    Running,
    /// It stands still.
    Paused,
    /// It is over.
    Over,
}

/// How a session stands.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Status {
    /// Name of the scenario.
    pub name: String,
    /// Whether emulated time goes on.
    pub state: State,
    /// Emulated time.
    pub emulated_us: f64,
    /// How far the emulation is behind the clock, in the clock's time: more than a few milliseconds means that this machine is too
    /// slow for the fabric at this dilation.
    pub behind_us: f64,
    /// Seconds by the clock since it began, pauses included.
    pub wall_s: f64,
    /// Seconds of the clock for a second of emulated time.
    pub dilation: f64,
    /// How late frames were handed over.
    pub lag: LagFigures,
    /// Lag that 999 of 1,000 frames may have in a valid run.
    pub tolerance_us: f64,
    /// Hosts of the fabric.
    pub hosts: u32,
    /// Real hosts.
    pub attached: u32,
    /// Links that are down in some direction.
    pub links_down: u32,
    /// Changes ordered so far.
    pub changes: u64,
    /// Faults whose time is still to come.
    pub changes_waiting: u64,
    /// The latest changes, the newest last.
    pub recent: Vec<Happened>,
}

/// A change that was ordered.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Happened {
    /// Emulated time at which it was taken.
    pub emulated_us: f64,
    /// What it was.
    pub what: String,
}

/// Frames of attached hosts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Frames {
    /// Taken in from attached hosts, by kind.
    pub taken: BTreeMap<String, u64>,
    /// Handed to attached hosts.
    pub delivered: u64,
    /// Handed over marked (ECN).
    pub marked: u64,
    /// Handed over trimmed.
    pub trimmed: u64,
    /// For nobody that is known, or for everybody.
    pub undeliverable: u64,
    /// More than the NIC of an attached host had room for.
    pub dropped_nic: u64,
    /// Came while the session was paused.
    pub dropped_paused: u64,
    /// For simulated hosts, which did not answer them.
    pub unanswered: u64,
    /// For simulated hosts, and taken in by their stacks.
    pub answered: u64,
    /// Sent by the stacks of simulated hosts.
    pub answers: u64,
    /// Overwritten while on the way: more frames than there is memory for.
    pub overwritten: u64,
    /// Time to live was over.
    pub dropped_ttl: u64,
    /// Came faster than this machine could take them in.
    pub lost_in: u64,
    /// An interface of this machine did not take them.
    pub lost_out: u64,
}

/// Counters of the fabric, all ports together.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Totals {
    /// Packets sent by ports.
    pub packets: u64,
    /// Bytes sent by ports.
    pub bytes: u64,
    /// Packets lost, all causes.
    pub dropped: u64,
    /// Packets trimmed.
    pub trimmed: u64,
    /// Packets marked.
    pub ecn_marked: u64,
    /// Bytes in queues now.
    pub queue_bytes: u64,
}

/// An attached host.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Host {
    /// Its number.
    pub host: u32,
    /// Its first address.
    pub address: String,
    /// Frames taken in from it.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames handed to it.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

/// One direction of a link, at the port that sends on it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Way {
    /// Nothing passes.
    pub down: bool,
    /// Bits a second now.
    pub rate_bps: u64,
    /// Share of frames that are lost at random.
    pub loss: f64,
    /// Share of the rate used since the last snapshot, 0 to 1.
    pub load: f64,
    /// Bytes in the port's queues now.
    pub queue_bytes: u64,
    /// Most there have been.
    pub queue_bytes_max: u64,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Packets lost here, all causes.
    pub dropped: u64,
    /// Packets trimmed here.
    pub trimmed: u64,
    /// Packets marked here.
    pub ecn_marked: u64,
}

/// A link as it is now.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct LinkNow {
    /// Number.
    pub id: u32,
    /// Propagation delay.
    pub delay_us: f64,
    /// The shortest delay that it can be given while the session runs.
    pub delay_us_min: f64,
    /// From `a` to `b`.
    pub up: Way,
    /// From `b` to `a`.
    pub down: Way,
}

/// Counters of everything.
#[derive(Clone, PartialEq, Debug, Default, Serialize, ToSchema)]
pub struct Counters {
    /// Emulated time of these figures.
    pub emulated_us: f64,
    /// Frames of attached hosts.
    pub frames: Frames,
    /// All ports together.
    pub totals: Totals,
    /// Attached hosts.
    pub hosts: Vec<Host>,
    /// How late frames were handed over.
    pub lag: LagFigures,
}

/// How it all stood a moment ago.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The session.
    pub status: Status,
    /// Counters.
    pub counters: Counters,
    /// Links, by number.
    pub links: Vec<LinkNow>,
}
