//! Bandwidths of collectives, as nccl-tests defines them.

/// Which collective.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Every rank ends with the sum of all ranks' buffers.
    AllReduce,
    /// Every rank sends a different part of its buffer to every rank.
    AllToAll,
}

/// A collective over a group of ranks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collective {
    /// Which.
    pub kind: Kind,
    /// Number of ranks, n.
    pub ranks: u32,
    /// The buffer of each rank, in bytes: for an all-reduce what is reduced; for an all-to-all all n
    /// parts, the rank's own included.
    pub bytes: u64,
}

impl Collective {
    /// The factor from algorithm to bus bandwidth: the share of the buffer that each rank's link must
    /// carry in each direction. All-reduce 2(n − 1)/n, all-to-all (n − 1)/n.
    pub fn bus_factor(&self) -> f64 {
        let ranks = f64::from(self.ranks);
        match self.kind {
            Kind::AllReduce => 2.0 * (ranks - 1.0) / ranks,
            Kind::AllToAll => (ranks - 1.0) / ranks,
        }
    }

    /// Its name in scenarios and records.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::AllReduce => "all-reduce",
            Kind::AllToAll => "all-to-all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bus factors of eight ranks: 1.75 and 0.875.
    #[test]
    fn bus_factors_are_those_of_nccl_tests() {
        let of = |kind| Collective { kind, ranks: 8, bytes: 1 }.bus_factor();
        assert_eq!(of(Kind::AllReduce), 1.75);
        assert_eq!(of(Kind::AllToAll), 0.875);
    }
}
