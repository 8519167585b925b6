//! Every shape: all pairs are routed, ports are as many as its formula says, and lossless traffic cannot deadlock where
//! that is claimed.

use fabric::graph::{Graph, RouteRule};
use fabric::ids::{HostId, NodeId};
use fabric::shape::Paths;
use fabric::units::{Rate, Ratio, Span};
use topologies::build::{Common, FatTree, LeafSpine, leaf_spine};
use topologies::buildings::{Buildings, join};
use topologies::channels::deadlock_free;
use topologies::check::check;
use topologies::describe::Description;
use topologies::direct::dragonfly::Dragonfly;
use topologies::direct::dragonfly_plus::DragonflyPlus;
use topologies::direct::grid::{Along, Grid};
use topologies::direct::slim_fly::SlimFly;
use topologies::planes::stack;
use topologies::rails::Rails;
use topologies::scale_up::{Domains, add};

fn common() -> Common {
    Common {
        link_rate: Rate::from_gbps(400),
        link_delay: Span::from_nanos(300),
        switch_latency: Span::from_nanos(400),
    }
}

fn rate() -> Rate {
    Rate::from_gbps(400)
}

/// Ports of each switch.
fn radixes(graph: &Graph) -> Vec<u32> {
    let mut ports = vec![0; graph.nodes() as usize];
    graph.links.iter().flat_map(|link| [link.a, link.b]).for_each(|node| ports[node.index()] += 1);
    ports.split_off(graph.hosts as usize)
}

fn tiers(graph: &Graph) -> Vec<usize> {
    let count = |tier| graph.switches.iter().filter(|s| usize::from(s.tier) == tier).count();
    (0..graph.tier_names.len()).map(count).collect()
}

/// The most hops between the switches of any two hosts.
fn diameter(graph: &Graph) -> u8 {
    *graph.shape.as_ref().unwrap().hops.iter().max().unwrap()
}

fn dragonfly(groups: Option<u32>) -> Graph {
    let shape = Dragonfly { groups, ..Dragonfly::balanced(72, &common()) };
    shape.build(&common()).unwrap()
}

fn grid(dimensions: &[u32], along: Along) -> Graph {
    let hosts = dimensions.iter().product();
    let dimensions = dimensions.to_vec();
    Grid { hosts, hosts_per_switch: 1, dimensions, along, rate: rate() }.build(&common()).unwrap()
}

/// A balanced dragonfly with p = 2 has 9 groups of 4 switches of 7 ports, three hops apart at most; with fewer groups
/// several links join each two of them.
#[test]
fn a_dragonfly_is_balanced() {
    let graph = dragonfly(None);
    check(&graph);
    assert_eq!((graph.hosts, graph.switches.len()), (72, 36));
    assert!(radixes(&graph).iter().all(|ports| *ports == 2 + 3 + 2));
    assert_eq!(diameter(&graph), 3);
    let fewer = Dragonfly { groups: Some(3), hosts: 24, ..Dragonfly::balanced(72, &common()) };
    assert_eq!(fewer.links_between_groups().unwrap(), 4);
    let graph = fewer.build(&common()).unwrap();
    check(&graph);
    assert!(radixes(&graph).iter().all(|ports| *ports == 2 + 3 + 2));
    let error = Dragonfly { groups: Some(10), ..fewer }.build(&common()).unwrap_err().to_string();
    assert!(error.starts_with("`groups` is 10, but 2 to 9 are possible"), "{error}");
}

/// Dragonfly+ joins spines of all groups, three hops between leaves of different ones.
#[test]
fn a_dragonfly_plus_joins_spines() {
    let shape = DragonflyPlus {
        hosts: 40,
        hosts_per_switch: 2,
        leaves_per_group: 4,
        spines_per_group: 4,
        global_links: 1,
        groups: Some(5),
        rate: rate(),
        global_delay: Span::from_micros(1),
    };
    let graph = shape.build(&common()).unwrap();
    check(&graph);
    assert_eq!(tiers(&graph), [20, 20]);
    assert_eq!(diameter(&graph), 3);
    deadlock_free(&graph, Paths::Minimal).unwrap();
    deadlock_free(&graph, Paths::Valiant).unwrap();
}

