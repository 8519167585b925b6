//! `[topology]`: the shape of a fabric, and what may be done to it.

use fabric::config::Choice;
use fabric::shape::Paths;
use fabric::units::{Rate, Ratio, Span};

use crate::error::{Origin, UserError};
use crate::scenario::model::{File, Topology};
use crate::scenario::sections::{file, hosts, routing};
use crate::scenario::tree::{Item, Section, Value};

/// Coding and error correction of a link, which its delay includes: 60 to 70 ns at 400 Gb/s and above
/// (`link.md` §5).
const PHY_DELAY: Span = Span::from_nanos(65);

/// Shapes of fabrics.
#[derive(Clone, Debug)]
pub enum TopologyKind {
    /// k-ary, of two or three tiers.
    FatTree {
        /// Tiers of switches.
        tiers: u32,
        /// Ports of a switch; `None`: as few as hold the hosts.
        radix: Option<u32>,
        /// Bandwidth below over that above, tier by tier.
        oversubscription: [Ratio; 2],
        /// Parallel links.
        bundle: u32,
    },
    /// Two tiers.
    LeafSpine {
        /// Hosts on a leaf.
        hosts_per_leaf: u32,
        /// Number of spines.
        spines: Option<u32>,
        /// Rate of uplinks.
        uplink_rate: Option<Rate>,
        /// Host bandwidth over uplink bandwidth.
        oversubscription: Option<Ratio>,
        /// Parallel links.
        bundle: u32,
    },
    /// Leaves and spines that work as one switch: data waits in the spines' deep buffers.
    Scheduled {
        /// Hosts on a leaf.
        hosts_per_leaf: u32,
        /// Number of spines.
        spines: u32,
        /// Uplink bandwidth over host bandwidth.
        speedup: Ratio,
    },
    /// One switch.
    SingleSwitch,
    /// Two switches and a link.
    Dumbbell {
        /// Rate of the link between the switches.
        bottleneck_rate: Option<Rate>,
    },
    /// Leaves for each accelerator of a server; spines join them, or nothing.
    Rails {
        /// Accelerators of a server.
        rails: u32,
        /// Servers of a group.
        servers_per_group: Option<u32>,
        /// Spines of a pod; 0: rails only.
        spines: u32,
        /// Rate of uplinks.
        uplink_rate: Option<Rate>,
        /// Groups of a pod, and links of a spine to cores.
        pods: Option<(u32, u32)>,
    },
    /// Groups of switches.
    Dragonfly {
        /// Hosts on a switch; `None`: balanced.
        hosts_per_switch: Option<u32>,
        /// Switches of a group.
        switches_per_group: Option<u32>,
        /// Links of a switch to other groups.
        global_links: Option<u32>,
        /// Groups.
        groups: Option<u32>,
        /// Delay of links between groups.
        global_delay: Option<Span>,
    },
    /// Groups of leaves and spines.
    DragonflyPlus {
        /// Hosts on a leaf.
        hosts_per_switch: u32,
        /// Leaves of a group.
        leaves_per_group: u32,
        /// Spines of a group.
        spines_per_group: u32,
        /// Links of a spine to other groups.
        global_links: u32,
        /// Groups.
        groups: Option<u32>,
        /// Delay of links between groups.
        global_delay: Option<Span>,
    },
    /// Switches at points with whole coordinates.
    Grid {
        /// How they are joined along a dimension.
        along: topologies::direct::grid::Along,
        /// Switches along each dimension.
        dimensions: Vec<u32>,
        /// Hosts on a switch.
        hosts_per_switch: u32,
    },
    /// Two hops between any two switches.
    SlimFly {
        /// Its prime; `None`: the least that holds the hosts.
        q: Option<u32>,
        /// Hosts on a switch; `None`: balanced.
        hosts_per_switch: Option<u32>,
    },
    /// A topology file.
    File(File),
}

/// `buildings` of `[topology]`.
#[derive(Clone, Copy, Debug)]
pub struct BuildingOptions {
    /// How many.
    pub count: u32,
    /// Border switches; `None`: as many as a top switch of a building has links to them.
    pub borders: Option<u32>,
    /// Links of a top switch to border switches.
    pub links: u32,
    /// Rate of those links.
    pub rate: Option<Rate>,
    /// Delay of those links.
    pub delay: Span,
}

