//! Ways by another region, and virtual channels: what a switch of a direct network does besides its table
//! ([`crate::shape`]).
//!
//! The region that a packet goes by is a hash of its flow and entropy value, the same at every switch, so a packet need
//! not carry it: only whether it is still on its way there (its *phase*).

use std::sync::Arc;

use crate::ids::HostId;
use crate::net::route::{Salt, choose};
use crate::packet::{Label, Phase};
use crate::shape::{Channels, LinkKind, Paths, Shape};
use crate::table::Table;

/// One switch's part of a shape.
pub(crate) struct Indirect {
    pub(crate) paths: Paths,
    pub(crate) shape: Arc<Shape>,
    pub(crate) table: Arc<Table>,
    pub(crate) region: u32,
    /// What the link of each port is; `None`: a host's.
    pub(crate) kinds: Vec<Option<LinkKind>>,
    /// The secret by which all switches choose the region of a packet.
    pub(crate) common: Salt,
    /// Virtual channels are in use.
    pub(crate) channels: bool,
    /// A host below this switch, if there is one.
    pub(crate) own: Option<HostId>,
}

impl Indirect {
    /// Where a packet is to go next: its destination, or a host of the region that it goes by. `ways` tells bytes
    /// queued on the way to a host; asked only at the first switch of adaptive ways. Sets the packet's phase, and says
    /// whether this switch is where it turns to its destination.
    pub(crate) fn target(
        &self,
        label: &mut Label,
        queue: impl FnMut(HostId) -> u64,
    ) -> (HostId, bool) {
        if self.paths == Paths::Minimal {
            return (label.dst, false);
        }
        let shape = &self.shape;
        let regions = shape.regions();
        let by = self.region_of(label, regions);
        let via = shape.host_in(by, u32::from(label.entropy));
        match label.phase() {
            Phase::FRESH => {
                let direct = by == self.region || self.prefers_direct(label.dst, via, queue);
                label.set_phase(if direct { Phase::DIRECT } else { Phase::VIA });
                (if direct { label.dst } else { via }, false)
            }
            Phase::VIA if by == self.region => {
                label.set_phase(Phase::DIRECT);
                (label.dst, true)
            }
            Phase::VIA => (via, false),
            _ => (label.dst, false),
        }
    }

    fn region_of(&self, label: &Label, regions: u32) -> u32 {
        u32::from(choose(label, self.common, regions as u16))
    }

    /// Whether a packet to `dst` that could go by the region of `via` takes the shortest way. UGAL: the product of queue
    /// and hops decides; the shortest way if they are equal.
    fn prefers_direct(
        &self,
        dst: HostId,
        via: HostId,
        mut queue: impl FnMut(HostId) -> u64,
    ) -> bool {
        let Some(own) = self.own else { return true };
        let [own, to, by] = [own, dst, via].map(|host| self.table.destination_of(host));
        if to == own || to == by {
            return true;
        }
        let count = self.shape.destinations;
        let hops = |a: u32, b: u32| u64::from(self.shape.hops[(a * count + b) as usize]);
        self.paths == Paths::Adaptive
            && queue(dst) * hops(own, to) <= queue(via) * (hops(own, by) + hops(by, to))
    }

    /// Moves a packet that leaves by `egress` to its virtual channel, and keeps the one it came in by.
    pub(crate) fn enter_channel(&self, label: &mut Label, egress: u16, turned: bool) {
        if !self.channels {
            return;
        }
        label.keep_class();
        if label.class.0 == 0 {
            return;
        }
        let [ingress, egress] =
            [label.ingress_with_channels(), egress].map(|port| self.kinds[usize::from(port)]);
        let now = Channels::of(label.class);
        label.class.0 += self.shape.channels.next(now, ingress, egress, turned);
        label.class.0 -= now;
    }
}
