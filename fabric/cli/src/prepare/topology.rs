//! The graph of a variant.

use fabric::graph::Graph;
use fabric::shape::Paths;
use fabric::units::{Rate, Ratio};
use topologies::build::{self, Common, FatTree, LeafSpine};
use topologies::buildings::{self, Buildings};
use topologies::direct::dragonfly::Dragonfly;
use topologies::direct::dragonfly_plus::DragonflyPlus;
use topologies::direct::grid::Grid;
use topologies::direct::slim_fly::SlimFly;
use topologies::error::TopologyError;
use topologies::named::Defaults;
use topologies::rails::Rails;
use topologies::scale_up::{self, Domains};
use topologies::text::TextError;
use topologies::{astra, htsim_topo, named, ns3_topo, planes};

use crate::error::UserError;
use crate::prepare::{Files, behaviour};
use crate::scenario::model::{File, Profile, Topology, Variant};
use crate::scenario::topology::TopologyKind;

/// The graph of a variant; `hosts` where it does not say how many there are.
pub(super) fn graph(variant: &Variant, hosts: u32, files: &Files) -> Result<Graph, UserError> {
    let topology = &variant.topology;
    let wrong = |error: TopologyError| {
        let message = format!("impossible topology: {error}");
        match topology.places.get(error.key).or(topology.origin.as_ref()) {
            Some(origin) => UserError::at(origin, message),
            None => UserError::new(message),
        }
    };
    let hosts = topology.hosts.unwrap_or(hosts);
    let common = common(topology, variant.profile);
    let graph = match &topology.kind {
        TopologyKind::File(file) => read(file, files, topology, &common)?,
        _ => wired(topology, hosts, &common).map_err(wrong)?,
    };
    if let (Some(origin), true, true) = (
        &topology.routing.paths_origin,
        topology.routing.paths != Paths::Minimal,
        graph.shape.is_none(),
    ) {
        let message = "`topology.routing.paths` can be other than `minimal` in a dragonfly, dragonfly-plus, hyperx, \
                       torus, mesh or slim-fly only; in trees all shortest ways are used already";
        return Err(UserError::at(origin, message));
    }
    Ok(graph)
}

/// What is built by parameters, with its buildings, planes and domains.
fn wired(topology: &Topology, hosts: u32, common: &Common) -> Result<Graph, TopologyError> {
    let count = topology.buildings.map_or(1, |buildings| buildings.count);
    if !hosts.is_multiple_of(count) {
        let allowed = format!("{count} buildings have equally many");
        return Err(TopologyError::new("hosts", hosts, allowed));
    }
    let mut graph = one_building(topology, hosts / count, common)?;
    if let Some(options) = &topology.buildings {
        let shape = Buildings {
            count,
            links_per_switch: options.links,
            borders: options.borders.unwrap_or(options.links),
            rate: options.rate.unwrap_or(common.link_rate),
            delay: options.delay,
            latency: common.switch_latency,
        };
        graph = buildings::join(&graph, &shape)?;
    }
    graph = planes::stack(graph, topology.planes)?;
    if let Some(options) = &topology.scale_up {
        let domains = Domains {
            size: options.domain,
            switches: options.switches,
            rate: options.rate,
            delay: options.delay,
            latency: options.latency,
        };
        scale_up::add(&mut graph, &domains)?;
    }
    Ok(graph)
}

fn one_building(topology: &Topology, hosts: u32, common: &Common) -> Result<Graph, TopologyError> {
    let rate = common.link_rate;
    match &topology.kind {
        TopologyKind::FatTree { tiers, radix, oversubscription, bundle } => FatTree {
            hosts,
            tiers: *tiers,
            radix: *radix,
            oversubscription: *oversubscription,
            bundle: *bundle,
        }
        .build(common),
        TopologyKind::SingleSwitch => build::single_switch(hosts, common),
        TopologyKind::Dumbbell { bottleneck_rate } => {
            build::dumbbell(hosts, bottleneck_rate.unwrap_or(rate), common)
        }
        TopologyKind::LeafSpine {
            hosts_per_leaf,
            spines,
            uplink_rate,
            oversubscription,
            bundle,
        } => {
            let shape = LeafSpine {
                hosts,
                hosts_per_leaf: *hosts_per_leaf,
                uplink_rate: uplink_rate.unwrap_or(rate),
                spines: *spines,
                oversubscription: oversubscription.unwrap_or(Ratio::ONE),
                bundle: *bundle,
            };
            build::leaf_spine(&shape, common)
        }
        TopologyKind::Scheduled { hosts_per_leaf, spines, speedup } => {
            let uplinks = Ratio::new(*hosts_per_leaf, *spines);
            let shape = LeafSpine {
                hosts,
                hosts_per_leaf: *hosts_per_leaf,
                uplink_rate: rate.scaled(uplinks).scaled(*speedup),
                spines: Some(*spines),
                oversubscription: Ratio::ONE,
                bundle: 1,
            };
            build::leaf_spine(&shape, common)
        }
        TopologyKind::Rails { rails, servers_per_group, spines, uplink_rate, pods } => Rails {
            hosts,
            rails: *rails,
            servers_per_group: servers_per_group.unwrap_or(hosts.div_ceil(*rails)),
            spines: *spines,
            uplink_rate: uplink_rate.unwrap_or(rate),
            pods: *pods,
        }
        .build(common),
        _ => direct(&topology.kind, hosts, common, rate),
    }
}