/// `scale_up` of `[topology]`.
#[derive(Clone, Copy, Debug)]
pub struct ScaleUpOptions {
    /// Hosts of a domain.
    pub domain: u32,
    /// Switches of a domain.
    pub switches: u32,
    /// Rate of a host's links together.
    pub rate: Rate,
    /// Delay of a link.
    pub delay: Span,
    /// Latency of a switch.
    pub latency: Span,
}

#[derive(Clone, Copy)]
enum Kind {
    FatTree,
    LeafSpine,
    Scheduled,
    SingleSwitch,
    Dumbbell,
    RailOptimised,
    RailOnly,
    Dragonfly,
    DragonflyPlus,
    HyperX,
    Torus,
    Mesh,
    SlimFly,
    File,
}

/// Buffer of a scheduled fabric's spine: such chips have gigabytes behind them.
const DEEP_BUFFER: u64 = 4 << 30;

/// Every kind of topology, by name.
const KINDS: [(&str, Kind); 14] = [
    ("fat-tree", Kind::FatTree),
    ("leaf-spine", Kind::LeafSpine),
    ("scheduled-fabric", Kind::Scheduled),
    ("single-switch", Kind::SingleSwitch),
    ("dumbbell", Kind::Dumbbell),
    ("rail-optimised", Kind::RailOptimised),
    ("rail-only", Kind::RailOnly),
    ("dragonfly", Kind::Dragonfly),
    ("dragonfly-plus", Kind::DragonflyPlus),
    ("hyperx", Kind::HyperX),
    ("torus", Kind::Torus),
    ("mesh", Kind::Mesh),
    ("slim-fly", Kind::SlimFly),
    ("file", Kind::File),
];

pub(super) fn topology(top: &Section<'_>) -> Result<Topology, UserError> {
    let section = top.table("topology")?;
    // Its table is below this one already.
    section.text("preset")?;
    let kind = kind(&section)?;
    let from_file = matches!(kind, TopologyKind::File(_));
    let asked = hosts(&section, "hosts")?;
    if let (true, Some(_), Some(item)) = (from_file, asked, section.get("hosts")) {
        return Err(section.wrong("hosts", item, "nothing beside `file`, which gives the hosts"));
    }
    if from_file {
        for key in ["planes", "buildings", "scale_up"] {
            if let Some(item) = section.get(key) {
                return Err(section.wrong(
                    key,
                    item,
                    "nothing beside `file`, which says all there is",
                ));
            }
        }
    }
    let mut routing_options = routing(&section.table("routing")?)?;
    let mut spine_buffer = section.bytes("spine_buffer")?;
    if matches!(kind, TopologyKind::Scheduled { .. }) {
        spine_buffer = spine_buffer.or(Some(DEEP_BUFFER));
        // Such leaves spray.
        if section.table("routing")?.get("kind").is_none() {
            routing_options.choice = Choice::LeastQueue;
        }
    }
    let topology = Topology {
        kind,
        hosts: asked,
        link_rate: section.rate("link_rate")?,
        link_delay: delay(&section)?,
        switch_latency: if from_file { None } else { section.span("switch_latency")? },
        host_latency: section.span("host_latency")?,
        buffer: section.bytes("buffer")?,
        spine_buffer,
        planes: section.count("planes", 1, 8)?.unwrap_or(1) as u32,
        buildings: buildings(&section)?,
        scale_up: scale_up(&section)?,
        routing: routing_options,
        origin: top.get("topology").map(|item| item.origin.clone()),
        places: section.places(),
    };
    section.finish()?;
    Ok(topology)
}

