//! How tokens spread over experts, and what that makes of an all-to-all.

use std::sync::Arc;

use fabric::rng::SplitMix64;
use topologies::text::{TextError, words};

use crate::math::power;

/// Shares of tokens that go to each expert.
#[derive(Clone, PartialEq, Debug)]
pub enum Skew {
    /// All the same.
    Even,
    /// The k-th most popular expert gets a share in proportion to 1/k to this power; which is which differs by layer.
    Zipf(f64),
    /// Of each layer the share of each expert, in any unit; layers take the rows in turn.
    Table(Vec<Vec<f64>>),
}

impl Skew {
    /// A file: a line for a layer with a number for each expert.
    ///
    /// # Errors
    /// [`TextError`] with the place.
    pub fn parse(text: &str) -> Result<Skew, TextError> {
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.replace(',', " ");
            let found = words(&line, number + 1);
            if found.is_empty() {
                continue;
            }
            let share = |word: &topologies::text::Word<'_>| match word.text.parse::<f64>() {
                Ok(share) if share.is_finite() && share >= 0.0 => Ok(share),
                _ => Err(TextError::at(
                    word,
                    format!("the share is `{}`; expected a number, not negative", word.text),
                )),
            };
            let row = found.iter().map(share).collect::<Result<Vec<f64>, _>>()?;
            if rows.first().is_some_and(|first| first.len() != row.len()) {
                let message =
                    format!("there are {} shares; the first line has {}", row.len(), rows[0].len());
                return Err(TextError::at(&found[0], message));
            }
            if row.iter().sum::<f64>() <= 0.0 {
                return Err(TextError::at(&found[0], "all shares are 0".to_owned()));
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return Err(TextError { line: 0, column: 0, message: "there is no share".to_owned() });
        }
        Ok(Skew::Table(rows))
    }

    /// The shares of `experts` in a layer, which add up to 1.
    ///
    /// # Errors
    /// When a table is of another number of experts.
    pub fn shares(&self, layer: u32, experts: u32, seed: u64) -> Result<Vec<f64>, String> {
        let mut shares: Vec<f64> = match self {
            Skew::Even => vec![1.0; experts as usize],
            Skew::Zipf(exponent) => {
                (1..=experts).map(|place| 1.0 / power(f64::from(place), *exponent)).collect()
            }
            Skew::Table(rows) => {
                let row = &rows[layer as usize % rows.len()];
                if row.len() != experts as usize {
                    return Err(format!(
                        "the file of shares has {} a line; there are {experts} experts",
                        row.len()
                    ));
                }
                row.clone()
            }
        };
        if matches!(self, Skew::Zipf(_)) {
            let mut random = SplitMix64::new(seed ^ (u64::from(layer) << 32));
            for last in (1..shares.len()).rev() {
                let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
                shares.swap(last, other as usize);
            }
        }
        let sum: f64 = shares.iter().sum();
        Ok(shares.into_iter().map(|share| share / sum).collect())
    }
}

/// What the ranks of an expert-parallel group exchange in a layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Exchange {
    /// Bytes from each rank to each when tokens go to experts, row by row.
    pub there: Arc<[u64]>,
    /// And when they come back.
    pub back: Arc<[u64]>,
    /// Token visits that each rank's experts get.
    pub visits: Vec<f64>,
}

impl Exchange {
    /// Of a group of `ranks`, each with `visits` of tokens to experts, of `bytes` each; experts are dealt out in blocks.
    pub fn new(shares: &[f64], ranks: u32, visits: f64, bytes: u64) -> Exchange {
        let n = ranks as usize;
        let each = shares.len() / n;
        let rank_share: Vec<f64> = shares.chunks(each).map(|block| block.iter().sum()).collect();
        let to = |share: f64| (visits * share) as u64 * bytes;
        let there = (0..n * n).map(|place| to(rank_share[place % n])).collect();
        let back = (0..n * n).map(|place| to(rank_share[place / n])).collect();
        let visits = rank_share.iter().map(|share| share * visits * f64::from(ranks)).collect();
        Exchange { there, back, visits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even shares make a uniform exchange; what comes back is what went, the other way round.
    #[test]
    fn exchanges_mirror_each_other() {
        let even = Skew::Even.shares(0, 8, 1).unwrap();
        let exchange = Exchange::new(&even, 4, 800.0, 10);
        assert!(exchange.there.iter().all(|bytes| *bytes == 2_000), "{:?}", exchange.there);
        assert_eq!(exchange.visits, [800.0; 4]);
        let skewed = Skew::Zipf(1.0).shares(3, 8, 1).unwrap();
        let exchange = Exchange::new(&skewed, 4, 800.0, 10);
        for (from, to) in [(0, 1), (2, 3), (3, 3)] {
            assert_eq!(exchange.there[from * 4 + to], exchange.back[to * 4 + from]);
        }
        assert!((exchange.visits.iter().sum::<f64>() - 3_200.0).abs() < 1e-6);
    }

    /// Zipf's shares are 1 : 1/2 : 1/3 …, in another order in each layer.
    #[test]
    fn zipf_is_zipf() {
        let sorted = |layer: u32| {
            let mut shares = Skew::Zipf(1.0).shares(layer, 4, 7).unwrap();
            shares.sort_by(|a, b| b.total_cmp(a));
            shares
        };
        let first = sorted(0);
        for (place, share) in first.iter().enumerate() {
            assert!((share * (place as f64 + 1.0) / first[0] - 1.0).abs() < 1e-12);
        }
        assert_eq!(sorted(5), first);
        let orders = (0..8).map(|layer| Skew::Zipf(1.0).shares(layer, 4, 7).unwrap());
        let orders: Vec<Vec<f64>> = orders.collect();
        assert!(orders.iter().any(|order| *order != orders[0]));
    }

    /// A file of shares is read, its rows in turn; mistakes name their place.
    #[test]
    fn shares_are_read() {
        let skew = Skew::parse("1, 3\n# a comment\n1 1\n").unwrap();
        assert_eq!(skew.shares(0, 2, 0).unwrap(), [0.25, 0.75]);
        assert_eq!(skew.shares(3, 2, 0).unwrap(), [0.5, 0.5]);
        assert!(skew.shares(0, 4, 0).unwrap_err().contains("has 2 a line; there are 4"));
        for (text, expected) in [
            ("1 x\n", "1:3: the share is `x`"),
            ("1 2\n1\n", "2:1: there are 1 shares; the first line has 2"),
            ("0 0\n", "1:1: all shares are 0"),
            ("", "0:0: there is no share"),
        ] {
            let error = Skew::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
