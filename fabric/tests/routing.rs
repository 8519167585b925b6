//! How switches choose among equal ports, and how they go around what is dead.

#[allow(dead_code, reason = "each file of tests uses its part")]
mod common;

use std::collections::BTreeSet;

use common::{Case, FRAME, config, leaf_spine, lossless};
use fabric::config::{Choice, FabricConfig, Overflow, Routing};
use fabric::detour::Planner;
use fabric::fault::{Change, Direction, Fault, SwitchFault};
use fabric::graph::Graph;
use fabric::ids::{HostId, LinkId};
use fabric::probe::{PortCounters, RunRecord};
use fabric::units::{Span, Time};

fn sum(record: &RunRecord, counter: impl Fn(&PortCounters) -> u64) -> u64 {
    record.ports.iter().map(|port| counter(&port.counters)).sum()
}

fn finished(record: &RunRecord) -> usize {
    record.messages.iter().filter(|message| message.acked < Time::NEVER).count()
}

/// The link between two switches by name.
fn link(graph: &Graph, a: &str, b: &str) -> LinkId {
    let [a, b] = [a, b].map(|name| graph.find(name).expect("it is there"));
    let place = graph.links.iter().position(|link| (link.a, link.b) == (a, b));
    LinkId(place.expect("they are joined") as u32)
}

fn routed(choice: Choice, flowlet_gap: Option<Span>, convergence: Option<Span>) -> FabricConfig {
    let routing = Routing { choice, flowlet_gap, convergence, ..Routing::default() };
    FabricConfig { routing, ..config(1 << 30, Overflow::TailDrop) }
}

/// A leaf without one of its uplinks does not use it, other leaves do not use that spine towards the
/// leaf's hosts, and for all other pairs the rule holds.
#[test]
fn a_dead_link_is_avoided_from_both_sides() {
    let graph = leaf_spine(3, 2, 3);
    let planner = Planner::new(&graph);
    let detours = planner.detours(&BTreeSet::from([link(&graph, "leaf:0", "spine:1")]));
    let ports = |name: &str, host| {
        let node = graph.find(name).unwrap();
        detours.get(&node).and_then(|detour| detour.towards(HostId(host))).map(<[u16]>::to_vec)
    };
    assert_eq!(ports("leaf:0", 2), Some(vec![2, 4]));
    assert_eq!(ports("leaf:0", 5), Some(vec![2, 4]));
    assert_eq!(ports("leaf:0", 1), None, "downwards the rule holds");
    for leaf in ["leaf:1", "leaf:2"] {
        assert_eq!(ports(leaf, 0), Some(vec![2, 4]), "{leaf}");
        assert_eq!(ports(leaf, 1), Some(vec![2, 4]), "{leaf}");
    }
    assert_eq!(ports("leaf:1", 4), None);
    assert_eq!(ports("spine:1", 0), Some(vec![]), "there is no other way down");
    assert_eq!(ports("spine:1", 2), None);
    assert!(!detours.contains_key(&graph.find("spine:0").unwrap()));
}

/// A spine that has lost every leaf is used by none.
#[test]
fn a_dead_spine_is_avoided_by_all() {
    let graph = leaf_spine(3, 2, 2);
    let dead = (0..3).map(|leaf| link(&graph, &format!("leaf:{leaf}"), "spine:0")).collect();
    let detours = Planner::new(&graph).detours(&dead);
    for leaf in 0..3 {
        let detour = &detours[&graph.find(&format!("leaf:{leaf}")).unwrap()];
        let other = HostId((leaf * 2 + 2) % 6);
        assert_eq!(detour.towards(other), Some(&[3u16][..]));
    }
    assert!(Planner::new(&graph).detours(&BTreeSet::new()).is_empty());
}

fn down(graph: &Graph, at: u64) -> Fault {
    let link = link(graph, "leaf:0", "spine:0");
    Fault { at: Time(at), link, direction: Direction::Both, change: Change::Down }
}

/// What hashes onto a dead link is lost until routing has converged, and nothing after; without
/// convergence it is lost for good.
#[test]
fn nothing_is_lost_after_convergence() {
    // 16 messages one after the other, 10 us apart; the link dies at 20 us, all know at 50 us.
    let run = |convergence| {
        let mut case = Case::new(leaf_spine(2, 2, 2), routed(Choice::Ecmp, None, convergence));
        for turn in 0..16 {
            let at = Time(turn * 10_000_000);
            case.messages.push((at, HostId(0), HostId(3), 20 * FRAME));
        }
        case.faults.push(down(&case.graph, 20_000_000));
        case.run(2, 2)
    };
    let converged = run(Some(Span::from_micros(30)));
    let unfinished: Vec<usize> =
        (0..16).filter(|place| converged.messages[*place].acked == Time::NEVER).collect();
    assert_eq!(unfinished, [2, 3, 4], "those between 20 and 50 us lose about every second packet");
    assert!(sum(&converged, |counters| counters.dropped_link_down) > 0);
    assert_eq!(finished(&run(None)), 2, "without it none gets through whole");
}

