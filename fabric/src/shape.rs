//! What ways other than the shortest depend on, and the virtual channels that keep lossless traffic from deadlock.
//!
//! Trees need neither: all their ways go up, then down. In direct networks (dragonfly, HyperX, torus) there is one
//! shortest way, or few, between two switches, so traffic may have to be sent by way of another *region*: Valiant's
//! scheme (Valiant, Brebner, STOC 1981) always does so, UGAL (Singh 2005; Kim et al., ISCA 2008) where the queues
//! say that it is faster. And packets of different ways can wait for each other in a circle unless they change to
//! another buffer on the way; such buffers are the traffic classes from [`Class::DATA`] on.

use serde::{Deserialize, Serialize};

use crate::ids::{Class, HostId};
use crate::packet::CLASSES;

/// Which ways packets take through a shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Paths {
    /// The shortest.
    #[default]
    Minimal,
    /// The shortest to a random region, and from there the shortest to the destination.
    Valiant,
    /// One of both, by the queues of the first switch and the lengths of the ways (UGAL-L).
    Adaptive,
}

/// What a link between switches is in its shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// Within a region.
    Local,
    /// Between regions.
    Global,
    /// Along a dimension of a grid.
    Ring {
        /// Which.
        dimension: u8,
        /// It joins the last with the first.
        wraps: bool,
    },
}

/// How virtual channels follow from the way of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    /// Shortest ways need no second one; a way by another region has one more from there.
    PerPart,
    /// One more after each global link (dragonfly: local 0, global 0, local 1, …).
    AfterGlobal,
    /// One more after each hop between switches.
    PerHop {
        /// Most hops of a shortest way.
        diameter: u8,
    },
    /// The second from the link that closes the ring to the end of the dimension (Dally, Seitz 1987).
    Dateline,
}

impl Channels {
    /// Channels that packets need.
    pub fn needed(self, paths: Paths) -> u32 {
        let parts = if paths == Paths::Minimal { 1 } else { 2 };
        match self {
            Channels::PerPart => parts,
            Channels::AfterGlobal => parts + 1,
            Channels::PerHop { diameter } => parts * u32::from(diameter),
            Channels::Dateline => 2 * parts,
        }
    }

    /// Most channels there can be: traffic classes that are not for control.
    pub const MOST: u32 = CLASSES as u32 - 1;

    /// The channel of a packet that came over `ingress` in channel `now` and leaves over `egress`; `None` is a
    /// link of a host. `turned`: this switch is where a way by another region turns to its destination.
    pub fn next(
        self,
        now: u8,
        ingress: Option<LinkKind>,
        egress: Option<LinkKind>,
        turned: bool,
    ) -> u8 {
        match self {
            Channels::PerPart => now + u8::from(turned),
            Channels::AfterGlobal => now + u8::from(ingress == Some(LinkKind::Global)),
            Channels::PerHop { .. } => now + u8::from(ingress.is_some() && egress.is_some()),
            Channels::Dateline => {
                let base = now & !1;
                let Some(LinkKind::Ring { dimension, wraps }) = egress else { return base };
                let same =
                    matches!(ingress, Some(LinkKind::Ring { dimension: d, .. }) if d == dimension);
                if wraps {
                    base + 1
                } else if same {
                    now
                } else {
                    base
                }
            }
        }
    }

    /// The channel of a traffic class.
    #[inline]
    pub(crate) fn of(class: Class) -> u8 {
        class.0 - Class::DATA.0
    }
}

/// What of a shape switches have to know; see the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The region of each switch.
    pub region_of: Vec<u32>,
    /// Where the hosts of each region begin in `hosts`; one more entry than regions.
    pub first: Vec<u32>,
    /// A host behind each switch that has any, region by region.
    pub hosts: Vec<HostId>,
    /// Hops between the switches of destinations a and b of the graph's tables, at a × destinations + b.
    pub hops: Vec<u8>,
    /// Number of destinations.
    pub destinations: u32,
    /// What each link of the graph is, in their order; those of hosts do not matter.
    pub kinds: Vec<LinkKind>,
    /// How virtual channels follow from the way of a packet.
    pub channels: Channels,
}

impl Shape {
    /// Number of regions.
    pub fn regions(&self) -> u32 {
        self.first.len() as u32 - 1
    }

    /// A host of a region, by a number that spreads evenly.
    pub fn host_in(&self, region: u32, number: u32) -> HostId {
        let [first, end] = [region, region + 1].map(|region| self.first[region as usize]);
        self.hosts[(first + number % (end - first)) as usize]
    }
}
