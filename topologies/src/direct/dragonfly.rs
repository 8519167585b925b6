//! Dragonfly (Kim, Dally, Scott, Abts; ISCA 2008): groups of switches, all joined within a group, and each group joined
//! to each other one.

use fabric::graph::Graph;
use fabric::shape::{Channels, LinkKind};
use fabric::units::{Rate, Span};

use crate::build::Common;
use crate::direct::{Cable, Direct, between_groups};
use crate::error::TopologyError;

/// Parameters; names of the paper in brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dragonfly {
    /// Hosts in all.
    pub hosts: u32,
    /// Hosts on each switch (p).
    pub hosts_per_switch: u32,
    /// Switches of a group (a).
    pub switches_per_group: u32,
    /// Links of a switch to other groups (h).
    pub global_links: u32,
    /// Groups (g), at most a·h + 1; `None`: as many as the hosts need.
    pub groups: Option<u32>,
    /// Rate of links between switches.
    pub rate: Rate,
    /// Delay of links between groups.
    pub global_delay: Span,
}

impl Dragonfly {
    /// The balanced dragonfly (a = 2p = 2h) with the least p that holds `hosts`.
    pub fn balanced(hosts: u32, common: &Common) -> Dragonfly {
        let holds = |p: &u32| u64::from(2 * p * p) * u64::from(2 * p * p + 1) >= u64::from(hosts);
        let p = (1..).find(holds).unwrap_or(1);
        Dragonfly {
            hosts,
            hosts_per_switch: p,
            switches_per_group: 2 * p,
            global_links: p,
            groups: None,
            rate: common.link_rate,
            global_delay: common.link_delay,
        }
    }

    /// Number of groups.
    fn groups(&self) -> Result<u32, TopologyError> {
        let most = self.switches_per_group * self.global_links + 1;
        let needed = self.hosts.div_ceil(self.hosts_per_switch * self.switches_per_group).max(2);
        let groups = self.groups.unwrap_or(needed);
        if (2..=most).contains(&groups) {
            return Ok(groups);
        }
        let allowed = format!(
            "2 to {most} are possible with {} switches a group of {} global links each",
            self.switches_per_group, self.global_links
        );
        Err(TopologyError::new("groups", groups, allowed))
    }

    /// Links between each two groups; those that do not go round evenly are not used.
    pub fn links_between_groups(&self) -> Result<u32, TopologyError> {
        Ok(self.switches_per_group * self.global_links / (self.groups()? - 1))
    }

    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the parameters do not fit each other.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        let (groups, a) = (self.groups()?, self.switches_per_group);
        let each = self.links_between_groups()?;
        let mut cables = Vec::new();
        let (rate, local) = (self.rate, common.link_delay);
        for group in 0..groups {
            let switch = |place: u32| group * a + place;
            for first in 0..a {
                cables.extend((first + 1..a).map(|second| Cable {
                    a: switch(first),
                    b: switch(second),
                    kind: LinkKind::Local,
                    rate,
                    delay: local,
                }));
            }
        }
        let port = |group: u32, number: u32| (group * a) + number % a;
        cables.extend(between_groups(groups, each, port, (rate, self.global_delay)));
        let switches = groups * a;
        Direct {
            hosts: self.hosts,
            hosts_per_switch: self.hosts_per_switch,
            tiers: vec![0; switches as usize],
            with_hosts: switches,
            tier_names: vec!["switch"],
            region_of: (0..switches).map(|switch| switch / a).collect(),
            cables,
            channels: Channels::AfterGlobal,
        }
        .build(common, |_, _, _| true)
    }
}
