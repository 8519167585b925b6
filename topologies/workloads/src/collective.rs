//! Collectives, and their bandwidths as nccl-tests defines them.

use serde::{Deserialize, Serialize};

/// Which collective.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// Every rank ends with the sum of all ranks' buffers.
    AllReduce,
    /// Every rank ends with all ranks' parts.
    AllGather,
    /// Every rank ends with its part of the sum of all ranks' buffers.
    ReduceScatter,
    /// Every rank sends a different part of its buffer to every rank.
    AllToAll,
    /// Every rank ends with the root's buffer.
    Broadcast,
    /// The root ends with the sum of all ranks' buffers.
    Reduce,
    /// The root ends with all ranks' parts.
    Gather,
    /// Every rank ends with its part of the root's buffer.
    Scatter,
    /// No rank goes on before all have come.
    Barrier,
    /// Every rank sends its buffer to the next.
    SendReceive,
}

impl Kind {
    /// All of them, by their names in scenarios and records.
    pub const NAMES: [(&'static str, Kind); 10] = [
        ("all-reduce", Kind::AllReduce),
        ("all-gather", Kind::AllGather),
        ("reduce-scatter", Kind::ReduceScatter),
        ("all-to-all", Kind::AllToAll),
        ("broadcast", Kind::Broadcast),
        ("reduce", Kind::Reduce),
        ("gather", Kind::Gather),
        ("scatter", Kind::Scatter),
        ("barrier", Kind::Barrier),
        ("send-receive", Kind::SendReceive),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Kind::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// A collective over a group of ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collective {
    /// Which.
    pub kind: Kind,
    /// Number of ranks, n.
    pub ranks: u32,
    /// The buffer of each rank, in bytes: of an all-reduce, broadcast or reduce what is reduced or sent; of an all-gather,
    /// reduce-scatter, gather or scatter, and of an all-to-all, all n parts, the rank's own included; of a send-receive what
    /// each rank sends.
    pub bytes: u64,
}

impl Collective {
    /// The factor from algorithm to bus bandwidth: the share of the buffer that each rank's link must
    /// carry in each direction.
    pub fn bus_factor(&self) -> f64 {
        let ranks = f64::from(self.ranks);
        match self.kind {
            Kind::AllReduce => 2.0 * (ranks - 1.0) / ranks,
            Kind::AllGather
            | Kind::ReduceScatter
            | Kind::AllToAll
            | Kind::Gather
            | Kind::Scatter => (ranks - 1.0) / ranks,
            Kind::Broadcast | Kind::Reduce | Kind::SendReceive => 1.0,
            Kind::Barrier => 0.0,
        }
    }

    /// Its name in scenarios and records.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bus factors of eight ranks: 1.75 for an all-reduce, 0.875 where each part moves once, 1 where all of it does.
    #[test]
    fn bus_factors_are_those_of_nccl_tests() {
        let of = |kind| Collective { kind, ranks: 8, bytes: 1 }.bus_factor();
        assert_eq!(of(Kind::AllReduce), 1.75);
        for kind in [Kind::AllToAll, Kind::AllGather, Kind::ReduceScatter, Kind::Gather] {
            assert_eq!(of(kind), 0.875);
        }
        assert_eq!([Kind::Broadcast, Kind::Reduce, Kind::SendReceive].map(of), [1.0; 3]);
    }
}