/// Direct networks.
fn direct(
    kind: &TopologyKind,
    hosts: u32,
    common: &Common,
    rate: Rate,
) -> Result<Graph, TopologyError> {
    match kind {
        TopologyKind::Dragonfly {
            hosts_per_switch,
            switches_per_group,
            global_links,
            groups,
            global_delay,
        } => {
            let balanced = Dragonfly::balanced(hosts, common);
            let p = hosts_per_switch.unwrap_or(balanced.hosts_per_switch);
            Dragonfly {
                hosts_per_switch: p,
                switches_per_group: switches_per_group.unwrap_or(2 * p),
                global_links: global_links.unwrap_or(p),
                groups: *groups,
                global_delay: global_delay.unwrap_or(common.link_delay),
                ..balanced
            }
            .build(common)
        }
        TopologyKind::DragonflyPlus {
            hosts_per_switch,
            leaves_per_group,
            spines_per_group,
            global_links,
            groups,
            global_delay,
        } => DragonflyPlus {
            hosts,
            hosts_per_switch: *hosts_per_switch,
            leaves_per_group: *leaves_per_group,
            spines_per_group: *spines_per_group,
            global_links: *global_links,
            groups: *groups,
            rate,
            global_delay: global_delay.unwrap_or(common.link_delay),
        }
        .build(common),
        TopologyKind::Grid { along, dimensions, hosts_per_switch } => {
            let (along, dimensions) = (*along, dimensions.clone());
            Grid { hosts, hosts_per_switch: *hosts_per_switch, dimensions, along, rate }
                .build(common)
        }
        TopologyKind::SlimFly { q, hosts_per_switch } => {
            let q = q.unwrap_or(SlimFly::least(hosts));
            SlimFly { hosts, q, hosts_per_switch: *hosts_per_switch, rate }.build(common)
        }
        _ => unreachable!("all other kinds are built elsewhere"),
    }
}

fn read(
    file: &File,
    files: &Files,
    topology: &Topology,
    common: &Common,
) -> Result<Graph, UserError> {
    let source = files.read(file)?;
    let wrong =
        |error: TextError| UserError::in_text(&source, error.line, error.column, &error.message);
    if ns3_topo::is_one(&source.text) {
        says_all(topology)?;
        return ns3_topo::parse(&source.text).map_err(wrong);
    }
    let defaults = Defaults { rate: common.link_rate, delay: common.link_delay };
    if named::is_graphml(&source.text) {
        return named::graphml(&source.text, defaults).map_err(wrong);
    }
    if named::is_ibnetdiscover(&source.text) {
        return named::ibnetdiscover(&source.text, defaults).map_err(wrong);
    }
    if named::is_neighbours(&source.text) {
        return named::neighbours(&source.text, defaults).map_err(wrong);
    }
    if astra::is_one(&source.text) {
        return astra::parse(&source.text, defaults).map_err(wrong);
    }
    says_all(topology)?;
    let clos = htsim_topo::parse(&source.text).map_err(wrong)?;
    clos.build().map_err(|error| UserError::at(&file.origin, error.to_string()))
}

/// Files of some kinds say rates and delays of all links, so that the scenario must not.
fn says_all(topology: &Topology) -> Result<(), UserError> {
    let said = ["link_rate", "link_delay", "link_length"]
        .into_iter()
        .find_map(|key| Some((key, topology.places.get(key)?)));
    match said {
        None => Ok(()),
        Some((key, origin)) => Err(UserError::at(
            origin,
            format!("`topology.{key}` has no meaning beside this `file`, which gives all links"),
        )),
    }
}

/// Rates and delays, as said or by profile.
fn common(topology: &Topology, profile: Profile) -> Common {
    let (delay, latency) = behaviour::delays(profile);
    Common {
        link_rate: topology.link_rate.unwrap_or(Rate::from_gbps(400)),
        link_delay: topology.link_delay.unwrap_or(delay),
        switch_latency: topology.switch_latency.unwrap_or(latency),
    }
}
