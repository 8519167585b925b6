//! In which order a pipeline's stage works on micro-batches.
//!
//! One forward, one backward (1F1B; Narayanan et al. 2019 and 2021): a stage warms up with as many forwards as there are stages
//! behind it, then alternates. Interleaved (Narayanan et al. 2021, section 2.2): a stage has several chunks of layers, and
//! micro-batches go round all stages once for each; the warm-up is longer, the bubble shorter by the number of chunks.

/// What a stage does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Forward, or else back.
    pub forward: bool,
    /// Which of the stage's chunks.
    pub chunk: u32,
    /// Which micro-batch.
    pub micro_batch: u32,
}

/// The turns of a `stage` of `stages`, each with `chunks`, for `micro_batches`, which for several chunks are a multiple of the
/// stages.
pub fn turns(stage: u32, stages: u32, chunks: u32, micro_batches: u32) -> Vec<Turn> {
    let total = micro_batches * chunks;
    let warm = match chunks {
        1 => stages - 1 - stage,
        _ => 2 * (stages - 1 - stage) + (chunks - 1) * stages,
    };
    let warm = warm.min(total);
    // Micro-batches go in groups of as many as there are stages, a group through all chunks before the next.
    let group = if chunks == 1 { 1 } else { stages };
    let of = |number: u32, forward: bool| {
        let (round, within) = (number / (group * chunks), number % (group * chunks));
        let chunk = within / group;
        let micro_batch = round * group + within % group;
        Turn { forward, chunk: if forward { chunk } else { chunks - 1 - chunk }, micro_batch }
    };
    let mut turns: Vec<Turn> = (0..warm).map(|number| of(number, true)).collect();
    for number in 0..total - warm {
        turns.push(of(warm + number, true));
        turns.push(of(number, false));
    }
    turns.extend((total - warm..total).map(|number| of(number, false)));
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// When all turns are done, if a forward takes 1 and a backward 2 for all of a stage's chunks together: each waits for the
    /// same micro-batch at the stage before (behind, going back).
    fn length(stages: u32, chunks: u32, micro_batches: u32) -> f64 {
        let mut done: BTreeMap<(bool, u32, u32), f64> = BTreeMap::new();
        let mut queues: Vec<Vec<Turn>> =
            (0..stages).map(|stage| turns(stage, stages, chunks, micro_batches)).collect();
        queues.iter_mut().for_each(|queue| queue.reverse());
        let mut free = vec![0.0f64; stages as usize];
        let last = stages * chunks - 1;
        while queues.iter().any(|queue| !queue.is_empty()) {
            let mut moved = false;
            for stage in 0..stages {
                let Some(turn) = queues[stage as usize].last().copied() else { continue };
                let place = turn.chunk * stages + stage;
                let before = match (turn.forward, place) {
                    (true, 0) => Some(0.0),
                    (true, _) => done.get(&(true, place - 1, turn.micro_batch)).copied(),
                    (false, place) if place == last => {
                        done.get(&(true, place, turn.micro_batch)).copied()
                    }
                    (false, _) => done.get(&(false, place + 1, turn.micro_batch)).copied(),
                };
                let Some(before) = before else { continue };
                let time = if turn.forward { 1.0 } else { 2.0 } / f64::from(chunks);
                let end = before.max(free[stage as usize]) + time;
                free[stage as usize] = end;
                done.insert((turn.forward, place, turn.micro_batch), end);
                queues[stage as usize].pop();
                moved = true;
            }
            assert!(moved, "stages wait for each other");
        }
        free.iter().copied().fold(0.0, f64::max)
    }

    /// An iteration takes (m + (p − 1) / v) · 3: the bubble of the papers.
    #[test]
    fn bubbles_are_those_of_the_papers() {
        for (stages, micro_batches) in [(1, 3), (4, 4), (4, 8), (8, 16)] {
            for chunks in [1, 2, 4] {
                let bubble = f64::from(stages - 1) / f64::from(chunks);
                let expected = 3.0 * (f64::from(micro_batches) + bubble);
                let found = length(stages, chunks, micro_batches);
                assert!((found - expected).abs() < 1e-9, "{stages} {chunks}: {found} {expected}");
            }
        }
        // Fewer micro-batches than stages.
        assert_eq!(length(4, 1, 2), 15.0);
    }
}
