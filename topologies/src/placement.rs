//! Where ranks sit.

use fabric::ids::HostId;
use fabric::rng::{Purpose, Stream};

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

#[cfg(test)]
mod tests {
    use super::*;
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
}
