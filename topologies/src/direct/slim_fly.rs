//! Slim Fly (Besta, Hoefler; SC 2014) over the graphs of McKay, Miller and Širáň: two hops between any two switches with
//! nearly as few ports as a graph of that diameter can have.
//!
//! For a prime q = 4w + δ with δ = ±1 there are 2·q² switches: (0, x, y) and (1, m, c) with x, y, m, c below q. (0, x, y) is
//! joined to (0, x, y′) where y − y′ is in the set X, (1, m, c) to (1, m, c′) where c − c′ is in X′, and (0, x, y) to
//! (1, m, c) where y = m·x + c, all modulo q.

use fabric::graph::Graph;
use fabric::shape::{Channels, LinkKind};
use fabric::units::Rate;

use crate::build::Common;
use crate::direct::{Cable, Direct};
use crate::error::TopologyError;

/// Parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlimFly {
    /// Hosts in all.
    pub hosts: u32,
    /// The prime q.
    pub q: u32,
    /// Hosts on each switch; `None`: half the links between switches, rounded up, which is balanced.
    pub hosts_per_switch: Option<u32>,
    /// Rate of links between switches.
    pub rate: Rate,
}

/// Sizes for which the sets are known to give diameter two: primes with q mod 4 of 1 or 3.
const SIZES: [u32; 16] = [5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61];

impl SlimFly {
    /// Links of a switch to others: (3q − δ) / 2.
    pub fn network_radix(q: u32) -> u32 {
        if q % 4 == 1 { (3 * q - 1) / 2 } else { (3 * q).div_ceil(2) }
    }

    /// Hosts on a switch that balance its links.
    pub fn balanced(q: u32) -> u32 {
        SlimFly::network_radix(q).div_ceil(2)
    }

    /// The least q whose balanced network holds `hosts`.
    pub fn least(hosts: u32) -> u32 {
        let holds = |q: &u32| 2 * q * q * SlimFly::balanced(*q) >= hosts;
        SIZES.into_iter().find(holds).unwrap_or(SIZES[SIZES.len() - 1])
    }

    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when q is no prime of the known sizes or the hosts do not fit.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        let q = self.q;
        if !SIZES.contains(&q) {
            return Err(TopologyError::new("q", q, "a prime from 5 to 61 is needed"));
        }
        let [own, other] = sets(q);
        let mut cables = Vec::new();
        let mut join = |a: u32, b: u32, kind: LinkKind| {
            cables.push(Cable { a, b, kind, rate: self.rate, delay: common.link_delay });
        };
        for (half, set) in [(0, &own), (1, &other)] {
            for x in 0..q {
                for y in 0..q {
                    for z in (y + 1..q).filter(|z| set.contains(&((z - y) % q))) {
                        let at = |y: u32| half * q * q + x * q + y;
                        join(at(y), at(z), LinkKind::Local);
                    }
                }
            }
        }
        for x in 0..q {
            for m in 0..q {
                for c in 0..q {
                    let y = (m * x + c) % q;
                    join(x * q + y, q * q + m * q + c, LinkKind::Local);
                }
            }
        }
        let switches = 2 * q * q;
        Direct {
            hosts: self.hosts,
            hosts_per_switch: self.hosts_per_switch.unwrap_or(SlimFly::balanced(q)),
            tiers: vec![0; switches as usize],
            with_hosts: switches,
            tier_names: vec!["switch"],
            region_of: (0..switches).collect(),
            cables,
            channels: Channels::PerHop { diameter: 2 },
        }
        .build(common, |_, _, _| true)
    }
}

/// The sets X and X′, from powers of a primitive element: for δ = 1 the even and the odd ones; for δ = −1 the even ones
/// below 2w and the odd ones from 2w − 1 on, or the odd ones below 2w and the even ones from there (Hafner's form).
fn sets(q: u32) -> [Vec<u32>; 2] {
    let power = |base: u32, exponent: u32| {
        (0..exponent).fold(1u64, |all, _| all * u64::from(base) % u64::from(q)) as u32
    };
    let primitive = (2..q).find(|g| (1..q - 1).all(|e| power(*g, e) != 1)).unwrap_or(2);
    let of = |exponents: Vec<u32>| exponents.into_iter().map(|e| power(primitive, e)).collect();
    if q % 4 == 1 {
        return [of((0..q - 1).step_by(2).collect()), of((1..q - 1).step_by(2).collect())];
    }
    let w = q.div_ceil(4);
    let evens = (0..2 * w).step_by(2).chain((2 * w - 1..4 * w - 2).step_by(2));
    let odds = (1..2 * w).step_by(2).chain((2 * w..4 * w - 1).step_by(2));
    [of(evens.collect()), of(odds.collect())]
}
