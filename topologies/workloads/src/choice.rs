//! Which algorithm is fastest for a size, by the model that such choices are made by: a message of b bytes takes a latency and
//! b over the rate (Hockney's alpha and beta), and a rank sends one at a time.

use crate::algorithms::{Algorithm, Recipe};
use crate::collective::Kind;
use crate::steps::Action;

/// What the choice knows of the network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Network {
    /// From posting a short message to its arrival, in picoseconds (alpha).
    pub latency: f64,
    /// Rate of a rank's NIC (one over beta).
    pub bytes_per_picosecond: f64,
}

/// The time that a collective takes without contention, in picoseconds; `None` where this model says nothing.
///
/// Trees are counted with their chunks following each other through all of their levels.
pub fn time(recipe: &Recipe, network: &Network) -> Option<f64> {
    if let Some(matrix) = &recipe.matrix {
        return exchange_time(matrix, recipe.ranks as usize, network);
    }
    let n = f64::from(recipe.ranks);
    let levels = f64::from(recipe.ranks.next_power_of_two().ilog2());
    let whole = recipe.bytes as f64 / network.bytes_per_picosecond;
    let (alpha, part) = (network.latency, whole / n);
    let chunk = whole / f64::from(recipe.channels * recipe.chunks);
    Some(match (recipe.kind, recipe.algorithm) {
        (Kind::AllReduce, Algorithm::Ring) => 2.0 * (n - 1.0) * (alpha + part),
        (Kind::AllReduce, Algorithm::HalvingDoubling) => {
            let extra = if recipe.ranks.is_power_of_two() { 0.0 } else { 2.0 * (alpha + whole) };
            2.0 * levels * alpha + 2.0 * (n - 1.0) * part + extra
        }
        (Kind::AllReduce, Algorithm::Tree) => 2.0 * levels * (alpha + chunk) + 2.0 * whole,
        (Kind::AllReduce, Algorithm::DoubleTree) => {
            2.0 * levels * (alpha + chunk / 2.0) + 2.0 * whole
        }
        (Kind::AllGather | Kind::ReduceScatter, Algorithm::Ring) => (n - 1.0) * (alpha + part),
        (Kind::AllGather | Kind::ReduceScatter, Algorithm::HalvingDoubling)
            if recipe.ranks.is_power_of_two() =>
        {
            levels * alpha + (n - 1.0) * part
        }
        (Kind::AllGather, Algorithm::Bruck) => levels * alpha + (n - 1.0) * part,
        // A message is in flight until its acknowledgement, another latency later.
        (Kind::AllToAll, Algorithm::Windowed) => {
            alpha + (n - 1.0) * part.max(2.0 * alpha / f64::from(recipe.window))
        }
        (Kind::AllToAll, Algorithm::Bruck) => levels * (alpha + whole / 2.0),
        (Kind::Broadcast | Kind::Reduce, Algorithm::Tree) => levels * (alpha + whole),
        (Kind::Broadcast | Kind::Reduce, Algorithm::Ring) => {
            (n - 1.0) * (alpha + chunk) + whole - chunk
        }
        (Kind::Gather | Kind::Scatter, Algorithm::Direct) => alpha + (n - 1.0) * part,
        (Kind::Gather | Kind::Scatter, Algorithm::Tree) => levels * alpha + (n - 1.0) * part,
        _ => return None,
    })
}

/// An exchange by a table: the busiest rank sends or receives for as long as that takes.
fn exchange_time(matrix: &[u64], ranks: usize, network: &Network) -> Option<f64> {
    let others = |a: usize, b: usize, cell: usize| if a == b { 0 } else { matrix[cell] };
    let sent = |a: usize| (0..ranks).map(|b| others(a, b, a * ranks + b)).sum::<u64>();
    let received = |a: usize| (0..ranks).map(|b| others(a, b, b * ranks + a)).sum::<u64>();
    let most = (0..ranks).map(|rank| sent(rank).max(received(rank))).max()?;
    Some(network.latency + most as f64 / network.bytes_per_picosecond)
}

