//! Folded Clos networks of one to three tiers, the shape behind fat trees, leaf-spines and `.topo` files.
//!
//! Tier 0 are the switches next to the hosts. Hosts, switches of tier 0 and switches of tier 1 are
//! numbered pod by pod. The switch at position *a* of each pod's tier 1 reaches the top switches
//! *a*, *a + A*, *a + 2A*, … with *A* switches of tier 1 a pod, as in the reference simulator.

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Span};

use crate::error::TopologyError;

/// One tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// What its switches are called.
    pub name: &'static str,
    /// Ports down; hosts at tier 0.
    pub radix_down: u32,
    /// Ports up; 0 at the top.
    pub radix_up: u32,
    /// Parallel links to each neighbour below.
    pub bundle: u32,
    /// Rate of the links below.
    pub rate: Rate,
    /// Delay of the links below.
    pub delay: Span,
    /// Latency of a switch.
    pub latency: Span,
}

/// A folded Clos network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clos {
    /// Hosts; the last pod and switch may be partly filled.
    pub hosts: u32,
    /// Hosts of a full pod; all hosts if there are fewer than three tiers.
    pub pod_hosts: u32,
    /// From the hosts up.
    pub tiers: Vec<Tier>,
}

impl Clos {
    /// Builds the graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the radixes do not fit each other.
    pub fn build(&self) -> Result<Graph, TopologyError> {
        self.check()?;
        let mut graph = Graph {
            hosts: self.hosts,
            tier_names: self.tiers.iter().map(|tier| tier.name).collect(),
            ..Graph::default()
        };
        self.add_switches(&mut graph);
        self.add_links(&mut graph);
        Ok(graph)
    }

    fn tier(&self, tier: usize) -> &Tier {
        &self.tiers[tier]
    }

    fn pods(&self) -> u32 {
        self.hosts.div_ceil(self.pod_hosts)
    }

    fn tors(&self) -> u32 {
        self.hosts.div_ceil(self.tier(0).radix_down)
    }

    /// Tier-0 switches of a full pod.
    fn pod_tors(&self) -> u32 {
        self.pod_hosts.div_ceil(self.tier(0).radix_down)
    }

    /// Tier-1 switches of a pod (all spines of a leaf-spine).
    fn pod_aggs(&self) -> u32 {
        self.tier(0).radix_up / self.tier(1).bundle
    }

    /// Neighbours above of a tier-1 switch.
    fn agg_cores(&self) -> u32 {
        self.tier(1).radix_up / self.tier(2).bundle
    }

    fn check(&self) -> Result<(), TopologyError> {
        let fail = |key, found: u32, allowed: String| Err(TopologyError::new(key, found, allowed));
        if self.hosts < 2 {
            return fail("hosts", self.hosts, "at least 2 are needed".into());
        }
        let top = self.tiers.len() - 1;
        for (number, tier) in self.tiers.iter().enumerate() {
            if tier.radix_down == 0 || tier.bundle == 0 || (number < top && tier.radix_up == 0) {
                let found = format!("0 at tier {number}");
                return Err(TopologyError::new("radix", found, "every radix is at least 1"));
            }
        }
        if top >= 1 {
            let (tor, agg) = (self.tier(0), self.tier(1));
            if !tor.radix_up.is_multiple_of(agg.bundle) {
                return fail("Radix_Up", tor.radix_up, format!("a bundle has {}", agg.bundle));
            }
            let needed = self.pod_tors() * agg.bundle;
            if agg.radix_down != needed {
                let allowed = format!("{needed} ports reach the switches of a pod below");
                return fail("Radix_Down", agg.radix_down, allowed);
            }
        }
        if top == 2 {
            let (agg, core) = (self.tier(1), self.tier(2));
            if !agg.radix_up.is_multiple_of(core.bundle) {
                return fail("Radix_Up", agg.radix_up, format!("a bundle has {}", core.bundle));
            }
            let needed = self.pods() * core.bundle;
            if core.radix_down < needed {
                let allowed = format!("{needed} ports reach every pod");
                return fail("Radix_Down", core.radix_down, allowed);
            }
        }
        Ok(())
    }

