//! Algorithms of collectives: who sends which blocks to whom, and after what.
//!
//! - [`ring`]: ring and several rings; [`tree`]: binary and double binary trees, binomial trees
//! - [`doubling`]: recursive halving and doubling, Bruck, dissemination
//! - [`direct`]: all to all at once, pair by pair, or with a window
//! - [`hierarchical`]: within domains first
//! - this file: what there is for which collective

pub mod direct;
pub mod doubling;
pub mod hierarchical;
pub mod ring;
pub mod tree;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::collective::Kind;
use crate::steps::{Sizes, Steps};

/// Algorithms by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Algorithm {
    /// Each rank to the next.
    Ring,
    /// One binary tree; for one-sided collectives a binomial one.
    Tree,
    /// Two binary trees for half of the data each, such that no rank is inside both (Sanders, Speck, Träff 2009).
    DoubleTree,
    /// Recursive halving, then doubling (Thakur, Rabenseifner, Gropp 2005).
    HalvingDoubling,
    /// Bruck's (1997): ⌈log₂ n⌉ rounds.
    Bruck,
    /// Everyone to everyone at once.
    Direct,
    /// Everyone to everyone, one pair after the other.
    Pairwise,
    /// Everyone to everyone, a bounded number at a time.
    Windowed,
    /// Within domains of neighbouring ranks, then among ranks of the same place.
    Hierarchical,
}

impl Algorithm {
    /// All of them, by their names in scenarios.
    pub const NAMES: [(&'static str, Algorithm); 9] = [
        ("ring", Algorithm::Ring),
        ("tree", Algorithm::Tree),
        ("double-tree", Algorithm::DoubleTree),
        ("halving-doubling", Algorithm::HalvingDoubling),
        ("bruck", Algorithm::Bruck),
        ("direct", Algorithm::Direct),
        ("pairwise", Algorithm::Pairwise),
        ("windowed", Algorithm::Windowed),
        ("hierarchical", Algorithm::Hierarchical),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Algorithm::NAMES.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// Those that there are for a collective, the usual one first.
    pub fn of(kind: Kind) -> &'static [Algorithm] {
        use Algorithm::*;
        match kind {
            Kind::AllReduce => &[Ring, Tree, DoubleTree, HalvingDoubling, Direct, Hierarchical],
            Kind::AllGather => &[Ring, HalvingDoubling, Bruck, Direct, Hierarchical],
            Kind::ReduceScatter => &[Ring, HalvingDoubling, Direct, Hierarchical],
            Kind::AllToAll => &[Windowed, Direct, Pairwise, Bruck, Hierarchical],
            Kind::Broadcast | Kind::Reduce => &[Tree, Ring],
            Kind::Gather | Kind::Scatter => &[Direct, Tree],
            Kind::Barrier => &[Bruck],
            Kind::SendReceive => &[Direct],
        }
    }
}

/// A collective with all that decides its steps, but not who the ranks are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// Which collective.
    pub kind: Kind,
    /// How.
    pub algorithm: Algorithm,
    /// Ranks of the group.
    pub ranks: u32,
    /// Buffer, as nccl-tests counts it ([`crate::collective::Collective::bytes`]).
    pub bytes: u64,
    /// The rank that has, or gets, all: of one-sided collectives.
    pub root: u32,
    /// Parts of the buffer that go different ways (ring: different rings).
    pub channels: u32,
    /// Parts that follow each other, so that a step can begin before the one before it has all.
    pub chunks: u32,
    /// Ranks of a domain: hierarchical; rings turn within it.
    pub domain: u32,
    /// Messages of a rank in flight: windowed.
    pub window: u32,
    /// Bytes from each rank to each, row by row: an all-to-all that is not uniform.
    pub matrix: Option<Arc<[u64]>>,
}

impl Recipe {
    /// The usual algorithm, one channel, one chunk.
    pub fn new(kind: Kind, ranks: u32, bytes: u64) -> Recipe {
        Recipe {
            kind,
            algorithm: Algorithm::of(kind)[0],
            ranks,
            bytes,
            root: 0,
            channels: 1,
            chunks: 1,
            domain: 1,
            window: 8,
            matrix: None,
        }
    }

    /// Whether this recipe works.
    ///
    /// # Errors
    /// A sentence that says what would.
    pub fn check(&self) -> Result<(), String> {
        let (name, kind, ranks) = (self.algorithm.name(), self.kind.name(), self.ranks);
        let of = Algorithm::of(self.kind);
        if !of.contains(&self.algorithm) {
            let names: Vec<&str> = of.iter().map(|algorithm| algorithm.name()).collect();
            return Err(format!("there is no {name} {kind}; there is {}", names.join(", ")));
        }
        if ranks < 2 {
            return Err(format!("{kind} needs two ranks at least"));
        }
        if self.root >= ranks {
            return Err(format!("`root` is {}; there are {ranks} ranks, from 0", self.root));
        }
        let powers = self.algorithm == Algorithm::HalvingDoubling && self.kind != Kind::AllReduce;
        if powers && !ranks.is_power_of_two() {
            return Err(format!("{name} {kind} needs a power of two of ranks, not {ranks}"));
        }
        if self.algorithm == Algorithm::Hierarchical
            && !(self.domain >= 2 && self.domain < ranks && ranks.is_multiple_of(self.domain))
        {
            return Err(format!(
                "hierarchical {kind} needs several whole domains; {ranks} ranks in domains of {} are none",
                self.domain
            ));
        }
        match self.sizes() {
            Sizes::Even { bytes, blocks } if bytes < u64::from(blocks) => {
                Err(format!("{bytes} B cannot be cut into {blocks} parts"))
            }
            _ => Ok(()),
        }
    }

