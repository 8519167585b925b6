//! The fabric as data: hosts, switches, links and the rule by which each switch routes.
//!
//! Topology builders make a [`Graph`]; [`crate::assemble`] turns it into ports and shards. Ports of a
//! node are numbered in the order of the links that touch it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, NodeId};
use crate::shape::Shape;
use crate::table::Table;
use crate::units::{Rate, Span};

/// How a switch finds the ports towards a host. Rules instead of tables: a few words for any size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RouteRule {
    /// Down if the host is below this switch, else up; equal ports are chosen by hash.
    UpDown {
        /// First host below this switch.
        first_host: u32,
        /// Number of hosts below this switch; they are consecutive.
        host_count: u32,
        /// Hosts below each child (1 where children are hosts).
        hosts_per_child: u32,
        /// First port that leads down; children follow each other.
        down_base: u16,
        /// Parallel ports to each child.
        bundle: u16,
        /// First port that leads up.
        up_base: u16,
        /// Ports that lead up; 0 at the top.
        up_count: u16,
    },
    /// The same in a fabric with rails: host h is on rail h mod `rails`, and the hosts of a *group* that are on the
    /// same rail are behind the same child.
    Rails {
        /// First host of all groups below this switch.
        first_host: u32,
        /// Number of hosts of all groups below this switch.
        host_count: u32,
        /// Number of rails.
        rails: u16,
        /// The rail, where this switch serves one only and its children are hosts; else [`RouteRule::ALL_RAILS`].
        rail: u16,
        /// Hosts of a group, all rails together.
        group: u32,
        /// Parallel ports to each child.
        bundle: u16,
        /// First port that leads up; those before lead down, child by child.
        up_base: u16,
        /// Ports that lead up; 0 at the top.
        up_count: u16,
    },
}

impl RouteRule {
    /// In [`RouteRule::Rails`]: this switch has children on every rail of every group.
    pub const ALL_RAILS: u16 = u16::MAX;

    /// A switch below which there is nothing: its table says all.
    pub const NOTHING_BELOW: RouteRule = RouteRule::UpDown {
        first_host: 0,
        host_count: 0,
        hosts_per_child: 1,
        down_base: 0,
        bundle: 1,
        up_base: 0,
        up_count: 0,
    };

    /// The hosts from the first to the last below this switch; with rails only some of them are.
    #[inline]
    pub fn span(&self) -> std::ops::Range<u32> {
        let (RouteRule::UpDown { first_host, host_count, .. }
        | RouteRule::Rails { first_host, host_count, .. }) = *self;
        first_host..first_host + host_count
    }

    /// Whether a host is below this switch.
    #[inline]
    pub fn is_below(&self, host: HostId) -> bool {
        let within = self.span().contains(&host.0);
        match *self {
            RouteRule::UpDown { .. } => within,
            RouteRule::Rails { first_host, rails, rail, .. } => {
                within
                    && (rail == RouteRule::ALL_RAILS
                        || (host.0 - first_host) % u32::from(rails) == u32::from(rail))
            }
        }
    }

    /// The first of the ports that lead up, and how many.
    #[inline]
    pub fn up(&self) -> (u16, u16) {
        let (RouteRule::UpDown { up_base, up_count, .. }
        | RouteRule::Rails { up_base, up_count, .. }) = *self;
        (up_base, up_count)
    }

    /// The ports towards `dst`: the first and how many.
    #[inline]
    pub fn towards(&self, dst: HostId) -> (u16, u16) {
        match *self {
            RouteRule::UpDown {
                first_host,
                host_count,
                hosts_per_child,
                down_base,
                bundle,
                up_base,
                up_count,
            } => {
                let below = dst.0.wrapping_sub(first_host);
                if below < host_count {
                    (down_base + (below / hosts_per_child) as u16 * bundle, bundle)
                } else {
                    (up_base, up_count)
                }
            }
            RouteRule::Rails { .. } => self.towards_by_rail(dst),
        }
    }

    #[cold]
    #[inline(never)]
    fn towards_by_rail(&self, dst: HostId) -> (u16, u16) {
        let RouteRule::Rails { first_host, rails, rail, group, bundle, .. } = *self else {
            unreachable!("only asked of switches with rails")
        };
        if !self.is_below(dst) {
            return self.up();
        }
        let below = dst.0 - first_host;
        let rails = u32::from(rails);
        let child = match rail {
            RouteRule::ALL_RAILS => below / group * rails + below % rails,
            _ => below / rails,
        };
        (child as u16 * bundle, bundle)
    }
}

/// Equal ports towards a destination.
#[derive(Clone, Copy, Debug)]
pub enum Equal<'a> {
    /// The first and how many.
    Run(u16, u16),
    /// These.
    List(&'a [u16]),
}

