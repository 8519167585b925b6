//! Scale-up domains: a second network that joins neighbouring hosts, as NVLink switches do within a server or rack.

use fabric::graph::{Graph, Link, RouteRule, ScaleUp, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Span};

use crate::error::TopologyError;

/// Parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domains {
    /// Hosts of a domain; the last one may have fewer.
    pub size: u32,
    /// Switches of a domain; each host has a link to each.
    pub switches: u32,
    /// Rate of all links of a host together.
    pub rate: Rate,
    /// Delay of a link.
    pub delay: Span,
    /// Latency of a switch.
    pub latency: Span,
}

/// Adds domains to a graph.
///
/// # Errors
/// [`TopologyError`] when the sizes are out of range.
pub fn add(graph: &mut Graph, domains: &Domains) -> Result<(), TopologyError> {
    let Domains { size, switches, rate, delay, latency } = *domains;
    if !(2..=graph.hosts.max(2)).contains(&size) {
        let allowed = format!("2 to `hosts` = {} are possible", graph.hosts);
        return Err(TopologyError::new("scale_up.domain", size, allowed));
    }
    if !(1..=64).contains(&switches) {
        return Err(TopologyError::new("scale_up.switches", switches, "1 to 64 are possible"));
    }
    let tier = graph.tier_names.len() as u8;
    graph.tier_names.push("nvswitch");
    let ports_of_first = graph.links.iter().filter(|link| link.a.0 == 0 || link.b.0 == 0).count();
    graph.scale_up = Some(ScaleUp { domain: size, first_port: ports_of_first as u16 });
    let each = Rate::from_bits_per_second(rate.bits_per_second() / u64::from(switches));
    for domain in 0..graph.hosts.div_ceil(size) {
        let first = domain * size;
        let count = (graph.hosts - first).min(size);
        for number in 0..switches {
            let node = NodeId(graph.nodes());
            let route = RouteRule::UpDown {
                first_host: first,
                host_count: count,
                hosts_per_child: 1,
                down_base: 0,
                bundle: 1,
                up_base: count as u16,
                up_count: 0,
            };
            graph.switches.push(Switch { tier, index: domain * switches + number, latency, route });
            let link = |host| Link { a: NodeId(host), b: node, rate: each, delay };
            graph.links.extend((first..first + count).map(link));
        }
    }
    Ok(())
}