/// In a HyperX one hop a dimension is enough, in a torus half of the ring, in a mesh all of the line.
#[test]
fn grids_have_the_diameter_of_their_kind() {
    let all = |ordered| Along::All { ordered };
    for (dimensions, along, hops, ports) in [
        (&[4, 3][..], all(false), 2, 3 + 2),
        (&[4, 3, 3], all(true), 3, 3 + 2 + 2),
        (&[4, 4], Along::Ring, 4, 4),
        (&[4, 3, 2], Along::Ring, 2 + 1 + 1, 5),
        (&[4, 3], Along::Line, 3 + 2, 4),
    ] {
        let graph = grid(dimensions, along);
        check(&graph);
        assert_eq!(diameter(&graph), hops, "{dimensions:?} {along:?}");
        assert_eq!(radixes(&graph).into_iter().max(), Some(ports + 1));
    }
}

/// A slim fly with q has 2·q² switches of (3q − δ)/2 links, no two more than two hops apart.
#[test]
fn slim_flies_have_diameter_two() {
    for q in [5, 7, 11, 13] {
        let hosts = 2 * q * q;
        let shape = SlimFly { hosts, q, hosts_per_switch: Some(1), rate: rate() };
        let graph = shape.build(&common()).unwrap();
        assert_eq!(graph.switches.len() as u32, 2 * q * q);
        let ports = SlimFly::network_radix(q) + 1;
        assert!(radixes(&graph).iter().all(|found| *found == ports), "{q}: {:?}", radixes(&graph));
        assert_eq!(diameter(&graph), 2, "{q}");
    }
    check(
        &SlimFly { hosts: 200, q: 5, hosts_per_switch: None, rate: rate() }
            .build(&common())
            .unwrap(),
    );
}

/// With their virtual channels the shapes are free of deadlock; where that takes more than there are, it is said.
#[test]
fn lossless_traffic_cannot_deadlock() {
    let slim = SlimFly { hosts: 50, q: 5, hosts_per_switch: Some(1), rate: rate() };
    let slim = slim.build(&common()).unwrap();
    for (name, graph, minimal, valiant) in [
        ("dragonfly", dragonfly(None), true, true),
        ("dragonfly of three groups", dragonfly_of(3), true, true),
        ("hyperx", grid(&[3, 3], Along::All { ordered: false }), true, false),
        ("ordered hyperx", grid(&[3, 3, 2], Along::All { ordered: true }), true, true),
        ("torus", grid(&[4, 5], Along::Ring), true, false),
        ("torus of three dimensions", grid(&[3, 4, 3], Along::Ring), true, false),
        ("mesh", grid(&[4, 3], Along::Line), true, true),
        ("slim fly", slim, true, false),
    ] {
        assert_eq!(deadlock_free(&graph, Paths::Minimal).is_ok(), minimal, "{name}");
        let found = deadlock_free(&graph, Paths::Valiant);
        assert_eq!(found.is_ok(), valiant, "{name}: {found:?}");
        if !valiant {
            assert!(found.unwrap_err().contains("virtual channels are needed"), "{name}");
        }
    }
}

fn dragonfly_of(groups: u32) -> Graph {
    let hosts = groups * 8;
    let shape = Dragonfly { groups: Some(groups), hosts, ..Dragonfly::balanced(72, &common()) };
    shape.build(&common()).unwrap()
}

/// The check can fail: a torus without its second channel waits for itself.
#[test]
fn a_torus_without_channels_would_deadlock() {
    let mut graph = grid(&[4, 4], Along::Ring);
    let mut shape = (**graph.shape.as_ref().unwrap()).clone();
    shape.channels = fabric::shape::Channels::PerPart;
    graph.shape = Some(std::sync::Arc::new(shape));
    let error = deadlock_free(&graph, Paths::Minimal).unwrap_err();
    assert!(error.contains("waits for itself"), "{error}");
}

