//! Captures: the frames that pass chosen ports.
//!
//! A port that is captured has a bit in its `special` (what it sends) and in its gate (what it receives),
//! so that a port that is not costs nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capture::{Capture, CaptureRecord, Captured, Pause, Way};
use crate::ids::{HostId, PortId};
use crate::packet::{Kind, Packet};
use crate::units::{Span, Time};

/// One captured port.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Tap {
    /// From the end of a frame at the port to the end of its processing, when it is seen here.
    pipeline: Span,
    /// Frames that it may still record.
    left: u64,
}

/// The captured ports of a shard.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Taps {
    from: Time,
    until: Time,
    limit: u64,
    /// Pairs of hosts between which packets are recorded; `None`: all.
    only: Option<Vec<(HostId, HostId)>>,
    taps: BTreeMap<PortId, Tap>,
    pub(crate) record: CaptureRecord,
}

impl Taps {
    /// Taps with the bounds of `capture`, and no port yet.
    pub(crate) fn new(capture: &Capture) -> Taps {
        let Capture { from, until, frames, .. } = *capture;
        Taps { from, until, limit: frames, only: capture.only.clone(), ..Taps::default() }
    }

    /// Captures `port`, whose node handles a frame `pipeline` after its arrival.
    pub(crate) fn add(&mut self, port: PortId, pipeline: Span) {
        self.taps.insert(port, Tap { pipeline, left: self.limit });
    }

    /// The last bit of `packet` leaves `port` at `now`.
    pub(crate) fn sent(&mut self, now: Time, port: PortId, packet: Packet) {
        if self.is_meant(&packet) {
            self.keep(Captured { at: now, port, way: Way::Sent, packet });
        }
    }

    /// `packet`, which came in by `port`, has been processed at `now`.
    pub(crate) fn received(&mut self, now: Time, port: PortId, packet: Packet) {
        if self.is_meant(&packet) {
            let pipeline = self.taps.get(&port).map_or(Span::ZERO, |tap| tap.pipeline);
            self.keep(Captured { at: Time(now.0 - pipeline.0), port, way: Way::Received, packet });
        }
    }

    fn is_meant(&self, packet: &Packet) -> bool {
        let Packet { src, dst, kind, .. } = *packet;
        let is_among = |pairs: &Vec<_>| pairs.binary_search(&(src.min(dst), src.max(dst))).is_ok();
        // Credit updates are ordered sets between frames, not frames.
        kind != Kind::LinkCredit && self.only.as_ref().is_none_or(is_among)
    }

    /// The peer of `port` holds back `classes` from now on.
    pub(crate) fn held(&mut self, at: Time, port: PortId, classes: u8) {
        if self.only.is_some() {
            self.record.pauses.push(Pause { at, port, classes });
        }
    }

    fn keep(&mut self, frame: Captured) {
        if frame.at < self.from || self.until <= frame.at {
            return;
        }
        let Some(tap) = self.taps.get_mut(&frame.port) else { return };
        if tap.left == 0 {
            self.record.beyond += 1;
            return;
        }
        tap.left -= 1;
        self.record.frames.push(frame);
    }
}

/// Puts the frames of several shards in the order of [`CaptureRecord::frames`].
pub(crate) fn sort(record: &mut CaptureRecord) {
    // Frames of one port and way are in order already, and a stable sort keeps it.
    record.frames.sort_by_key(|frame| (frame.at, frame.port, frame.way));
    record.pauses.sort_by_key(|pause| (pause.port, pause.at));
}
