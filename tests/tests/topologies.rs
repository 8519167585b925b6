//! Every shape of fabric carries traffic, the same for any number of threads, shards and ranks.

use ultraloom_tests::{run, run_among, run_on};

const SHAPES: [(&str, &str); 13] = [
    ("scheduled", "kind = \"scheduled-fabric\"\nhosts = 32\nhosts_per_leaf = 8"),
    ("two tiers, oversubscribed", "hosts = 64\ntiers = 2\noversubscription = 2"),
    ("planes", "kind = \"leaf-spine\"\nhosts = 32\nhosts_per_leaf = 8\nplanes = 4"),
    (
        "rails with domains",
        "kind = \"rail-optimised\"\nhosts = 64\nservers_per_group = 4\n\
         scale_up = { domain = 8, rate = \"3200 Gb/s\" }",
    ),
    ("dragonfly", "kind = \"dragonfly\"\nhosts = 72"),
    (
        "dragonfly+",
        "kind = \"dragonfly-plus\"\nhosts = 40\nhosts_per_switch = 2\nleaves_per_group = 4\n\
         spines_per_group = 4\nglobal_links = 1",
    ),
    ("hyperx", "kind = \"hyperx\"\nhosts = 32\ndimensions = [4, 4]\nhosts_per_switch = 2"),
    ("torus", "kind = \"torus\"\nhosts = 27\ndimensions = [3, 3, 3]"),
    ("mesh", "kind = \"mesh\"\nhosts = 16\ndimensions = [4, 4]"),
    ("slim fly", "kind = \"slim-fly\"\nhosts = 100\nq = 5\nhosts_per_switch = 2"),
    ("buildings", "hosts = 32\nbuildings = { count = 2, length = \"2 km\", links = 2 }"),
    ("dragonfly by other groups", "kind = \"dragonfly\"\nhosts = 72\nrouting.paths = \"valiant\""),
    ("dragonfly by queues", "kind = \"dragonfly\"\nhosts = 72\nrouting.paths = \"adaptive\""),
];

fn text(topology: &str, transport: &str, workload: &str) -> String {
    format!("[topology]\n{topology}\n[transport]\nkind = {transport:?}\n[workload]\n{workload}")
}

/// Permutations finish on every shape under UET, RoCE and TCP, lossless without a pause that never ends.
#[test]
fn permutations_finish_on_every_shape() {
    for (name, topology) in SHAPES {
        for transport in ["uet", "roce", "tcp"] {
            let load = "kind = \"permutation\"\nbytes = \"200 KB\"";
            let figures = run(&text(topology, transport, load)).summary.variants.remove(0).figures;
            assert_eq!(figures.completed, figures.flows, "{name}, {transport}");
            assert_eq!(figures.packets.dropped, 0, "{name}, {transport}");
        }
    }
}

/// Ways by queues and other regions, several ports and NICs do not make results depend on how the work is cut.
#[test]
fn digests_do_not_depend_on_how_a_shape_is_cut() {
    for (name, topology) in SHAPES {
        for transport in ["uet", "roce"] {
            let text = text(topology, transport, "kind = \"all-to-all\"\nbytes = \"8 KB\"");
            let digest = |outcome: ultraloom::execute::Outcome| {
                outcome.summary.variants[0].figures.digest.clone()
            };
            let first = digest(run_on(&text, &[], 1, 1));
            for (threads, shards) in [(2, 2), (2, 16), (1, 64)] {
                assert_eq!(
                    digest(run_on(&text, &[], threads, shards)),
                    first,
                    "{name} {transport}"
                );
            }
            assert_eq!(digest(run_among(&text, 3, 1, 9)), first, "{name} {transport}, ranks");
        }
    }
}