/// A link that comes back is used again once that is known, and what is told in between is nothing.
#[test]
fn a_link_that_comes_back_is_used_again() {
    let graph = leaf_spine(2, 1, 2);
    let mut case = Case::new(graph, routed(Choice::RoundRobin, None, Some(Span::from_micros(5))));
    let mut up = down(&case.graph, 60_000_000);
    up.change = Change::Up;
    case.faults = vec![down(&case.graph, 10_000_000), up];
    for at in [0, 30_000_000, 90_000_000] {
        case.messages.push((Time(at), HostId(0), HostId(1), 100 * FRAME));
    }
    let record = case.run(1, 1);
    assert_eq!(finished(&record), 3);
    let by = |to: &str| {
        let (leaf, spine) = (case.graph.find("leaf:0").unwrap(), case.graph.find(to).unwrap());
        let port = record.ports.iter().find(|port| port.node == leaf && port.peer == spine);
        port.expect("they are joined").counters.packets
    };
    // The messages alone: 50 of the first and last on each spine, the one between on the other alone.
    // Acknowledgements: all from leaf 1 to leaf 0, so none is counted here.
    assert_eq!((by("spine:0"), by("spine:1")), (100, 200));
}

/// A host whose only switch is dead cannot be reached: the other switches say so instead of guessing.
#[test]
fn packets_without_a_way_are_counted() {
    let mut case =
        Case::new(leaf_spine(2, 1, 1), routed(Choice::Ecmp, None, Some(Span::from_micros(1))));
    case.faults.push(down(&case.graph, 0));
    case.messages.push((Time(20_000_000), HostId(0), HostId(1), 10 * FRAME));
    let record = case.run(2, 1);
    assert_eq!(sum(&record, |counters| counters.dropped_unroutable), 10);
}

/// A switch that fails loses what stands in its queues and what comes to it; one that comes back
/// forwards, and holds nobody paused.
#[test]
fn a_failed_switch_loses_its_queues_and_comes_back() {
    for config in [config(1 << 30, Overflow::TailDrop), lossless(3_000_000)] {
        let mut case = Case::new(leaf_spine(2, 4, 1), config);
        for src in 4..8 {
            case = case.send(src, 0, 200 * FRAME);
        }
        let spine = case.graph.find("spine:0").unwrap();
        let fault = |at, up| SwitchFault { at: Time(at), switch: spine, up };
        case.switch_faults = vec![fault(10_000_000, false), fault(40_000_000, true)];
        case.messages.push((Time(60_000_000), HostId(1), HostId(5), 50 * FRAME));
        let record = case.run(1, 1);
        let at_spine = |counter: fn(&PortCounters) -> u64| -> u64 {
            let ports = record.ports.iter().filter(|port| port.node == spine);
            ports.map(|port| counter(&port.counters)).sum()
        };
        // Four hosts at 50 frames a microsecond into one port: about 150 a microsecond pile up in leaf
        // 1 first, so the spine is never congested; the leaf keeps sending into the void.
        assert!(at_spine(|counters| counters.dropped_link_down) > 0);
        let late = record.messages.last().expect("it was posted");
        assert!(late.acked < Time::NEVER, "after its return it forwards");
        assert_eq!(finished(&record), 1);
        for (shards, threads) in [(3, 1), (7, 2)] {
            assert_eq!(case.run(shards, threads).digest, record.digest);
        }
    }
}

/// Switches that look at their queues finish a permutation at line rate where hashed flows collide, and
/// each choice gives one digest for any number of shards and threads, with losses and detours too.
#[test]
fn adaptive_routing_spreads_and_is_deterministic() {
    let tail = |record: &RunRecord| record.messages.iter().map(|m| m.received).max().unwrap();
    let ideal = Time(401 * FRAME * 20 + 4 * 1_000_000 + 3 * FRAME * 20);
    for choice in [Choice::LeastQueue, Choice::TwoChoices, Choice::RoundRobin] {
        let mut case = Case::new(leaf_spine(4, 4, 4), routed(choice, None, None));
        for src in 0..16 {
            case = case.send(src, (src + 4) % 16, 400 * FRAME);
        }
        let record = case.run(1, 1);
        let (last, bound) = (tail(&record).0, ideal.0 * 11 / 10);
        assert!(last < bound, "{choice:?}: {last} ps, expected less than {bound}");
        case.config.routing.flowlet_gap = Some(Span::from_nanos(200));
        case.config.routing.convergence = Some(Span::from_micros(3));
        case.faults.push(down(&case.graph, 2_000_000));
        let first = case.run(1, 1).digest;
        for (shards, threads) in [(4, 1), (5, 2), (24, 3)] {
            assert_eq!(case.run(shards, threads).digest, first, "{choice:?}, {shards} shards");
        }
    }
}
