//! Frames recorded at ports: what, when, which way, and that looking changes nothing.

#[allow(dead_code, reason = "each file of tests uses its part")]
mod common;

use common::{Case, FRAME, config, leaf_spine, lossless};
use fabric::capture::{Capture, Captured, Way};
use fabric::config::Overflow;
use fabric::fault::{Change, Direction, Fault};
use fabric::ids::{Class, LinkId, PortId};
use fabric::layout::ports_of;
use fabric::link::{FrameErrors, LlrConfig};
use fabric::packet::{Kind, flags};
use fabric::units::{Span, Time};

const S: u64 = FRAME * 20;
const A: u64 = 64 * 20;
const LINK: u64 = 1_000_000;

/// The ports of nodes by name.
fn ports(case: &Case, nodes: &[&str]) -> Vec<PortId> {
    let of = |name: &&str| ports_of(&case.graph, case.graph.find(name).expect("it is there"));
    nodes.iter().flat_map(of).map(|(port, _)| port).collect()
}

fn capture(ports: Vec<PortId>) -> Capture {
    Capture { ports, from: Time::ZERO, until: Time::NEVER, frames: 1_000, only: None }
}

/// A frame is seen when its last bit leaves a port and when it reaches one, before the receiver's pipeline.
#[test]
fn frames_are_seen_when_their_last_bit_passes() {
    let mut case =
        Case::new(leaf_spine(1, 2, 1), config(1 << 20, Overflow::TailDrop)).send(0, 1, 2 * FRAME);
    case.config.host_latency = Span(300_000);
    case.graph.switches[0].latency = Span(400_000);
    case.capture = Some(capture(ports(&case, &["host:0", "host:1"])));
    let record = case.run(2, 1);
    let seen: Vec<(u64, u32, Way, Kind)> = record
        .capture
        .frames
        .iter()
        .map(|frame| (frame.at.0, frame.port.0, frame.way, frame.packet.kind))
        .collect();
    let (pipeline, there) = (400_000, 2 * LINK + 400_000);
    let (first, second) = (2 * S + there, 3 * S + there);
    let back = |at: u64| (at + 300_000 + A, at + 300_000 + 2 * A + 2 * LINK + pipeline);
    assert_eq!(
        seen,
        [
            (S, 0, Way::Sent, Kind::Data),
            (2 * S, 0, Way::Sent, Kind::Data),
            (first, 1, Way::Received, Kind::Data),
            (second, 1, Way::Received, Kind::Data),
            (back(first).0, 1, Way::Sent, Kind::Ack),
            (back(second).0, 1, Way::Sent, Kind::Ack),
            (back(first).1, 0, Way::Received, Kind::Ack),
            (back(second).1, 0, Way::Received, Kind::Ack),
        ]
    );
}

/// Looking changes nothing, and what is seen does not depend on shards and threads.
#[test]
fn captures_change_nothing_and_are_deterministic() {
    let mut case = Case::new(
        leaf_spine(2, 4, 2),
        config(60_000, Overflow::CoinTrim { bytes: 64, to: Class::CONTROL }),
    );
    for src in 1..8 {
        case = case.send(src, 0, 60 * FRAME);
    }
    let plain = case.run(1, 1);
    case.capture = Some(capture(ports(&case, &["host:0", "leaf:0", "spine:1"])));
    let first = case.run(1, 1);
    assert_eq!(first.digest, plain.digest);
    let key = |frame: &Captured| (frame.at, frame.port, frame.way, frame.packet.psn);
    let frames: Vec<_> = first.capture.frames.iter().map(key).collect();
    assert!(first.capture.frames.iter().any(|frame| frame.packet.has(flags::TRIMMED)));
    assert!(first.capture.frames.iter().any(|frame| frame.packet.has(flags::CE)));
    for (shards, threads) in [(3, 1), (11, 2)] {
        let record = case.run(shards, threads);
        assert_eq!(record.capture.frames.iter().map(key).collect::<Vec<_>>(), frames);
    }
}

/// Bounds: nothing outside the times, no more than the limit of each port, and the rest is counted.
#[test]
fn captures_are_bounded() {
    let mut case =
        Case::new(leaf_spine(1, 2, 1), config(1 << 20, Overflow::TailDrop)).send(0, 1, 50 * FRAME);
    let ports = ports(&case, &["host:0"]);
    case.capture = Some(Capture {
        ports: ports.clone(),
        from: Time(10 * S),
        until: Time(20 * S),
        frames: 1_000,
        only: None,
    });
    let record = case.run(1, 1);
    assert_eq!(record.capture.frames.len(), 10, "acknowledgements come later");
    assert_eq!(record.capture.beyond, 0);
    case.capture = Some(Capture { frames: 30, ..capture(ports) });
    let record = case.run(1, 1);
    assert_eq!((record.capture.frames.len(), record.capture.beyond), (30, 70));
}

/// Pauses are seen at both ends; replays of link-level retry are seen each time they leave, and what a dead
/// link loses is not seen to arrive.
#[test]
fn frames_of_the_link_layer_are_seen() {
    let mut case = Case::new(leaf_spine(4, 4, 2), lossless(1_500_000));
    for src in 1..16 {
        case = case.send(src, 0, 400 * FRAME);
    }
    case.capture = Some(capture(ports(&case, &["host:1"])));
    let record = case.run(1, 1);
    let pauses = record.capture.frames.iter().filter(|frame| frame.packet.kind == Kind::Pfc);
    assert!(pauses.clone().count() > 0 && pauses.clone().all(|frame| frame.way == Way::Received));

    let mut case =
        Case::new(leaf_spine(1, 2, 1), config(1 << 20, Overflow::TailDrop)).send(0, 1, 100 * FRAME);
    case.config.link.llr = Some(LlrConfig::default());
    case.config.link.errors = FrameErrors::Frame(fabric::link::Chance::new(0.05));
    case.capture = Some(capture(ports(&case, &["host:0"])));
    let record = case.run(1, 1);
    let replayed: u64 = record
        .ports
        .iter()
        .filter(|port| port.node.0 == 0)
        .map(|port| port.counters.llr_replayed)
        .sum();
    let sent = record.capture.frames.iter().filter(|frame| frame.way == Way::Sent).count() as u64;
    assert!(replayed > 0);
    assert_eq!(sent, 100 + replayed);

    let mut case =
        Case::new(leaf_spine(1, 2, 1), config(1 << 20, Overflow::TailDrop)).send(0, 1, 100 * FRAME);
    let (link, direction, change) = (LinkId(1), Direction::Both, Change::Down);
    case.faults.push(Fault { at: Time(0), link, direction, change });
    case.capture = Some(capture(ports(&case, &["host:1"])));
    assert!(case.run(1, 1).capture.frames.is_empty());
}
