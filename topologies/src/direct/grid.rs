//! Grids: switches at points with whole coordinates. In a torus or mesh neighbours along each dimension are joined, in a
//! HyperX (Ahn et al., SC 2009) all switches that differ in one coordinate only.

use fabric::graph::Graph;
use fabric::shape::{Channels, LinkKind};
use fabric::units::Rate;

use crate::build::Common;
use crate::direct::{Cable, Direct, MOST_SWITCHES};
use crate::error::TopologyError;

/// How switches along a dimension are joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Along {
    /// Neighbours, and the last to the first.
    Ring,
    /// Neighbours.
    Line,
    /// All to all. Packets take dimensions in any order, or if `ordered` the first one first.
    All {
        /// One dimension after the other.
        ordered: bool,
    },
}

/// Parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grid {
    /// Hosts in all.
    pub hosts: u32,
    /// Hosts on each switch.
    pub hosts_per_switch: u32,
    /// Switches along each dimension; 1 to 6 dimensions of at least 2.
    pub dimensions: Vec<u32>,
    /// How they are joined.
    pub along: Along,
    /// Rate of links between switches.
    pub rate: Rate,
}

impl Grid {
    fn check(&self) -> Result<u32, TopologyError> {
        let found = || format!("{:?}", self.dimensions);
        if !(1..=6).contains(&self.dimensions.len()) || self.dimensions.iter().any(|size| *size < 2)
        {
            return Err(TopologyError::new(
                "dimensions",
                found(),
                "1 to 6 numbers of at least 2 are needed",
            ));
        }
        let product = self.dimensions.iter().try_fold(1u32, |all, size| all.checked_mul(*size));
        product.filter(|all| *all <= MOST_SWITCHES).ok_or_else(|| {
            let allowed = format!("at most {MOST_SWITCHES} switches are possible");
            TopologyError::new("dimensions", found(), allowed)
        })
    }

    /// How far apart switches are whose numbers differ by one in the coordinate.
    fn stride(&self, dimension: usize) -> u32 {
        self.dimensions[..dimension].iter().product()
    }

    fn coordinate(&self, switch: u32, dimension: usize) -> u32 {
        switch / self.stride(dimension) % self.dimensions[dimension]
    }

    /// The switches that a switch is joined to along a dimension and that have a higher coordinate, each with whether the
    /// link closes a ring.
    fn further(&self, switch: u32, dimension: usize) -> Vec<(u32, bool)> {
        let (size, stride) = (self.dimensions[dimension], self.stride(dimension));
        let own = self.coordinate(switch, dimension);
        let at = |coordinate: u32| switch + (coordinate - own) * stride;
        match self.along {
            Along::All { .. } => (own + 1..size).map(|other| (at(other), false)).collect(),
            Along::Line | Along::Ring => {
                let mut found = Vec::new();
                if own + 1 < size {
                    found.push((at(own + 1), false));
                }
                if self.along == Along::Ring && own == 0 && size > 2 {
                    found.push((at(size - 1), true));
                }
                found
            }
        }
    }

    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the parameters do not fit each other.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        let switches = self.check()?;
        let mut cables = Vec::new();
        for switch in 0..switches {
            for dimension in 0..self.dimensions.len() {
                for (other, wraps) in self.further(switch, dimension) {
                    cables.push(Cable {
                        a: switch,
                        b: other,
                        kind: LinkKind::Ring { dimension: dimension as u8, wraps },
                        rate: self.rate,
                        delay: common.link_delay,
                    });
                }
            }
        }
        let channels = match self.along {
            Along::Ring => Channels::Dateline,
            Along::Line | Along::All { ordered: true } => Channels::PerPart,
            Along::All { ordered: false } => {
                Channels::PerHop { diameter: self.dimensions.len() as u8 }
            }
        };
        let differs = |a: u32, b: u32| {
            (0..self.dimensions.len()).find(|d| self.coordinate(a, *d) != self.coordinate(b, *d))
        };
        let ordered = self.along != Along::All { ordered: false };
        // A step along the first dimension in which switch and destination differ.
        let allowed =
            |at: u32, to: u32, next: u32| !ordered || differs(at, to) == differs(at, next);
        Direct {
            hosts: self.hosts,
            hosts_per_switch: self.hosts_per_switch,
            tiers: vec![0; switches as usize],
            with_hosts: switches,
            tier_names: vec!["switch"],
            region_of: (0..switches).collect(),
            cables,
            channels,
        }
        .build(common, allowed)
    }
}