    /// Blocks of the buffer.
    pub fn blocks(&self) -> u32 {
        let (n, parts) = (self.ranks, self.channels * self.chunks);
        match (self.kind, self.algorithm) {
            (Kind::AllToAll, _) => n * n,
            (Kind::Barrier, _) => 1,
            (Kind::AllReduce, Algorithm::Tree) => parts,
            (Kind::AllReduce, Algorithm::DoubleTree) => 2 * parts,
            (Kind::AllReduce, Algorithm::HalvingDoubling) => 1 << n.ilog2(),
            (Kind::Broadcast | Kind::Reduce, _) => parts,
            (_, Algorithm::Ring) => n * parts,
            _ => n,
        }
    }

    /// How long blocks are.
    fn sizes(&self) -> Sizes {
        match (&self.matrix, self.kind) {
            (Some(each), _) => Sizes::Each(Arc::clone(each)),
            // Each rank has blocks of its own for the whole buffer.
            (None, Kind::AllToAll | Kind::SendReceive) => {
                let bytes = self.bytes * u64::from(self.ranks);
                Sizes::Even { bytes, blocks: self.blocks() }
            }
            (None, _) => Sizes::Even { bytes: self.bytes, blocks: self.blocks() },
        }
    }

    /// More than any tag of its messages.
    pub fn tags(&self) -> u32 {
        let (n, parts) = (self.ranks, self.channels * self.chunks);
        match self.algorithm {
            Algorithm::Ring => 2 * n * parts,
            Algorithm::Tree | Algorithm::DoubleTree => 32 * parts,
            Algorithm::HalvingDoubling | Algorithm::Bruck => 2 * 33,
            Algorithm::Direct | Algorithm::Pairwise | Algorithm::Windowed => 2 * n,
            Algorithm::Hierarchical => 4 * n,
        }
    }

    /// The steps of a rank. Blocks are kept only to be `followed`.
    pub fn steps(&self, rank: u32, followed: bool) -> Steps {
        let mut steps = Steps::new(self.sizes(), followed);
        let to = &mut steps;
        match (self.kind, self.algorithm) {
            (Kind::AllReduce, Algorithm::Ring) => ring::all_reduce(self, rank, to),
            (Kind::AllGather, Algorithm::Ring) => ring::all_gather(self, rank, to),
            (Kind::ReduceScatter, Algorithm::Ring) => ring::reduce_scatter(self, rank, to),
            (Kind::Broadcast, Algorithm::Ring) => ring::broadcast(self, rank, to),
            (Kind::Reduce, Algorithm::Ring) => ring::reduce(self, rank, to),
            (Kind::AllReduce, Algorithm::Tree | Algorithm::DoubleTree) => {
                tree::all_reduce(self, rank, to);
            }
            (Kind::Broadcast, _) => tree::broadcast(self, rank, to),
            (Kind::Reduce, _) => tree::reduce(self, rank, to),
            (Kind::Gather, Algorithm::Tree) => tree::gather(self, rank, to),
            (Kind::Scatter, Algorithm::Tree) => tree::scatter(self, rank, to),
            (Kind::AllReduce, Algorithm::HalvingDoubling) => doubling::all_reduce(self, rank, to),
            (Kind::ReduceScatter, Algorithm::HalvingDoubling) => {
                doubling::reduce_scatter(self, rank, to);
            }
            (Kind::AllGather, Algorithm::HalvingDoubling) => doubling::all_gather(self, rank, to),
            (Kind::AllGather, Algorithm::Bruck) => doubling::bruck_all_gather(self, rank, to),
            (Kind::AllToAll, Algorithm::Bruck) => doubling::bruck_all_to_all(self, rank, to),
            (Kind::Barrier, _) => doubling::barrier(self, rank, to),
            (Kind::AllReduce, Algorithm::Hierarchical) => hierarchical::all_reduce(self, rank, to),
            (Kind::AllGather, Algorithm::Hierarchical) => hierarchical::all_gather(self, rank, to),
            (Kind::ReduceScatter, Algorithm::Hierarchical) => {
                hierarchical::reduce_scatter(self, rank, to);
            }
            (Kind::AllToAll, Algorithm::Hierarchical) => hierarchical::all_to_all(self, rank, to),
            (Kind::AllReduce, _) => direct::all_reduce(self, rank, to),
            (Kind::AllGather, _) => direct::all_gather(self, rank, to),
            (Kind::ReduceScatter, _) => direct::reduce_scatter(self, rank, to),
            (Kind::AllToAll, Algorithm::Pairwise) => direct::pairwise(self, rank, to),
            (Kind::AllToAll, _) => direct::all_to_all(self, rank, to),
            (Kind::Gather, _) => direct::gather(self, rank, to),
            (Kind::Scatter, _) => direct::scatter(self, rank, to),
            (Kind::SendReceive, _) => direct::send_receive(self, rank, to),
        }
        steps
    }
}
