//! Where ranks sit.

use std::collections::BTreeMap;

use fabric::graph::{Graph, RouteRule};
use fabric::ids::{HostId, NodeId};
use fabric::rng::{Purpose, Stream};

use crate::check::neighbours;
use crate::error::TopologyError;

/// How ranks are laid on hosts, one a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// Rank i on host i.
    Packed,
    /// Ranks on distinct hosts drawn by the seed.
    Random,
    /// Rank i on host i times the stride; past the last host it starts over, one host further.
    Stride(u32),
}

/// The host of each rank.
///
/// # Errors
/// [`TopologyError`] when there are more ranks than hosts, fewer than two, or the stride is zero.
pub fn place(
    ranks: u32,
    hosts: u32,
    placement: Placement,
    seed: u64,
) -> Result<Vec<HostId>, TopologyError> {
    if !(2..=hosts).contains(&ranks) {
        let allowed = format!("2 to the number of hosts, {hosts}, are possible");
        return Err(TopologyError::new("ranks", ranks, allowed));
    }
    let mut order: Vec<HostId> = (0..hosts).map(HostId).collect();
    match placement {
        Placement::Packed => {}
        Placement::Random => Stream::new(seed, 0, Purpose::Placement).shuffle(&mut order),
        Placement::Stride(0) => {
            return Err(TopologyError::new("stride", 0, "at least 1 is needed"));
        }
        Placement::Stride(stride) => order.sort_by_key(|host| (host.0 % stride, host.0)),
    }
    order.truncate(ranks as usize);
    Ok(order)
}

/// How several jobs share the hosts, each with its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// One after the other.
    Packed,
    /// Hosts drawn by the seed.
    Random,
    /// Blocks of so many neighbouring hosts, drawn by the seed: what is left where many jobs have come and gone.
    Fragmented(u32),
    /// Each job below as few switches as it can: below one where it fits, the fullest of those; else it takes the emptiest,
    /// and for the rest again the fullest where that fits.
    TopologyAware,
}

/// The hosts of jobs that need so many each.
///
/// # Errors
/// [`TopologyError`] when there are not enough.
pub fn spread(
    needs: &[u32],
    graph: &Graph,
    spread: Spread,
    seed: u64,
) -> Result<Vec<Vec<HostId>>, TopologyError> {
    let sum: u64 = needs.iter().map(|need| u64::from(*need)).sum();
    if sum > u64::from(graph.hosts) {
        let allowed = format!("the fabric has {} hosts", graph.hosts);
        return Err(TopologyError::new("ranks of all jobs", sum, allowed));
    }
    let mut order: Vec<HostId> = (0..graph.hosts).map(HostId).collect();
    let mut random = Stream::new(seed, 0, Purpose::Placement);
    match spread {
        Spread::Packed => {}
        Spread::Random => random.shuffle(&mut order),
        Spread::Fragmented(block) => {
            let mut blocks: Vec<&[HostId]> = order.chunks(block.max(1) as usize).collect();
            random.shuffle(&mut blocks);
            order = blocks.concat();
        }
        Spread::TopologyAware => return Ok(below_few_switches(needs, graph)),
    }
    let mut rest = order.as_slice();
    let own = needs.iter().map(|need| {
        let (own, others) = rest.split_at(*need as usize);
        rest = others;
        own.to_vec()
    });
    Ok(own.collect())
}

/// Hosts below the same switches, or on rails of the same group, in order.
fn regions(graph: &Graph) -> Vec<Vec<HostId>> {
    let mut regions: BTreeMap<u32, Vec<HostId>> = BTreeMap::new();
    let neighbours = neighbours(graph);
    let mut first_of: BTreeMap<NodeId, u32> = BTreeMap::new();
    for host in 0..graph.hosts {
        let leaf = neighbours[host as usize][0];
        let first = *first_of.entry(leaf).or_insert(host);
        let rails = match graph.switch(leaf).map(|switch| switch.route) {
            Some(RouteRule::Rails { rails, .. }) => u32::from(rails).max(1),
            _ => 1,
        };
        regions.entry(first - first % rails).or_default().push(HostId(host));
    }
    regions.into_values().collect()
}

