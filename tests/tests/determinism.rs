//! One scenario and seed, one digest: for any number of threads and shards.

use ultraloom_tests::run_on;

const UEC_PERMUTATION: &str = "[topology]\nhosts = 288\n[workload]\nkind = \"permutation\"\n\
    bytes = \"200 KB\"\n";
const UEC_INCAST: &str = "profile = \"htsim\"\n[topology]\nhosts = 64\n[workload]\n\
    kind = \"incast\"\nbytes = \"100 KB\"\n";
const ROCE_INCAST: &str = "[topology]\nhosts = 64\nbuffer = \"8 MiB\"\n[transport]\nkind = \"roce\"\n\
    [workload]\nkind = \"incast\"\nbytes = \"100 KB\"\n";
const ALL_REDUCE: &str = "[topology]\nkind = \"leaf-spine\"\nhosts = 48\nhosts_per_leaf = 8\n\
    spines = 3\n[workload]\nkind = \"all-reduce\"\nbytes = \"4 MB\"\nplacement = \"random\"\n";
const FAULTS: &str = "[topology]\nhosts = 64\n[workload]\nkind = \"all-to-all\"\nbytes = \"20 KB\"\n\
    [[fault]]\nkind = \"link-down\"\nlink = [\"tor:0\", \"agg:0\"]\nat = \"5 us\"\n\
    [[fault]]\nkind = \"link-up\"\nlink = [\"tor:0\", \"agg:0\"]\nat = \"60 us\"\n";
const ROUTING: &str = "[topology]\nhosts = 64\nrouting = { kind = \"least-queue\", flowlet_gap = \"1 us\",\
    convergence = \"8 us\" }\n[workload]\nkind = \"all-to-all\"\nbytes = \"20 KB\"\n[[fault]]\n\
    kind = \"switch-down\"\nswitch = \"core:1\"\nat = \"5 us\"\nuntil = \"60 us\"\n[[fault]]\n\
    kind = \"link-flap\"\nlink = [\"tor:0\", \"agg:0\"]\nperiod = \"10 us\"\ndown = \"3 us\"\ncount = 4\n";
const DROPS: &str = "[topology]\nhosts = 64\n[switch]\nlossless = false\nqueue = \"64 KiB\"\n\
    [transport]\nkind = \"roce\"\n[workload]\nkind = \"permutation\"\nbytes = \"300 KB\"\n";

/// Seven scenarios with different transports, losses and faults.
#[test]
fn digests_do_not_depend_on_threads_or_shards() {
    for text in [UEC_PERMUTATION, UEC_INCAST, ROCE_INCAST, ALL_REDUCE, FAULTS, ROUTING, DROPS] {
        let digest = |threads, shards| {
            run_on(text, &[], threads, shards).summary.variants[0].figures.digest.clone()
        };
        let first = digest(1, 1);
        for threads in [1, 2, 4] {
            for shards in [1, 16, 256] {
                assert_eq!(
                    digest(threads, shards),
                    first,
                    "{threads} threads, {shards} shards: {text}"
                );
            }
        }
        let other = run_on(text, &["seed=2".to_owned()], 1, 1);
        assert_ne!(other.summary.variants[0].figures.digest, first, "another seed: {text}");
    }
}

/// Every transport and congestion control, in-band telemetry between shards included.
#[test]
fn every_transport_is_deterministic() {
    let transports = [
        "kind = \"roce\"\ncongestion = \"hpcc\"",
        "kind = \"roce\"\ncongestion = \"timely\"\nqueue_pairs = 3\nsplit = true",
        "kind = \"roce\"\ncongestion = \"swift\"\nrecovery = \"irn\"",
        "kind = \"roce\"\ncongestion = \"dctcp\"\nrecovery = \"selective-repeat\"",
        "kind = \"roce\"\noperation = \"read\"\nqueue_pairs = 2\nqp_setup = \"3 us\"",
        "kind = \"roce\"\ncongestion = \"hpcc\"\nack_every = 16\nack_delay = \"2 us\"",
        "kind = \"ndp\"",
        "kind = \"srd\"",
        "kind = \"strack\"",
        "kind = \"tcp\"",
    ];
    for transport in transports {
        let text = format!(
            "[topology]\nhosts = 64\nrouting = {{ kind = \"two-choices\" }}\n[transport]\n{transport}\n\
             [workload]\nkind = \"poisson\"\nload = 0.8\nduration = \"20 us\"\n"
        );
        let digest = |threads, shards| {
            run_on(&text, &[], threads, shards).summary.variants[0].figures.digest.clone()
        };
        let first = digest(1, 1);
        for (threads, shards) in [(1, 16), (2, 256), (4, 64)] {
            assert_eq!(digest(threads, shards), first, "{threads}, {shards}: {text}");
        }
    }
}

/// Pauses that a watchdog ends, and the circle that is found without one.
#[test]
fn deadlocks_are_deterministic() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topologies/scenarios");
    let text = std::fs::read_to_string(folder.join("pfc-deadlock.toml")).expect("the scenario");
    let text = text.replace("\"pfc-deadlock", &format!("\"{}/pfc-deadlock", folder.display()));
    let text = text.replace(&format!("name = \"{}/", folder.display()), "name = \"");
    let found = |threads, shards| {
        let variants = run_on(&text, &[], threads, shards).summary.variants;
        let of = |place: usize| &variants[place].figures;
        (of(0).deadlock.clone(), of(0).digest.clone(), of(1).digest.clone())
    };
    let first = found(1, 1);
    assert_eq!(first.0.len(), 4);
    for (threads, shards) in [(1, 16), (2, 256), (4, 64)] {
        assert_eq!(found(threads, shards), first, "{threads} threads, {shards} shards");
    }
}

/// Matrices whose triggers couple hosts are as deterministic.
#[test]
fn coupled_hosts_are_deterministic() {
    let Some(cases) = ultraloom_tests::cases() else { return };
    let file = cases.join("ring16_16MB_128.cm").display().to_string();
    let text = format!("profile = \"htsim\"\n[workload]\nkind = \"matrix\"\nfile = {file:?}\n");
    let digest = |threads, shards| {
        run_on(&text, &[], threads, shards).summary.variants[0].figures.digest.clone()
    };
    assert_eq!(digest(2, 16), digest(1, 1));
}