/// A fat tree of two tiers, with oversubscription and bundles, has the ports of its switches, and trees need no channels.
#[test]
fn fat_trees_have_tiers_bundles_and_oversubscription() {
    let tree = |hosts, tiers, ratio, bundle| {
        let oversubscription = [Ratio::new(ratio, 1), Ratio::ONE];
        FatTree { tiers, oversubscription, bundle, ..FatTree::new(hosts) }
    };
    for (tree, radix, switches) in [
        (tree(128, 3, 1, 1), 8, vec![32, 32, 16]),
        (tree(128, 3, 2, 1), 8, vec![32, 16, 8]),
        (tree(32, 3, 1, 2), 8, vec![8, 8, 4]),
        (tree(128, 2, 1, 1), 16, vec![16, 8]),
        (tree(128, 2, 4, 2), 24, vec![11, 0]),
    ] {
        assert_eq!(tree.radix(), radix);
        let Ok(graph) = tree.build(&common()) else {
            assert_eq!(switches[1], 0, "{tree:?}");
            continue;
        };
        check(&graph);
        assert_eq!(tiers(&graph), switches, "{tree:?}");
        assert!(radixes(&graph).into_iter().all(|ports| ports <= radix));
        deadlock_free(&graph, Paths::Minimal).unwrap();
    }
}

/// Each plane is a tree of its own, and a host has a port in each.
#[test]
fn planes_share_hosts_only() {
    let one = FatTree::new(16).build(&common()).unwrap();
    let graph = stack(one.clone(), 4).unwrap();
    check(&graph);
    assert_eq!(graph.switches.len(), 4 * one.switches.len());
    let ports = graph.links.iter().filter(|link| link.a == NodeId(3)).count();
    assert_eq!((ports, graph.find("core:15").is_some()), (4, true));
    assert!(stack(one, 9).is_err());
    assert!(stack(dragonfly(None), 2).is_err());
}

/// Accelerators of the same number share a leaf; other rails are reached over spines, other pods over cores.
#[test]
fn rails_join_equal_accelerators() {
    let rails = Rails {
        hosts: 256,
        rails: 8,
        servers_per_group: 4,
        spines: 4,
        uplink_rate: rate(),
        pods: Some((4, 2)),
    };
    let graph = rails.build(&common()).unwrap();
    check(&graph);
    deadlock_free(&graph, Paths::Minimal).unwrap();
    assert_eq!(tiers(&graph), [64, 8, 8]);
    let leaf = |host: u32| graph.links[host as usize].b;
    assert_eq!((leaf(3), leaf(11)), (leaf(27), leaf(19)));
    assert_ne!(leaf(3), leaf(4));
    let rule = graph.switch(leaf(3)).unwrap().route;
    assert!(rule.is_below(HostId(11)) && !rule.is_below(HostId(12)) && !rule.is_below(HostId(35)));
    assert!(matches!(rule, RouteRule::Rails { .. }));
    let two_tiers = Rails { pods: None, hosts: 72, ..rails }.build(&common()).unwrap();
    check(&two_tiers);
    let error = Rails { spines: 0, pods: None, ..rails }.build(&common()).unwrap_err().to_string();
    assert!(
        error.starts_with("`servers_per_group` is 4, but rails only join one group"),
        "{error}"
    );
}

/// Within a domain hosts take its switches, between domains the scale-out network.
#[test]
fn domains_have_a_network_of_their_own() {
    let mut graph = FatTree::new(16).build(&common()).unwrap();
    let domains = Domains {
        size: 8,
        switches: 2,
        rate: Rate::from_gbps(3_200),
        delay: Span::from_nanos(50),
        latency: Span::from_nanos(100),
    };
    add(&mut graph, &domains).unwrap();
    check(&graph);
    assert_eq!(graph.host_ports(HostId(1), HostId(9)), 0..1);
    assert_eq!(graph.host_ports(HostId(1), HostId(7)).start, 1);
    assert_eq!(tiers(&graph).last(), Some(&4));
    assert_eq!(graph.links.last().unwrap().rate, Rate::from_gbps(1_600));
    assert_eq!(graph.top_tier(), 2);
}