/// The algorithm that takes the least time of those that can do it and that the model knows; the usual one among equals.
pub fn fastest(recipe: &Recipe, network: &Network) -> Algorithm {
    let mut best = (Algorithm::of(recipe.kind)[0], f64::INFINITY);
    for algorithm in Algorithm::of(recipe.kind) {
        let tried = Recipe { algorithm: *algorithm, ..recipe.clone() };
        if let (Ok(()), Some(time)) = (tried.check(), time(&tried, network))
            && time < best.1
        {
            best = (*algorithm, time);
        }
    }
    best.0
}

/// Messages of a collective.
pub fn messages(recipe: &Recipe) -> u64 {
    sent(recipe).0
}

/// Bytes that all ranks together send.
pub fn bytes_sent(recipe: &Recipe) -> u64 {
    sent(recipe).1
}

fn sent(recipe: &Recipe) -> (u64, u64) {
    let n = u64::from(recipe.ranks);
    let parts = u64::from(recipe.channels * recipe.chunks);
    match (recipe.kind, recipe.algorithm) {
        (Kind::AllReduce, Algorithm::Ring) => (2 * n * (n - 1) * parts, 2 * (n - 1) * recipe.bytes),
        (Kind::AllToAll, Algorithm::Windowed | Algorithm::Direct) if recipe.matrix.is_none() => {
            (n * (n - 1), (n - 1) * recipe.bytes)
        }
        _ => {
            let mut all = (0, 0);
            for rank in 0..recipe.ranks {
                for step in recipe.steps(rank, false).steps {
                    if matches!(step.action, Action::Send { .. } | Action::SendAndWait { .. }) {
                        all = (all.0 + 1, all.1 + step.bytes);
                    }
                }
            }
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short buffers take logarithmic algorithms, long ones those that send least; a formula agrees with the steps.
    #[test]
    fn size_decides() {
        let network = Network { latency: 5e6, bytes_per_picosecond: 0.05 };
        let choose = |kind, bytes| fastest(&Recipe::new(kind, 64, bytes), &network);
        assert_eq!(choose(Kind::AllReduce, 1_024), Algorithm::HalvingDoubling);
        let uneven = Recipe { chunks: 16, ..Recipe::new(Kind::AllReduce, 48, 65_536) };
        assert_eq!(fastest(&uneven, &network), Algorithm::DoubleTree);
        let long = Recipe { bytes: 4 << 30, ..uneven };
        assert_eq!(fastest(&long, &network), Algorithm::Ring);
        assert_eq!(choose(Kind::AllToAll, 64 * 8), Algorithm::Bruck);
        assert_eq!(choose(Kind::AllToAll, 64 << 20), Algorithm::Windowed);
        assert_eq!(choose(Kind::Broadcast, 1 << 10), Algorithm::Tree);
    }

    /// The formulas for messages and bytes are what the steps are.
    #[test]
    fn formulas_count_what_steps_send() {
        for (kind, algorithm) in [
            (Kind::AllReduce, Algorithm::Ring),
            (Kind::AllToAll, Algorithm::Windowed),
            (Kind::AllToAll, Algorithm::Direct),
        ] {
            let recipe =
                Recipe { algorithm, channels: 2, chunks: 3, ..Recipe::new(kind, 8, 96_000) };
            let steps = (0..8).flat_map(|rank| recipe.steps(rank, false).steps);
            let sends = steps.filter(|step| {
                matches!(step.action, Action::Send { .. } | Action::SendAndWait { .. })
            });
            let all = sends.fold((0, 0), |all, step| (all.0 + 1, all.1 + step.bytes));
            assert_eq!((messages(&recipe), bytes_sent(&recipe)), all, "{kind:?} {algorithm:?}");
        }
    }
}
