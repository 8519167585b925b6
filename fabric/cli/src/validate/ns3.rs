//! The rows of runs of the HPCC authors' ns-3 model: a scenario for each, and its figures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use fabric::units::Time;
use serde::Deserialize;
use workloads::matrix::{Connection, Matrix, Start};
use workloads::{ns3_flows, patterns};

use crate::csv_file::lines;
use crate::error::{Source, UserError};
use crate::prepare::Files;
use crate::validate::rows::{Expected, Ns3Figures, Row, Scene};

/// Figures over seeds (`results/baselines/README.md`).
const FIGURES: &str = include_str!("../../../../results/baselines/roce/summary.csv");
/// The spine of each flow that crosses one.
const PATHS: &str = include_str!("../../../../results/baselines/roce/paths.csv");
/// The flows of the 320 hosts.
const WEB: &str = include_str!("../../../../results/baselines/roce/web50_200us.flows.txt");
/// Their fabric.
const FAT_TREE: &str = include_str!("../../../../topologies/scenarios/hpcc-320.topo");

/// A line of the figures, times in ns.
#[derive(Deserialize)]
struct Line {
    case: String,
    cc: String,
    mean_ns: f64,
    mean_sd_ns: f64,
    max_ns: f64,
    max_low_ns: f64,
    max_high_ns: f64,
    pauses: f64,
    drops: f64,
}

/// All rows.
///
/// # Errors
/// Never, as long as what ships is good.
pub fn rows() -> Result<Vec<Row>, UserError> {
    let source = Source { name: "the ns-3 figures".into(), text: FIGURES.into(), folder: None };
    let row = |line: Line| Row {
        scene: scene(&line.case, &line.cc),
        gbps: 100.0,
        expected: Expected::Ns3(Ns3Figures {
            mean: (line.mean_ns / 1e3, line.mean_sd_ns / 1e3),
            tail: line.max_ns / 1e3,
            tails: (line.max_low_ns / 1e3, line.max_high_ns / 1e3),
            pauses: line.pauses,
            dropped: line.drops,
        }),
        case: line.case,
        setup: line.cc,
    };
    Ok(lines::<Line>(&Arc::new(source))?.into_iter().map(row).collect())
}

/// The scenario of a case under a congestion control.
fn scene(case: &str, cc: &str) -> Result<Scene, String> {
    let unknown = || format!("`{case}` with `{cc}` is no case of the ns-3 model");
    let (topology, matrix) = traffic(case).ok_or_else(unknown)?;
    let transport = transport(cc).ok_or_else(unknown)?;
    let file = |name: &str| PathBuf::from(name);
    let texts = [("paths.csv", PATHS), ("hpcc-320.topo", FAT_TREE)];
    let text = format!(
        "profile = \"ns3-rdma\"\n[topology]\n{topology}[transport]\nkind = \"roce\"\n{transport}\
         [workload]\nkind = \"matrix\"\nfile = \"flows.txt\"\n"
    );
    let files = Files {
        matrices: BTreeMap::from([(file("flows.txt"), matrix)]),
        texts: texts.map(|(name, text)| (file(name), text.to_owned())).into(),
    };
    Ok(Scene { text, files, folder: None })
}

/// `[transport]` keys of a congestion control by its name in the figures.
fn transport(cc: &str) -> Option<String> {
    let (name, window) = match cc {
        "hpcc" | "dctcp" => (cc, true),
        _ => match cc.strip_suffix("_vwin").or(cc.strip_suffix("_win")) {
            Some(name) => (name, true),
            None => (cc, false),
        },
    };
    let (congestion, preset) = match name {
        "dcqcn_paper" => ("dcqcn", "paper"),
        "dcqcn" | "hpcc" | "timely" | "dctcp" | "none" => (name, "mellanox"),
        _ => return None,
    };
    Some(format!("congestion = {congestion:?}\npreset = {preset:?}\nwindow = {window}\n"))
}

/// `[topology]` keys and flows of a case.
fn traffic(case: &str) -> Option<(String, Matrix)> {
    const RATE: &str = "link_rate = \"100 Gb/s\"\n";
    if case == "web50_200us" {
        let topology = "kind = \"file\"\nfile = \"hpcc-320.topo\"\n".to_owned();
        return Some((topology, ns3_flows::parse(WEB).ok()?));
    }
    if case == "dumb4" {
        return Some((format!("kind = \"dumbbell\"\nhosts = 8\n{RATE}"), dumbbell()));
    }
    if let Some(rest) = case.strip_prefix("incast") {
        let (senders, options) = rest.split_once('_').unwrap_or((rest, ""));
        let bytes = if options.starts_with("8MB") { 8_000_000 } else { 1_000_000 };
        let buffer = if options.ends_with("buf4") { "buffer = \"4 MiB\"\n" } else { "" };
        let topology = format!("kind = \"single-switch\"\nhosts = 16\n{RATE}{buffer}");
        return Some((topology, incast(senders.parse().ok()?, bytes)));
    }
    let (fabric, flows) = case.split_once('_')?;
    let (spines, uplink) = fabric.strip_prefix("ls")?.split_once('x')?;
    let topology = format!(
        "kind = \"leaf-spine\"\nhosts = 32\nhosts_per_leaf = 8\nspines = {spines}\n\
         uplink_rate = \"{uplink} Gb/s\"\n{RATE}\
         routing = {{ kind = \"pinned\", file = \"paths.csv\", case = {case:?} }}\n"
    );
    let matrix = match flows {
        "perm8" => shift(32, 8, 1_000_000),
        "sattolo1" => patterns::permutation(32, 1_000_000, 1),
        _ => return None,
    };
    Some((topology, matrix))
}

/// Flows of (from, to, bytes, start in ns).
fn flows(nodes: u32, list: impl Iterator<Item = (u32, u32, u64, u64)>) -> Matrix {
    let single = |(id, (src, dst, bytes, start)): (u64, (u32, u32, u64, u64))| {
        let mut connection: Connection =
            patterns::single(nodes, src, dst, bytes).connections.remove(0);
        connection.id = id;
        connection.start = Start::At(Time(start * 1_000));
        connection
    };
    let connections = (1..).zip(list).map(single).collect();
    Matrix { nodes, connections, triggers: Vec::new(), failures: Vec::new() }
}

/// Hosts 1 to `senders` send to host 0.
fn incast(senders: u32, bytes: u64) -> Matrix {
    flows(16, (1..=senders).map(|src| (src, 0, bytes, 0)))
}

/// Four flows over one link, a millisecond apart.
fn dumbbell() -> Matrix {
    let start = |flow: u32| u64::from(flow) * 1_000_000;
    flows(8, (0..4).map(|flow| (flow, 4 + flow, 50_000_000, start(flow))))
}

/// Each host sends to the one `by` further on.
fn shift(hosts: u32, by: u32, bytes: u64) -> Matrix {
    flows(hosts, (0..hosts).map(|src| (src, (src + by) % hosts, bytes, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All 132 rows are scenarios.
    #[test]
    fn every_row_is_a_scenario() {
        let rows = rows().unwrap();
        assert_eq!(rows.len(), 132);
        for row in &rows {
            assert!(row.scene.is_ok(), "{}: {:?}", row.title(), row.scene);
        }
    }
}