fn number(
    section: &Section<'_>,
    key: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u32>, UserError> {
    Ok(section.count(key, least, most)?.map(|number| number as u32))
}

fn kind(section: &Section<'_>) -> Result<TopologyKind, UserError> {
    let kind = section.word("kind", &KINDS)?.unwrap_or(Kind::FatTree);
    Ok(match kind {
        Kind::FatTree => TopologyKind::FatTree {
            tiers: number(section, "tiers", 2, 3)?.unwrap_or(3),
            radix: number(section, "radix", 2, 8_192)?,
            oversubscription: by_tier(section)?,
            bundle: number(section, "bundle", 1, 64)?.unwrap_or(1),
        },
        Kind::SingleSwitch => TopologyKind::SingleSwitch,
        Kind::Dumbbell => {
            TopologyKind::Dumbbell { bottleneck_rate: section.rate("bottleneck_rate")? }
        }
        Kind::LeafSpine => TopologyKind::LeafSpine {
            hosts_per_leaf: number(section, "hosts_per_leaf", 1, 8_192)?.unwrap_or(16),
            spines: number(section, "spines", 1, 4_096)?,
            uplink_rate: section.rate("uplink_rate")?,
            oversubscription: section.ratio("oversubscription", 1_000.0)?,
            bundle: number(section, "bundle", 1, 64)?.unwrap_or(1),
        },
        Kind::Scheduled => {
            let hosts_per_leaf = number(section, "hosts_per_leaf", 1, 8_192)?.unwrap_or(16);
            TopologyKind::Scheduled {
                hosts_per_leaf,
                spines: number(section, "spines", 1, 4_096)?.unwrap_or(hosts_per_leaf),
                speedup: section.ratio("speedup", 16.0)?.unwrap_or(Ratio::new(11, 10)),
            }
        }
        Kind::RailOptimised => {
            let rails = number(section, "rails", 1, 72)?.unwrap_or(8);
            let servers_per_group = number(section, "servers_per_group", 1, 4_096)?;
            let spines = number(section, "spines", 1, 4_096)?;
            let groups = number(section, "groups_per_pod", 1, 4_096)?;
            let cores = groups.map_or(Ok(None), |_| number(section, "core_links", 1, 1_024))?;
            let spines = spines.unwrap_or_else(|| servers_per_group.unwrap_or(32));
            TopologyKind::Rails {
                rails,
                servers_per_group: Some(servers_per_group.unwrap_or(32)),
                spines,
                uplink_rate: section.rate("uplink_rate")?,
                pods: groups.map(|groups| (groups, cores.unwrap_or(groups * rails))),
            }
        }
        Kind::RailOnly => TopologyKind::Rails {
            rails: number(section, "rails", 1, 72)?.unwrap_or(8),
            servers_per_group: None,
            spines: 0,
            uplink_rate: None,
            pods: None,
        },
        Kind::Dragonfly => TopologyKind::Dragonfly {
            hosts_per_switch: number(section, "hosts_per_switch", 1, 1_024)?,
            switches_per_group: number(section, "switches_per_group", 1, 1_024)?,
            global_links: number(section, "global_links", 1, 1_024)?,
            groups: number(section, "groups", 2, 8_192)?,
            global_delay: length_or_delay(section, "global_delay", "global_length")?,
        },
        Kind::DragonflyPlus => TopologyKind::DragonflyPlus {
            hosts_per_switch: number(section, "hosts_per_switch", 1, 1_024)?.unwrap_or(16),
            leaves_per_group: number(section, "leaves_per_group", 1, 1_024)?.unwrap_or(16),
            spines_per_group: number(section, "spines_per_group", 1, 1_024)?.unwrap_or(16),
            global_links: number(section, "global_links", 1, 1_024)?.unwrap_or(16),
            groups: number(section, "groups", 2, 8_192)?,
            global_delay: length_or_delay(section, "global_delay", "global_length")?,
        },
        Kind::HyperX | Kind::Torus | Kind::Mesh => grid(section, kind)?,
        Kind::SlimFly => TopologyKind::SlimFly {
            q: number(section, "q", 5, 61)?,
            hosts_per_switch: number(section, "hosts_per_switch", 1, 1_024)?,
        },
        Kind::File => TopologyKind::File(file(section)?),
    })
}

fn grid(section: &Section<'_>, kind: Kind) -> Result<TopologyKind, UserError> {
    use topologies::direct::grid::Along;
    let along = match kind {
        Kind::Torus => Along::Ring,
        Kind::Mesh => Along::Line,
        _ => {
            let orders = [("any", false), ("dimension", true)];
            Along::All { ordered: section.word("order", &orders)?.unwrap_or(false) }
        }
    };
    let dimensions = numbers(section, "dimensions")?;
    let dimensions = dimensions.ok_or_else(|| {
        let help = "write for example dimensions = [4, 4, 4]";
        UserError::new(format!("`{}` is missing", section.name("dimensions"))).help(help)
    })?;
    let hosts_per_switch = number(section, "hosts_per_switch", 1, 1_024)?.unwrap_or(1);
    Ok(TopologyKind::Grid { along, dimensions, hosts_per_switch })
}

/// A list of whole numbers from 1.
fn numbers(section: &Section<'_>, key: &'static str) -> Result<Option<Vec<u32>>, UserError> {
    let Some(item) = section.get(key) else { return Ok(None) };
    let wrong = |item: &Item| section.wrong(key, item, "a list of whole numbers, like [4, 4, 4]");
    let Value::List(items) = &item.value else { return Err(wrong(item)) };
    let number = |item: &Item| match item.value {
        Value::Integer(number @ 1..=65_536) => Ok(number as u32),
        _ => Err(wrong(item)),
    };
    items.iter().map(number).collect::<Result<Vec<u32>, UserError>>().map(Some)
}

/// `oversubscription` of a fat tree: a number for the lowest tier, or a list of one or two.
fn by_tier(section: &Section<'_>) -> Result<[Ratio; 2], UserError> {
    let Some(Item { value: Value::List(items), .. }) = section.get("oversubscription") else {
        let first = section.ratio("oversubscription", 1_000.0)?;
        return Ok([first.unwrap_or(Ratio::ONE), Ratio::ONE]);
    };
    let mut ratios = [Ratio::ONE; 2];
    for (place, item) in items.iter().enumerate() {
        let ratio = match &item.value {
            Value::Integer(number) => fabric::units::parse_ratio(&number.to_string()).ok(),
            Value::Float(number) => fabric::units::parse_ratio(&number.to_string()).ok(),
            _ => None,
        };
        match (ratios.get_mut(place), ratio.filter(|ratio| ratio.numerator > 0)) {
            (Some(slot), Some(ratio)) => *slot = ratio,
            _ => {
                let allowed = "one or two numbers, like [2, 1]";
                return Err(section.wrong("oversubscription", item, allowed));
            }
        }
    }
    Ok(ratios)
}

/// The delay of links, said as such or by their length.
fn delay(section: &Section<'_>) -> Result<Option<Span>, UserError> {
    length_or_delay(section, "link_delay", "link_length")
}

fn length_or_delay(
    section: &Section<'_>,
    delay: &'static str,
    length: &'static str,
) -> Result<Option<Span>, UserError> {
    match (section.span(delay)?, section.length(length)?) {
        (Some(_), Some(_)) => {
            let item = section.get(length).expect("it was just read");
            Err(section.wrong(length, item, &format!("nothing beside `{delay}`")))
        }
        (Some(delay), None) => Ok(Some(delay)),
        (None, length) => Ok(length.map(|length| length + PHY_DELAY)),
    }
}

fn buildings(top: &Section<'_>) -> Result<Option<BuildingOptions>, UserError> {
    let section = top.table("buildings")?;
    if top.get("buildings").is_none() {
        return Ok(None);
    }
    let missing = |key: &str| UserError::new(format!("`{}` is missing", section.name(key)));
    let count = number(&section, "count", 2, 64)?.ok_or_else(|| missing("count"))?;
    let delay = length_or_delay(&section, "delay", "length")?;
    let options = BuildingOptions {
        count,
        borders: number(&section, "borders", 1, 65_536)?,
        links: number(&section, "links", 1, 1_024)?.unwrap_or(1),
        rate: section.rate("rate")?,
        // Border switches stand half-way.
        delay: Span(delay.ok_or_else(|| missing("length"))?.0 / 2),
    };
    section.finish()?;
    Ok(Some(options))
}

fn scale_up(top: &Section<'_>) -> Result<Option<ScaleUpOptions>, UserError> {
    let section = top.table("scale_up")?;
    if top.get("scale_up").is_none() {
        return Ok(None);
    }
    let missing = |key: &str| UserError::new(format!("`{}` is missing", section.name(key)));
    let options = ScaleUpOptions {
        domain: number(&section, "domain", 2, 4_096)?.ok_or_else(|| missing("domain"))?,
        switches: number(&section, "switches", 1, 64)?.unwrap_or(1),
        rate: section.rate("rate")?.ok_or_else(|| missing("rate"))?,
        delay: length_or_delay(&section, "delay", "length")?.unwrap_or(Span::from_nanos(75)),
        latency: section.span("latency")?.unwrap_or(Span::from_nanos(200)),
    };
    section.finish()?;
    Ok(Some(options))
}

/// `paths` of `routing`.
pub(super) fn paths(section: &Section<'_>) -> Result<(Paths, Option<Origin>), UserError> {
    let words =
        [("minimal", Paths::Minimal), ("valiant", Paths::Valiant), ("adaptive", Paths::Adaptive)];
    let paths = section.word("paths", &words)?.unwrap_or_default();
    Ok((paths, section.get("paths").map(|item| item.origin.clone())))
}
