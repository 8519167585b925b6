//! Which path the next packet takes.

use fabric::rng::Stream;
use fabric::units::Span;
use serde::{Deserialize, Serialize};

/// A connection's choice of entropy values.
#[derive(Serialize, Deserialize)]
pub(super) enum Paths {
    /// Every path once, in an order that is drawn anew each time round (NDP).
    Permuted { order: Vec<u16>, next: usize },
    /// In turn; a path whose packet came back marked is left out once (STrack, and UET's bitmap).
    SkipMarked { marked: Vec<bool>, next: u16 },
    /// The quicker of two at random, by the round trips seen on each (SRD: slow paths are left).
    Quicker { rtt: Vec<Span> },
}

/// Weight of a new round trip in a path's average: 1/4.
const NEW: u64 = 4;

impl Paths {
    pub(super) fn permuted(count: u16) -> Paths {
        Paths::Permuted { order: (0..count).collect(), next: usize::from(count) }
    }

    pub(super) fn skip_marked(count: u16, random: &mut Stream) -> Paths {
        let next = random.below(u32::from(count)) as u16;
        Paths::SkipMarked { marked: vec![false; usize::from(count)], next }
    }

    pub(super) fn quicker(count: u16, base_rtt: Span) -> Paths {
        Paths::Quicker { rtt: vec![base_rtt; usize::from(count)] }
    }

    /// The path of the next packet.
    pub(super) fn choose(&mut self, random: &mut Stream) -> u16 {
        match self {
            Paths::Permuted { order, next } => {
                if *next == order.len() {
                    for last in (1..order.len()).rev() {
                        order.swap(last, random.below(last as u32 + 1) as usize);
                    }
                    *next = 0;
                }
                *next += 1;
                order[*next - 1]
            }
            Paths::SkipMarked { marked, next } => {
                let mut path = *next;
                // Once round at most: then all were marked, and all are clean again.
                for _ in 0..marked.len() {
                    if !std::mem::take(&mut marked[usize::from(path)]) {
                        break;
                    }
                    path = (path + 1) % marked.len() as u16;
                }
                *next = (path + 1) % marked.len() as u16;
                path
            }
            Paths::Quicker { rtt } => {
                let two = [(); 2].map(|()| random.below(rtt.len() as u32) as usize);
                two.into_iter().min_by_key(|path| rtt[*path]).unwrap_or(0) as u16
            }
        }
    }

    /// A packet that went by `path` came back.
    pub(super) fn learn(&mut self, path: u16, sample: Span, mark: bool) {
        match self {
            Paths::Permuted { .. } => {}
            Paths::SkipMarked { marked, .. } => {
                if let Some(place) = marked.get_mut(usize::from(path)) {
                    *place = mark;
                }
            }
            Paths::Quicker { rtt } => {
                if let Some(place) = rtt.get_mut(usize::from(path)) {
                    *place = Span((place.0 * (NEW - 1) + sample.0) / NEW);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fabric::rng::Purpose;

    fn random() -> Stream {
        Stream::new(1, 2, Purpose::Transport)
    }

    /// Every path comes once in a round, in different orders.
    #[test]
    fn permutations_use_all_paths() {
        let (mut paths, mut random) = (Paths::permuted(16), random());
        let mut rounds: Vec<Vec<u16>> =
            (0..3).map(|_| (0..16).map(|_| paths.choose(&mut random)).collect()).collect();
        assert_ne!(rounds[0], rounds[1]);
        for round in &mut rounds {
            round.sort_unstable();
            assert_eq!(*round, (0..16).collect::<Vec<u16>>());
        }
    }

    /// A marked path is left out once.
    #[test]
    fn marked_paths_rest() {
        let mut random = random();
        let mut paths = Paths::skip_marked(4, &mut random);
        let first = paths.choose(&mut random);
        paths.learn((first + 1) % 4, Span::ZERO, true);
        let next: Vec<u16> = (0..4).map(|_| paths.choose(&mut random)).collect();
        assert_eq!(next, [2, 3, 4, 5].map(|step| (first + step) % 4));
        (0..4).for_each(|path| paths.learn(path, Span::ZERO, true));
        let all: Vec<u16> = (0..4).map(|_| paths.choose(&mut random)).collect();
        assert_eq!(all.iter().sum::<u16>(), 6, "when all are marked, none is");
    }

    /// A path with long round trips is left.
    #[test]
    fn slow_paths_are_left() {
        let mut random = random();
        let mut paths = Paths::quicker(8, Span::from_micros(10));
        paths.learn(3, Span::from_micros(90), false);
        let taken = (0..800).filter(|_| paths.choose(&mut random) == 3).count();
        assert!(taken < 40, "{taken}: only when drawn twice");
    }
}
