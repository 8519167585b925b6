//! The topologies that scenarios name by kind.

use fabric::graph::{Graph, Link, RouteRule, Switch};
use fabric::ids::NodeId;
use fabric::units::{Rate, Ratio, Span};

use crate::clos::{Clos, Tier};
use crate::error::TopologyError;

/// What links and switches have in common unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Common {
    /// Rate of every link.
    pub link_rate: Rate,
    /// Propagation delay of every link.
    pub link_delay: Span,
    /// Latency of every switch.
    pub switch_latency: Span,
}

impl Common {
    fn tier(&self, name: &'static str, radix_down: u32, radix_up: u32) -> Tier {
        Tier {
            name,
            radix_down,
            radix_up,
            bundle: 1,
            rate: self.link_rate,
            delay: self.link_delay,
            latency: self.switch_latency,
        }
    }
}

/// Most hosts a builder takes.
const MOST_HOSTS: u32 = 16 << 20;

pub(crate) fn check_hosts(hosts: u32) -> Result<(), TopologyError> {
    if (2..=MOST_HOSTS).contains(&hosts) {
        return Ok(());
    }
    Err(TopologyError::new("hosts", hosts, format!("2 to {MOST_HOSTS} are possible")))
}

/// Parameters of a fat tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FatTree {
    /// Hosts in all; the last pod is filled as far as they go, and pods without hosts are left out.
    pub hosts: u32,
    /// Two or three tiers of switches.
    pub tiers: u32,
    /// Ports of a switch, even; `None`: as few as hold the hosts.
    pub radix: Option<u32>,
    /// Bandwidth below over that above, of a ToR and of an aggregation switch.
    pub oversubscription: [Ratio; 2],
    /// Parallel links between each two switches that are joined.
    pub bundle: u32,
}

impl FatTree {
    /// The k-ary fat tree of three tiers with the least k.
    pub fn new(hosts: u32) -> FatTree {
        let oversubscription = [Ratio::ONE; 2];
        FatTree { hosts, tiers: 3, radix: None, oversubscription, bundle: 1 }
    }

    /// Hosts that switches with `radix` ports can hold: k³/4 or k²/2, fewer with bundles.
    pub fn capacity(&self, radix: u32) -> u64 {
        let (half, pods) = (u64::from(radix / 2), u64::from(radix / self.bundle));
        match self.tiers {
            2 => half * pods,
            _ => half * u64::from(radix / 2 / self.bundle) * pods,
        }
    }

    /// Ports of a switch.
    pub fn radix(&self) -> u32 {
        let holds = |k: &u32| self.capacity(*k) >= u64::from(self.hosts);
        self.radix.or_else(|| (2..=65_534).step_by(2).find(holds)).unwrap_or(65_534)
    }

    fn check(&self, radix: u32) -> Result<(), TopologyError> {
        check_hosts(self.hosts)?;
        if !(2..=3).contains(&self.tiers) {
            return Err(TopologyError::new("tiers", self.tiers, "2 or 3 are possible"));
        }
        if self.bundle == 0 || !(radix / 2).is_multiple_of(self.bundle) {
            let allowed = format!("half of the {radix} ports of a switch must be whole bundles");
            return Err(TopologyError::new("bundle", self.bundle, allowed));
        }
        if radix < 2 || radix % 2 == 1 {
            return Err(TopologyError::new("radix", radix, "an even number from 2 is needed"));
        }
        let most = self.capacity(radix);
        if u64::from(self.hosts) > most {
            let allowed = format!("switches of {radix} ports hold at most {most} hosts");
            return Err(TopologyError::new("hosts", self.hosts, allowed));
        }
        Ok(())
    }

    /// Ports up of a switch with `down` ports down, in whole bundles.
    fn up(&self, down: u32, ratio: Ratio) -> Result<u32, TopologyError> {
        let up = u64::from(down) * u64::from(ratio.denominator);
        let whole = u64::from(ratio.numerator) * u64::from(self.bundle);
        if ratio.numerator == 0 || !up.is_multiple_of(whole) || up == 0 {
            let allowed = format!("{down} ports down must give a whole number of bundles up");
            return Err(TopologyError::new("oversubscription", ratio.as_f64(), allowed));
        }
        Ok((up / u64::from(ratio.numerator)) as u32)
    }

