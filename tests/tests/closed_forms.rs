//! Runs whose outcome can be written down.

use std::sync::Mutex;

use results::summary::RunSummary;
use ultraloom_tests::{cases, figures, run_file};

fn close(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 0.001, "{found} is not {expected} within 0.1 %");
}

fn matrix(case: &str, gbps: u32) -> Option<f64> {
    let file = cases()?.join(case);
    let text = format!(
        "profile = \"htsim\"\n[topology]\nlink_rate = \"{gbps} Gb/s\"\n[workload]\nkind = \"matrix\"\n\
         file = {:?}\n",
        file.display().to_string()
    );
    Some(figures(&text).fct_us.max)
}

/// One 2 MB flow over UET takes the closed form of store and forward, at every rate and distance.
#[test]
fn one_flow_takes_its_closed_form() {
    for (case, gbps, micros) in [
        ("one_2MB_128.cm", 400, 53.0499),
        ("pair_same_tor_2MB_128.cm", 400, 44.7128),
        ("one_2MB_128.cm", 800, 32.5249),
        ("one_2MB_128.cm", 100, 176.2),
    ] {
        let Some(found) = matrix(case, gbps) else { return };
        close(found, micros);
    }
}

/// The same flow sends 490 packets and is acknowledged 124 times, as in the reference.
#[test]
fn one_flow_has_the_reference_packets() {
    let text = "profile = \"htsim\"\n[topology]\nhosts = 128\n[workload]\nkind = \"incast\"\n\
        senders = 1\nreceiver = 127\nbytes = \"2 MB\"\n";
    let found = figures(text);
    assert_eq!((found.packets.new, found.packets.acks, found.packets.retransmitted), (490, 124, 0));
    close(found.fct_us.max, 53.0499);
}

/// One flow over RoCE at line rate: n frames, the first with its RETH, then the way of the last frame
/// and of its acknowledgement, with preamble and gap, switch and host latency.
#[test]
fn one_roce_flow_takes_its_closed_form() {
    let text = "[topology]\nkind = \"single-switch\"\nhosts = 2\nlink_rate = \"400 Gb/s\"\n\
        [transport]\nkind = \"roce\"\ncongestion = \"none\"\nwindow = false\n\
        [workload]\nkind = \"incast\"\nsenders = 1\nbytes = 4096000\n";
    let (full, first, ack) = (4_096 + 62 + 20, 16, 66 + 20);
    let bytes = 1_000 * full + first + full + 2 * ack;
    let latency = 2 * (2 * 300 + 400 + 500);
    close(figures(text).fct_us.max, f64::from(bytes * 20) / 1e6 + f64::from(latency) / 1e3);
}

/// Two flows share a bottleneck to the frame: the last one ends when all bytes have passed.
#[test]
fn a_shared_bottleneck_passes_every_byte_once() {
    for (transport, header) in
        [("kind = \"roce\"\ncongestion = \"none\"\nwindow = false", 62), ("kind = \"uet\"", 106)]
    {
        let text = format!(
            "[topology]\nkind = \"single-switch\"\nhosts = 3\n[switch]\nqueue = \"64 MiB\"\n\
             ecn_kmin = \"60 MiB\"\necn_kmax = \"60 MiB\"\n[transport]\n{transport}\n\
             [workload]\nkind = \"incast\"\nsenders = 2\nbytes = 4096000\n"
        );
        let found = figures(&text);
        let bytes = 2 * 1_000 * (4_096 + header + 20);
        let least = f64::from(bytes * 20) / 1e6;
        assert_eq!(found.packets.retransmitted, 0);
        let over = found.makespan_us - least;
        assert!((2.0..4.0).contains(&over), "{transport}: {} over {least}", found.makespan_us);
    }
}

/// A ring all-reduce whose neighbours share a rack takes 2(n − 1) times one chunk's way.
#[test]
fn a_ring_without_contention_takes_its_steps() {
    let text = |bytes: u64| {
        format!(
            "profile = \"htsim\"\n[topology]\nkind = \"single-switch\"\nhosts = 8\n\
             [transport]\nspraying = \"ecmp\"\n[workload]\nkind = \"all-reduce\"\nbytes = {bytes}\n"
        )
    };
    // Ten full packets a chunk; the last byte of a step arrives after 11 frames and 2 links.
    let collective = figures(&text(8 * 40_860)).collective.expect("a collective");
    let step = f64::from(11 * 4_150 * 20) / 1e6 + 2.0;
    close(collective.time_us, 14.0 * step);
    let bandwidth = 8.0 * 8.0 * 40_860.0 / (14.0 * step * 1e3);
    close(collective.algorithm_bandwidth_gbps, bandwidth);
    close(collective.bus_bandwidth_gbps, bandwidth * 1.75);
}

/// Of a scenario's stored figures the digest of each workload of each variant.
fn stored_digests(scenario: &std::path::Path) -> Vec<String> {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/baselines/scenarios");
    let path = folder.join(scenario.file_stem().expect("a name")).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let value: serde_json::Value = serde_json::from_str(&text).expect("a baseline");
    let summary: RunSummary = serde_json::from_value(value["summary"].clone()).expect("figures");
    digests(&summary)
}

fn digests(summary: &RunSummary) -> Vec<String> {
    let workloads = summary.variants.iter().flat_map(|variant| &variant.workloads);
    workloads.map(|workload| workload.figures.digest.clone()).collect()
}

/// Every scenario that ships runs to its last flow, but for the one that shows how it cannot, with the digests that are stored.
/// Where packets are meant to be others than before: `ultraloom check topologies/scenarios --baselines
/// results/baselines/scenarios --update`, and an entry of the changelog.
#[test]
fn every_scenario_that_ships_runs_to_its_last_flow() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/scenarios");
    let paths =
        std::fs::read_dir(folder).expect("scenarios").map(|entry| entry.expect("an entry").path());
    let is_run = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|extension| extension == "toml")
            && !path.ends_with("pfc-deadlock.toml")
    };
    let paths = Mutex::new(paths.filter(is_run).collect::<Vec<_>>());
    assert!(paths.lock().expect("no panic").len() >= 36);
    let next = || paths.lock().expect("no panic").pop();
    // Each run has one thread; two are side by side.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = next() {
                    runs_to_its_last_flow(&path);
                }
            });
        }
    });
}

fn runs_to_its_last_flow(path: &std::path::Path) {
    let outcome = run_file(path);
    assert!(outcome.summary.claims.iter().all(|claim| claim.holds), "{}", path.display());
    assert_eq!(digests(&outcome.summary), stored_digests(path), "{}", path.display());
    assert_eq!(outcome.unfinished, Vec::<String>::new(), "{}", path.display());
    for variant in &outcome.summary.variants {
        let lossless = variant.name.starts_with("roce") && !path.ends_with("switch-down.toml");
        assert!(!lossless || variant.figures.packets.dropped == 0, "{}", variant.name);
        assert_eq!(variant.figures.completed, variant.figures.flows);
    }
}

/// The digests that the page of figures names are those that are stored, and runs are held to those.
#[test]
fn figures_have_the_stored_digests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("results/figures/README.md")).expect("a page");
    for scenario in ["default", "sprayed-permutation", "incast", "switch-down"] {
        let line = page.lines().find(|line| line.contains(&format!("| `{scenario}` |")));
        let line = line.unwrap_or_else(|| panic!("{scenario} has no figure"));
        for digest in stored_digests(std::path::Path::new(&format!("{scenario}.toml"))) {
            assert!(line.contains(&format!("`{digest}`")), "{scenario}: {digest}");
        }
    }
}
