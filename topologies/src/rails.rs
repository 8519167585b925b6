//! Rails: host h is accelerator h mod R of its server, and all accelerators of the same number are on the same rail: a
//! leaf switch for each rail of a group of servers.
//!
//! - rail-optimised: spines join all leaves; with groups in pods, cores join the pods
//! - rail-only (Wang et al., 2023): leaves are all there is; between rails, traffic goes through the servers

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::NodeId;
use fabric::units::Rate;

use crate::build::{Common, check_hosts};
use crate::error::TopologyError;

/// Parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rails {
    /// Hosts (accelerators) in all.
    pub hosts: u32,
    /// Accelerators of a server, and rails.
    pub rails: u32,
    /// Servers of a group; each of its leaves has a port for each of them.
    pub servers_per_group: u32,
    /// Links of a leaf to spines: one to each; 0: rails only, which need one group.
    pub spines: u32,
    /// Rate of links between leaves and spines.
    pub uplink_rate: Rate,
    /// Groups of a pod, and links of a spine to cores; `None`: spines join all groups.
    pub pods: Option<(u32, u32)>,
}

impl Rails {
    fn group(&self) -> u32 {
        self.rails * self.servers_per_group
    }

    fn groups(&self) -> u32 {
        self.hosts.div_ceil(self.group())
    }

    /// Groups of a pod.
    fn pod(&self) -> u32 {
        self.pods.map_or(self.groups(), |(groups, _)| groups)
    }

    fn check(&self) -> Result<(), TopologyError> {
        check_hosts(self.hosts)?;
        for (key, value) in [("rails", self.rails), ("servers_per_group", self.servers_per_group)] {
            if !(1..=4_096).contains(&value) {
                return Err(TopologyError::new(key, value, "1 to 4096 are possible"));
            }
        }
        if !self.hosts.is_multiple_of(self.rails) {
            let allowed = format!("whole servers of {} accelerators are needed", self.rails);
            return Err(TopologyError::new("hosts", self.hosts, allowed));
        }
        if self.spines == 0 && self.groups() > 1 {
            let allowed = format!(
                "rails only join one group: `hosts` is {}, so at least {} are needed",
                self.hosts,
                self.hosts / self.rails
            );
            return Err(TopologyError::new("servers_per_group", self.servers_per_group, allowed));
        }
        Ok(())
    }

    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the parameters do not fit each other.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        self.check()?;
        let (groups, rails, group) = (self.groups(), self.rails, self.group());
        let pods = groups.div_ceil(self.pod());
        let cores = self.pods.map_or(0, |(_, links)| links);
        let mut graph = Graph { hosts: self.hosts, ..Graph::default() };
        graph.tier_names = vec!["leaf", "spine", "core"];
        graph.tier_names.truncate(if self.spines == 0 { 1 } else { 2 + usize::from(cores > 0) });
        let latency = common.switch_latency;
        let span = |first: u32, most: u32| self.hosts.saturating_sub(first).min(most);
        for leaf in 0..groups * rails {
            let first = leaf / rails * group;
            let below = span(first, group);
            let route = RouteRule::Rails {
                first_host: first,
                host_count: below,
                rails: rails as u16,
                rail: (leaf % rails) as u16,
                group,
                bundle: 1,
                up_base: (below / rails) as u16,
                up_count: self.spines as u16,
            };
            graph.switches.push(Switch { tier: 0, index: leaf, latency, route });
        }
        let pod_hosts = self.pod() * group;
        for spine in 0..pods * self.spines {
            let first = spine / self.spines * pod_hosts;
            let below = span(first, pod_hosts);
            let route = RouteRule::Rails {
                first_host: first,
                host_count: below,
                rails: rails as u16,
                rail: RouteRule::ALL_RAILS,
                group,
                bundle: 1,
                up_base: (below.div_ceil(group) * rails) as u16,
                up_count: cores as u16,
            };
            graph.switches.push(Switch { tier: 1, index: spine, latency, route });
        }
        for core in 0..self.spines * cores {
            let route = RouteRule::UpDown {
                first_host: 0,
                host_count: self.hosts,
                hosts_per_child: pod_hosts,
                down_base: 0,
                bundle: 1,
                up_base: pods as u16,
                up_count: 0,
            };
            graph.switches.push(Switch { tier: 2, index: core, latency, route });
        }
        self.join(&mut graph, common, pods, cores);
        Ok(graph)
    }

    fn join(&self, graph: &mut Graph, common: &Common, pods: u32, cores: u32) {
        let (groups, rails, group) = (self.groups(), self.rails, self.group());
        let node = |switch: u32| NodeId(self.hosts + switch);
        let delay = common.link_delay;
        let mut join =
            |a: NodeId, b: NodeId, rate: Rate| graph.links.push(Link { a, b, rate, delay });
        for host in 0..self.hosts {
            let leaf = host / group * rails + host % rails;
            join(NodeId(host), node(leaf), common.link_rate);
        }
        let first_spine = groups * rails;
        for leaf in 0..groups * rails {
            let pod = leaf / rails / self.pod();
            for spine in 0..self.spines {
                join(node(leaf), node(first_spine + pod * self.spines + spine), self.uplink_rate);
            }
        }
        let first_core = first_spine + pods * self.spines;
        for spine in 0..pods * self.spines {
            for core in 0..cores {
                let core = spine % self.spines + self.spines * core;
                join(node(first_spine + spine), node(first_core + core), self.uplink_rate);
            }
        }
    }
}
