//! Frames recorded as they pass ports: what a mirror port of a real switch would show.

use crate::ids::PortId;
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

/// All frames captured in a run, in order of time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CaptureRecord {
    /// The frames; simultaneous ones by port, received before sent.
    pub frames: Vec<Captured>,
    /// Frames beyond the limit of their port.
    pub beyond: u64,
}

impl CaptureRecord {
    /// Adds what another part of the fabric has captured, in no order.
    pub(crate) fn append(&mut self, other: CaptureRecord) {
        self.frames.extend(other.frames);
        self.beyond += other.beyond;
    }
}
