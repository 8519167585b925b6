//! Frames recorded as they pass ports: what a mirror port of a real switch would show.

use crate::ids::{HostId, PortId};
use crate::packet::Packet;
use crate::units::Time;
use serde::{Deserialize, Serialize};

/// What is captured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    /// The ports, both directions of each.
    pub ports: Vec<PortId>,
    /// Nothing before this.
    pub from: Time,
    /// Nothing from this on.
    pub until: Time,
    /// Most frames of each port; what comes after is counted only.
    pub frames: u64,
    /// Only packets between these pairs of hosts, the lower number first, in order; and when ports were held back.
    pub only: Option<Vec<(HostId, HostId)>>,
}

/// Which way a frame passed its port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Way {
    /// From the link into the node.
    Received,
    /// From the node onto the link.
    Sent,
}

/// A frame that passed a port.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Captured {
    /// When its last bit did.
    pub at: Time,
    /// The port.
    pub port: PortId,
    /// Which way.
    pub way: Way,
    /// The packet as it was then: trimmed, marked, as it may be.
    pub packet: Packet,
}

/// From when on a port is held back by its peer, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// When.
    pub at: Time,
    /// The port.
    pub port: PortId,
    /// Mask of the classes that are.
    pub classes: u8,
}

/// All frames captured in a run, in order of time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// The frames; simultaneous ones by port, received before sent.
    pub frames: Vec<Captured>,
    /// Frames beyond the limit of their port.
    pub beyond: u64,
    /// When ports were held back, by port and time; kept with [`Capture::only`].
    pub pauses: Vec<Pause>,
}

impl CaptureRecord {
    /// Adds what another part of the fabric has captured, in no order.
    pub(crate) fn append(&mut self, other: CaptureRecord) {
        self.frames.extend(other.frames);
        self.beyond += other.beyond;
        self.pauses.extend(other.pauses);
    }
}