    /// The graph.
    ///
    /// # Errors
    /// [`TopologyError`] when the parameters do not fit each other.
    pub fn build(&self, common: &Common) -> Result<Graph, TopologyError> {
        let radix = self.radix();
        self.check(radix)?;
        let half = radix / 2;
        let up = self.up(half, self.oversubscription[0])?;
        let bundled = |tier: Tier| Tier { bundle: self.bundle, ..tier };
        if self.tiers == 2 {
            let leaves = self.hosts.div_ceil(half);
            let spine = bundled(common.tier("spine", leaves * self.bundle, 0));
            let tiers = vec![common.tier("leaf", half, up), spine];
            return Clos { hosts: self.hosts, pod_hosts: leaves * half, tiers }.build();
        }
        let above = self.up(half, self.oversubscription[1])?;
        let tiers = vec![
            common.tier("tor", half, up),
            bundled(common.tier("agg", half, above)),
            bundled(common.tier("core", radix, 0)),
        ];
        Clos { hosts: self.hosts, pod_hosts: half * (half / self.bundle), tiers }.build()
    }
}

/// A k-ary fat tree of three tiers with the least k.
///
/// # Errors
/// [`TopologyError`] when `hosts` is out of range.
pub fn fat_tree(hosts: u32, common: &Common) -> Result<Graph, TopologyError> {
    FatTree::new(hosts).build(common)
}

/// Parameters of a leaf-spine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafSpine {
    /// Hosts in all.
    pub hosts: u32,
    /// Hosts on each leaf.
    pub hosts_per_leaf: u32,
    /// Rate of links between leaves and spines.
    pub uplink_rate: Rate,
    /// Number of spines; `None`: as many as the oversubscription asks for.
    pub spines: Option<u32>,
    /// Host bandwidth over uplink bandwidth of a leaf, when `spines` is not given.
    pub oversubscription: Ratio,
    /// Parallel links between a leaf and a spine.
    pub bundle: u32,
}

/// Leaves, each joined to every spine.
///
/// # Errors
/// [`TopologyError`] when the oversubscription gives no whole number of spines or a count is zero.
pub fn leaf_spine(shape: &LeafSpine, common: &Common) -> Result<Graph, TopologyError> {
    check_hosts(shape.hosts)?;
    let each = shape.hosts_per_leaf;
    if each == 0 || each > shape.hosts {
        let allowed = format!("1 to `hosts` = {} are possible", shape.hosts);
        return Err(TopologyError::new("hosts_per_leaf", each, allowed));
    }
    let spines = match shape.spines {
        Some(spines) => spines,
        None => spines_for(shape, common)?,
    };
    if spines == 0 || spines > 4_096 {
        return Err(TopologyError::new("spines", spines, "1 to 4096 are possible"));
    }
    let leaves = shape.hosts.div_ceil(each);
    let spine = common.tier("spine", leaves * shape.bundle, 0);
    let spine = Tier { rate: shape.uplink_rate, bundle: shape.bundle, ..spine };
    let tiers = vec![common.tier("leaf", each, spines * shape.bundle), spine];
    Clos { hosts: shape.hosts, pod_hosts: leaves * each, tiers }.build()
}

/// The number of spines that gives the oversubscription exactly.
fn spines_for(shape: &LeafSpine, common: &Common) -> Result<u32, TopologyError> {
    let Ratio { numerator, denominator } = shape.oversubscription;
    let down = u128::from(shape.hosts_per_leaf) * u128::from(common.link_rate.bits_per_second());
    let bundle = u128::from(shape.uplink_rate.bits_per_second()) * u128::from(shape.bundle);
    let up = bundle * u128::from(numerator);
    let needed = down * u128::from(denominator);
    if numerator == 0 || up == 0 || !needed.is_multiple_of(up) {
        let found = shape.oversubscription.as_f64();
        let allowed = format!(
            "{} hosts at {} over uplinks at {} must give a whole number of spines",
            shape.hosts_per_leaf, common.link_rate, shape.uplink_rate
        );
        return Err(TopologyError::new("oversubscription", found, allowed));
    }
    Ok(u32::try_from(needed / up).unwrap_or(u32::MAX))
}

/// All hosts on one switch.
///
/// # Errors
/// [`TopologyError`] when `hosts` is out of range.
pub fn single_switch(hosts: u32, common: &Common) -> Result<Graph, TopologyError> {
    if !(2..=8_192).contains(&hosts) {
        return Err(TopologyError::new("hosts", hosts, "2 to 8192 fit on one switch"));
    }
    Clos { hosts, pod_hosts: hosts, tiers: vec![common.tier("switch", hosts, 0)] }.build()
}

