//! Which shard each node belongs to.

use fabric::graph::{Graph, RouteRule};
use fabric::ids::HostId;

/// Deals the nodes out to `shards`: hosts in runs of equal length, switches with the first host below
/// them, top switches evenly. All hosts of a coupling group go where its first host is.
///
/// The result has one entry a node. It decides speed, never results.
pub fn partition(graph: &Graph, shards: u32, couplings: &[Vec<HostId>]) -> Vec<u32> {
    let shards = shards.clamp(1, graph.hosts);
    let home = |host: u32| (u64::from(host) * u64::from(shards) / u64::from(graph.hosts)) as u32;
    let mut shard_of: Vec<u32> = (0..graph.hosts).map(home).collect();
    for group in couplings {
        let first = group.iter().map(|host| host.0).min().map(home);
        for host in group {
            shard_of[host.index()] = first.unwrap_or(0);
        }
    }
    let tops = graph.switches.iter().filter(|switch| covers_all(graph, &switch.route)).count();
    let mut top = 0;
    for switch in &graph.switches {
        let RouteRule::UpDown { first_host, .. } = switch.route;
        if covers_all(graph, &switch.route) {
            shard_of.push((top * u64::from(shards) / tops as u64) as u32);
            top += 1;
        } else {
            shard_of.push(home(first_host));
        }
    }
    compact(&mut shard_of);
    shard_of
}

fn covers_all(graph: &Graph, route: &RouteRule) -> bool {
    let RouteRule::UpDown { host_count, .. } = *route;
    host_count == graph.hosts
}

/// Renumbers the shards so that none is without nodes.
fn compact(shard_of: &mut [u32]) {
    let most = shard_of.iter().max().map_or(0, |most| *most as usize);
    let mut number = vec![u32::MAX; most + 1];
    let mut next = 0;
    for shard in shard_of {
        let place = &mut number[*shard as usize];
        if *place == u32::MAX {
            *place = next;
            next += 1;
        }
        *shard = *place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, fat_tree};
    use fabric::units::{Rate, Span};

    fn graph() -> Graph {
        let common = Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_micros(1),
            switch_latency: Span::ZERO,
        };
        fat_tree(128, &common).unwrap()
    }

    /// Two shards of a fat tree have half of the nodes each, and cut only links to the core.
    #[test]
    fn two_shards_cut_only_core_links() {
        let graph = graph();
        let shard_of = partition(&graph, 2, &[]);
        assert_eq!(shard_of.iter().filter(|shard| **shard == 0).count(), shard_of.len() / 2);
        for link in &graph.links {
            let core = graph.switch(link.b).is_some_and(|switch| switch.tier == 2);
            assert!(core || shard_of[link.a.index()] == shard_of[link.b.index()]);
        }
    }

    /// Coupled hosts share a shard, and no shard is empty for any count.
    #[test]
    fn coupled_hosts_stay_together_and_no_shard_is_empty() {
        let graph = graph();
        let group: Vec<HostId> = (0..128).step_by(8).map(HostId).collect();
        for shards in [1, 2, 3, 16, 64, 500] {
            let shard_of = partition(&graph, shards, std::slice::from_ref(&group));
            assert!(group.iter().all(|host| shard_of[host.index()] == shard_of[0]));
            let most = *shard_of.iter().max().unwrap();
            assert!((0..=most).all(|shard| shard_of.contains(&shard)));
        }
    }
}