/// Buildings are joined by border switches alone, over long links.
#[test]
fn buildings_are_joined_by_border_switches() {
    let building = FatTree::new(16).build(&common()).unwrap();
    let shape = Buildings {
        count: 3,
        links_per_switch: 1,
        borders: 2,
        rate: Rate::from_gbps(800),
        delay: Span::from_micros(10),
        latency: Span::from_nanos(400),
    };
    let graph = join(&building, &shape).unwrap();
    check(&graph);
    deadlock_free(&graph, Paths::Minimal).unwrap();
    assert_eq!((graph.hosts, tiers(&graph)), (48, vec![24, 24, 12, 2]));
    assert_eq!(radixes(&graph).last(), Some(&6));
    assert!(join(&building, &Buildings { borders: 3, ..shape }).is_err());
    check(&stack(graph, 2).unwrap());
}

/// Several links to the same spine are one choice more each.
#[test]
fn a_leaf_spine_may_have_bundles() {
    let shape = LeafSpine {
        hosts: 32,
        hosts_per_leaf: 8,
        uplink_rate: rate(),
        spines: None,
        oversubscription: Ratio::ONE,
        bundle: 2,
    };
    let graph = leaf_spine(&shape, &common()).unwrap();
    check(&graph);
    assert_eq!((tiers(&graph), radixes(&graph)[0]), (vec![4, 4], 16));
}

/// The largest flow between both halves of the hosts, in links of 400 Gb/s.
fn bisection(graph: &Graph) -> f64 {
    Description::of(graph).bisection_gbps.unwrap() / 400.0
}

/// Bisections of the other shapes are those of their formulas, too: of a dragonfly+ one for each two groups of different halves
/// and link between them; of a slim fly q³, all links between its two halves; of rails the uplinks of half of the leaves; of
/// planes the sum of theirs; of buildings what their border switches carry; of a tree over two tiers half of the hosts.
#[test]
fn bisections_are_those_of_their_formulas() {
    let plus = DragonflyPlus {
        hosts: 192,
        hosts_per_switch: 8,
        leaves_per_group: 4,
        spines_per_group: 5,
        global_links: 1,
        groups: Some(6),
        rate: rate(),
        global_delay: Span::from_micros(1),
    };
    assert_eq!(bisection(&plus.build(&common()).unwrap()), 3.0 * 3.0);
    let fly = SlimFly { hosts: 300, q: 5, hosts_per_switch: Some(6), rate: rate() };
    assert_eq!(bisection(&fly.build(&common()).unwrap()), 125.0);
    let rails = Rails {
        hosts: 128,
        rails: 8,
        servers_per_group: 8,
        spines: 3,
        uplink_rate: rate(),
        pods: None,
    };
    assert_eq!(bisection(&rails.build(&common()).unwrap()), 8.0 * 3.0);
    let one = FatTree { oversubscription: [Ratio::new(2, 1), Ratio::ONE], ..FatTree::new(64) };
    let one = one.build(&common()).unwrap();
    assert_eq!(bisection(&stack(one.clone(), 3).unwrap()), 3.0 * bisection(&one));
    let building = FatTree::new(16).build(&common()).unwrap();
    let shape = Buildings {
        count: 2,
        links_per_switch: 1,
        borders: 2,
        rate: Rate::from_gbps(800),
        delay: Span::from_micros(10),
        latency: Span::from_nanos(400),
    };
    // Four core switches of each building have a link of twice the rate to the borders.
    assert_eq!(bisection(&join(&building, &shape).unwrap()), 4.0 * 2.0);
    let two_tiers = FatTree { tiers: 2, ..FatTree::new(128) };
    assert_eq!(bisection(&two_tiers.build(&common()).unwrap()), 64.0);
}
