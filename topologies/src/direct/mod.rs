//! Direct networks: every switch has hosts, and switches are joined to each other.
//!
//! - [`dragonfly`]: groups, each joined to each other; [`dragonfly_plus`]: the same with groups of leaves and spines
//! - [`grid`]: HyperX, torus and mesh
//! - [`slim_fly`]: two hops between any two switches, with as few ports as possible
//! - this file: from switches and links to a graph with routes

pub mod dragonfly;
pub mod dragonfly_plus;
pub mod grid;
pub mod slim_fly;

use std::sync::Arc;

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::{HostId, NodeId};
use fabric::shape::{Channels, LinkKind, Shape};
use fabric::units::{Rate, Span};

use crate::build::Common;
use crate::error::TopologyError;
use crate::routes::shortest;

/// Most switches of a direct network: its routes are tables, whose size grows with the square of it.
pub const MOST_SWITCHES: u32 = 8_192;

/// A link between switches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cable {
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) kind: LinkKind,
    pub(crate) rate: Rate,
    pub(crate) delay: Span,
}

/// `each` cables between every two groups. The n-th of a group leads to the group (n mod (g − 1)) + 1 places further and leaves
/// from the switch that `port` says, which for numbers that follow each other differs, so that cables to one group are
/// spread.
pub(crate) fn between_groups(
    groups: u32,
    each: u32,
    port: impl Fn(u32, u32) -> u32,
    (rate, delay): (Rate, Span),
) -> Vec<Cable> {
    let mut cables = Vec::new();
    for group in 0..groups {
        for number in 0..each * (groups - 1) {
            let step = number % (groups - 1) + 1;
            let other = (group + step) % groups;
            // The same cable seen from the other end: it leads back groups − step places.
            let back = number / (groups - 1) * (groups - 1) + (groups - step - 1);
            if group < other {
                let (a, b) = (port(group, number), port(other, back));
                cables.push(Cable { a, b, kind: LinkKind::Global, rate, delay });
            }
        }
    }
    cables
}

/// Switches and cables, before hosts and routes.
pub(crate) struct Direct {
    /// Hosts; switches are filled in order, the last may be partly filled or empty.
    pub(crate) hosts: u32,
    pub(crate) hosts_per_switch: u32,
    /// Tier of each switch, and how many of them have hosts: the first ones.
    pub(crate) tiers: Vec<u8>,
    pub(crate) with_hosts: u32,
    pub(crate) tier_names: Vec<&'static str>,
    /// Region of each switch.
    pub(crate) region_of: Vec<u32>,
    pub(crate) cables: Vec<Cable>,
    pub(crate) channels: Channels,
}

impl Direct {
    /// The graph. `allowed` leaves those of the shortest ways that shall be used ([`shortest`]).
    pub(crate) fn build(
        mut self,
        common: &Common,
        allowed: impl Fn(u32, u32, u32) -> bool,
    ) -> Result<Graph, TopologyError> {
        let most = self.with_hosts * self.hosts_per_switch;
        if !(2..=most).contains(&self.hosts) {
            let allowed = format!("2 to {most} fit on {} switches", self.with_hosts);
            return Err(TopologyError::new("hosts", self.hosts, allowed));
        }
        let count = self.tiers.len() as u32;
        if count > MOST_SWITCHES {
            let allowed = format!("at most {MOST_SWITCHES} are possible");
            return Err(TopologyError::new("switches", count, allowed));
        }
        let mut graph = Graph {
            hosts: self.hosts,
            tier_names: std::mem::take(&mut self.tier_names),
            ..Graph::default()
        };
        let mut index = [0u32; 4];
        for (place, tier) in self.tiers.iter().enumerate() {
            let number = &mut index[usize::from(*tier)];
            *number += 1;
            let first = (place as u32 * self.hosts_per_switch).min(self.hosts);
            let own = (self.hosts - first).min(self.hosts_per_switch);
            let route = match (place as u32) < self.with_hosts && own > 0 {
                false => RouteRule::NOTHING_BELOW,
                true => RouteRule::UpDown {
                    first_host: first,
                    host_count: own,
                    hosts_per_child: 1,
                    down_base: 0,
                    bundle: 1,
                    up_base: own as u16,
                    up_count: 0,
                },
            };
            let latency = common.switch_latency;
            graph.switches.push(Switch { tier: *tier, index: *number - 1, latency, route });
        }
        let node = |switch: u32| NodeId(self.hosts + switch);
        let (rate, delay) = (common.link_rate, common.link_delay);
        let of_host = |host: u32| Link {
            a: NodeId(host),
            b: node(host / self.hosts_per_switch),
            rate,
            delay,
        };
        graph.links.extend((0..self.hosts).map(of_host));
        let mut kinds = vec![LinkKind::Local; self.hosts as usize];
        for cable in &self.cables {
            let Cable { a, b, kind, rate, delay } = *cable;
            graph.links.push(Link { a: node(a), b: node(b), rate, delay });
            kinds.push(kind);
        }
        self.route(graph, kinds, allowed)
    }

    /// Adds routes and the shape.
    fn route(
        self,
        mut graph: Graph,
        kinds: Vec<LinkKind>,
        allowed: impl Fn(u32, u32, u32) -> bool,
    ) -> Result<Graph, TopologyError> {
        let routes = shortest(&graph, &kinds, allowed);
        let region = |host: &HostId| self.region_of[(host.0 / self.hosts_per_switch) as usize];
        let (mut first, mut hosts) = (vec![0], Vec::new());
        // Hosts fill regions in order; those that are left without are no way round.
        for number in 0.. {
            hosts.extend(routes.example.iter().filter(|host| region(host) == number));
            if hosts.len() as u32 == first[number as usize] {
                break;
            }
            first.push(hosts.len() as u32);
        }
        graph.tables = routes.tables;
        graph.shape = Some(Arc::new(Shape {
            region_of: self.region_of,
            first,
            hosts,
            hops: routes.hops,
            destinations: routes.destinations,
            kinds,
            channels: self.channels,
        }));
        Ok(graph)
    }
}
