//! Agreement with recorded runs of the reference simulator (`htsim-profile.md`, "what counts").

use std::path::Path;

use results::summary::Figures;
use ultraloom_tests::{cases, data, figures, references, run};

/// Seeds that means are taken over, as many as the reference's.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

fn runs(cases: &Path, case: &str, gbps: u32, transport: &str) -> Vec<Figures> {
    let file = cases.join(format!("{case}.cm")).display().to_string();
    let text = |seed| {
        format!(
            "seed = {seed}\nprofile = \"htsim\"\n[topology]\nlink_rate = \"{gbps} Gb/s\"\n\
             [transport]\n{transport}\n[workload]\nkind = \"matrix\"\nfile = {file:?}\n"
        )
    };
    SEEDS.map(|seed| figures(&text(seed))).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Tails inside the reference's range over seeds, widened by 3 %.
fn tails_agree(name: &str, found: &[Figures], reference: &[ultraloom_tests::Reference]) {
    let low = reference.iter().map(|r| r.max).fold(f64::INFINITY, f64::min) * 0.97;
    let high = reference.iter().map(|r| r.max).fold(0.0, f64::max) * 1.03;
    for figures in found {
        let tail = figures.fct_us.max;
        assert!((low..=high).contains(&tail), "{name}: tail {tail} outside {low:.1} to {high:.1}");
    }
}

/// Permutation of 128 hosts: means within 2 %, tails in range, for every way of spraying.
#[test]
fn permutations_agree_for_every_way_of_spraying() {
    let Some(cases) = cases() else { return };
    for spraying in ["mixed", "reps", "bitmap", "oblivious"] {
        let reference = references(&cases, "perm128_s1_2MB", 400, &format!("nscc {spraying}"));
        let found = runs(&cases, "perm128_s1_2MB", 400, &format!("spraying = {spraying:?}"));
        let (ours, theirs) =
            (mean(found.iter().map(|f| f.fct_us.mean)), mean(reference.iter().map(|r| r.mean)));
        assert!(
            (ours / theirs - 1.0).abs() < 0.02,
            "{spraying}: mean {ours:.2}, theirs {theirs:.2}"
        );
        tails_agree(spraying, &found, &reference);
    }
}

/// Incasts of 8, 32 and 100: tails in range, retransmissions within 15 %.
#[test]
fn incasts_agree() {
    let Some(cases) = cases() else { return };
    for case in ["incast8_1MB_128", "incast32_1MB_128", "incast100_1MB_128"] {
        let reference = references(&cases, case, 400, "nscc mixed");
        let found = runs(&cases, case, 400, "spraying = \"mixed\"");
        tails_agree(case, &found, &reference);
        let ours = mean(found.iter().map(|f| f.packets.retransmitted as f64));
        let theirs = mean(reference.iter().map(|r| r.retransmitted));
        assert!((ours / theirs - 1.0).abs() < 0.15, "{case}: {ours} again, theirs {theirs}");
    }
}

/// Triggers across hosts, an all-to-all at once, and other rates: means within 2 %, tails in range.
#[test]
fn rings_all_to_alls_and_other_rates_agree() {
    let Some(cases) = cases() else { return };
    for (case, gbps) in [
        ("ring16_16MB_128", 400),
        ("a2a32_256KB_128", 400),
        ("perm128_s1_2MB", 100),
        ("perm128_s1_2MB", 800),
    ] {
        let reference = references(&cases, case, gbps, "nscc mixed");
        let found = runs(&cases, case, gbps, "spraying = \"mixed\"");
        let (ours, theirs) =
            (mean(found.iter().map(|f| f.fct_us.mean)), mean(reference.iter().map(|r| r.mean)));
        // The reference counts triggered flows from time zero.
        if case != "ring16_16MB_128" {
            assert!(
                (ours / theirs - 1.0).abs() < 0.02,
                "{case} {gbps}: {ours:.2}, theirs {theirs:.2}"
            );
            tails_agree(case, &found, &reference);
        } else {
            let last = mean(found.iter().map(|f| f.makespan_us));
            let theirs = mean(reference.iter().map(|r| r.max));
            assert!((last / theirs - 1.0).abs() < 0.001, "ring: {last:.3}, theirs {theirs:.3}");
        }
    }
}

/// Under four core links at a quarter of their rate, spraying that learns beats spraying that does not.
#[test]
fn degraded_links_keep_the_order_of_spraying() {
    let Some(cases) = cases() else { return };
    let fault = "[[fault]]\nkind = \"degrade-core-links\"\ncount = 4\nratio = 0.25\n";
    let mut means = Vec::new();
    for spraying in ["mixed", "reps", "oblivious"] {
        let setup = format!("nscc {spraying}, 4 links at 25%");
        let reference = references(&cases, "perm128_s1_2MB", 400, &setup);
        let found =
            runs(&cases, "perm128_s1_2MB", 400, &format!("spraying = {spraying:?}\n{fault}"));
        let (ours, theirs) =
            (mean(found.iter().map(|f| f.fct_us.mean)), mean(reference.iter().map(|r| r.mean)));
        assert!((ours / theirs - 1.0).abs() < 0.02, "{spraying}: {ours:.2}, theirs {theirs:.2}");
        means.push(ours);
    }
    assert!(means.is_sorted(), "mixed, reps, oblivious: {means:?}");
}

/// Real matrices of the reference run with both transports to the last flow.
#[test]
fn real_matrices_run_with_both_transports() {
    let Some(data) = data() else { return };
    for file in ["perm_1024n_1024c_0u_2000000b.cm", "incast_128.cm"] {
        let path = data.join("connection_matrices").join(file).display().to_string();
        let text = format!(
            "[workload]\nkind = \"matrix\"\nfile = {path:?}\n\
             [variants.uec]\ntransport = {{ kind = \"uet\" }}\n\
             [variants.roce]\ntransport = {{ kind = \"roce\" }}\n"
        );
        let outcome = run(&text);
        assert_eq!(outcome.unfinished, Vec::<String>::new(), "{file}");
        assert!(outcome.summary.variants.iter().all(|v| v.figures.completed > 0));
    }
}

/// Topology files of the reference run: a leaf-spine and an oversubscribed fat tree.
#[test]
fn real_topologies_run() {
    let Some(data) = data() else { return };
    for (file, hosts) in [("leaf_spine_tiny.topo", 32), ("fat_tree_128_4os.topo", 128)] {
        let path = data.join("topologies").join(file).display().to_string();
        let text = format!(
            "profile = \"htsim\"\n[topology]\nkind = \"file\"\nfile = {path:?}\n\
             [workload]\nkind = \"permutation\"\nbytes = \"500 KB\"\n"
        );
        let found = figures(&text);
        assert_eq!((found.flows, found.completed), (hosts, hosts), "{file}");
    }
}