/// A pattern that sends every group's traffic over one global link: shortest ways take as long as that link needs, ways by
/// other groups far less, and adaptive ones are not worse than the better of both by much.
#[test]
fn other_groups_relieve_a_crowded_link() {
    let mut matrix = String::from("Nodes 72\nConnections 72\n");
    // Host h of a group sends to host h of the next group.
    (0..72)
        .for_each(|host| matrix += &format!("{host}->{} start 0 size 500000\n", (host + 8) % 72));
    let folder = std::env::temp_dir().join(format!("ultraloom-crowded-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("next-group.cm");
    std::fs::write(&file, matrix).unwrap();
    let makespan = |paths: &str| {
        let topology = format!("kind = \"dragonfly\"\nhosts = 72\nrouting.paths = {paths:?}");
        let load = format!("kind = \"matrix\"\nfile = {file:?}");
        run(&text(&topology, "uet", &load)).summary.variants.remove(0).figures.makespan_us
    };
    let [minimal, valiant, adaptive] = ["minimal", "valiant", "adaptive"].map(makespan);
    // Eight hosts at 400 Gb/s share one link: 80 us of it, headers not counted.
    assert!(minimal > 80.0, "{minimal}");
    assert!(valiant < minimal / 1.8 && adaptive < minimal / 1.8, "{minimal} {valiant} {adaptive}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Within a domain a message takes the domain's own network: three times as fast as the NIC's, over one switch.
#[test]
fn messages_within_a_domain_take_its_network() {
    let completion = |dst: u32| {
        let topology = "hosts = 16\nscale_up = { domain = 8, rate = \"1200 Gb/s\" }";
        let load = format!("kind = \"incast\"\nbytes = \"3 MB\"\nsenders = 1\nreceiver = {dst}");
        run(&text(topology, "uet", &load)).summary.variants.remove(0).figures.fct_us.max
    };
    // The one sender of an incast to host 0 is host 1; to host 15 it is host 0.
    let (near, far) = (completion(0), completion(15));
    assert!((19.5..24.0).contains(&near), "{near}");
    assert!((60.0..75.0).contains(&far), "{far}");
}

/// Fabrics of another tool's files, with accelerators, their servers' switches and two ToRs, carry an all-reduce within servers
/// first, under UET and RoCE.
#[test]
fn fabrics_of_other_tools_carry_traffic() {
    let Some(folder) = ultraloom_tests::files("simai") else { return };
    for (name, switches) in [
        ("AlibabaHPN_128g_8gps_DualToR_DualPlane_200Gbps_H100", 136),
        ("DCN+DualToR_128g_8gps_200Gbps_H100", 10),
        ("Spectrum-X_128g_8gps_100Gbps_A100", 72),
    ] {
        let file = folder.join("topo").join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let graph = topologies::ns3_topo::parse(&text).unwrap();
        assert_eq!((graph.hosts, graph.switches.len()), (128, switches + 16), "{name}");
        topologies::check::check(&graph);
        for transport in ["uet", "roce"] {
            let text = format!(
                "[topology]\nkind = \"file\"\nfile = {file:?}\n[transport]\nkind = {transport:?}\n[workload]\n\
                 kind = \"all-reduce\"\nbytes = \"1 MiB\"\nalgorithm = \"hierarchical\""
            );
            let figures = run(&text).summary.variants.remove(0).figures;
            assert_eq!((figures.completed, figures.packets.dropped), (figures.flows, 0), "{name}");
        }
    }
}

/// A NIC with four ports is four times as fast, under UET by spraying, under RoCE with a queue pair for each port.
#[test]
fn planes_add_up() {
    let completion = |planes: u32, transport: &str| {
        let text = format!(
            "[topology]\nhosts = 16\nplanes = {planes}\nlink_rate = \"100 Gb/s\"\n[transport]\n\
             {transport}\n[workload]\nkind = \"incast\"\nsenders = 1\nbytes = \"10 MB\""
        );
        run(&text).summary.variants.remove(0).figures.fct_us.max
    };
    for transport in ["kind = \"uet\"", "kind = \"roce\"\nqueue_pairs = 4\nsplit = true"] {
        let (one, four) = (completion(1, transport), completion(4, transport));
        assert!((3.6..4.1).contains(&(one / four)), "{transport}: {one} {four}");
    }
    let alone = completion(4, "kind = \"roce\"");
    let one = completion(1, "kind = \"roce\"");
    assert!((alone / one - 1.0).abs() < 0.05, "one queue pair has one port: {alone} {one}");
}

/// A busy port's pauses reach the senders through spines with small buffers, and not through deep ones.
#[test]
fn deep_spines_keep_pauses_from_senders() {
    let pauses = |more: &str| {
        let text = format!(
            "[topology]\nkind = \"scheduled-fabric\"\nhosts = 32\nhosts_per_leaf = 8\nspines = 4\nbuffer = \"2 MiB\"\n{more}\n\
             [transport]\nkind = \"roce\"\ncongestion = \"none\"\nwindow = false\n[workload]\nkind = \"incast\"\nsenders = 24\n\
             bytes = \"1 MB\"\n"
        );
        let outcome = run(&text);
        let ports = &outcome.runs[0].record.ports;
        let sent = |nodes: std::ops::Range<u32>| -> u64 {
            let own = ports.iter().filter(|port| nodes.contains(&port.node.0));
            own.map(|port| port.counters.pauses_sent).sum()
        };
        assert!(outcome.unfinished.is_empty(), "{:?}", outcome.unfinished);
        // 32 hosts, then 4 leaves, then 4 spines.
        (sent(36..40), sent(32..36))
    };
    let (deep_spines, deep_leaves) = pauses("");
    let (spines, _) = pauses("spine_buffer = \"2 MiB\"");
    assert_eq!(deep_spines, 0);
    assert!(deep_leaves > 0 && spines > 0, "{deep_leaves} {spines}");
}

/// Every network of astra-sim is read and carries a permutation; one whose figures are still to be determined has the scenario's.
#[test]
fn networks_of_astra_sim_carry_traffic() {
    let Some(data) = ultraloom_tests::files("astra-sim") else { return };
    let mut count = 0;
    for folder in ["examples/network/analytical", "inputs/network"] {
        for entry in std::fs::read_dir(data.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yml") {
                continue;
            }
            let text = format!(
                "[topology]\nkind = \"file\"\nfile = {path:?}\n[workload]\nkind = \"permutation\"\nbytes = 100000\n"
            );
            let outcome = run(&text);
            assert!(outcome.unfinished.is_empty(), "{}: {:?}", path.display(), outcome.unfinished);
            count += 1;
        }
    }
    assert!(count >= 14, "{count}");
}

/// A file that says all there is stands alone: keys that would say something else are refused with their place.
#[test]
fn keys_beside_a_file_are_refused() {
    let folder = std::env::temp_dir().join(format!("ultraloom-beside-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("two.topo");
    let topo = "3 1 2\n2\n0 2 100Gbps 0.001ms 0\n1 2 100Gbps 0.001ms 0\n";
    std::fs::write(&file, topo).unwrap();
    for (key, expected) in [
        ("planes = 2", "`topology.planes`"),
        ("buildings = { count = 2 }", "`topology.buildings`"),
        ("scale_up = { domain = 2, rate = \"1 Tb/s\" }", "`topology.scale_up`"),
        ("link_rate = \"200 Gb/s\"", "`topology.link_rate` has no meaning beside this `file`"),
        ("link_length = \"3 m\"", "`topology.link_length` has no meaning beside this `file`"),
    ] {
        let error = ultraloom_tests::refusal(&format!(
            "[topology]\nkind = \"file\"\nfile = {file:?}\n{key}\n[workload]\nkind = \"permutation\"\nbytes = 9\n"
        ));
        assert!(error.contains(expected) && error.contains(":4:"), "{key}: {error}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