impl Equal<'_> {
    /// How many there are.
    #[inline]
    pub fn count(self) -> u16 {
        match self {
            Equal::Run(_, count) => count,
            Equal::List(ports) => ports.len() as u16,
        }
    }

    /// The one at a place below [`Equal::count`].
    #[inline]
    pub fn nth(self, place: u16) -> u16 {
        match self {
            Equal::Run(first, _) => first + place,
            Equal::List(ports) => ports[usize::from(place)],
        }
    }

    /// Whether `port` is one of them.
    pub fn contains(self, port: u16) -> bool {
        match self {
            Equal::Run(first, count) => (first..first + count).contains(&port),
            Equal::List(ports) => ports.contains(&port),
        }
    }

    /// All of them.
    pub fn to_vec(self) -> Vec<u16> {
        (0..self.count()).map(|place| self.nth(place)).collect()
    }
}

/// A second network that joins hosts which stand close to each other (NVLink, UALink, SUE): each host has a NIC of its own
/// for it, and messages within a domain take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScaleUp {
    /// Hosts of a domain; they are consecutive.
    pub domain: u32,
    /// The first port of a host that belongs to it; those before belong to the scale-out network.
    pub first_port: u16,
}

impl ScaleUp {
    /// Whether two hosts are in the same domain.
    #[inline]
    pub fn joins(&self, a: HostId, b: HostId) -> bool {
        a.0 / self.domain == b.0 / self.domain
    }
}

/// A switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    /// 0 next to the hosts, growing upwards.
    pub tier: u8,
    /// Its number within the tier.
    pub index: u32,
    /// Time from the end of a frame's arrival to its place in the egress queue.
    pub latency: Span,
    /// How it routes.
    pub route: RouteRule,
}

/// A full-duplex link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// One end, the lower in the tree.
    pub a: NodeId,
    /// The other end.
    pub b: NodeId,
    /// Rate of each direction.
    pub rate: Rate,
    /// Propagation delay (cable and transceivers).
    pub delay: Span,
}

/// The whole fabric.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Graph {
    /// Number of hosts; nodes `0..hosts`.
    pub hosts: u32,
    /// Switches; nodes `hosts..`.
    pub switches: Vec<Switch>,
    /// Links.
    pub links: Vec<Link>,
    /// What each tier is called: `tor`, `agg`, `core`, or `leaf`, `spine`.
    pub tier_names: Vec<&'static str>,
    /// For each switch the routes that its rule does not say; empty if rules say all.
    pub tables: Vec<Arc<Table>>,
    /// The network within domains, if there is one.
    pub scale_up: Option<ScaleUp>,
    /// What ways other than the shortest, and virtual channels, depend on; only in shapes that need them.
    pub shape: Option<Arc<Shape>>,
}

impl Graph {
    /// Nodes in all.
    pub fn nodes(&self) -> u32 {
        self.hosts + self.switches.len() as u32
    }

    /// The topmost tier of the network that joins all hosts.
    pub fn top_tier(&self) -> u8 {
        let domains = usize::from(self.scale_up.is_some());
        self.tier_names.len().saturating_sub(1 + domains) as u8
    }

    /// The switch at `node`; `None` for a host.
    pub fn switch(&self, node: NodeId) -> Option<&Switch> {
        self.switches.get((node.0.checked_sub(self.hosts)?) as usize)
    }

    /// The equal ports of a switch towards a host.
    ///
    /// # Panics
    /// If `node` is a host.
    pub fn towards(&self, node: NodeId, dst: HostId) -> Equal<'_> {
        let place = (node.0 - self.hosts) as usize;
        if let Some(ports) = self.tables.get(place).and_then(|table| table.towards(dst)) {
            return Equal::List(ports);
        }
        let (first, count) = self.switches[place].route.towards(dst);
        Equal::Run(first, count)
    }

    /// The ports of a host that lead to another one: those of the domain's network if both are in one, else the others.
    pub fn host_ports(&self, src: HostId, dst: HostId) -> std::ops::Range<u16> {
        match &self.scale_up {
            Some(scale_up) if scale_up.joins(src, dst) => scale_up.first_port..u16::MAX,
            Some(scale_up) => 0..scale_up.first_port,
            None => 0..u16::MAX,
        }
    }

    /// The node's name: `host:5`, `tor:3`.
    pub fn name(&self, node: NodeId) -> String {
        match self.switch(node) {
            None => format!("host:{node}"),
            Some(switch) => {
                let tier = self.tier_names.get(switch.tier as usize).copied().unwrap_or("switch");
                format!("{tier}:{}", switch.index)
            }
        }
    }

    /// The node of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<NodeId> {
        let (kind, number) = name.split_once(':')?;
        let number: u32 = number.parse().ok()?;
        if kind == "host" {
            return (number < self.hosts).then_some(NodeId(number));
        }
        let tier = self.tier_names.iter().position(|tier| *tier == kind)? as u8;
        let place = self.switches.iter().position(|s| s.tier == tier && s.index == number)?;
        Some(NodeId(self.hosts + place as u32))
    }
}
