//! Ranks: processes that run one emulation together, each a run of the shards.
//!
//! Ranks need to talk only as often as a packet can get from one to another: after the shortest latency of all
//! links *between* them, which may be many windows. The engine knows them by the trait [`Ranks`] alone; what
//! carries the words (MPI, channels in a test) is not its business.

use crate::units::Time;

/// What a rank tells all others when they meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// Its earliest event of each class of nodes, mail that it has sent included.
    pub earliest: [Time; 2],
    /// Packets in its shards and in its mail.
    pub in_flight: u64,
    /// Packet-hops that it has run so far.
    pub hops: u64,
    /// Messages acknowledged there so far.
    pub messages_done: u64,
    /// What it was asked to do: bits that all ranks obey.
    pub orders: u64,
}

/// Words of a [`Note`].
pub const NOTE_WORDS: usize = 6;

impl Note {
    /// As words, to send.
    pub fn to_words(self) -> [u64; NOTE_WORDS] {
        let [first, second] = self.earliest;
        [first.0, second.0, self.in_flight, self.hops, self.messages_done, self.orders]
    }

    /// From words received.
    pub fn from_words(words: [u64; NOTE_WORDS]) -> Note {
        let [first, second, in_flight, hops, messages_done, orders] = words;
        let earliest = [Time(first), Time(second)];
        Note { earliest, in_flight, hops, messages_done, orders }
    }
}

/// The processes of a run, seen from one of them.
pub trait Ranks {
    /// This one's number.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Tells every rank `note` and sends it its entry of `mail`, and waits for theirs: returns all notes by rank,
    /// with `mail` turned into what was received, by rank.
    fn meet(&self, note: Note, mail: &mut [Vec<u64>]) -> Vec<Note>;

    /// Hands rank 0 the bytes of all ranks, in order; the others get nothing.
    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>>;

    /// Hands all ranks the bytes of rank 0.
    fn share(&self, bytes: Vec<u8>) -> Vec<u8>;

    /// Whether this is the process that speaks for all.
    fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The first rank on which something failed, and what; `own` is what failed here. All ranks have to call it.
    fn first_failure(&self, own: Option<&str>) -> Option<(usize, String)> {
        let all = self.gather(own.unwrap_or_default().as_bytes().to_vec());
        let failed = all.iter().position(|text| !text.is_empty());
        let told = failed.map(|rank| [&(rank as u64).to_le_bytes()[..], &all[rank]].concat());
        let told = self.share(told.unwrap_or_default());
        let (rank, text) = told.split_first_chunk()?;
        Some((u64::from_le_bytes(*rank) as usize, String::from_utf8_lossy(text).into_owned()))
    }

    /// Whether it is true on some rank. All ranks have to call it.
    fn any(&self, own: bool) -> bool {
        let all = self.gather(vec![u8::from(own)]);
        let any = all.iter().flatten().any(|one| *one != 0);
        self.share(vec![u8::from(any)]) != [0]
    }

    /// The sum over all ranks, on the first. All ranks have to call it.
    fn sum(&self, own: u64) -> u64 {
        let all = self.gather(own.to_le_bytes().to_vec());
        let number = |bytes: Vec<u8>| bytes.try_into().map_or(0, u64::from_le_bytes);
        all.into_iter().map(number).sum()
    }
}

/// A run in one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }
    fn count(&self) -> usize {
        1
    }
    fn meet(&self, note: Note, _: &mut [Vec<u64>]) -> Vec<Note> {
        vec![note]
    }
    fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        vec![bytes]
    }
    fn share(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}

/// Which shards each rank has: runs of equal length.
#[derive(Clone, Debug)]
pub struct Split {
    /// First shard of each rank, and one more.
    first: Vec<usize>,
    /// The rank whose view this is.
    rank: usize,
}

impl Split {
    /// `shards` over `ranks`, seen from `rank`.
    pub fn new(shards: usize, rank: usize, ranks: usize) -> Split {
        Split { first: (0..=ranks).map(|rank| rank * shards / ranks).collect(), rank }
    }

    /// Ranks.
    pub fn ranks(&self) -> usize {
        self.first.len() - 1
    }

    /// This rank.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Shards of all ranks.
    pub fn shards(&self) -> usize {
        self.first[self.ranks()]
    }

    /// The shards of this rank.
    pub fn own(&self) -> std::ops::Range<usize> {
        self.first[self.rank]..self.first[self.rank + 1]
    }

    /// The rank of a shard.
    pub fn rank_of(&self, shard: usize) -> usize {
        self.first.partition_point(|first| *first <= shard) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every shard belongs to exactly the rank whose run it lies in, also with more ranks than shards.
    #[test]
    fn shards_are_split_in_runs() {
        for (shards, ranks) in [(1, 1), (2, 3), (16, 3), (7, 4)] {
            let mut seen = 0;
            for rank in 0..ranks {
                let split = Split::new(shards, rank, ranks);
                assert!(split.own().all(|shard| split.rank_of(shard) == rank));
                seen += split.own().len();
            }
            assert_eq!(seen, shards);
        }
    }
}
