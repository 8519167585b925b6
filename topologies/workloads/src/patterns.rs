//! Flows by rule: the permutations and incasts that figures of the field are made with.

use fabric::ids::HostId;
use fabric::rng::SplitMix64;
use fabric::units::Time;

use crate::matrix::{Connection, Matrix, Start};

/// A permutation without fixed points: `result[i]` is where host i sends. SplitMix64 from `seed` and
/// Sattolo's shuffle (`htsim-profile.md`), so that matrices can be made again from their rule.
pub fn derangement(hosts: u32, seed: u64) -> Vec<u32> {
    let mut to: Vec<u32> = (0..hosts).collect();
    let mut numbers = SplitMix64::new(seed);
    for last in (1..hosts as usize).rev() {
        let other = (numbers.next_u64() % last as u64) as usize;
        to.swap(last, other);
    }
    to
}

fn matrix(nodes: u32, bytes: u64, pairs: impl Iterator<Item = (u32, u32)>) -> Matrix {
    let connection = |(number, (src, dst)): (usize, (u32, u32))| Connection {
        id: number as u64 + 1,
        shares_id: false,
        src: HostId(src),
        dst: HostId(dst),
        bytes,
        start: Start::At(Time::ZERO),
        send_done: None,
        recv_done: None,
        line: 0,
    };
    let connections = pairs.enumerate().map(connection).collect();
    Matrix { nodes, connections, triggers: Vec::new() }
}

/// Every host sends `bytes` to another, and every host receives from one.
pub fn permutation(hosts: u32, bytes: u64, seed: u64) -> Matrix {
    let to = derangement(hosts, seed);
    matrix(hosts, bytes, (0..hosts).map(|host| (host, to[host as usize])))
}

/// `senders` hosts, spread evenly over all others, send `bytes` each to `receiver`.
///
/// # Errors
/// A sentence, when there are no senders or more than hosts besides the receiver.
pub fn incast(hosts: u32, senders: u32, receiver: u32, bytes: u64) -> Result<Matrix, String> {
    if receiver >= hosts {
        return Err(format!("receiver {receiver} is out of range; there are {hosts} hosts"));
    }
    if senders == 0 || senders >= hosts {
        return Err(format!("senders is {senders}; expected 1 to {}", hosts - 1));
    }
    let stride = (hosts - 1) / senders;
    let sender = move |number: u32| (receiver + 1 + number * stride) % hosts;
    Ok(matrix(hosts, bytes, (0..senders).map(|number| (sender(number), receiver))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No host sends to itself, and every host receives once.
    #[test]
    fn a_derangement_moves_every_host() {
        for (hosts, seed) in [(2, 1), (17, 3), (128, 1)] {
            let mut to = derangement(hosts, seed);
            assert!(to.iter().enumerate().all(|(host, to)| host as u32 != *to));
            to.sort_unstable();
            assert_eq!(to, (0..hosts).collect::<Vec<_>>());
        }
    }

    /// The first pairs of the published permutation of 128 hosts with seed 1.
    #[test]
    fn the_permutation_is_the_published_one() {
        assert_eq!(derangement(128, 1)[..3], [41, 25, 118]);
    }

    /// Senders are spread as in the published incasts: 1, 16, 31 for eight of 127.
    #[test]
    fn incast_senders_are_spread() {
        let matrix = incast(128, 8, 0, 10).unwrap();
        let sources: Vec<u32> = matrix.connections.iter().map(|c| c.src.0).collect();
        assert_eq!(sources[..3], [1, 16, 31]);
        assert!(incast(8, 8, 0, 10).unwrap_err().contains("1 to 7"));
    }
}
