//! Flows by rule: the permutations, incasts, rings and all-to-alls that figures of the field are made
//! with.

use fabric::ids::HostId;
use fabric::rng::SplitMix64;
use fabric::units::{Span, Time};

use crate::matrix::{Connection, Matrix, Start, Trigger, TriggerKind};
use crate::poisson::MOST_FLOWS;
use crate::services::Draws;

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
    Matrix { nodes, connections, triggers: Vec::new(), failures: Vec::new() }
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

/// Bursts: at random times, on average `interval` apart and up to `duration`, `senders` hosts drawn at random send `bytes` each
/// to another one at once.
///
/// # Errors
/// When there are not enough hosts, or no burst or too many would come.
pub fn bursts(
    hosts: u32,
    (senders, bytes): (u32, u64),
    (interval, duration): (Span, Span),
    seed: u64,
) -> Result<Matrix, String> {
    if senders >= hosts {
        return Err(format!("`senders` is {senders}; 1 to {} are possible", hosts.max(2) - 1));
    }
    let expected = duration.0 as f64 / interval.0.max(1) as f64 * f64::from(senders);
    if expected > MOST_FLOWS {
        return Err(format!(
            "about {expected:.0} flows would come; at most {MOST_FLOWS} are possible"
        ));
    }
    let mut draws = Draws::new(seed, 0);
    let mut order: Vec<u32> = (0..hosts).collect();
    let mut all = matrix(hosts, bytes, std::iter::empty());
    let mut now = 0.0;
    loop {
        now += draws.exponential(interval.0 as f64);
        if now >= duration.0 as f64 {
            break;
        }
        for place in 0..=senders {
            let other = place + draws.below(hosts - place);
            order.swap(place as usize, other as usize);
        }
        let (receiver, own) = (order[0], &order[1..=senders as usize]);
        let burst = matrix(hosts, bytes, own.iter().map(|sender| (*sender, receiver)));
        let at = Start::At(Time(now as u64));
        all.connections
            .extend(burst.connections.into_iter().map(|flow| Connection { start: at, ..flow }));
    }
    if all.connections.is_empty() {
        return Err(format!(
            "no burst comes within {duration}; on average they are {interval} apart"
        ));
    }
    Ok(all)
}

/// One flow.
pub fn single(hosts: u32, src: u32, dst: u32, bytes: u64) -> Matrix {
    matrix(hosts, bytes, std::iter::once((src, dst)))
}

/// `ranks` hosts, evenly spread over all, send `bytes` each to each other, all at once: first to the next
/// rank, then to the one after it (a2a32 of `htsim-profile.md`).
pub fn all_pairs(hosts: u32, ranks: u32, bytes: u64) -> Matrix {
    let stride = hosts / ranks;
    let host = move |rank: u32| rank % ranks * stride;
    let pairs = (1..ranks)
        .flat_map(move |shift| (0..ranks).map(move |rank| (host(rank), host(rank + shift))));
    matrix(hosts, bytes, pairs)
}

/// A ring all-reduce of `bytes` over `ranks` hosts, evenly spread over all, as flows: each chunk goes
/// round for 2(n − 1) steps and travels on when the send before it is acknowledged (ring16 of
/// `htsim-profile.md`).
pub fn acknowledged_ring(hosts: u32, ranks: u32, bytes: u64) -> Matrix {
    let (stride, steps) = (hosts / ranks, 2 * (ranks - 1));
    let host = |place: u32| place % ranks * stride;
    let ends =
        |chunk: u32| (0..steps).map(move |step| (host(chunk + step), host(chunk + step + 1)));
    let mut matrix = matrix(hosts, bytes / u64::from(ranks), (0..ranks).flat_map(ends));
    for (place, connection) in matrix.connections.iter_mut().enumerate() {
        let (chunk, step) = (place as u32 / steps, place as u32 % steps);
        let before = (chunk * (steps - 1) + step) as usize;
        if step > 0 {
            connection.start = Start::On(before - 1);
        }
        connection.send_done = (step + 1 < steps).then_some(before);
    }
    let trigger =
        |number: u32| Trigger { id: u64::from(number) + 1, kind: TriggerKind::Oneshot, line: 0 };
    matrix.triggers = (0..ranks * (steps - 1)).map(trigger).collect();
    matrix
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

    /// In an all-to-all every rank sends to every other once, and hosts between ranks do not.
    #[test]
    fn all_pairs_meet_once() {
        let matrix = all_pairs(16, 4, 10);
        let mut pairs: Vec<(u32, u32)> =
            matrix.connections.iter().map(|c| (c.src.0, c.dst.0)).collect();
        assert_eq!(pairs[..5], [(0, 4), (4, 8), (8, 12), (12, 0), (0, 8)]);
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 4 * 3);
        assert!(pairs.iter().all(|(src, dst)| src != dst && src % 4 == 0 && dst % 4 == 0));
    }

    /// Each chunk of the ring is a chain of flows, each sent from where the one before arrived.
    #[test]
    fn a_ring_is_chains_of_flows() {
        let matrix = acknowledged_ring(16, 4, 4_000);
        assert_eq!((matrix.connections.len(), matrix.triggers.len()), (4 * 6, 4 * 5));
        for pair in matrix.connections.windows(2) {
            let [one, next] = pair else { panic!("two") };
            assert_eq!(one.bytes, 1_000);
            match one.send_done {
                Some(trigger) => {
                    assert_eq!((next.start, next.src), (Start::On(trigger), one.dst));
                }
                None => assert_eq!(next.start, Start::At(Time::ZERO)),
            }
        }
    }

    /// Each burst has one receiver and different senders, and there are as many as time allows.
    #[test]
    fn bursts_have_one_receiver() {
        let interval = Span::from_micros(10);
        let matrix = bursts(32, (5, 100), (interval, interval * 200), 3).unwrap();
        let count = matrix.connections.len() / 5;
        assert!((160..240).contains(&count), "{count}");
        for burst in matrix.connections.chunks(5) {
            let senders: std::collections::BTreeSet<_> =
                burst.iter().map(|flow| flow.src).collect();
            assert_eq!(senders.len(), 5);
            let same = |flow: &Connection| (flow.dst, flow.start) == (burst[0].dst, burst[0].start);
            assert!(burst.iter().all(same) && !senders.contains(&burst[0].dst));
        }
        assert!(bursts(5, (5, 1), (interval, interval), 1).unwrap_err().contains("1 to 4"));
    }
}
