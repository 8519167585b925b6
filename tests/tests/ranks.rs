//! One scenario and seed, one outcome: for any number of processes, their threads and shards.

use results::summary::RunSummary;
use ultraloom::execute::Outcome;
use ultraloom_tests::ranks::Distant;
use ultraloom_tests::{run_among, run_on};

/// A fabric and its workload, with what is particular to a scenario.
fn scenario(topology: &str, rest: &str, workload: &str) -> String {
    format!("[topology]\nhosts = 32\n{topology}\n{rest}\n[workload]\n{workload}\n")
}

/// Fifteen scenarios: all transports, faults of links and switches, losses, pauses, captures, both profiles.
fn scenarios() -> Vec<String> {
    let incast = "kind = \"incast\"\nbytes = \"60 KB\"";
    let exchange = "kind = \"all-to-all\"\nbytes = \"8 KB\"";
    let permutation = "kind = \"permutation\"\nbytes = \"100 KB\"";
    let flap = "[[fault]]\nkind = \"link-flap\"\nlink = [\"tor:0\", \"agg:0\"]\nperiod = \"10 us\"\n\
        down = \"3 us\"\ncount = 3\n";
    let death = "[[fault]]\nkind = \"switch-down\"\nswitch = \"core:1\"\nat = \"4 us\"\nuntil = \"30 us\"\n";
    let transport = |keys: &str| format!("[transport]\n{keys}\n");
    let roce = |keys: &str| transport(&format!("kind = \"roce\"\n{keys}"));
    let two_choices = "routing = { kind = \"two-choices\" }";
    let least = "routing = { kind = \"least-queue\", convergence = \"5 us\" }";
    vec![
        scenario("", "", permutation),
        format!("profile = \"htsim\"\n{}", scenario("", "", incast)),
        scenario("", &transport("congestion = \"rccc\""), incast),
        scenario("", flap, exchange),
        scenario(least, death, exchange),
        scenario("buffer = \"1 MiB\"", &roce(""), incast),
        scenario(two_choices, &roce("congestion = \"hpcc\""), permutation),
        scenario("", &roce("operation = \"read\"\nqueue_pairs = 2"), permutation),
        scenario("", &transport("kind = \"ndp\""), exchange),
        scenario("", &transport("kind = \"strack\""), permutation),
        scenario("", &transport("kind = \"tcp\""), exchange),
        scenario("", "[capture]\nports = \"host:3\"", "kind = \"all-reduce\"\nbytes = \"256 KB\""),
        // Tasks with chunks, costs, and a network within domains.
        scenario(
            "scale_up = { domain = 4, rate = \"1600 Gb/s\" }",
            "",
            "kind = \"all-reduce\"\nbytes = \"256 KB\"\nalgorithm = \"double-tree\"\nchunks = 4\n\
             reduce_rate = \"800 Gb/s\"\nstep_overhead = \"1 us\"",
        ),
        scenario(
            "",
            "",
            "kind = \"jobs\"\njobs = [{ kind = \"key-value\", ranks = 10, servers = 2, requests = 10 }, { kind = \"pipeline\", \
             bytes = 50000, ranks = 4 }, { kind = \"incast-bursts\", everywhere = true, bytes = 9000, interval = \"4 us\", \
             duration = \"20 us\", senders = 4, start = \"3 us\" }]",
        ),
        scenario(
            "",
            "",
            "kind = \"serving\"\nprefill = 1\nprefill_ranks = 4\ndecode = 2\ndecode_ranks = 2\nrequests = 10\nprompt = 200\n\
             answer = 4\nrate = 10000\nkey_value_bytes = 4096",
        ),
    ]
}

/// All that must not depend on how a run is split: the summary without the engine's speed, flows, ports, captures.
fn witness(outcome: Outcome) -> String {
    let plain = |summary: RunSummary| {
        let mut summary = summary;
        for variant in &mut summary.variants {
            let workloads = variant.workloads.iter_mut().map(|workload| &mut workload.figures);
            for figures in workloads.chain([&mut variant.figures]) {
                let engine = &mut figures.engine;
                (engine.wall_s, engine.hops_per_s, engine.peak_rss_bytes) = (0.0, 0.0, 0);
                (engine.threads, engine.shards, engine.ranks) = (0, 0, 0);
                // Ranks that need not meet have windows of their own, and count packets in flight when they meet.
                (engine.windows, engine.packets_in_flight_max) = (0, 0);
            }
        }
        summary.to_json()
    };
    let flows: Vec<_> = outcome.runs.iter().map(|run| &run.record.messages).collect();
    let ports: Vec<_> =
        outcome.runs.iter().map(|run| (&run.record.ports, &run.record.series)).collect();
    let captured: Vec<_> = outcome.captures.iter().map(|set| &set.record).collect();
    format!("{flows:?}{ports:?}{captured:?}{}", plain(outcome.summary))
}

/// Digests, records and captures of fifteen scenarios are those of one process, for ranks 1 to 4, threads 1, 2, 4
/// and shards 1, 16, 256. A scenario meets each number of ranks with each number of threads, at shards that go on from one
/// scenario to the next, so that over all of them every combination is met five times.
#[test]
fn outcomes_do_not_depend_on_ranks() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 15);
    let mut met = std::collections::BTreeMap::new();
    for (number, text) in scenarios.into_iter().enumerate() {
        let first = witness(run_on(&text, &[], 1, 1));
        for ranks in 1..=4 {
            for (place, threads) in [1, 2, 4].into_iter().enumerate() {
                let shards = [1, 16, 256][(number + ranks + place) % 3];
                *met.entry((ranks, threads, shards)).or_insert(0) += 1;
                let same = witness(run_among(&text, ranks, threads, shards)) == first;
                assert!(same, "{ranks} ranks, {threads} threads, {shards} shards: {text}");
            }
        }
    }
    assert!(met.len() == 36 && met.values().all(|times| *times == 5), "{met:?}");
}

/// Ranks that are far from each other meet less often than windows begin, and the digest is the same.
#[test]
fn distant_ranks_meet_rarely() {
    let distant = Distant::new("ranks");
    let text = distant.scenario("kind = \"all-to-all\"\nbytes = \"8 KB\"");
    let figures = |outcome: Outcome| outcome.summary.variants[0].figures.clone();
    let alone = figures(run_on(&text, &[], 1, 1));
    for (ranks, threads, shards) in [(2, 1, 2), (4, 1, 4), (2, 2, 16), (3, 1, 9)] {
        let several = figures(run_among(&text, ranks, threads, shards));
        assert_eq!(several.digest, alone.digest, "{ranks} ranks");
        assert_eq!(several.fct_us, alone.fct_us);
    }
}
