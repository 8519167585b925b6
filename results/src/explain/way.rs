//! The way of one packet through the fabric, from its delivery back to its departure.

use std::collections::BTreeMap;

use fabric::capture::{CaptureRecord, Captured, Pause, Way};
use fabric::ids::{HostId, NodeId, PortId};
use fabric::packet::Packet;
use fabric::units::Time;

use crate::explain::chain::Pieces;
use crate::explain::{Cause, Seen};

/// What of a packet no switch changes.
type Identity = (HostId, HostId, u32, u32, u16, u8, [u64; 5]);

/// See [`Identity`].
pub(super) fn identity(packet: &Packet) -> Identity {
    let Packet { src, dst, flow, psn, entropy, kind, body, .. } = *packet;
    (src, dst, flow, psn, entropy, kind as u8, body)
}

/// What passed the ports of a fabric.
pub(super) struct Frames<'a> {
    /// Frames of each packet, in order of time.
    of_packet: BTreeMap<Identity, Vec<&'a Captured>>,
    /// By port and time.
    pauses: &'a [Pause],
}

impl<'a> Frames<'a> {
    pub(super) fn new(capture: &'a CaptureRecord) -> Frames<'a> {
        let mut of_packet: BTreeMap<Identity, Vec<&Captured>> = BTreeMap::new();
        for frame in &capture.frames {
            of_packet.entry(identity(&frame.packet)).or_default().push(frame);
        }
        Frames { of_packet, pauses: &capture.pauses }
    }

    /// The frames of a packet, in order of time.
    pub(super) fn of(&self, packet: &Packet) -> &[&'a Captured] {
        self.of_packet.get(&identity(packet)).map_or(&[], Vec::as_slice)
    }

    /// When a class was held back at a port between two moments, in order of time.
    fn paused(&self, port: PortId, class: u8, from: Time, to: Time) -> Vec<(Time, Time)> {
        let first = self.pauses.partition_point(|pause| pause.port < port);
        let own = self.pauses[first..].iter().take_while(|pause| pause.port == port);
        let mut since = None;
        let mut found: Vec<(Time, Time)> = Vec::new();
        let mut note = |since: Time, until: Time| {
            let (since, until) = (since.max(from), until.min(to));
            if since < until {
                found.push((since, until));
            }
        };
        for pause in own {
            let is = pause.classes & (1 << class) != 0;
            match (since, is) {
                (None, true) => since = Some(pause.at),
                (Some(begun), false) => {
                    note(begun, pause.at);
                    since = None;
                }
                _ => {}
            }
        }
        if let Some(begun) = since {
            note(begun, to);
        }
        found
    }
}

impl Seen<'_> {
    /// Explains the way of a packet that `host` was given at `at`: pieces, from its end backwards. Returns when its last
    /// bit left the NIC of its source; `None` if its way is not known to there.
    pub(super) fn way(
        &self,
        packet: &Packet,
        host: HostId,
        at: Time,
        pieces: &mut Pieces,
    ) -> Option<Time> {
        let frames = self.frames.of(packet);
        let (fabric, layout) = (&self.fabric, &self.fabric.layout);
        let mut node = NodeId(host.0);
        // When the frame was wholly processed, or when its last bit left for the next hop.
        let mut processed = at;
        loop {
            let came = frames.iter().rev().find(|frame| {
                frame.way == Way::Received
                    && layout.node_of(frame.port) == node
                    && frame.at + fabric.pipeline(node) <= processed
            })?;
            let in_by = came.at + fabric.pipeline(node);
            if node.0 == host.0 {
                pieces.push(Cause::Host, in_by, || fabric.name(node));
            } else {
                self.egress(frames, node, in_by, processed, pieces);
            }
            pieces.push(Cause::Processing, came.at, || fabric.name(node));
            let sender = layout.peer_of(came.port);
            let (link, _) = layout.link_of(came.port);
            let delay = fabric.graph.links[link.index()].delay;
            let left = Time(came.at.0.saturating_sub(delay.0));
            pieces.push(Cause::Propagation, left, || fabric.port_name(sender));
            processed = self.first_try(frames, sender, left)?;
            pieces.push(Cause::LinkRetry, processed, || fabric.port_name(sender));
            node = layout.node_of(sender);
            if node.0 < fabric.graph.hosts {
                return Some(processed);
            }
        }
    }

    /// When a frame that passed `port` at `left` left it first: with link-level retry every time that it did is seen.
    fn first_try(&self, frames: &[&Captured], port: PortId, left: Time) -> Option<Time> {
        let layout = &self.fabric.layout;
        let mut departures = frames
            .iter()
            .filter(|frame| frame.way == Way::Sent && frame.port == port && frame.at <= left);
        let last = departures.next_back()?.at;
        if !self.fabric.llr {
            return Some(last);
        }
        // Another copy of the packet may have come by before.
        let is_here = |other| layout.node_of(other) == layout.node_of(port);
        let came = frames
            .iter()
            .rev()
            .find(|frame| frame.way == Way::Received && is_here(frame.port) && frame.at < last)
            .map_or(Time::ZERO, |frame| frame.at);
        Some(departures.map(|frame| frame.at).find(|at| *at > came).unwrap_or(last))
    }

    /// At the egress port of a switch, which the frame had reached at `in_by` and had left at `out_by`.
    fn egress(
        &self,
        frames: &[&Captured],
        node: NodeId,
        in_by: Time,
        out_by: Time,
        pieces: &mut Pieces,
    ) {
        let (fabric, layout) = (&self.fabric, &self.fabric.layout);
        let left = frames.iter().rev().find(|frame| {
            frame.way == Way::Sent && layout.node_of(frame.port) == node && frame.at == out_by
        });
        let Some(left) = left else { return };
        let (port, packet) = (left.port, &left.packet);
        let begun = fabric.serialisation(port, packet.bytes, left.at);
        let begun = Time(left.at.0.saturating_sub(begun.0)).max(in_by);
        pieces.push(Cause::Serialisation, begun, || fabric.port_name(port));
        for (from, to) in self.frames.paused(port, packet.class.0, in_by, begun).into_iter().rev() {
            pieces.push(Cause::Queueing, to, || fabric.port_name(port));
            pieces.push(Cause::Paused, from, || fabric.port_name(port));
        }
        pieces.push(Cause::Queueing, in_by, || fabric.port_name(port));
    }
}