    /// Hosts from `first`, at most `most`.
    fn span(&self, first: u32, most: u32) -> u32 {
        self.hosts.saturating_sub(first).min(most)
    }

    fn add_switches(&self, graph: &mut Graph) {
        let top = self.tiers.len() - 1;
        let each = self.tier(0).radix_down;
        for tor in 0..self.tors() {
            let below = self.span(tor * each, each);
            let up = if top == 0 { 0 } else { self.tier(0).radix_up };
            self.add_switch(graph, 0, tor, (tor * each, below), (1, below), up);
        }
        if top == 0 {
            return;
        }
        for pod in 0..self.pods() {
            let first = pod * self.pod_hosts;
            let below = self.span(first, self.pod_hosts);
            let down_ports = below.div_ceil(each) * self.tier(1).bundle;
            for agg in 0..self.pod_aggs() {
                let index = pod * self.pod_aggs() + agg;
                let up = if top == 1 { 0 } else { self.tier(1).radix_up };
                self.add_switch(graph, 1, index, (first, below), (each, down_ports), up);
            }
        }
        if top == 2 {
            let down_ports = self.pods() * self.tier(2).bundle;
            for core in 0..self.pod_aggs() * self.agg_cores() {
                let all = (0, self.hosts);
                self.add_switch(graph, 2, core, all, (self.pod_hosts, down_ports), 0);
            }
        }
    }

    /// Adds a switch above hosts `(first, count)`, with `(hosts a child, ports down)` and ports up.
    fn add_switch(
        &self,
        graph: &mut Graph,
        tier: usize,
        index: u32,
        (first_host, host_count): (u32, u32),
        (hosts_per_child, down_ports): (u32, u32),
        up: u32,
    ) {
        let route = RouteRule::UpDown {
            first_host,
            host_count,
            hosts_per_child,
            down_base: 0,
            bundle: if tier == 0 { 1 } else { self.tier(tier).bundle as u16 },
            up_base: down_ports as u16,
            up_count: up as u16,
        };
        let latency = self.tier(tier).latency;
        graph.switches.push(Switch { tier: tier as u8, index, latency, route });
    }

    fn add_links(&self, graph: &mut Graph) {
        let tor_node = |tor: u32| NodeId(self.hosts + tor);
        let each = self.tier(0).radix_down;
        for host in 0..self.hosts {
            self.add_link(graph, 0, NodeId(host), tor_node(host / each));
        }
        if self.tiers.len() == 1 {
            return;
        }
        let agg_node = |agg: u32| NodeId(self.hosts + self.tors() + agg);
        for tor in 0..self.tors() {
            let pod = tor / self.pod_tors();
            for agg in 0..self.pod_aggs() {
                for _ in 0..self.tier(1).bundle {
                    let agg = pod * self.pod_aggs() + agg;
                    self.add_link(graph, 1, tor_node(tor), agg_node(agg));
                }
            }
        }
        if self.tiers.len() == 2 {
            return;
        }
        let aggs = self.pods() * self.pod_aggs();
        let core_node = |core: u32| NodeId(self.hosts + self.tors() + aggs + core);
        for agg in 0..aggs {
            for step in 0..self.agg_cores() {
                let core = agg % self.pod_aggs() + self.pod_aggs() * step;
                for _ in 0..self.tier(2).bundle {
                    self.add_link(graph, 2, agg_node(agg), core_node(core));
                }
            }
        }
    }

    fn add_link(&self, graph: &mut Graph, tier: usize, a: NodeId, b: NodeId) {
        let Tier { rate, delay, .. } = *self.tier(tier);
        graph.links.push(Link { a, b, rate, delay });
    }
}
