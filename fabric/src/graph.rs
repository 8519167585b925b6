//! The fabric as data: hosts, switches, links and the rule by which each switch routes.
//!
//! Topology builders make a [`Graph`]; [`crate::assemble`] turns it into ports and shards. Ports of a
//! node are numbered in the order of the links that touch it.

use serde::{Deserialize, Serialize};

use crate::ids::{HostId, NodeId};
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
}

impl RouteRule {
    /// The hosts below this switch.
    #[inline]
    pub fn below(&self) -> std::ops::Range<u32> {
        let RouteRule::UpDown { first_host, host_count, .. } = *self;
        first_host..first_host + host_count
    }

    /// The ports towards `dst`: the first and how many.
    #[inline]
    pub fn towards(&self, dst: HostId) -> (u16, u16) {
        let RouteRule::UpDown {
            first_host,
            host_count,
            hosts_per_child,
            down_base,
            bundle,
            up_base,
            up_count,
        } = *self;
        let below = dst.0.wrapping_sub(first_host);
        if below < host_count {
            (down_base + (below / hosts_per_child) as u16 * bundle, bundle)
        } else {
            (up_base, up_count)
        }
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
}

impl Graph {
    /// Nodes in all.
    pub fn nodes(&self) -> u32 {
        self.hosts + self.switches.len() as u32
    }

    /// The switch at `node`; `None` for a host.
    pub fn switch(&self, node: NodeId) -> Option<&Switch> {
        self.switches.get((node.0.checked_sub(self.hosts)?) as usize)
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