fn below_few_switches(needs: &[u32], graph: &Graph) -> Vec<Vec<HostId>> {
    let mut free = regions(graph);
    let give = |need: &u32| {
        let mut own = Vec::new();
        while own.len() < *need as usize {
            let left = *need as usize - own.len();
            let places = (0..free.len()).filter(|place| !free[*place].is_empty());
            let fullest = places.clone().filter(|place| free[*place].len() >= left);
            let fullest = fullest.min_by_key(|place| (free[*place].len(), *place));
            let emptiest = places.max_by_key(|place| (free[*place].len(), usize::MAX - place));
            let Some(place) = fullest.or(emptiest) else { break };
            let taken = left.min(free[place].len());
            own.extend(free[place].drain(..taken));
        }
        own
    };
    needs.iter().map(give).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, Common, LeafSpine};
    use fabric::units::{Rate, Ratio, Span};
    use std::collections::BTreeSet;

    /// Every placement uses distinct hosts.
    #[test]
    fn ranks_sit_on_distinct_hosts() {
        for placement in [Placement::Packed, Placement::Random, Placement::Stride(3)] {
            let hosts = place(50, 64, placement, 7).unwrap();
            assert_eq!(hosts.iter().collect::<BTreeSet<_>>().len(), 50, "{placement:?}");
        }
    }

    /// A stride of four puts consecutive ranks four hosts apart, then starts over one further.
    #[test]
    fn a_stride_spreads_ranks() {
        let hosts = place(20, 64, Placement::Stride(4), 0).unwrap();
        assert_eq!(hosts[..3], [HostId(0), HostId(4), HostId(8)]);
        assert_eq!(hosts[16..18], [HostId(1), HostId(5)]);
    }

    /// More ranks than hosts is an error that says how many there are.
    #[test]
    fn too_many_ranks_are_refused() {
        let error = place(65, 64, Placement::Packed, 0).unwrap_err().to_string();
        assert_eq!(error, "`ranks` is 65, but 2 to the number of hosts, 64, are possible");
    }

    /// 64 hosts below leaves of 16.
    fn leaf_spine() -> Graph {
        let rate = Rate::from_gbps(400);
        let common = Common {
            link_rate: rate,
            link_delay: Span::from_nanos(300),
            switch_latency: Span::ZERO,
        };
        let shape = LeafSpine {
            hosts: 64,
            hosts_per_leaf: 16,
            uplink_rate: rate,
            spines: None,
            oversubscription: Ratio::ONE,
            bundle: 1,
        };
        build::leaf_spine(&shape, &common).unwrap()
    }

    /// However jobs are spread, no two have a host in common, and all get what they need.
    #[test]
    fn jobs_have_hosts_of_their_own() {
        let graph = leaf_spine();
        for how in [Spread::Packed, Spread::Random, Spread::Fragmented(3), Spread::TopologyAware] {
            let hosts = spread(&[20, 7, 30], &graph, how, 1).unwrap();
            assert_eq!(hosts.iter().map(Vec::len).collect::<Vec<_>>(), [20, 7, 30], "{how:?}");
            assert_eq!(hosts.concat().iter().collect::<BTreeSet<_>>().len(), 57, "{how:?}");
        }
        let error = spread(&[40, 40], &graph, Spread::Packed, 1).unwrap_err().to_string();
        assert!(error.contains("80, but the fabric has 64 hosts"), "{error}");
    }

    /// With leaves of 16, a job of 20 takes a whole one and the job of 12 the rest of another; packed, they would straddle.
    #[test]
    fn aware_jobs_are_below_few_switches() {
        let graph = leaf_spine();
        let leaves =
            |hosts: &[HostId]| hosts.iter().map(|host| host.0 / 16).collect::<BTreeSet<_>>().len();
        let aware = spread(&[20, 12, 16, 12], &graph, Spread::TopologyAware, 1).unwrap();
        assert_eq!(aware.iter().map(|own| leaves(own)).collect::<Vec<_>>(), [2, 1, 1, 1]);
        let packed = spread(&[20, 12, 16, 12], &graph, Spread::Packed, 1).unwrap();
        assert_eq!(packed.iter().map(|own| leaves(own)).collect::<Vec<_>>(), [2, 1, 1, 1]);
        let packed = spread(&[12, 16, 12], &graph, Spread::Packed, 1).unwrap();
        assert_eq!(packed.iter().map(|own| leaves(own)).collect::<Vec<_>>(), [1, 2, 2]);
        let aware = spread(&[12, 16, 12], &graph, Spread::TopologyAware, 1).unwrap();
        assert_eq!(aware.iter().map(|own| leaves(own)).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
