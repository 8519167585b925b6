//! Which shard each node belongs to.

use std::cmp::Reverse;

use fabric::graph::{Graph, RouteRule};
use fabric::ids::HostId;
use fabric::units::Span;

/// Most nodes of a rank over its share before ranks are cut elsewhere.
const MOST_OVER: f64 = 1.25;

/// Deals the nodes out to `shards`, of which each of `ranks` processes will have a run of equal length: hosts in runs
/// of equal length, switches with the first host below them, top switches evenly. All hosts of a coupling group go
/// where its first host is.
///
/// Where some links are longer than others, like those between buildings, ranks are cut along the longest that
/// leave them about equally large: so they have to meet least often. Else, shards that follow each other share the
/// most links, and a rank has such.
///
/// The result has one entry a node. It decides speed, never results.
pub fn partition(graph: &Graph, shards: u32, ranks: u32, couplings: &[Vec<HostId>]) -> Vec<u32> {
    let shards = shards.clamp(1, graph.hosts);
    let mut shard_of = match regions(graph, ranks.min(shards)) {
        Some(regions) => in_regions(graph, shards, ranks.min(shards), &regions),
        None => in_runs(graph, shards),
    };
    for group in couplings {
        let first = group.iter().min().map(|host| shard_of[host.index()]);
        group.iter().for_each(|host| shard_of[host.index()] = first.unwrap_or(0));
    }
    compact(&mut shard_of);
    shard_of
}

/// Shards without regard to the length of links.
fn in_runs(graph: &Graph, shards: u32) -> Vec<u32> {
    let home = |host: u32| run(u64::from(host), u64::from(graph.hosts), shards);
    let mut shard_of: Vec<u32> = (0..graph.hosts).map(home).collect();
    let tops = graph.switches.iter().filter(|switch| covers_all(graph, &switch.route)).count();
    let mut top = 0;
    for (place, switch) in graph.switches.iter().enumerate() {
        if covers_all(graph, &switch.route) {
            shard_of.push(run(top, tops as u64, shards));
            top += 1;
        } else if switch.route.span().is_empty() {
            shard_of.push(run(place as u64, graph.switches.len() as u64, shards));
        } else {
            shard_of.push(home(switch.route.span().start));
        }
    }
    shard_of
}

/// Shards of regions: the nodes of each, in order, in runs over the shards of its rank.
fn in_regions(graph: &Graph, shards: u32, ranks: u32, regions: &[u32]) -> Vec<u32> {
    let mut shard_of = vec![0; regions.len()];
    for rank in 0..ranks {
        let [first, end] = [rank, rank + 1].map(|rank| rank * shards / ranks);
        for nodes in [0..graph.hosts as usize, graph.hosts as usize..regions.len()] {
            let own: Vec<usize> = nodes.filter(|node| regions[*node] == rank).collect();
            for (place, node) in own.iter().enumerate() {
                shard_of[*node] = first + run(place as u64, own.len() as u64, end - first);
            }
        }
    }
    shard_of
}

/// The run of `place` among `all` in `runs` of equal length.
fn run(place: u64, all: u64, runs: u32) -> u32 {
    (place * u64::from(runs) / all.max(1)) as u32
}

/// The rank of each node, if ranks can be cut along links that are longer than others: the longest possible.
fn regions(graph: &Graph, ranks: u32) -> Option<Vec<u32>> {
    if ranks < 2 {
        return None;
    }
    let mut lengths: Vec<Span> = graph.links.iter().map(|link| link.delay).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths.iter().skip(1).rev().find_map(|length| packed(&islands(graph, *length), ranks))
}

/// The island of each node: what links shorter than `length` hold together. Islands have the number of one of
/// their nodes.
fn islands(graph: &Graph, length: Span) -> Vec<u32> {
    fn root(parent: &mut [u32], mut node: u32) -> u32 {
        while parent[node as usize] != node {
            parent[node as usize] = parent[parent[node as usize] as usize];
            node = parent[node as usize];
        }
        node
    }
    let mut parent: Vec<u32> = (0..graph.nodes()).collect();
    for link in graph.links.iter().filter(|link| link.delay < length) {
        let [a, b] = [link.a, link.b].map(|node| root(&mut parent, node.0));
        parent[a.max(b) as usize] = a.min(b);
    }
    (0..graph.nodes()).map(|node| root(&mut parent, node)).collect()
}

/// The rank of each node with every island on one rank, the largest first on the least loaded; `None` if some rank
/// would have far more than its share.
fn packed(islands: &[u32], ranks: u32) -> Option<Vec<u32>> {
    let mut sizes = vec![0u64; islands.len()];
    islands.iter().for_each(|island| sizes[*island as usize] += 1);
    let mut order: Vec<usize> = (0..sizes.len()).filter(|island| sizes[*island] > 0).collect();
    order.sort_by_key(|island| Reverse(sizes[*island]));
    let mut loads = vec![0u64; ranks as usize];
    let mut rank_of = vec![0; islands.len()];
    for island in order {
        let least = (0..loads.len()).min_by_key(|rank| loads[*rank])?;
        loads[least] += sizes[island];
        rank_of[island] = least as u32;
    }
    let share = islands.len() as f64 / f64::from(ranks);
    let fits = loads.iter().all(|load| *load > 0 && *load as f64 <= share * MOST_OVER);
    fits.then(|| islands.iter().map(|island| rank_of[*island as usize]).collect())
}

fn covers_all(graph: &Graph, route: &RouteRule) -> bool {
    route.span().len() == graph.hosts as usize
}

/// Renumbers the shards, in order, so that none is without nodes.
fn compact(shard_of: &mut [u32]) {
    let mut used: Vec<u32> = shard_of.to_vec();
    used.sort_unstable();
    used.dedup();
    let number = |shard: u32| used.partition_point(|other| *other < shard) as u32;
    shard_of.iter_mut().for_each(|shard| *shard = number(*shard));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Common, fat_tree};
    use fabric::units::Rate;

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
        let shard_of = partition(&graph, 2, 1, &[]);
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
            let shard_of = partition(&graph, shards, 2, std::slice::from_ref(&group));
            assert!(group.iter().all(|host| shard_of[host.index()] == shard_of[0]));
            let most = *shard_of.iter().max().unwrap();
            assert!((0..=most).all(|shard| shard_of.contains(&shard)));
        }
    }

    /// Ranks are cut along the longest links that leave them equally large: here those to the core, because those
    /// between the two racks of a pod would leave one rank with all the rest.
    #[test]
    fn ranks_are_cut_along_long_links() {
        let mut graph = graph();
        for link in &mut graph.links {
            let tier = |node: fabric::ids::NodeId| graph.switches[node.index() - 128].tier;
            if link.b.0 >= 128 && tier(link.b) == 2 {
                link.delay = Span::from_micros(50);
            }
        }
        // One cable of the first rack is longer still.
        let odd = graph.links.iter().position(|link| link.a.0 >= 128).unwrap();
        graph.links[odd].delay = Span::from_micros(70);
        let shard_of = partition(&graph, 4, 2, &[]);
        let rank_of = |node: fabric::ids::NodeId| shard_of[node.index()] / 2;
        let cut = graph.links.iter().filter(|link| rank_of(link.a) != rank_of(link.b));
        let shortest = cut.map(|link| link.delay).min();
        assert_eq!(shortest, Some(Span::from_micros(50)));
        for rank in 0..2 {
            let nodes = (0..graph.nodes()).filter(|node| shard_of[*node as usize] / 2 == rank);
            assert!(nodes.count().abs_diff(shard_of.len() / 2) < shard_of.len() / 8);
        }
    }
}