/// Two switches with half of the hosts each, joined by one link.
///
/// # Errors
/// [`TopologyError`] when `hosts` is odd or out of range.
pub fn dumbbell(hosts: u32, bottleneck: Rate, common: &Common) -> Result<Graph, TopologyError> {
    if !(2..=16_384).contains(&hosts) || hosts % 2 == 1 {
        return Err(TopologyError::new("hosts", hosts, "an even number from 2 to 16384 is needed"));
    }
    let half = hosts / 2;
    let switch = |index: u32| Switch {
        tier: 0,
        index,
        latency: common.switch_latency,
        route: RouteRule::UpDown {
            first_host: index * half,
            host_count: half,
            hosts_per_child: 1,
            down_base: 0,
            bundle: 1,
            up_base: half as u16,
            up_count: 1,
        },
    };
    let node = |index: u32| NodeId(hosts + index);
    let delay = common.link_delay;
    let link =
        |host: u32| Link { a: NodeId(host), b: node(host / half), rate: common.link_rate, delay };
    let mut links: Vec<Link> = (0..hosts).map(link).collect();
    links.push(Link { a: node(0), b: node(1), rate: bottleneck, delay });
    let switches = vec![switch(0), switch(1)];
    Ok(Graph { hosts, switches, links, tier_names: vec!["switch"], ..Graph::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::properties::Diameter;

    fn common() -> Common {
        Common {
            link_rate: Rate::from_gbps(400),
            link_delay: Span::from_micros(1),
            switch_latency: Span::ZERO,
        }
    }

    fn tiers(graph: &Graph) -> Vec<usize> {
        let count = |tier| graph.switches.iter().filter(|s| usize::from(s.tier) == tier).count();
        (0..graph.tier_names.len()).map(count).collect()
    }

    /// 128 hosts take k = 8: 32 ToRs, 32 aggregation and 16 core switches, as in the reference.
    #[test]
    fn a_fat_tree_of_128_hosts_has_arity_eight() {
        let graph = fat_tree(128, &common()).unwrap();
        assert_eq!(tiers(&graph), [32, 32, 16]);
        assert_eq!(graph.links.len(), 3 * 128);
        for (hosts, radix) in [(1_024, 16), (8_192, 32), (65_536, 64)] {
            assert_eq!(FatTree::new(hosts).radix(), radix);
        }
    }

    /// Every route of every shape arrives, also where the last pod or switch is partly filled.
    #[test]
    fn every_route_of_every_kind_arrives() {
        for hosts in [2, 3, 16, 17, 100, 128, 250] {
            check(&fat_tree(hosts, &common()).unwrap());
        }
        let shape = |hosts, each, spines| LeafSpine {
            hosts,
            hosts_per_leaf: each,
            uplink_rate: Rate::from_gbps(400),
            spines,
            oversubscription: Ratio::new(2, 1),
            bundle: 1,
        };
        check(&leaf_spine(&shape(32, 8, Some(3)), &common()).unwrap());
        check(&leaf_spine(&shape(30, 8, None), &common()).unwrap());
        check(&single_switch(9, &common()).unwrap());
        check(&dumbbell(8, Rate::from_gbps(100), &common()).unwrap());
    }

    /// Two to one with eight hosts a leaf is four spines; a ratio without a whole number is refused.
    #[test]
    fn oversubscription_gives_the_spines() {
        let mut shape = LeafSpine {
            hosts: 64,
            hosts_per_leaf: 8,
            uplink_rate: Rate::from_gbps(400),
            spines: None,
            oversubscription: Ratio::new(2, 1),
            bundle: 1,
        };
        assert_eq!(tiers(&leaf_spine(&shape, &common()).unwrap()), [8, 4]);
        shape.oversubscription = Ratio::new(3, 1);
        let error = leaf_spine(&shape, &common()).unwrap_err().to_string();
        assert!(error.starts_with("`oversubscription` is 3, but 8 hosts at 400 Gb/s"), "{error}");
    }

    /// The diameter of a fat tree is six links, of a leaf-spine four, of a switch two.
    #[test]
    fn diameters() {
        let links = |graph: Graph| Diameter::of(&graph).links.len();
        assert_eq!(links(fat_tree(128, &common()).unwrap()), 6);
        assert_eq!(links(single_switch(4, &common()).unwrap()), 2);
        assert_eq!(links(dumbbell(4, Rate::from_gbps(100), &common()).unwrap()), 3);
    }
}
