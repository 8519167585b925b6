//! Dragonfly+ (Shpiner et al., HiPINEB 2017): groups of leaves and spines; spines of different groups are joined.

use fabric::graph::Graph;
use fabric::shape::{Channels, LinkKind};
use fabric::units::{Rate, Span};

use crate::build::Common;
use crate::direct::{Cable, Direct, between_groups};
use crate::error::TopologyError;

/// Parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DragonflyPlus {
    /// Hosts in all.
    pub hosts: u32,
    /// Hosts on each leaf.
    pub hosts_per_switch: u32,
    /// Leaves of a group.
    pub leaves_per_group: u32,
    /// Spines of a group, each joined to each of its leaves.
    pub spines_per_group: u32,
    /// Links of a spine to other groups.
    pub global_links: u32,
    /// Groups; `None`: as many as the hosts need.
    pub groups: Option<u32>,
    /// Rate of links between switches.
    pub rate: Rate,
    /// Delay of links between groups.
    pub global_delay: Span,
}

impl DragonflyPlus {
    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the parameters do not fit each other.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        let (leaves, spines) = (self.leaves_per_group, self.spines_per_group);
        let needed = self.hosts.div_ceil(self.hosts_per_switch * leaves).max(2);
        let groups = self.groups.unwrap_or(needed);
        let most = spines * self.global_links + 1;
        if !(2..=most).contains(&groups) {
            let allowed = format!(
                "2 to {most} are possible with {spines} spines a group of {} global links each",
                self.global_links
            );
            return Err(TopologyError::new("groups", groups, allowed));
        }
        let each = spines * self.global_links / (groups - 1);
        let all_leaves = groups * leaves;
        let spine = |group: u32, number: u32| all_leaves + group * spines + number % spines;
        let (rate, local) = (self.rate, common.link_delay);
        let mut cables = Vec::new();
        for leaf in 0..all_leaves {
            cables.extend((0..spines).map(|number| Cable {
                a: leaf,
                b: spine(leaf / leaves, number),
                kind: LinkKind::Local,
                rate,
                delay: local,
            }));
        }
        cables.extend(between_groups(groups, each, spine, (rate, self.global_delay)));
        let mut tiers = vec![0; all_leaves as usize];
        tiers.resize((all_leaves + groups * spines) as usize, 1);
        let of_leaves = (0..all_leaves).map(|leaf| leaf / leaves);
        let of_spines = (0..groups * spines).map(|spine| spine / spines);
        Direct {
            hosts: self.hosts,
            hosts_per_switch: self.hosts_per_switch,
            tiers,
            with_hosts: all_leaves,
            tier_names: vec!["leaf", "spine"],
            region_of: of_leaves.chain(of_spines).collect(),
            cables,
            channels: Channels::AfterGlobal,
        }
        .build(common, |_, _, _| true)
    }
}
